"""A session of the panel on the command line: the settings, the look and the edits of one of its images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_clearclip.cli.console import UsageError
from napari_clearclip.edits import Edits, View
from napari_clearclip.io import sessions
from napari_clearclip.io.images import Picture, read_image
from napari_clearclip.io.settings_file import SettingsFile


def from_session(path: Path, images: Sequence[Path]) -> tuple[SettingsFile, Edits]:
    """What a session says of the images that are to be segmented.

    Parameters
    ----------
    path : Path
        The session file.
    images : sequence of Path
        The images; one that has the name of an image of the session is taken for it.

    Raises
    ------
    UsageError
        If the session knows no such image, or what was done by hand to one image would be done to several.
    ValueError
        If the file is no session.
    """
    every = sessions.read(path).images
    known = [image for image in every if image.settings is not None]
    names = {image.name if image.path is None else Path(image.path).name: image for image in known}
    image = names.get(images[0].name) if images else None
    if image is None and len(known) == 1:
        (image,) = known
    if image is None or image.settings is None:
        raise UsageError(f"the session {path} knows no {images[0].name}, but {', '.join(names) or 'nothing'}")
    if image.edits != Edits() and len(images) > 1:
        raise UsageError(
            f"what was done by hand in the session {path} belongs to one image; give {images[0].name} alone, or a "
            "settings file for all"
        )
    if image.axis is None and not any(image.picks):
        seen = _seen(image)
        return SettingsFile(settings=image.settings, view=seen and seen.replace(plane=())), image.edits
    view = _view(image, every, read_image(images[0], lazy=True))
    if view is None:
        raise UsageError(
            f"the session {path} looks at channels of several layers; export what it has found from napari"
        )
    return SettingsFile(settings=image.settings, view=view), _without_axis(image.edits, image.axis or 0)


def _view(image: sessions.Image, images: tuple[sessions.Image, ...], picture: Picture) -> View | None:
    """How a file is looked at whose channels lie along an axis of the layer; None where they are of several layers."""
    picks = [pick for pick in image.picks if pick is not None]
    alone = all(images[pick.image : pick.image + 1] == (image,) and pick.channel is not None for pick in picks)
    if image.axis is None or picture.view.channel_axis is None or not alone or len(picks) == 2:
        return None
    if len(picture.stack) != len(image.shape) - 3:
        return None
    channels = tuple(pick.channel or 0 for pick in picks) or tuple(range(min(image.shape[image.axis], 3)))
    look = {"limits": seen.limits, "gamma": seen.gamma} if (seen := _seen(image)) is not None else {}
    return picture.view.replace(channels=channels, **look)


def _seen(image: sessions.Image) -> View | None:
    return image.readings[0].view if image.readings else None


def _without_axis(edits: Edits, axis: int) -> Edits:
    """Edits whose planes have no index for an axis of channels, as in a file."""

    def moved(item: Any) -> Any:
        return item.replace(plane=item.plane[:axis] + item.plane[axis + 1 :])

    return Edits(**{name: tuple(map(moved, getattr(edits, name))) for name in Edits.model_fields})
