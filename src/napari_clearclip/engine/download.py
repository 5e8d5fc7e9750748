"""Files of hub repositories: from the local cache if they are there, else downloaded with progress."""

from __future__ import annotations

import errno
import io
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

from napari_clearclip.engine.weights import ModelError

Progress = Callable[[int, int], None]

_PART = 2**20  # the hub's client tells of every 10 MB otherwise, which a slow line takes a minute for
_NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "your quota is used up"}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def download_folder() -> Path:
    """The folder that downloaded weights are kept in, which is shared with all that use the hub's client."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def downloaded(repository: str, names: tuple[str, ...]) -> Path | None:
    """The first of some files of a hub repository that is on this machine; asks no server."""
    from huggingface_hub import try_to_load_from_cache

    paths = (try_to_load_from_cache(repository, name) for name in names if repository)
    return next((Path(path) for path in paths if isinstance(path, str)), None)


def fetch(repository: str, names: tuple[str, ...], progress: Progress | None) -> Path:
    """The first of some files of a hub repository: from the local cache if it is there, else downloaded.

    Parameters
    ----------
    repository : str
        ORGANISATION/NAME.
    names : tuple of str
        Files that will do, best first.
    progress : callable, optional
        Called with bytes done and total; what it raises stops the download.

    Raises
    ------
    ModelError
        If there is no such file, it cannot be downloaded, or there is no place to keep it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # where older clients have them
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        for name in names:
            with suppress(LocalEntryNotFoundError):
                return Path(hf_hub_download(repository, name, local_files_only=True))
        _check_connection(repository)
        for name in names:
            try:
                with _reported(progress) as how:
                    return Path(hf_hub_download(repository, name, **how))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
    except ModelError:
        raise
    except HFValidationError as error:
        raise ModelError(f"hf-hub:{repository} is no name of a repository; write hf-hub:ORGANISATION/NAME") from error
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise _failure(repository, error) from error
    raise ModelError(f"{repository} has no {' or '.join(names)}, so it is no open_clip checkpoint")


def _failure(repository: str, error: Exception) -> ModelError:
    """What went wrong and what to do: where there is no place for the file, the connection is not to blame."""
    number = getattr(error, "errno", None)
    if number in _NO_ROOM:
        return ModelError(
            f"The weights of {repository} could not be downloaded: {_NO_ROOM[number]}. "
            f"Make room in {download_folder()}, or let HF_HOME name a folder on another disk"
        )
    if number in _NOT_ALLOWED:
        return ModelError(
            f"The weights of {repository} could not be downloaded: {download_folder()} cannot be written to. "
            f"Let HF_HOME name a folder that can"
        )
    return _unreachable(repository, next(iter(str(error).strip().splitlines()), type(error).__name__))


def _check_connection(repository: str) -> None:
    """Refuse at once where the hub cannot be found: its client would try for half a minute."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE:
        raise _unreachable(repository, "HF_HUB_OFFLINE is set.")
    if getproxies():
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise _unreachable(repository, f"{host} cannot be reached.") from error


def _unreachable(repository: str, reason: str) -> ModelError:
    reason = re.sub(r" for url.*", "", reason).rstrip(".")
    return ModelError(
        f"The weights of {repository} could not be downloaded: {reason}. "
        f"Check the connection and try again, or load a weights file instead"
    )


@contextmanager
def _reported(progress: Progress | None) -> Iterator[dict[str, Any]]:
    """What to give to the hub's client so that it reports bytes as they come and stops when the report raises.

    Notes
    -----
    Its own protocol for large files (Xet) reports from a thread of its own, which nothing stops; plain HTTP does not.
    Clients that cannot be given a progress bar take one by the back door.
    """
    from huggingface_hub import constants, file_download, hf_hub_download

    bar, get, thread = _bar(progress), file_download.http_get, threading.get_ident()

    def reporting(*arguments: Any, **options: Any) -> Any:
        if threading.get_ident() == thread and options.get("_tqdm_bar") is None:
            options["_tqdm_bar"] = bar(total=options.get("expected_size"), initial=options.get("resume_size", 0))
        return get(*arguments, **options)

    before = {name: getattr(constants, name, None) for name in ("HF_HUB_DISABLE_XET", "DOWNLOAD_CHUNK_SIZE")}
    constants.HF_HUB_DISABLE_XET, constants.DOWNLOAD_CHUNK_SIZE = True, _PART
    known = "tqdm_class" in signature(hf_hub_download).parameters
    if not known:
        file_download.http_get = cast(Any, reporting)
    try:
        yield {"tqdm_class": bar} if known else {}
    finally:
        if not known:
            file_download.http_get = get
        for name, value in before.items():
            setattr(constants, name, value)


def _bar(progress: Progress | None) -> Any:
    """A progress bar class that reports bytes instead of printing."""
    from tqdm.auto import tqdm

    class Reporting(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": False, "file": io.StringIO()})
            self._tell()

        def update(self, n: float | None = 1) -> None:
            super().update(n)
            self._tell()

        def _tell(self) -> None:
            if progress is not None:
                progress(int(self.n), int(self.total or 0))

    return Reporting
