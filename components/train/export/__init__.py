"""The trained model in the forms of other programs, proved to be the same."""
