"""Tables of objects as comma-separated values, written and read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.files import read_text, replacing
from napari_clearclip.io.masks import Masks
from napari_clearclip.measures import measure
from napari_clearclip.result import Column, ObjectTable

_TEXTS = ("prompt",)
_WHOLE = ("plane", "frame", "slice", "id", "y0", "x0", "y1", "x1")
_AXES = {1: ("plane",), 2: ("frame", "slice")}  # columns that say which plane of a stack an object is on
_TITLE = re.compile(r"(?P<name>\w+)(?: \((?P<unit>[^()]+)\))?")


def write_objects(path: Path, table: ObjectTable) -> None:
    """Write a table of objects to a file that appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced.
    table : ObjectTable
        The header has each name and its unit in brackets; numbers are written so that they read back equal.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    rows = zip(*(column.values.tolist() for column in table.columns), strict=True)
    # With a byte order mark, without which spreadsheets take µ for two other letters.
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.title for column in table.columns])
        writer.writerows(rows)


def write_table(path: Path, masks: Masks) -> None:
    """A table of the objects of all planes; of masks without numbered objects, of each name's connected parts.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If the stack has more than two axes.
    """
    write_objects(path, table_of(masks))


def table_of(masks: Masks) -> ObjectTable:
    """The objects of all planes with what is measured of them: see `napari_clearclip.measures.measure`.

    Parameters
    ----------
    masks : Masks
        Without numbered objects, the connected parts of each name are listed and numbered.

    Returns
    -------
    ObjectTable
        Of a stack, with the index of each object's plane in the column ``plane``, or ``frame`` and ``slice``.

    Raises
    ------
    ValueError
        If the stack has more than two axes.
    """
    stack = masks.labels.ndim - 2
    if stack > 2:
        raise ValueError(f"a table says a frame and a slice, not {stack} axes; export it by plane")
    sized = masks.spacing and masks.unit != "pixel"
    known: dict[str, Any] = {"pixel": masks.spacing[-2:], "unit": masks.unit} if sized else {}
    parts: list[tuple[tuple[int, ...], ObjectTable]] = []
    for plane in masks.planes:
        parts += [(plane, measure(ids, score, None, names, **known)) for ids, score, names in _found(masks.at(plane))]
    columns = [
        Column(name, "", np.array([plane[axis] for plane, table in parts for _ in range(len(table))], np.int64))
        for axis, name in enumerate(_AXES.get(stack, ()))
    ]
    for at, column in enumerate(parts[0][1].columns):
        columns.append(replace(column, values=np.concatenate([table.columns[at].values for _, table in parts])))
    return ObjectTable(tuple(columns))


def _found(masks: Masks) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.float32] | None, dict[int, str]]]:
    """Ids and scores at pixels, and each id's name, of a plane: of all objects, or of one name after the other."""
    from skimage.measure import label

    every = slice(0, masks.labels.shape[0])
    if masks.overlaps is not None:
        first = 0
        for at, mask in enumerate(masks):
            ids = label(mask, connectivity=2)
            count = int(ids.max(initial=0))
            ids[mask] += first
            score = None if masks.scores is None else np.nan_to_num(masks.score_map(at, every))
            yield ids, score, dict.fromkeys(range(first + 1, first + count + 1), masks.names[at])
            first += count
        return
    ids = label(masks.labels, connectivity=2, background=0) if masks.instances is None else masks.instances
    score = None if masks.scores is None else np.zeros(ids.shape, np.float32)
    names: dict[int, str] = {}
    for at, mask in enumerate(masks):
        if score is not None:
            np.copyto(score, np.nan_to_num(masks.score_map(at, every)), where=mask)
        names |= dict.fromkeys(np.unique(ids[mask]).tolist(), masks.names[at])
    yield ids, score, names


def read_objects(path: Path) -> ObjectTable:
    """The table of objects in a file that `write_objects` has written.

    Raises
    ------
    ValueError
        If it cannot be read, or is no such table, with the line that is wrong.
    """
    try:
        lines = list(csv.reader(io.StringIO(read_text(path, "the table"), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path.name} is no table of objects: {error}") from error
    titles = [_TITLE.fullmatch(title) for title in lines[0]] if lines else []
    known = [title for title in titles if title is not None]
    if len(known) < len(titles) or "id" not in [title["name"] for title in known]:
        raise ValueError(f"{path.name} is no table of objects: the first line must have titles, and one of them is id")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(known):
            raise ValueError(f"line {number} of {path.name} has {len(line)} values; there are {len(known)} columns")
    columns = []
    for at, title in enumerate(known):
        kind = object if title["name"] in _TEXTS else np.int64 if title["name"] in _WHOLE else np.float64
        try:
            values = np.array([line[at] for line in lines[1:]], object).astype(kind)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"the column {title[0]} of {path.name} has a value that is no number: {error}") from error
        columns.append(Column(title["name"], title["unit"] or "", values))
    return ObjectTable(tuple(columns))
