"""The bundled demo model: a small CLIP trained from procedural scenes on a CPU.

``python -m napari_clearclip.training.demo --out DIR`` repeats the training of the shipped weights. It goes on from its
last checkpoint if `DIR` holds one.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_clearclip.engine.text import CompactVocabulary, Tokenizer
from napari_clearclip.scenes import DISTRACTORS, KINDS
from napari_clearclip.training.contrast import contrast, read, see
from napari_clearclip.training.crops import TEMPLATES, Batch, Pool, deal, fill_pool, words

logger = logging.getLogger(__name__)
MEAN = (0.45, 0.43, 0.42)
STD = (0.27, 0.26, 0.27)
PATCH = 8
CONTEXT = 32
UNKNOWN_CHANCE = 0.02


@dataclass(frozen=True)
class Stage:
    """Part of the training: `steps` steps on crops of `grid` x `grid` patches.

    Attributes
    ----------
    grid : patches along a side of a crop
    batch : images in a step
    steps : how many steps
    zoom : smallest and largest number of crop pixels for a scene pixel
    fresh : chance that an image's class token skips all blocks but the last (stochastic depth), so that the last
        block's attention must carry what the caption says
    shares : of the kinds of scenes in a batch
    """

    grid: int
    batch: int
    steps: int
    zoom: tuple[float, float]
    fresh: float
    shares: tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights.

    Attributes
    ----------
    scenes : training scenes of each kind
    size : their side in pixels
    layers, width : of the image tower
    text_layers, text_width : of the text tower
    grid : patches along a side of the image tower's input
    joint : size of the joint space
    stages : crops small first, larger later
    rate, decay : largest learning rate, weight decay
    warm : steps of linear warm-up; a cosine to zero follows
    average : decay of the running mean of the weights, which is what is kept
    skip : chance that an image skips the last block's feed-forward part (stochastic depth)
    negatives : captions with one phrase exchanged, as a part of the batch
    sharp : factor on the last block's queries after the training; see `sharpen`
    tiling : recommended short side, window and stride in pixels
    seed : of everything random
    """

    scenes: int = 4000
    size: int = 192
    layers: int = 6
    width: int = 128
    text_layers: int = 2
    text_width: int = 128
    grid: int = 8
    joint: int = 128
    stages: tuple[Stage, ...] = (
        Stage(grid=4, batch=128, steps=2400, zoom=(0.4, 2.4), fresh=0.9, shares=(0.3, 0.25, 0.45)),
        Stage(grid=4, batch=128, steps=2800, zoom=(0.6, 1.8), fresh=0.7, shares=(0.3, 0.12, 0.58)),
        Stage(grid=6, batch=80, steps=1400, zoom=(0.8, 2.0), fresh=0.7, shares=(0.3, 0.15, 0.55)),
        Stage(grid=8, batch=64, steps=1100, zoom=(1.0, 2.0), fresh=0.7, shares=(0.3, 0.15, 0.55)),
    )
    rate: float = 1e-3
    decay: float = 0.1
    warm: int = 200
    average: float = 0.998
    skip: float = 0.5
    negatives: float = 0.25
    sharp: float = 3.5
    tiling: tuple[int, int, int] = (352, 128, 64)
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        ends = np.cumsum([stage.steps for stage in self.stages])
        return self.stages[int(np.searchsorted(ends, step, side="right"))]

    def factor(self, step: int) -> float:
        """Learning rate of a step as a part of the largest."""
        if step < self.warm:
            return (step + 1) / self.warm
        return float(0.5 + 0.5 * np.cos(np.pi * (step - self.warm) / (self.steps - self.warm)))


@cache
def compact_tokenizer() -> Tokenizer:
    """The tokenizer of the demo model."""
    return Tokenizer(CONTEXT, CompactVocabulary(token_ids()))


def token_ids() -> list[int]:
    """The tokens of open_clip's tokenizer that the captions use, ascending."""
    tokenizer = SimpleTokenizer()
    return sorted({token for word in (*words(), ",") for token in tokenizer.encode(word)})


