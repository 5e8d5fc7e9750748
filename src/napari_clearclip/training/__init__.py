"""Loops that make weights."""
