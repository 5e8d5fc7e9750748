"""Arrays in a zip, each named by what is in it; what is declared is checked before anything is unpacked."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

MOST_BYTES = 16 * 2**30  # unpacked, all arrays together
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KINDS = "biuf"  # booleans, whole and real numbers
_BLOCK = 2**24  # bytes that are looked at at once
_SAMPLED = 2**28  # bytes above which an image is known by blocks of it
_BLOCKS, _SIDE = 8, 128  # how many blocks a side, and their size


def name_of(digest: str) -> str:
    """Where the array with this digest stands in the zip."""
    return f"arrays/{digest}.npy"


def digest_of(array: npt.NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values, in hexadecimal digits."""
    found = hashlib.sha256(f"{array.dtype.newbyteorder('<').str} {array.shape}\n".encode())
    for part in _parts(array):
        found.update(part)
    return found.hexdigest()


def fingerprint(data: Any) -> str:
    """What names an image's pixels.

    Parameters
    ----------
    data : array
        Of any kind that has a shape and can be sliced; a lazy one is read where it has to be.

    Returns
    -------
    str
        ``sha256:...`` of all values, as `digest_of`, or of a large image ``blocks:...`` of 64 blocks that are spread
        over the first and the last plane, so that one too large for the memory can be known too.
    """
    size = int(np.prod(data.shape, dtype=float)) * np.dtype(data.dtype).itemsize
    if size <= _SAMPLED:
        return f"sha256:{digest_of(np.asarray(data))}"
    found = hashlib.sha256(f"{np.dtype(data.dtype).newbyteorder('<').str} {tuple(data.shape)}\n".encode())
    axes = sorted(sorted(range(len(data.shape)), key=lambda axis: data.shape[axis])[-2:])
    for end in (0, -1):
        for starts in np.ndindex(_BLOCKS, _BLOCKS):
            index: list[Any] = [end] * len(data.shape)
            for axis, start in zip(axes, starts, strict=True):
                first = (data.shape[axis] - _SIDE) * start // (_BLOCKS - 1)
                index[axis] = slice(max(first, 0), max(first, 0) + _SIDE)
            found.update(digest_of(np.asarray(data[tuple(index)])).encode())
    return f"blocks:{found.hexdigest()}"


def _parts(array: npt.NDArray[Any]) -> Iterator[bytes]:
    """The array's values in C order and little-endian, some at a time."""
    little = array.dtype.newbyteorder("<")
    if array.nbytes <= _BLOCK or array.ndim == 0:
        yield np.ascontiguousarray(array, little).tobytes()
        return
    step = max(_BLOCK // max(array[0].nbytes, 1), 1)
    for at in range(0, len(array), step):
        yield np.ascontiguousarray(array[at : at + step], little).tobytes()


class Kept:
    """Arrays that are to be written, each once.

    Parameters
    ----------
    known : mapping, optional
        Arrays by digest that have not changed since it was made.
    """

    def __init__(self, known: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self._known = known or {}

    def put(self, array: npt.NDArray[Any]) -> Mapping[str, Any]:
        """Keep an array; what stands for it in the JSON is returned.

        Raises
        ------
        ValueError
            If it does not hold numbers.
        """
        if array.dtype.kind not in _KINDS:
            raise ValueError(f"an array of {array.dtype} cannot be kept in a session; it must hold numbers")
        digest = next((name for name, known in self._known.items() if known is array), None) or digest_of(array)
        self.arrays[digest] = array
        return {"sha256": digest, "shape": list(array.shape), "dtype": array.dtype.newbyteorder("<").str}

    def take(self, reference: Mapping[str, Any]) -> npt.NDArray[Any]:
        """The array that was kept."""
        return self.arrays[reference["sha256"]]

    def write(self, archive: zipfile.ZipFile) -> None:
        """Write all arrays into a zip."""
        for digest, array in self.arrays.items():
            write_array(archive, digest, array)


def write_array(archive: zipfile.ZipFile, digest: str, array: npt.NDArray[Any]) -> None:
    """Write an array into a zip, under its digest."""
    about = {"descr": array.dtype.newbyteorder("<").str, "fortran_order": False, "shape": array.shape}
    with archive.open(name_of(digest), "w", force_zip64=True) as file:
        npy.write_array_header_2_0(file, about)
        for part in _parts(array):
            file.write(part)


class Packed:
    """Arrays in a zip that is open.

    Parameters
    ----------
    archive : ZipFile
        The zip; that its entries are not too large has been checked.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = MOST_BYTES

    def put(self, array: npt.NDArray[Any]) -> Mapping[str, Any]:
        """Nothing is written here."""
        raise ValueError("a session file that is read is not written to")

    def take(self, reference: Mapping[str, Any]) -> npt.NDArray[Any]:
        """The array that something in the JSON stands for.

        Raises
        ------
        ValueError
            If there is none, it is no plain array of numbers, or not what the reference says.
        """
        digest, shape, dtype = checked(reference)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        self._left -= size
        if self._left < 0:
            raise ValueError(f"its arrays would unpack to more than {MOST_BYTES:,} bytes")
        try:
            entry = self._archive.getinfo(name_of(digest))
        except KeyError as error:
            raise ValueError(f"it has no entry {name_of(digest)}") from error
        if not size < entry.file_size < size + 2**16:
            raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes, but {size:,} are said to be in it")
        with self._archive.open(entry) as file:
            if npy.read_magic(file) != (2, 0):
                raise ValueError(f"{entry.filename} is no .npy of version 2")
            found = npy.read_array_header_2_0(file)
            if found != (shape, False, dtype):
                raise ValueError(f"{entry.filename} is not the array that is said to be in it")
            array = np.empty(shape, dtype)
            flat = array.reshape(-1).view(np.uint8)
            for at in range(0, size, _BLOCK):
                part = file.read(min(_BLOCK, size - at))
                if len(part) != min(_BLOCK, size - at):
                    raise ValueError(f"{entry.filename} is cut off")
                flat[at : at + len(part)] = np.frombuffer(part, np.uint8)
            if file.read(1):
                raise ValueError(f"{entry.filename} is longer than it should be")
        if digest_of(array) != digest:
            raise ValueError(f"{entry.filename} is damaged: its values are others than its name says")
        return array.astype(dtype.newbyteorder("="), copy=False)


def checked(reference: Mapping[str, Any]) -> tuple[str, tuple[int, ...], np.dtype[Any]]:
    """Digest, shape and type of a reference.

    Raises
    ------
    ValueError
        If it is none.
    """
    digest, shape, kind = (reference.get(name) for name in ("sha256", "shape", "dtype"))
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"the name {str(digest)[:80]!r} of an array is not 64 hexadecimal digits")
    if not (
        isinstance(shape, list)
        and len(shape) <= 32
        and all(isinstance(size, int) and 0 <= size < 2**48 for size in shape)
    ):
        raise ValueError(f"the shape {str(shape)[:80]} of an array is no list of sizes")
    if not isinstance(kind, str) or not re.fullmatch(rf"[<|][{_KINDS}](1|2|4|8)", kind):
        raise ValueError(f"the type {str(kind)[:80]!r} of an array is none of plain numbers")
    try:
        return digest, tuple(shape), np.dtype(kind)
    except TypeError as error:
        raise ValueError(f"there is no type {kind!r} of numbers") from error
