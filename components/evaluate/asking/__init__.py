"""Asking a candidate and those beside it: many at a time, none twice."""
