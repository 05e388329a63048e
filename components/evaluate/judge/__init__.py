"""A model as judge: what it is asked, how its replies are read, and what it is asked of."""
