"""Many images: which they are, each from its file to what is written of it, and the record of what is done."""
