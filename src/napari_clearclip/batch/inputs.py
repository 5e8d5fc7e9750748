"""Which images there are: files, folders, patterns and zarr groups, and what the files of each are called."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from napari_clearclip.io.files import distinct
from napari_clearclip.io.zarrs import is_zarr, zarr_images

READABLE = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")
OURS = "_clearclip_"


def expand(inputs: Sequence[str]) -> list[Path]:
    """The images that are meant, each once.

    Parameters
    ----------
    inputs : sequence of str
        Each a file; a folder, of which all images are taken, those in folders inside it too; a pattern such as
        ``tiles/**/*.tif``; or a zarr array or group, of which each image or array is one.

    Returns
    -------
    list of Path
        In the order of `inputs`, sorted within each. Results of earlier runs and hidden files are left out.

    Raises
    ------
    ValueError
        If there is no image in an input.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        paths = list(_expanded(given))
        if not paths:
            what = "matches no file" if glob.has_magic(given) else f"has no image in it ({', '.join(READABLE)}, zarr)"
            raise ValueError(f"{given} {what}")
        for path in paths:
            found.setdefault(path.absolute(), path)
    return list(found.values())


def _expanded(given: str) -> Iterator[Path]:
    """What one input means."""
    path = Path(given).expanduser()
    if not path.exists() and glob.has_magic(given):
        for match in sorted(glob.glob(str(path), recursive=True)):
            if OURS not in Path(match).name:
                yield from _images(Path(match))
    else:
        yield from _images(path)


def _images(path: Path) -> Iterator[Path]:
    """The images of a file, which need not exist, a folder, or a zarr."""
    if is_zarr(path):
        yield from zarr_images(path)
    elif not path.is_dir():
        yield path
    else:
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            if entry.name.startswith(".") or OURS in entry.name:
                continue
            if entry.is_dir():
                yield from _images(Path(entry.path))
            elif Path(entry.name).suffix.lower() in READABLE:
                yield Path(entry.path)


def stem_of(path: Path) -> str:
    """The name of an image without its ending, and without the .ome of .ome.tif."""
    return path.stem.removesuffix(".ome") or path.stem


def output_names(paths: Sequence[Path], known: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What each image's files begin with: its name, with its folder's name before it where two have the same.

    Parameters
    ----------
    paths : sequence of Path
        Different images.
    known : mapping of str to str
        Names that images have already, by full path; they keep them, and no other image gets one.
    """
    known = known or {}
    fresh = [path for path in paths if str(path.absolute()) not in known]
    stems = [stem_of(path) for path in fresh]
    count: dict[str, int] = {}
    for stem in stems:
        count[stem.casefold()] = count.get(stem.casefold(), 0) + 1
    wanted = (
        f"{path.absolute().parent.name}_{stem}".lstrip("_") if count[stem.casefold()] > 1 else stem
        for path, stem in zip(fresh, stems, strict=True)
    )
    given = iter(distinct([*known.values(), *wanted])[len(known) :])
    return tuple(known.get(str(path.absolute())) or next(given) for path in paths)


def stamp(path: Path) -> tuple[int, int, int]:
    """Number of files, bytes and time of the last change of an image; another one means that it may have changed.

    Raises
    ------
    OSError
        If it cannot be looked at.
    """
    if not path.is_dir():
        about = path.stat()
        return 1, about.st_size, about.st_mtime_ns
    abouts = [os.stat(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names]
    return len(abouts), sum(one.st_size for one in abouts), max((one.st_mtime_ns for one in abouts), default=0)
