"""The napari panel; the only place that imports Qt and napari."""
