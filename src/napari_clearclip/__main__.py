"""``python -m napari_clearclip``: the command line."""

from __future__ import annotations

from napari_clearclip.cli import main

if __name__ == "__main__":
    main()
