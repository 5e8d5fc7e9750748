"""What the product saves, as ratios to the plain way: ``python -m benchmarks speed [--pairs N] [--model NAME]``.

The plain way is `benchmarks.plain`: the published pipeline, read literally. Both ways have the same random weights of a
ViT-B-16 and take turns; every figure is the median over the turns of the ratio of their processor times (all threads).
Images are read at their own size in windows of 448 with a stride of 224, in a run with six prompts that compete with
each other as in the papers, and output cells of one pixel, so that scores are those of the plain way: before anything
is measured they are compared, and must agree within 1e-4 (``score_difference``).

- ``encode_448_ratio``, ``encode_1024_ratio``: the first run on an image with one and with 16 windows, its texts known,
  over the plain way's image part. By the number of the tower's operations it is 0.92.
- ``text_speedup``: how many times faster new phrases are read, in 80 templates each; turn by turn over 20 phrases.
- ``known_prompt_speedup``, ``new_prompt_speedup``: a sixth prompt on the 1024 x 1024 image once it is encoded, its text
  known or not, against a plain run on image and texts. As texts are read one after another in the plain way, its time
  for six is six times that for one.
- ``variant_speedup``, ``variant_sum_speedup``, ``variant_three_speedup``, ``variant_ffn_speedup``: the same image with
  another attention in the last block, against the plain image part: keys to keys; a sum of two softmaxes (SCLIP's
  without residual connection and feed-forward network); one of three (SegEarth-OV's); and SCLIP's with both. Each is
  asked for when nothing but ClearCLIP was, so that of its terms at most one is known; in the plain way it would take
  more than the time for ClearCLIP's one softmax that stands for it here.
- ``threshold_ratio``: moving one prompt's threshold on 4096 x 4096 pixels by 0.01, as a slider does, over one numpy
  comparison of as many float32 values. Scene and model are the bundled ones. ``threshold_busy_ratio``: the same where
  21 x 21 small scenes lie beside each other, so that the move changes something everywhere.

The whole takes about forty minutes of one core; with fewer pairs less, and less sure. ``--model`` takes the name of
another of open_clip's architectures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmarks import plain
from napari_clearclip.edits import View
from napari_clearclip.engine.variants import variant
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.result import Segmentation
from napari_clearclip.scenes import make_scene
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Runtime, Settings, Tiling
from napari_clearclip.steps import drain

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.model import Clip

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

RGB = View(channel_axis=-1)
WORDS = ("road", "tree", "building", "car", "sky")
KNOWN = "river"
PHRASES = (
    "red brick house", "grass", "swimming pool", "sailing boat", "person on a bicycle", "dog", "traffic light", "fence",
    "field of wheat", "bridge", "railway", "parking lot", "tennis court", "harbour", "beach", "forest path", "roof",
    "solar panel", "greenhouse", "aircraft",
)  # fmt: skip
AGREE = 1e-4  # largest difference between scores
CHECKED = (("clearclip", ("qq",), False), ("sclip_clear", ("qq", "kk"), False), ("sclip", ("qq", "kk"), True))
SWITCHES = {
    "variant_speedup": "kk",
    "variant_sum_speedup": "sclip_clear",
    "variant_three_speedup": "segearth",
    "variant_ffn_speedup": "sclip",
}
LEAST = 0.17  # threshold: a sixth is what six prompts have that are all alike


def save_weights(folder: Path, name: str) -> Path:
    """An architecture of open_clip with random weights, as a file with its configuration beside it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = open_clip.get_model_config(name)
    if config is None:
        raise ValueError(f"open_clip has no architecture {name!r}; choose one of open_clip.list_models()")
    torch.manual_seed(0)
    model = open_clip.create_model(name)
    path = folder / "weights.safetensors"
    path.with_suffix(".json").write_text(json.dumps(config))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


def draw(side: int) -> Image:
    """A drawn scene (side, side, 3)."""
    return make_scene("aerial", seed=side, size=side).image


