"""Results as napari layers, and what is painted into them."""
