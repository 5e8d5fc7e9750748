"""Single objects: their layer, their table, and what is done to them."""
