"""Programs that serve the own model, each in an environment and a process group of its own."""
