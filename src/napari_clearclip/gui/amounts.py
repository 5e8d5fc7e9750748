"""Bytes, seconds and progress as they are read."""

from __future__ import annotations

from napari_clearclip.progress import Progress

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def bytes_text(count: float) -> str:
    """A number of bytes with a unit: three digits at most, as downloads are stated.

    Examples
    --------
    >>> bytes_text(598_482_948), bytes_text(3_944_437_764)
    ('598 MB', '3.9 GB')
    """
    power = 0
    while count >= 999.5 and power < len(_UNITS) - 1:
        count, power = count / 1000, power + 1
    digits = 1 if power > 0 and count < 9.95 else 0
    return f"{count:.{digits}f} {_UNITS[power]}"


def seconds_text(seconds: float) -> str:
    """A time to wait, the coarser the longer.

    Examples
    --------
    >>> seconds_text(8), seconds_text(100), seconds_text(5000)
    ('8 s', '2 min', '1 h 23 min')
    """
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress_text(progress: Progress, more: int = 0) -> str:
    """How far work is, in a line: bytes with speed, what takes time with the time left; `more` of the same follow."""
    if not progress.total:
        return f"{progress.stage} …"
    if progress.unit != "bytes":
        rest = progress.total * (1 + more) - progress.done
        time = f", about {seconds_text(rest / progress.rate)} left" if progress.rate > 0 and rest else ""
        return f"{progress.stage}: {progress.done} of {progress.total}{time}"
    said = [f"{bytes_text(progress.done)} of {bytes_text(progress.total)}"]
    if progress.rate > 0:
        left = (progress.total - progress.done) / progress.rate
        said += [f"{bytes_text(progress.rate)}/s", f"{seconds_text(left)} left"]
    return f"{progress.stage}: {', '.join(said)}"
