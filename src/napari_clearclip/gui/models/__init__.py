"""What is computed with."""
