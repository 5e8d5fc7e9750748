"""Session files (``.clearclip``): everything that was done to images, in one zip of JSON and arrays."""

from __future__ import annotations

from napari_clearclip.io.sessions.arrays import fingerprint
from napari_clearclip.io.sessions.file import SUFFIX, places, read, write
from napari_clearclip.io.sessions.schema import (
    VERSION,
    Camera,
    Image,
    Layer,
    Look,
    Pick,
    Placement,
    Read,
    Result,
    Session,
)

__all__ = [
    "SUFFIX",
    "VERSION",
    "Camera",
    "Image",
    "Layer",
    "Look",
    "Pick",
    "Placement",
    "Read",
    "Result",
    "Session",
    "fingerprint",
    "places",
    "read",
    "write",
]
