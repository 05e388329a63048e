"""The page of a training: losses, masks, settings."""
