"""What was found, for people and for Great Expectations: page, text, baseline, audit, card."""
