"""Tables of objects as comma-separated values, written and read."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from napari_clearclip.io.files import replacing
from napari_clearclip.result import Column, ObjectTable

_TEXTS = ("prompt",)
_WHOLE = ("id", "y0", "x0", "y1", "x1")
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


def read_objects(path: Path) -> ObjectTable:
    """The table of objects in a file that `write_objects` has written.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no such table, with the line that is wrong.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    titles = [_TITLE.fullmatch(title) for title in lines[0]] if lines else []
    known = [title for title in titles if title is not None]
    if not known or len(known) < len(titles) or known[0]["name"] != "id":
        raise ValueError(f"{path.name} is no table of objects: the first line must have titles, the first being id")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(known):
            raise ValueError(f"line {number} of {path.name} has {len(line)} values; there are {len(known)} columns")
    columns = []
    for at, title in enumerate(known):
        kind = object if title["name"] in _TEXTS else np.int64 if title["name"] in _WHOLE else np.float64
        try:
            values = np.array([line[at] for line in lines[1:]], object).astype(kind)
        except ValueError as error:
            raise ValueError(f"the column {title[0]} of {path.name} has a value that is no number: {error}") from error
        columns.append(Column(title["name"], title["unit"] or "", values))
    return ObjectTable(tuple(columns))
