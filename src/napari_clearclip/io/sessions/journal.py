"""A journal: what stands, on the disk a moment after it was done, for when a process is killed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy.typing as npt
from pydantic import ValidationError

from napari_clearclip.io.files import replacing
from napari_clearclip.io.sessions.arrays import Kept, Packed, checked, write_array
from napari_clearclip.io.sessions.migration import migrated
from napari_clearclip.io.sessions.schema import Session

SUFFIX = ".journal"
_BITS = "$bits"  # the only key of what stands for bytes
_TRIED = 50  # states that are tried, from the last one back
_LEAST, _GROWTH = 2**22, 8  # bytes, and times its size when it was new, from which a journal is written anew


class Journal:
    """What stands, noted line by line; a line that was cut off counts as not written.

    Parameters
    ----------
    path : Path
        The file; there is none yet.

    Attributes
    ----------
    arrays : dict
        What the last state holds of arrays, by digest.

    Notes
    -----
    A line is a CRC-32 and JSON: either bytes, named by their hash and written once, or a session, in which such names
    stand for bytes. So a stroke costs the tiles that it touched. Arrays are files beside it, named in the same way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrays: Mapping[str, npt.NDArray[Any]] = {}
        self._file: IO[bytes] | None = None
        self._known: set[str] = set()
        self._length, self._new = 0, 0

    def write(self, session: Session) -> None:
        """Add what stands.

        Raises
        ------
        OSError
            If it cannot be written; what was written before is still there.
        """
        pieces: dict[str, bytes] = {}
        kept = Kept(self.arrays)
        about = _without_bytes(session.model_dump(context=kept), pieces)
        _keep(self.path.parent, kept)
        state = _line({"session": about})
        if self._file is None or self._length > max(_LEAST, _GROWTH * self._new):
            self._begin(pieces, state)
        else:
            self._add(self._file, pieces, state)
        self.arrays = kept.arrays

    def _add(self, file: IO[bytes], pieces: Mapping[str, bytes], state: bytes) -> None:
        """Write what is new to the end."""
        added = b"".join(_piece(name, bits) for name, bits in pieces.items() if name not in self._known)
        try:
            _append(file, added + state)
        except OSError:
            self._give_up()
            raise
        self._known |= pieces.keys()
        self._length += len(added) + len(state)

    def _begin(self, pieces: Mapping[str, bytes], state: bytes) -> None:
        """Write the file anew, with what is needed only."""
        content = b"".join(_piece(name, bits) for name, bits in pieces.items()) + state
        with replacing(self.path) as name:
            name.write_bytes(content)
        self.close()
        self._file = self.path.open("ab", buffering=0)
        self._known, self._length, self._new = set(pieces), len(content), len(content)

    def _give_up(self) -> None:
        """After an error, begin anew next time: nobody knows how much of it was written."""
        self.close()
        self._known = set()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError:
                return  # on a full disk; what could be written is there


def _append(file: IO[bytes], content: bytes) -> None:
    """Write to the end of a file, and wait until it is on the disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]  # a disk that is nearly full takes a part first, and then refuses
    os.fsync(file.fileno())


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _piece(name: str, bits: bytes) -> bytes:
    return _line({"name": name, _BITS: base64.b64encode(bits).decode()})


def _without_bytes(value: Any, pieces: dict[str, bytes]) -> Any:
    """The same with names in place of bytes, which are collected."""
    if isinstance(value, bytes):
        name = hashlib.sha256(value).hexdigest()[:32]
        pieces[name] = value
        return {_BITS: name}
    if isinstance(value, dict):
        return {key: _without_bytes(item, pieces) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_without_bytes(item, pieces) for item in value]
    return value


def _with_bytes(value: Any, pieces: Mapping[str, str]) -> Any:
    """The same with bytes, in base64, in place of their names.

    Raises
    ------
    KeyError
        If there are no bytes of a name.
    """
    if isinstance(value, dict):
        if value.keys() == {_BITS}:
            return pieces[value[_BITS]]
        return {key: _with_bytes(item, pieces) for key, item in value.items()}
    return [_with_bytes(item, pieces) for item in value] if isinstance(value, list) else value


def array_file(digest: str) -> str:
    """The name of the file with an array: a zip as that of a session, of nothing but the array."""
    return f"{digest}.npy.zip"


def _keep(parent: Path, kept: Kept) -> None:
    """Write arrays to files, those that are there already not again."""
    for digest, array in kept.arrays.items():
        if not (parent / array_file(digest)).exists():
            with (
                replacing(parent / array_file(digest)) as name,
                zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            ):
                write_array(archive, digest, array)


class _Beside:
    """Arrays in files beside a journal."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    def put(self, array: npt.NDArray[Any]) -> Mapping[str, Any]:
        """Nothing is written here."""
        raise ValueError("a journal that is read is not written to")

    def take(self, reference: Mapping[str, Any]) -> npt.NDArray[Any]:
        """The array that a reference stands for."""
        digest, _, _ = checked(reference)
        try:
            with zipfile.ZipFile(self._parent / array_file(digest)) as archive:
                return Packed(archive).take(reference)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{array_file(digest)} cannot be read") from error


def read_journal(path: Path) -> Session | None:
    """What stood last, as far as it was written; None if nothing was.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    pieces: dict[str, str] = {}
    states: list[Any] = []
    for content in _lines(path):
        if _BITS in content:
            pieces[content["name"]] = content[_BITS]
        elif "session" in content:
            states = [*states[1 - _TRIED :], content["session"]]
    for state in reversed(states):
        try:
            text = json.dumps(migrated(_with_bytes(state, pieces)))
            return Session.model_validate_json(text, context=_Beside(path.parent))
        except (KeyError, ValueError, ValidationError, OSError):
            continue  # what came before may be whole
    return None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole."""
    with path.open("rb") as file:
        for line in file:
            checksum, _, text = line.rstrip(b"\n").partition(b" ")
            try:
                if int(checksum, 16) != zlib.crc32(text):
                    continue
                content = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                yield content
