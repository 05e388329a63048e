"""Files of conversations: any format is read as ShareGPT, told, and mended into a new file."""
