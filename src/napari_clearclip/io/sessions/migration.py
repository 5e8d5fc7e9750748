"""What earlier versions of session files held, turned into what this version holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_clearclip.io.sessions.schema import VERSION


def _from_1(content: dict[str, Any]) -> dict[str, Any]:
    """Version 1 held one image, under ``image``, and called what lies on it ``accepted``."""
    image = dict(content.pop("image"))
    layers = [{**layer, "image": 0} for layer in content.pop("accepted", [])]
    return {**content, "images": [image], "layers": layers, "current": 0}


STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def migrated(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a session file as this version would have written it.

    Raises
    ------
    ValueError
        If its version is not known, or it lacks what that version had.
    """
    version = content.get("version")
    while version != VERSION:
        if not isinstance(version, int) or version not in STEPS:
            raise ValueError(f"version {str(version)[:40]!r} is not known; there are 1 to {VERSION}")
        try:
            content = STEPS[version](dict(content))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it lacks what version {version} has: {error}") from error
        version += 1
        content["version"] = version
    return content
