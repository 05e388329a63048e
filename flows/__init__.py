"""Order only: which task after which."""
