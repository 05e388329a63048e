"""Training elsewhere: one file to take along, one to bring back."""