def spent(work: Callable[[], Any]) -> float:
    """Processor seconds of all threads that some work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


@dataclass
class Turns:
    """Both ways on the same weights.

    Attributes
    ----------
    pipeline : Pipeline
        The product; it keeps what it keeps for a user.
    clip : Clip
        The weights again, for the plain way and for text alone.
    settings : Settings
        Five prompts.
    texts : dict of str to (D,) tensor
        What the plain way has read.
    """

    pipeline: Pipeline
    clip: Clip
    settings: Settings
    texts: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, weights: Path, cache: Path, window: int = 448, stride: int = 224, device: str = "cpu", half: bool = False
    ) -> Turns:
        """Both ways with the weights of a file, `half` as precise on a GPU; the product keeps texts in a folder."""
        from napari_clearclip.engine.model import load

        model = Model(name="", pretrained=str(weights), precision="float16" if half else "float32")
        settings = Settings(
            model=model,
            prompts=tuple(Prompt(id=word, phrase=word, threshold=LEAST) for word in WORDS),
            tiling=Tiling(short_side="native", window=window, stride=stride),
            comparing=Comparing(templates="imagenet", cell=1),
            deciding=Deciding(competitors="all"),
        )
        pipeline = Pipeline(Runtime(device=device, cache_folder=str(cache)))
        return cls(pipeline, load(model, device), settings)

    def run(self, image: Image, more: str = "", row: str = "clearclip") -> Segmentation:
        """The product's answer, perhaps with one prompt more or another variant."""
        prompts = self.settings.prompts
        if more:
            prompts = (*prompts, Prompt(id=more, phrase=more, threshold=LEAST))
        return self.pipeline.run(image, self.settings.replace(prompts=prompts, attention=variant(row)), RGB)

    def plain(self, image: Image, more: str = "", terms: tuple[str, ...] = ("qq",), whole: bool = False) -> FloatArray:
        """The plain way's scores, and labels that nobody reads; texts that it knows are not read again."""
        import torch

        words = [*WORDS, *([more] if more else [])]
        for word in words:
            if word not in self.texts:
                self.texts[word] = plain.embed(self.clip.model, [word])[0]
        texts, tiling = torch.stack([self.texts[word] for word in words]), self.settings.tiling
        scores = plain.score(self.clip.model, image, texts, terms, whole, tiling.window or 0, tiling.stride or 0)
        plain.segment(scores, LEAST)
        return scores

    def check(self, image: Image) -> float:
        """The largest difference between scores of both ways.

        Raises
        ------
        RuntimeError
            If the ways do not agree, or scores hardly differ, so that it would say nothing.
        """
        worst = 0.0
        for row, terms, whole in CHECKED:
            expected = self.plain(image, KNOWN, terms, whole)
            apart, spread = np.abs(self.run(image, KNOWN, row).scores.values - expected).max(), np.ptp(expected)
            print(f"# {row}: scores of {image.shape} range over {spread:.1e} and differ by {apart:.1e}", flush=True)
            if apart > AGREE or spread < 10 * AGREE:
                raise RuntimeError(f"scores of {row} differ by {apart:.1e} of {spread:.1e}; {AGREE} is allowed")
            worst = max(worst, float(apart))
        return worst


def text_turns(turns: Turns, phrases: Sequence[str]) -> tuple[float, list[float]]:
    """Seconds that the plain way takes for a phrase, and how many times faster the product is, phrase by phrase."""
    from napari_clearclip.engine.text import embed

    slow, ratios = [], []
    for phrase in phrases:
        quick = spent(lambda phrase=phrase: embed(turns.clip, [phrase], "imagenet"))
        slow.append(spent(lambda phrase=phrase: plain.embed(turns.clip.model, [phrase])))
        ratios.append(slow[-1] / quick)
    return median(slow), ratios


def first_turn(turns: Turns, image: Image) -> tuple[float, float]:
    """Seconds of the product's first run on an image, and of the plain way."""
    turns.pipeline.forget()
    return spent(lambda: turns.run(image)), spent(lambda: turns.plain(image))


