"""What the page of a TIFF says of its bands: their names, colours and transparency, and the value without data."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import View

if TYPE_CHECKING:
    from tifffile import TiffPage

Array = npt.NDArray[np.generic]
COLOURS = ("red", "green", "blue", "alpha")
_ALPHA = (1, 2)  # ExtraSamples: associated and unassociated alpha; 0 is just another band
_GDAL_METADATA, _GDAL_NODATA = 42112, 42113


def view_of(page: TiffPage, data: Array, axis: int | None, samples: bool) -> View:
    """Nodata, alpha and the order of colours that a page declares."""
    roles = _roles(page)
    alpha, channels = roles.get("alpha"), tuple(roles[name] for name in ("red", "green", "blue") if name in roles)
    if samples:
        extras = [int(extra) for extra in page.extrasamples]
        first = page.samplesperpixel - len(extras)
        alpha = next((first + place for place, extra in enumerate(extras) if extra in _ALPHA), alpha)
    count = 1 if axis is None else data.shape[axis - 3]
    if axis is None or any(index >= count for index in (*channels, *(() if alpha is None else (alpha,)))):
        alpha, channels = None, ()
    return View(
        channel_axis=axis, channels=channels if len(channels) == 3 else (), alpha=alpha, nodata=_nodata(page, data)
    )


def _items(page: TiffPage, role: str) -> list[tuple[int, str]]:
    """Each band of which GDAL's metadata say something, and what."""
    tag = page.tags.get(_GDAL_METADATA)
    items = re.findall(r"<Item\b([^>]*)>([^<]*)</Item>", str(tag.value)) if tag else []
    found = []
    for attributes, text in items:
        sample = re.search(r'sample="(\d+)"', attributes)
        if f'role="{role}"' in attributes and sample:
            found.append((int(sample[1]), unescape(unescape(text.strip()))))  # GDAL escapes texts twice
    return found


def _roles(page: TiffPage) -> dict[str, int]:
    """The band of each colour that GDAL's metadata name."""
    roles: dict[str, int] = {}
    for band, text in _items(page, "colorinterp"):
        roles.setdefault(text.casefold(), band)
    return roles


def band_names(page: TiffPage, ome: str | None, count: int) -> tuple[str, ...]:
    """What the file calls its bands: by GDAL's descriptions, by OME's channels, or by colour; () if it does not say."""
    import tifffile

    names = dict(enumerate(COLOURS)) if page.photometric == tifffile.PHOTOMETRIC.RGB and count >= 3 else {}
    names |= {band: name for name, band in _roles(page).items() if name not in ("gray", "undefined", "palette")}
    if ome:
        channels = re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", ome.partition("</Pixels>")[0])
        found = [re.search(r'\bName="([^"]*)"', attributes) for attributes in channels]
        if len(found) == count:
            names |= {band: unescape(match[1]) for band, match in enumerate(found) if match}
    names |= {band: text for band, text in _items(page, "description") if text}
    return tuple(names.get(band, "") for band in range(count)) if any(band < count for band in names) else ()


def _nodata(page: TiffPage, data: Array) -> float | None:
    """The declared value of pixels without data; not-a-number needs no declaration."""
    tag = page.tags.get(_GDAL_NODATA)
    try:
        value = float(str(tag.value).strip("\0 ")) if tag else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) and data.dtype.kind in "buif" else None
