"""What answers are held against: prompts of personality, the checklist of the COSTITUZIONE, tasks; and what code decides."""
