"""Measurements of this project against its own parts and its peers: one command each."""