def tokenize(captions: Sequence[str]) -> Tensor:
    """Rows of the token table, (N, context) int64, zero after the end token."""
    table = torch.zeros(len(captions), CONTEXT, dtype=torch.long)
    for row, caption in enumerate(captions):
        tokens = compact_tokenizer().tokens(caption)
        table[row, : len(tokens)] = torch.tensor(tokens)
    return table


def unknown_words(tokens: Tensor, rng: np.random.Generator) -> Tensor:
    """The tokens with some words, chosen at random, exchanged for the one row of unknown words."""
    vocabulary = CompactVocabulary(token_ids())
    lost = torch.from_numpy(rng.random(tokens.shape) < UNKNOWN_CHANCE) & (tokens > 0) & (tokens < vocabulary.start)
    return tokens.masked_fill(lost, vocabulary.unknown)


def model_config(recipe: Recipe) -> dict[str, Any]:
    """open_clip's configuration of the model and, as "clearclip", what the plugin needs to know besides."""
    kept = token_ids()
    vision = {"layers": recipe.layers, "width": recipe.width, "head_width": 32, "patch_size": PATCH}
    text = {"context_length": CONTEXT, "vocab_size": len(kept) + 3, "width": recipe.text_width,
            "heads": recipe.text_width // 32, "layers": recipe.text_layers}  # fmt: skip
    return {
        "embed_dim": recipe.joint,
        "vision_cfg": vision | {"image_size": PATCH * recipe.grid},
        "text_cfg": text,
        "clearclip": {
            "token_ids": kept,
            "tiling": dict(zip(("short_side", "window", "stride"), recipe.tiling, strict=True)),
            "templates": list(TEMPLATES),
            "distractors": [phrase for kind in KINDS for phrase in DISTRACTORS[kind]],
            "mean": list(MEAN),
            "std": list(STD),
            "vocabulary": list(words()),
        },
    }


def build(recipe: Recipe) -> CLIP:
    """The untrained model."""
    torch.manual_seed(recipe.seed)
    config = model_config(recipe)
    return CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])


def loss_of(model: CLIP, batch: Batch, recipe: Recipe, fresh_chance: float, rng: np.random.Generator) -> Tensor:
    """Loss of one batch, with random places in the grid, skipped parts of the image tower and unknown words."""
    captions, place = np.unique(batch.captions, return_inverse=True)
    tokens = unknown_words(tokenize(captions.tolist()), rng)
    free = recipe.grid - batch.images.shape[-1] // PATCH
    corner = (int(rng.integers(free + 1)), int(rng.integers(free + 1)))
    keep = torch.from_numpy((rng.random(len(batch.images)) >= recipe.skip) / (1 - recipe.skip)).float()
    fresh = torch.from_numpy(rng.random(len(batch.images)) < fresh_chance)
    normal = (batch.images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    images = see(model, normal, corner, keep, fresh)
    texts = read(model, tokens)[torch.from_numpy(place)]
    return contrast(images, texts, batch.true, model.logit_scale.exp())


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; biases, gains, positions and tokens are not decayed."""
    decayed = [p for name, p in model.named_parameters() if p.ndim > 1 and "embedding" not in name]
    rest = [p for name, p in model.named_parameters() if not (p.ndim > 1 and "embedding" not in name)]
    groups = [{"params": decayed, "weight_decay": recipe.decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), foreach=True)


@dataclass
class Progress:
    """All that changes during the training and is kept in a checkpoint.

    Attributes
    ----------
    model : being trained
    optimizer : of its weights
    mean : running mean of its weights, by name
    step : steps done
    seconds : spent on them
    """

    model: CLIP
    optimizer: torch.optim.AdamW
    mean: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, recipe: Recipe, checkpoint: Path) -> Progress:
        """The state in the file, or at the beginning if there is none."""
        model = build(recipe)
        progress = cls(
            model, optimizer_of(model, recipe), {name: value.clone() for name, value in model.state_dict().items()}
        )
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            model.load_state_dict(state["model"])
            progress.optimizer.load_state_dict(state["optimizer"])
            progress.mean, progress.step, progress.seconds = state["mean"], state["step"], state["seconds"]
        return progress

    def save(self, checkpoint: Path) -> None:
        """Write the file so that an interruption leaves the old one whole."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"mean": self.mean, "step": self.step, "seconds": self.seconds}
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def advance(self, recipe: Recipe, pools: Sequence[Pool]) -> float:
        """Do one step and return its loss."""
        rng = np.random.default_rng([recipe.seed, self.step])
        stage = recipe.stage(self.step)
        extra = int(recipe.negatives * stage.batch)
        batch = deal(pools, stage.shares, rng, stage.batch, extra, stage.grid * PATCH, stage.zoom)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate * recipe.factor(self.step)
        loss = loss_of(self.model, batch, recipe, stage.fresh, rng)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, np.log(100))
            decay = min(recipe.average, (self.step + 1) / (self.step + 10))
            torch._foreach_lerp_(list(self.mean.values()), list(self.model.state_dict().values()), 1 - decay)
        self.step += 1
        return loss.item()


