"""What drawing with OpenGL asks of a plugin, so that the process does not end with a segmentation fault."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtWidgets import QMainWindow, QOpenGLWidget, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel


class CanvasContext:
    """Makes the OpenGL context of the canvas current whenever layers are removed from the viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are removed.
    inside : QWidget
        A widget in the window of the viewer; without a window nothing is done.

    Notes
    -----
    On removal napari 0.9 deletes the layer's programs and buffers at once (``_clean_and_update_scenegraph`` in
    ``napari._vispy.canvas``), in whatever context is current. After a repaint that is the one with which Qt puts the
    window together, which shares its objects with that of the canvas. With Mesa's software drivers, which virtual
    machines and remote desktops use, the canvas then ends the process with a segmentation fault in one of its next
    ``glDrawArrays``, even where it has let go of the program before. Deleted in the context that they were made in,
    programs do no harm. Where that is current already, making it current changes nothing.
    """

    def __init__(self, viewer: ViewerModel, inside: QWidget) -> None:
        self._inside = ref(inside)  # which owns this
        self._emitter = viewer.layers.events.removing  # napari's own answers to `removed` come before any plugin's
        self._emitter.connect(self.make_current)

    def close(self) -> None:
        """Let go of the viewer; once is enough, more does no harm."""
        self._emitter.disconnect(self.make_current)

    def make_current(self, _: Any = None) -> None:
        """Let OpenGL commands that follow go to the canvas, if there is one."""
        canvas = _canvas(self._inside())
        if canvas is not None and canvas.isValid():
            canvas.makeCurrent()


def _canvas(inside: QWidget | None) -> QOpenGLWidget | None:
    """The canvas of the main window that a widget is docked in, also while the dock floats."""
    while inside is not None and not isinstance(inside, QMainWindow):
        inside = inside.parentWidget()
    centre = None if inside is None else inside.centralWidget()
    return None if centre is None else centre.findChild(QOpenGLWidget)


@cache
def keep_llvm_apart() -> None:
    """Let triton, which importing torch's compiler loads, use its own LLVM rather than that of the canvas.

    Notes
    -----
    Mesa draws in software with LLVM. Its symbols are global once a canvas is open, triton exports the same names, and
    loading it then without RTLD_DEEPBIND ends the process with a segmentation fault.
    """
    spec = find_spec("triton") if sys.platform == "linux" else None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for library in Path(folder, "_C").glob("libtriton*.so"):
            with suppress(OSError):
                ctypes.CDLL(str(library), mode=os.RTLD_NOW | getattr(os, "RTLD_DEEPBIND", 0))
