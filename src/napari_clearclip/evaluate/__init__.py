"""How good masks are, against a known truth."""
