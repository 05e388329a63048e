"""Environments of trainers: locked, outside the project, found again by the hash of their lock."""
