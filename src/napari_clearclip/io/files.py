"""Files that appear whole or not at all, and names for them."""

from __future__ import annotations

import os
import secrets
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A file name may have 255 bytes; the rest is for the image's own name and the ending.
_SLUG_BYTES = 80


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` if the block ends well, else it is removed.

    Raises
    ------
    OSError
        If the file cannot be written; the message names `path` and the reason.
    """
    temporary = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def writable_folder(path: Path) -> Path:
    """The folder, made if it is not there, once a file could be made in it.

    Raises
    ------
    OSError
        If there cannot be such a folder, or nothing can be written to it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(f"cannot write to the folder {path} ({error.strerror}); choose another with --out") from error
    return path


def slug(text: str) -> str:
    """The text as part of a file name: letters and digits of any script in lower case, all else a hyphen.

    Examples
    --------
    >>> slug("Solar panel / 50 %"), slug("Straße"), slug("…")
    ('solar-panel-50', 'strasse', 'prompt')
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(letter if letter.isalnum() or unicodedata.combining(letter) else " " for letter in plain)
    name = "-".join(kept.split())
    return name.encode()[:_SLUG_BYTES].decode(errors="ignore").strip("-") or "prompt"


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names, with -2, -3, ... added where one was there before; letter case makes no difference.

    Examples
    --------
    >>> distinct(["car", "Car", "car-2"])
    ('car', 'Car-2', 'car-2-2')
    """
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.casefold())
        result.append(candidate)
    return tuple(result)
