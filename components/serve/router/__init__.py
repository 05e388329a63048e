"""Who of several models answers a question, and who when that one fails."""
