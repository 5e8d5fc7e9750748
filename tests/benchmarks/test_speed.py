"""The plain way and the product give the same scores, and the product runs no more blocks than it has to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from benchmarks import plain
from benchmarks.scaling import plot
from benchmarks.speed import AGREE, KNOWN, WORDS, Turns, first_turn, later_turn, text_turns, threshold_turns
from napari_clearclip.engine.windows import Frame

WINDOW, STRIDE, SIDE = 48, 24, 112  # 16 windows, the last ones pushed back off the lattice of patches
WINDOWS = 16


@pytest.fixture
def turns(deep: Path, tmp_path: Path) -> Turns:
    return Turns.of(deep, tmp_path, WINDOW, STRIDE)


@pytest.fixture
def image() -> Any:
    return np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def test_both_ways_give_the_same_scores(turns: Turns, image: Any) -> None:
    assert turns.check(image) < AGREE


def test_ways_that_differ_are_told_apart(turns: Turns, image: Any) -> None:
    turns.texts = {word: -plain.embed(turns.clip.model, [word])[0] for word in (*WORDS, KNOWN)}
    with pytest.raises(RuntimeError, match="scores of clearclip differ"):
        turns.check(image)


@pytest.mark.parametrize("length", [48, 49, 72, 73, 112])
def test_the_plain_way_has_the_windows_of_the_frame(length: int) -> None:
    frame = Frame((length, 60), (length, 60), WINDOW, STRIDE, 8, 8)
    tops = [top for top in plain.starts(length, WINDOW, STRIDE) for _ in plain.starts(60, WINDOW, STRIDE)]
    assert [box[0] for box in frame.boxes] == tops


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls of whole blocks, of attention in the last block as a variant wants it, and of feed-forward networks."""
    from open_clip.transformer import ResidualAttentionBlock

    from napari_clearclip.engine import encoder
    from napari_clearclip.engine.tower import ClipTower

    calls: Counter[str] = Counter()

    def count(owner: Any, name: str, what: str, windows: Callable[..., int]) -> None:
        before = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            calls[what] += windows(*args)
            return before(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapper)

    count(ResidualAttentionBlock, "forward", "whole", lambda _, tokens, *rest: len(tokens))
    count(encoder, "_attended", "modified", lambda tower, index, tokens, *rest: len(tokens))
    count(ClipTower, "feed", "feed", lambda _, index, tokens: len(tokens))
    return calls


def test_a_window_takes_eleven_whole_blocks_and_one_modified_one(
    turns: Turns, image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns.run(image[:WINDOW, :WINDOW], KNOWN)  # reads the phrases
    calls = counted(monkeypatch)
    turns.run(image, KNOWN)
    assert calls == {"whole": 11 * WINDOWS, "modified": WINDOWS}


def test_what_comes_after_the_first_run_takes_no_whole_block(
    turns: Turns, image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns.run(image[:WINDOW, :WINDOW], KNOWN)
    turns.run(image)
    calls = counted(monkeypatch)
    turns.run(image, KNOWN)
    assert calls == {}
    turns.run(image, row="sclip_clear")
    assert calls == {"modified": WINDOWS}
    turns.run(image, row="sclip")
    assert calls == {"modified": 2 * WINDOWS, "feed": WINDOWS}
    turns.run(image)
    assert calls == {"modified": 2 * WINDOWS, "feed": WINDOWS}


def test_the_plain_way_takes_all_twelve_blocks_and_a_modified_one(
    turns: Turns, image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns.plain(image)
    calls = counted(monkeypatch)
    modified, texts = plain.modified, len(turns.texts)

    def also(*args: Any) -> torch.Tensor:
        calls["modified"] += 1
        return modified(*args)

    monkeypatch.setattr(plain, "modified", also)
    turns.plain(image)
    assert calls == {"whole": 12 * WINDOWS, "modified": WINDOWS}
    assert len(turns.texts) == texts


def test_each_figure_is_measured(turns: Turns, image: Any) -> None:
    text, ratios = text_turns(turns, ("cat", "dog"))
    assert text > 0
    assert len(ratios) == 2
    quick, slow = first_turn(turns, image)
    found = later_turn(turns, image, slow, text, "horse")
    names = (
        "known_prompt_speedup",
        "new_prompt_speedup",
        "variant_speedup",
        "variant_sum_speedup",
        "variant_three_speedup",
        "variant_ffn_speedup",
    )
    assert tuple(found) == names
    assert quick > 0
    assert all(value > 0 for value in found.values())


def test_a_moved_threshold_is_measured() -> None:
    assert len(threshold_turns(2, side=256)) == 2


def test_curves_become_a_picture(tmp_path: Path) -> None:
    rows = [(1, (2.0, 1.0, 0.1)), (5, (3.0, 2.0, 0.1))]
    plot({"prompts": rows, "windows": rows[:1]}, tmp_path / "cost.png")
    assert imageio.imread(tmp_path / "cost.png").shape == (320, 1000, 4)