def later_turn(turns: Turns, image: Image, slow: float, text: float, new: str) -> dict[str, float]:
    """How many times faster than the plain way is what is asked for after the first run.

    Parameters
    ----------
    turns, image
        What was run last.
    slow, text : float
        Seconds that the plain way takes for the image, and for a phrase.
    new : str
        A phrase that was never read.
    """
    whole = slow + (len(WORDS) + 1) * text
    found = {
        "known_prompt_speedup": whole / spent(lambda: turns.run(image, KNOWN)),
        "new_prompt_speedup": whole / spent(lambda: turns.run(image, new)),
    }
    for name, row in SWITCHES.items():
        turns.pipeline.forget()
        turns.run(image)
        found[name] = slow / spent(lambda row=row: turns.run(image, row=row))
    return found


def threshold_turns(pairs: int, side: int = 4096, busy: bool = False) -> list[float]:
    """A moved threshold's time over that of one comparison, on one large scene or on many small ones."""
    scene = make_scene("shapes", seed=0)
    times = -(-side // len(scene.image))
    image = np.tile(scene.image, (times, times, 1)) if busy else scene.image.repeat(times, axis=0).repeat(times, axis=1)
    image = image[:side, :side]
    prompts = tuple(Prompt(id=name, phrase=name, threshold=0) for name in scene.names)
    settings = Settings(prompts=prompts, deciding=Deciding(competitors="all"))
    pipeline = Pipeline(Runtime(device="cpu"))
    result = pipeline.run(image, settings, RGB)
    values = result.scores.values
    place = int(np.bincount(values.argmax(axis=0).ravel()).argmax())  # the prompt with the largest mask
    middle = float(np.median(values[place][values.argmax(axis=0) == place]))
    comparable, found = np.random.default_rng(0).random((side, side), np.float32), []
    for left in range(pairs + 3, 0, -1):  # a drag has begun when it is measured
        moved = prompts[place].replace(threshold=middle - 0.01 * left)
        before, wanted = result, settings.replace(prompts=(*prompts[:place], moved, *prompts[place + 1 :]))
        began = time.process_time()
        result = drain(pipeline.steps(image, wanted, RGB, known=before.content))
        quick = time.process_time() - began
        if np.array_equal(result.labels, before.labels):
            raise RuntimeError(f"the step to {moved.threshold} changed nothing, so that it says nothing")
        found.append(quick / spent(lambda: comparable >= np.float32(0.5)))
    return found[3:]


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed")
    parser.add_argument("--pairs", type=int, default=9, help="turns of each figure")
    parser.add_argument("--large-pairs", type=int, default=9, help="turns on 1024 x 1024, which take longest")
    parser.add_argument("--model", default="ViT-B-16", help="one of open_clip's architectures")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        turns = Turns.of(save_weights(Path(folder), asked.model), Path(folder) / "cache")
        small, large = draw(448), draw(1024)
        print(f"score_difference: {turns.check(small):.1e} score", flush=True)
        ratios = [quick / slow for quick, slow in (first_turn(turns, small) for _ in range(asked.pairs))]
        print(f"encode_448_ratio: {median(ratios):.3f} ratio", flush=True)
        text, speedups = text_turns(turns, PHRASES[: 20 if asked.pairs >= 9 else asked.pairs])
        print(f"text_speedup: {median(speedups):.2f} times", flush=True)
        ratios, rows = [], []
        for number in range(asked.large_pairs):
            quick, slow = first_turn(turns, large)
            ratios.append(quick / slow)
            rows.append(later_turn(turns, large, slow, text, f"{PHRASES[0]} {number}"))
            print(f"# {number + 1}: {ratios[-1]:.3f} {rows[-1]}", flush=True)
        print(f"encode_1024_ratio: {median(ratios):.3f} ratio")
        for name in rows[0]:
            print(f"{name}: {median(row[name] for row in rows):.1f} times", flush=True)
    print(f"threshold_ratio: {median(threshold_turns(asked.pairs)):.2f} comparisons")
    print(f"threshold_busy_ratio: {median(threshold_turns(asked.pairs, busy=True)):.2f} comparisons")
    return 0
