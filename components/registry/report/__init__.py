"""The report of a run as one page: scorecard, gate, curves, worst answers, what changed."""
