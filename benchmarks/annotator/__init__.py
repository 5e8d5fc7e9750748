"""A simulated annotator: what it sees, how it draws, when it stops. The rules stand in ``docs/effort.md``."""
