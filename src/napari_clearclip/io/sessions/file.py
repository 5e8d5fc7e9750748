"""Session files: one zip of ``session.json`` and ``arrays/*.npy``, written whole or not at all, read with suspicion."""

from __future__ import annotations

import json
import os
import re
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from napari_clearclip import __version__
from napari_clearclip.io.files import as_json, replacing
from napari_clearclip.io.sessions.arrays import MOST_BYTES, Kept, Packed
from napari_clearclip.io.sessions.migration import migrated
from napari_clearclip.io.sessions.schema import VERSION, Image, Session
from napari_clearclip.io.settings_file import explain

SUFFIX = ".clearclip"
JSON = "session.json"
_WHAT = "the session"
_ENTRY = re.compile(r"session\.json|arrays/[0-9a-f]{64}\.npy")
_MOST_ENTRIES, _MOST_JSON = 100_000, 2**29
_RATIO = 1100  # deflate cannot do better, so that an entry that claims to is a forgery


def write(path: Path, session: Session) -> None:
    """A session file.

    Raises
    ------
    OSError
        If it cannot be written; an earlier file is still there then.
    ValueError
        If an array does not hold numbers.
    """
    images = tuple(image.replace(relative=_relative(image, path)) for image in session.images)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    session = session.replace(images=images, program=f"napari-clearclip {__version__}", written=now)
    kept = Kept()
    text = session.model_dump_json(indent=1, context=kept)
    with (
        replacing(path) as name,
        zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive,
    ):
        archive.writestr(JSON, text)
        kept.write(archive)


def _relative(image: Image, path: Path) -> str | None:
    """Where the image lies as seen from the session's folder, where there is a way."""
    if image.path is None:
        return None
    try:
        return Path(os.path.relpath(image.path, path.absolute().parent)).as_posix()
    except ValueError:  # another drive
        return None


def places(image: Image, path: Path) -> list[Path]:
    """Where the image of a session file may lie: where it lay, or as it lay seen from the session."""
    found = [] if image.path is None else [Path(image.path)]
    if image.relative is not None:
        found.append(path.absolute().parent / image.relative)
    return found


def read(path: Path) -> Session:
    """The content of a session file of this version or an earlier one.

    Raises
    ------
    ValueError
        If the file is missing, is no session, is damaged, comes from a newer version, or is not what it says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive)
            content = as_json(archive.read(JSON).decode(), path, _WHAT, VERSION)
            if not isinstance(content, dict):
                raise ValueError(f"its {JSON} is no object")
            return Session.model_validate_json(json.dumps(migrated(content)), context=Packed(archive))
    except FileNotFoundError as error:
        raise ValueError(f"{_WHAT} {path} does not exist") from error
    except ValidationError as error:
        raise ValueError(f"{_WHAT} {path} is not valid: {explain(error)}") from error
    except OSError as error:
        raise ValueError(f"{_WHAT} {path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{_WHAT} {path} is damaged or no session file: {error}") from error
    except MemoryError as error:
        raise ValueError(f"{_WHAT} {path} does not fit into this machine's memory") from error
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{_WHAT} {path} is not valid: {text}") from error


def _check(archive: zipfile.ZipFile) -> None:
    """Whether a zip holds only what a session does, and no more than can be meant.

    Raises
    ------
    ValueError
        If it does not; nothing has been unpacked then.
    """
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > _MOST_ENTRIES or len(set(names)) < len(names):
        raise ValueError(f"it has {len(entries):,} entries, or some of them twice")
    for entry in entries:
        problem = _problem(entry)
        if problem:
            raise ValueError(f"its entry {entry.filename[:80]!r} {problem}")
    if JSON not in names:
        raise ValueError(f"it has no {JSON}")
    if archive.getinfo(JSON).file_size > _MOST_JSON:
        raise ValueError(f"its {JSON} is larger than {_MOST_JSON:,} bytes")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES + _MOST_JSON:
        raise ValueError(f"it would unpack to {total:,} bytes")


def _problem(entry: zipfile.ZipInfo) -> str:
    """What is wrong with an entry, before it is unpacked."""
    if not _ENTRY.fullmatch(entry.filename):
        return "belongs to no session"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that sessions are not"
    if entry.file_size > entry.compress_size * _RATIO + 1000:
        return f"claims to unpack from {entry.compress_size:,} to {entry.file_size:,} bytes"
    return ""
