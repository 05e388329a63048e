"""Scripts that run in the environment of a trainer, by its own Python. They import nothing of this project."""
