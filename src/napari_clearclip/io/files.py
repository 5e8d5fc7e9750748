"""Files that appear whole or not at all, and names for them."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_clearclip.io.exchange import exchanged

# A file name may have 255 bytes; the rest is for the image's own name and the ending.
_SLUG_BYTES = 80

_PART = re.compile(r"\.[0-9a-f]{12}\.part")


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
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, keep: bool = False) -> Iterator[Path]:
    """A folder beside `path` to fill; it takes the place of `path` if the block ends well, else it is removed.

    Parameters
    ----------
    path : Path
        The folder; the one that it is in must be there.
    keep : bool
        Whether what is in `path` is there from the start, as links to the same files, which are to be replaced by
        `replacing` and never written into.

    Raises
    ------
    OSError
        If it cannot be written; the message names `path` and the reason.
    """
    temporary, old = (path.with_name(f".{secrets.token_hex(6)}.{ending}") for ending in ("part", "old"))
    try:
        if keep and path.is_dir():
            shutil.copytree(path, temporary, symlinks=True, copy_function=_link)
        else:
            temporary.mkdir()
        yield temporary
        for part in (*temporary.rglob("*"), temporary):
            flush(part)
        if path.exists() and not exchanged(temporary, path):
            os.replace(path, old)
        try:
            if not path.exists():
                os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
        flush(path.parent)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed had begun to write to a folder by `replacing` and `replacing_folder`.

    Nothing may be writing to the folder meanwhile.
    """
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if _PART.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _link(source: str, target: str) -> None:
    """A second name of a file, or a copy where there cannot be one."""
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, so that a power failure leaves no empty file."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever goes wrong in the block with a file that is read is a ValueError of one sentence that names it.

    Decoders raise anything on damaged files: struct.error, OverflowError, ZeroDivisionError, KeyError, ...
    """
    try:
        yield
    except ImportError:
        raise
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into memory") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        if isinstance(error, ValueError) and path.name in reason:
            raise ValueError(reason) from error
        raise ValueError(f"{path} cannot be read: {reason}") from error


def read_text(path: Path, what: str, most: int = 2**31) -> str:
    """The text in a file.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a mark at its beginning.
    what : str
        What errors call the file, such as "the list".
    most : int
        Bytes above which the file must have been chosen by mistake.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    try:
        if path.stat().st_size > most:
            raise ValueError(f"{what} {path} is larger than {most:,} bytes; choose another file")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(f"{what} {path} does not exist") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} {path} is not text in UTF-8; save it as UTF-8, or choose another file") from error
    except OSError as error:
        raise ValueError(f"{what} {path} cannot be read: {error.strerror}") from error


def as_json(text: str, path: Path, what: str, version: int | None = None) -> Any:
    """The content of a JSON text that was read from `path`.

    Parameters
    ----------
    version : int, optional
        The newest version that is known; the content says its own in the key ``version``.

    Raises
    ------
    ValueError
        If it is no JSON, or of a newer version.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} {path} is not JSON: {error}") from error
    found = content.get("version") if isinstance(content, dict) else None
    if version is not None and isinstance(found, int) and found > version:
        raise ValueError(f"{what} {path} has version {found}, but {version} is the newest known; update")
    return content


def as_yaml(text: str, path: Path, what: str) -> Any:
    """The content of a YAML text that was read from `path`: plain values only, each written out.

    Raises
    ------
    ValueError
        If it is no YAML, or refers to itself: a few such lines can stand for more than any memory holds.
    """
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError(f"{what} {path} has aliases (*name), which are not read; write each value out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{what} {path} is not YAML: {' '.join(str(error).split())[:300]}") from error


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
