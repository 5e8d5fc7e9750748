"""Reading and writing files: one format a module, both directions."""
