"""The work: one folder, one room."""
