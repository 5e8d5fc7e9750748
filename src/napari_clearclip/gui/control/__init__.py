"""What is wanted, what is asked next and who answers it."""
