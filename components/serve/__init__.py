"""Serve: the partner behind an endpoint that OpenAI's clients understand, and who of several models answers."""
