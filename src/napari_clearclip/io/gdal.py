"""Pixels of a TIFF through GDAL: compressions that tifffile cannot decode alone, and large files block by block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tifffile import TiffPageSeries

_CHUNK = 1024  # pixels: the least side of what is read at once
_AXES = ("YX", "YXS", "SYX")


def blocks_of(path: Path, series: TiffPageSeries) -> list[Any]:
    """The pixels of a single page as dask arrays, in the order in which tifffile has them, read where they are needed.

    Parameters
    ----------
    path : Path
        The file.
    series : TiffPageSeries
        Its first series, as tifffile opens it.

    Returns
    -------
    list of dask array
        The image, then the smaller copies (overviews) that the file holds. Empty where rasterio is missing, the series
        has several pages, or GDAL sees other pixels than tifffile.
    """
    if series.axes not in _AXES or len(series.pages) > 1:
        return []
    try:
        import rasterio
    except ImportError:
        return []
    try:
        with rasterio.open(path) as raster:
            count = len(raster.overviews(1))
        levels = [_level(path, level, series) for level in range(-1, count)]
    except rasterio.errors.RasterioError:
        return []
    return levels if levels[0].shape == series.shape and levels[0].dtype == series.dtype else []


def _level(path: Path, level: int, series: TiffPageSeries) -> Any:
    """The image (-1) or one of its overviews, (bands, rows, columns) turned into the order of the series."""
    import dask.array as da
    import rasterio
    from dask.base import tokenize

    about = path.stat()
    with rasterio.open(path, **_options(level)) as raster:
        shape, dtype = (raster.count, raster.height, raster.width), np.dtype(raster.dtypes[0])
        sides = [max(side, _CHUNK // side * side) for side in raster.block_shapes[0]]
    together = shape[0] if series.axes == "YXS" else 1  # bands that lie beside each other are read together
    lazy = da.map_blocks(
        _read,
        path=path,
        level=level,
        chunks=da.core.normalize_chunks((together, *sides), shape),
        dtype=dtype,
        meta=np.empty((0, 0, 0), dtype),
        name=f"tiff-{tokenize(str(path), about.st_size, about.st_mtime_ns, level)}",
    )
    return lazy[0] if series.axes == "YX" else da.moveaxis(lazy, 0, series.axes.index("S"))


def _read(path: Path, level: int, block_info: Any = None) -> npt.NDArray[Any]:
    """One block of bands, rows and columns."""
    import rasterio
    from rasterio.windows import Window

    (first, last), (top, bottom), (left, right) = block_info[None]["array-location"]
    with rasterio.open(path, **_options(level)) as raster:
        window = Window(left, top, right - left, bottom - top)
        block: npt.NDArray[Any] = raster.read(list(range(first + 1, last + 1)), window=window)
    return block


def _options(level: int) -> dict[str, Any]:
    return {"driver": "GTiff"} if level < 0 else {"driver": "GTiff", "overview_level": level}
