"""What the benchmark of kills counts as lost, and what as an export that is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.killing.exports import _content, _is_whole, masks_of
from benchmarks.killing.panels import AGE, Killed, _judge
from napari_clearclip.io.formats import FORMATS, write

DONE = [(1.0, "a"), (3.0, "b"), (4.0, "c"), (9.0, "a"), (9.5, "d")]


@pytest.mark.parametrize(
    ("name", "lost"),
    [("d", 0.0), ("a", 0.5), ("c", 1.0), ("b", 6.0), (None, 9.0), ("other", float("inf"))],
)
def test_the_oldest_edit_that_was_lost(name: str | None, lost: float) -> None:
    asked, found = _judge(Killed(seed=0, pid=0, pipe=0, at=10.0, done=DONE), name)
    assert asked == sum(when <= 10 - AGE for when, _ in DONE) == 3
    assert found == lost


@pytest.mark.parametrize("name", FORMATS)
def test_half_an_export_is_not_whole(name: str, tmp_path: Path) -> None:
    targets = [tmp_path / str(number) / f"a_clearclip_{FORMATS[name].ending}" for number in (0, 1)]
    for number, target in enumerate(targets):
        target.parent.mkdir()
        write(target, [masks_of(name, number)], name)
    wanted = [_content(name, target) for target in targets]
    assert wanted[0] != wanted[1]
    assert _is_whole(name, targets[0], wanted)
    part = max(
        (file for file in (targets[0], *targets[0].rglob("*")) if file.is_file()), key=lambda f: f.stat().st_size
    )
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    assert not _is_whole(name, targets[0], wanted)
