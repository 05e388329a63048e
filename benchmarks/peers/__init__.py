"""Keeping an index up to date, this program and its peers: the same files, the same changes, the same embedder."""
