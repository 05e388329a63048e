"""A model that judges answers: one question at a time, and pairs in both orders."""
