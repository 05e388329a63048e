"""A training at work: the child, its progress, what it really used, and whether it succeeded."""
