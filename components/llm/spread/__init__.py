"""Work of models that run in processes of ours, spread over a Ray cluster: embedding of notes, answers, verdicts.

Models of a provider are not spread: a call of theirs waits for the network, here as well as there, and so the key, the
address and the budget stay in this process. Caches stay here too: a worker gets texts and gives back vectors or words.
"""

from components.llm.spread.workers import Workers

__all__ = ["Workers"]
