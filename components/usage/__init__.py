"""What was asked, answered and spent."""
