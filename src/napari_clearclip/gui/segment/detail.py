"""How much detail an object needs, how many windows that takes, and how long they last: no Qt, no napari, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_clearclip.engine.sizes import Sizes
from napari_clearclip.engine.windows import LONGEST_OVER_SHORT
from napari_clearclip.gui.amounts import seconds_text
from napari_clearclip.job import filled_tiling, frame_of
from napari_clearclip.settings import Settings

PATCHES = 5.0  # across an object: four to six are enough to find it, more only cost time
LARGEST = 2.0  # times the image's own resolution: beyond, there is nothing more to see
MOST_WINDOWS = 2000


@dataclass(frozen=True)
class Detail:
    """A working resolution, and how many patches lie across the object that it was chosen for."""

    short_side: int
    patches: float


def windows(shape: tuple[int, int], settings: Settings, sizes: Sizes) -> int:
    """How many windows an image of `shape` (H, W) is read in."""
    tiling = filled_tiling(settings.tiling, sizes.tiling)
    cell = settings.comparing.cell or sizes.patch
    filled = settings.replace(tiling=tiling, comparing=settings.comparing.replace(cell=cell))
    return frame_of(shape, filled, sizes.patch).count


def detail_for(length: float, shape: tuple[int, int], settings: Settings, sizes: Sizes) -> Detail:
    """The working resolution at which about five patches lie across an object.

    Parameters
    ----------
    length : float
        Across the object, in image pixels.
    shape : tuple of 2 int
        Height and width of the image.
    settings : Settings
        Window and stride are read.
    sizes : Sizes
        Of the model.

    Returns
    -------
    Detail
        Not less than one window, so that a large object is seen as a whole; not more than twice the image's own
        resolution, and not more than 2000 windows.

    Raises
    ------
    ValueError
        If the length is not positive.
    """
    if not length > 0:
        raise ValueError("the line has no length; draw it from one edge of an object to the other")
    tiling = filled_tiling(settings.tiling, sizes.tiling)

    def side(factor: float) -> int:
        """The short side that resizes the image by a factor, also where it is the long side that limits."""
        return int(max(min(shape) * factor, max(shape) * factor / LONGEST_OVER_SHORT) + 0.5)

    least, most = tiling.window or 8, side(LARGEST)
    wanted = min(max(side(PATCHES * sizes.patch / length), least), max(most, 8), 65536)
    while wanted > least and windows(shape, _at(settings, wanted), sizes) > MOST_WINDOWS:
        wanted = max(int(wanted * 0.95), least)
    factor = min(wanted / min(shape), wanted * LONGEST_OVER_SHORT / max(shape))
    return Detail(wanted, length * factor / sizes.patch)


def _at(settings: Settings, short_side: int) -> Settings:
    return settings.replace(tiling=settings.tiling.replace(short_side=short_side))


def cost(count: int | None, planes: int, pace: float) -> str:
    """What a run costs, said before it starts.

    Parameters
    ----------
    count : int or None
        Windows of a plane, None if that is not known.
    planes : int
        How many planes are read.
    pace : float
        Windows a second, 0 if that is not known.
    """
    if count is None:
        return "The number of windows is known once the model is loaded."
    text = f"{count} window{'s' * (count != 1)}"
    if planes > 1:
        text = f"{planes} planes of {text}"
    if pace:
        return f"{text}, about {seconds_text(count * planes / pace)}"
    return f"{text}; the time is known after the first ones"
