"""The endpoint: what OpenAI's clients ask over HTTP, and what they get."""
