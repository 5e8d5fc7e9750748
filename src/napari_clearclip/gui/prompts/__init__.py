"""What to look for, and where the thresholds lie."""
