"""What conversations are together: duplicates, leaks, shape, and how they are split."""