def train(
    recipe: Recipe, pools: Sequence[Pool], checkpoint: Path, minutes: float = 4.0, stop: int | None = None
) -> CLIP:
    """The model trained by `recipe`, going on from `checkpoint` if that file exists.

    Parameters
    ----------
    pools : one for each kind of scene
    checkpoint : file of weights, optimiser and step, renewed every `minutes` minutes and at the end
    stop : leave after this many steps in all, as if interrupted

    Returns
    -------
    CLIP
        With the running mean of the weights, sharpened.
    """
    torch.set_flush_denormal(True)
    progress = Progress.start(recipe, checkpoint)
    last = recipe.steps if stop is None else min(stop, recipe.steps)
    started, saved = time.monotonic() - progress.seconds, time.monotonic()
    while progress.step < last:
        loss = progress.advance(recipe, pools)
        now = time.monotonic()
        progress.seconds = now - started
        if progress.step % 50 == 0:
            minute = progress.seconds / 60
            logger.info("step %d of %d, %.1f min, loss %.4f", progress.step, recipe.steps, minute, loss)
        if progress.step == last or now - saved > 60 * minutes:
            saved = now
            progress.save(checkpoint)
    progress.model.load_state_dict(progress.mean)
    sharpen(progress.model, recipe.sharp)
    return progress.model.eval()


def sharpen(model: CLIP, factor: float) -> None:
    """Multiply the last block's queries by `factor` and divide its keys by it, in place.

    Notes
    -----
    Training sees only products of queries and keys, so it leaves their common scale open: the model computes the same
    afterwards. Attention between queries and queries, which the training never uses, becomes sharper.
    """
    attention = model.visual.transformer.resblocks[-1].attn
    with torch.no_grad():
        for values in (attention.in_proj_weight, attention.in_proj_bias):
            queries, keys, _ = values.chunk(3)
            queries *= factor
            keys /= factor


def export(model: CLIP, recipe: Recipe, folder: Path) -> None:
    """Write ``demo.json`` and ``demo.safetensors`` (float16) into `folder`."""
    (folder / "demo.json").write_text(json.dumps(model_config(recipe), indent=1) + "\n", encoding="utf-8")
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "demo.safetensors")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the demo model by the default recipe and write its files."""
    parser = argparse.ArgumentParser(description="Train the bundled demo model on a CPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes, checkpoint and the two files")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the training")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    scenes = options.out / "scenes"
    scenes.mkdir(parents=True, exist_ok=True)
    recipe = Recipe()
    pools = [fill_pool(kind, recipe.scenes, recipe.size, scenes) for kind in KINDS]
    export(train(recipe, pools, options.out / "checkpoint.pt"), recipe, options.out)


if __name__ == "__main__":
    main()
