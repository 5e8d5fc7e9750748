"""Strokes and examples from which a prompt learns."""
