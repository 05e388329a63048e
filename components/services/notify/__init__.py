"""Notifications: who wants to hear of failures, refusals, ends and champions is told by webhook or mail."""
