"""How to look, how much of it, and what it costs."""
