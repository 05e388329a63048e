"""What a training will take: memory, hours, dollars."""
