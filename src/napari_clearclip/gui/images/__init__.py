"""Which image, plane and channels are looked at."""
