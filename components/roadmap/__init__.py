"""Where the owner stands: phase, triggers of the next one, costs, decision, risks."""
