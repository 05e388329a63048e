"""Conversations -> a checked, split ShareGPT dataset."""
