"""What answers are held against: personality prompts, the COSTITUZIONE checklist, tasks; and what code decides."""
