"""A session of the panel on the command line: the settings, the look and the edits of one of its images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_clearclip.cli.console import UsageError
from napari_clearclip.edits import Edits, View
from napari_clearclip.io import sessions
from napari_clearclip.io.session import Session


def from_session(path: Path, images: Sequence[Path]) -> tuple[Session, Edits]:
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
    known = [image for image in sessions.read(path).images if image.settings is not None]
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
    if image.edits.planes and (image.axis is not None or any(image.picks)):
        raise UsageError(
            f"the masks in {path} were painted on channels that were put together in napari; export them from there"
        )
    return Session(settings=image.settings, view=_view(image)), image.edits


def _view(image: sessions.Image) -> View | None:
    """How a plane was looked at when it was run; None where the file says it better: channels of its own."""
    if image.axis is not None or any(image.picks) or not image.readings:
        return None
    return image.readings[0].view.replace(plane=())
