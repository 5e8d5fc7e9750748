"""Two names of a folder exchanged in one step, so that there is no moment without either."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

_HERE = -100  # AT_FDCWD of Linux: paths are as the process sees them
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS


def exchanged(one: Path, other: Path) -> bool:
    """Whether two files or folders now have each other's name; False, and all as it was, where that cannot be done.

    Linux and macOS can do it on most file systems.
    """
    names = os.fsencode(one), os.fsencode(other)
    try:
        library, system = ctypes.CDLL(None), platform.system()
        if system == "Linux":
            return bool(library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
        if system == "Darwin":
            return bool(library.renamex_np(*names, _EXCHANGE) == 0)
    except (AttributeError, OSError, TypeError):  # an older system, or Windows
        return False
    return False
