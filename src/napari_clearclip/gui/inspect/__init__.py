"""What the model does with the image that is looked at: points, maps and curves."""
