"""Rules that look at one conversation: structure, tools, tokens, text, private data, where it comes from."""
