"""One module for each trainer: its configuration, its rows, and what its effective configuration must say."""
