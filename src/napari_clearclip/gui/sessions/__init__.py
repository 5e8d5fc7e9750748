"""Sessions: all that is in a viewer into a file, and back."""
