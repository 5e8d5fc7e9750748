"""``train`` makes a student that ``segment`` takes, and says in one sentence what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_clearclip.study import read_card

WORDS = ("--prompt", "tree, bush", "--prompt", "road", "--distractor", "sky")


@pytest.fixture
def study(folder: Path) -> Path:
    """A training of seconds."""
    (folder / "study.json").write_text(json.dumps({"iterations": 3, "batch": 2, "crop": 32, "short_side": 60}))
    return Path("study.json")


def test_a_student_is_trained_and_used(run, photo, tiny, study):
    result = run("train", photo, *WORDS, "--model", tiny, "--study", study, "--seed", 7, "--out", "mine/s.safetensors")
    assert "student_agreement: " in result.output
    card = read_card(Path("mine/s.safetensors"))
    assert card is not None
    assert (card.phrases, card.images) == (("tree", "bush", "road", "sky"), ("photo.png",))
    assert (card.study.iterations, card.study.seed, card.study.architecture) == (3, 7, "small")
    run("segment", photo, "--prompt", "tree", "--model", "mine/s.safetensors", "--out", "out")
    assert Path("out/photo_clearclip_tree_mask.png").is_file()
    refused = run("ablation", "scenes-shapes", "--model", "mine/s.safetensors", code=2)
    assert "is a student, which has no last block" in " ".join(refused.stderr.split())


def test_labels_and_planes_are_found(run, folder, tiny, study):
    stack = np.random.default_rng(0).integers(0, 256, (2, 60, 64)).astype(np.uint8)
    tifffile.imwrite(folder / "stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    (folder / "labels").mkdir()
    tifffile.imwrite(folder / "labels/stack_clearclip_labels.tif", np.ones((2, 60, 64), np.uint8))
    options = ("--model", tiny, "--study", study, "--labels", "labels")
    run("train", "stack.tif", *WORDS, *options, "--transductive", "--out", "s")
    card = read_card(Path("s.safetensors"))
    assert card is not None
    assert card.images == ("stack.tif 0", "stack.tif 1")
    assert card.study.transductive
    assert card.study.guided == 1  # a small student does not label for itself


def test_what_cannot_be_is_said(run, folder, photo, tiny, study):
    base = ("train", photo, *WORDS, "--model", tiny)
    assert "needs --labels" in run(*base, "--transductive", code=2).output
    assert "give a positive number" in run(*base, "--minutes", 0, code=2).output
    assert "iterations is 0" in run(*base, "--iterations", 0, code=2).output
    assert "there is no student 'huge'" in run(*base, "--student", "huge", code=2).output
    assert "the study nothing.json cannot be read" in run(*base, "--study", "nothing.json", code=2).output
    (folder / "list.json").write_text("[1]")
    assert "the study list.json cannot be read" in run(*base, "--study", "list.json", code=2).output
    (folder / "none").mkdir()
    assert "no image has labels in none" in run(*base, "--study", study, "--labels", "none", code=2).output
    imageio.imwrite(folder / "none/photo.png", np.zeros((5, 5), np.uint8))
    assert "have shape (5, 5), but the image has (60, 84)" in run(*base, "--labels", "none", code=1).output
    tifffile.imwrite(folder / "none/photo_labels.tif", np.zeros((60, 84), np.float32))
    assert "labels are whole numbers" in run(*base, "--labels", "none", code=2).output
