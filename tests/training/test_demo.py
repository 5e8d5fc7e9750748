"""The demo training learns, can be interrupted, and writes what open_clip reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import load_file
from torch.nn import functional as F

from napari_clearclip.engine.text import CompactVocabulary
from napari_clearclip.scenes import DISTRACTORS, KINDS, UNSEEN_PAIRS, vocabulary
from napari_clearclip.training import crops, demo
from napari_clearclip.training.contrast import contrast, read, see

TINY = demo.Recipe(
    scenes=6, size=64, layers=2, width=32, text_layers=1, text_width=32, grid=4, joint=16, warm=4, rate=3e-3,
    stages=(
        demo.Stage(2, 12, 6, (0.4, 1.0), fresh=1.0, shares=(0.5, 0.25, 0.25)),
        demo.Stage(4, 12, 6, (0.5, 1.0), fresh=0.5, shares=(0.25, 0.25, 0.5)),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> list[crops.Pool]:
    folder = tmp_path_factory.mktemp("scenes")
    return [crops.fill_pool(kind, TINY.scenes, TINY.size, folder) for kind in KINDS]


def batch_of(pools: list[crops.Pool], seed: int, number: int = 24) -> crops.Batch:
    return crops.deal(pools, (0.25, 0.25, 0.5), np.random.default_rng(seed), number, 6, 32, (0.5, 1.0))


def test_a_few_steps_lower_the_loss(pools: list[crops.Pool], tmp_path: Path) -> None:
    recipe = replace(TINY, stages=(replace(TINY.stages[1], batch=24, steps=60),))
    fixed = [batch_of(pools, seed) for seed in (1001, 1002, 1003)]

    def loss(model: CLIP) -> float:
        rng = np.random.default_rng(0)
        return float(np.mean([demo.loss_of(model, batch, recipe, 0.5, rng).item() for batch in fixed]))

    trained = demo.train(recipe, pools, tmp_path / "checkpoint.pt")
    assert loss(trained) < loss(demo.build(recipe)) - 0.2


def test_interrupted_training_ends_in_the_same_weights(pools: list[crops.Pool], tmp_path: Path) -> None:
    whole = demo.train(TINY, pools, tmp_path / "whole.pt")
    demo.train(TINY, pools, tmp_path / "parts.pt", stop=5)
    parts = demo.train(TINY, pools, tmp_path / "parts.pt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_exported_files_load_into_open_clip(tmp_path: Path) -> None:
    model = demo.build(TINY).eval()
    demo.export(model, TINY, tmp_path)
    config = json.loads((tmp_path / "demo.json").read_text())
    loaded = CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"]).eval()
    loaded.load_state_dict(load_file(tmp_path / "demo.safetensors"), strict=True)
    assert config["text_cfg"]["vocab_size"] == len(config["clearclip"]["token_ids"]) + 3
    assert config["clearclip"]["token_ids"] == sorted(config["clearclip"]["token_ids"])
    image = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded.encode_image(image), model.encode_image(image), atol=5e-3, rtol=0)


def test_own_forward_is_open_clips() -> None:
    model = demo.build(TINY).eval()
    images = torch.rand(3, 3, 32, 32)
    tokens = demo.tokenize(["red circle", "a photo of nuclei and water"])
    seen = see(model, images, (0, 0), torch.ones(3), torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(seen, model.encode_image(images, normalize=True))
    torch.testing.assert_close(read(model, tokens), model.encode_text(tokens, normalize=True))


def test_skipped_parts_change_what_is_seen() -> None:
    model = demo.build(TINY).eval()
    images = torch.rand(1, 3, 32, 32)
    whole, skipped = torch.zeros(1, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    plain = see(model, images, (0, 0), torch.ones(1), whole)
    assert not torch.allclose(plain, see(model, images, (0, 0), torch.ones(1), skipped))
    assert not torch.allclose(plain, see(model, images, (0, 0), torch.zeros(1), whole))


def test_a_small_image_lies_anywhere_in_the_grid() -> None:
    model = demo.build(TINY).eval()
    images = torch.rand(1, 3, 16, 16)
    one, none = torch.ones(1), torch.zeros(1, dtype=torch.bool)
    corners = [see(model, images, corner, one, none) for corner in ((0, 0), (2, 1))]
    assert not torch.allclose(*corners)


def test_every_name_and_distractor_is_a_word_of_the_model() -> None:
    unknown = CompactVocabulary(demo.token_ids()).unknown
    phrases = [phrase for kind in KINDS for phrase in (*vocabulary(kind), *DISTRACTORS[kind])]
    assert not (demo.tokenize(phrases) == unknown).any()
    assert (demo.tokenize(["zebra"]) == unknown).any()


def test_some_words_become_unknown_and_nothing_else_changes() -> None:
    rows = CompactVocabulary(demo.token_ids())
    tokens = demo.tokenize(["red circle and blue star"] * 200)
    lost = demo.unknown_words(tokens, np.random.default_rng(0))
    changed = lost != tokens
    assert 0 < changed.sum() < 0.1 * (tokens > 0).sum()
    assert (lost[changed] == rows.unknown).all()
    assert (tokens[changed] < rows.unknown).all()


def test_end_token_has_the_highest_id() -> None:
    rows = CompactVocabulary(demo.token_ids())
    tokens = demo.tokenize(["red circle", "a photo of a red circle and a blue star and water"])
    assert (tokens[:, 0] == rows.start).all()
    assert (tokens.max(-1).values == rows.end).all()


def test_captions_never_name_an_unseen_pair() -> None:
    scenes = {" ".join(pair) for pair in UNSEEN_PAIRS}
    shares = np.zeros((2, len(crops.CONCEPTS["shapes"])))
    shown = [i for i, name in enumerate(crops.CONCEPTS["shapes"]) if name not in scenes]
    shares[:, shown] = 0.5
    said = [phrase for seed in range(300) for phrase in crops.say("shapes", shares, np.random.default_rng(seed))]
    assert not scenes & set(said)
    assert len(set(said)) > 40


def test_captions_say_only_what_a_crop_shows() -> None:
    shares = np.zeros((2, len(crops.CONCEPTS["aerial"])))
    shares[:, vocabulary("aerial").index("road")] = 0.6
    shares[:, vocabulary("aerial").index("car")] = crops.ENOUGH / 2
    for seed in range(50):
        (phrase,) = crops.say("aerial", shares, np.random.default_rng(seed))
        assert phrase in crops.wordings("road")


def test_a_shape_that_hardly_shows_is_named_by_its_colour() -> None:
    shares = np.zeros((2, len(crops.CONCEPTS["shapes"])))
    position = vocabulary("shapes").index("red star")
    shares[:, position] = 0.9, crops.WHOLE / 2
    assert crops.say("shapes", shares, np.random.default_rng(0)) == ["red shape"]


def test_own_caption_holds_and_wrong_ones_do_not(pools: list[crops.Pool]) -> None:
    batch = batch_of(pools, seed=7)
    assert batch.true.shape == (24, 30)
    assert batch.true[:, :24].diagonal().all()
    assert batch.true.float().mean() < 0.5
    assert batch.images.shape == (24, 3, 32, 32)
    assert 0 <= batch.images.min() < batch.images.max() <= 1


def test_loss_is_least_where_only_true_captions_score() -> None:
    vectors = F.normalize(torch.eye(4) + 0.1, dim=-1)
    true = torch.eye(4, dtype=torch.bool)
    right = contrast(vectors, vectors, true, torch.tensor(20.0))
    wrong = contrast(vectors, vectors.roll(1, 0), true, torch.tensor(20.0))
    assert right < 0.01 < 1 < wrong


def test_sharper_queries_leave_the_model_as_it_was() -> None:
    images = torch.rand(2, 3, 32, 32)
    model, other = demo.build(TINY).eval(), demo.build(TINY).eval()
    demo.sharpen(other, 1.5)
    torch.testing.assert_close(other.encode_image(images), model.encode_image(images))
    before, after = (m.visual.transformer.resblocks[-1].attn.in_proj_weight.chunk(3) for m in (model, other))
    torch.testing.assert_close(after[0], 1.5 * before[0])
    torch.testing.assert_close(after[2], before[2])


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    factors = [TINY.factor(step) for step in range(TINY.steps)]
    assert factors[0] == 0.25
    assert max(factors) == factors[TINY.warm] == 1.0
    assert factors[-1] < 0.05
    assert [TINY.stage(step).grid for step in (0, 5, 6, 11)] == [2, 2, 4, 4]


def test_shipped_weights_fit_their_recipe() -> None:
    folder = Path(demo.__file__).parents[1] / "data" / "demo"
    config = json.loads((folder / "demo.json").read_text())
    expected = json.loads(json.dumps(demo.model_config(demo.Recipe())))
    assert config == expected
    model = CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    model.load_state_dict(load_file(folder / "demo.safetensors"), strict=True)
    assert sum(file.stat().st_size for file in folder.glob("demo.*")) <= 5_000_000
