"""Folders of images that are worked through one by one, each with a session of its own."""
