"""Where examples come from and who has read them: notes by a model, reviews, all gathered."""
