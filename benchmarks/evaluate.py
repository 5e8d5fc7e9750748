"""What several variants cost in one pass over images with known truth, beside one variant alone.

``python -m benchmarks evaluate [SCENES]`` prints ``six_variants_ratio: value ratio``, the time of six variants in one
pass over that of the first of them, for an image tower of the size of ViT-B/16 (random weights, which take as long as
others), and ``six_variants_demo_ratio`` for the bundled model, of whose six blocks one is a larger share. SCENES (3) is
the number of aerial scenes of 384 pixels; each is measured both ways in turn with nothing kept, and the median counts.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_clearclip.evaluate.cases import scene_case
from napari_clearclip.evaluate.evaluation import predictions
from napari_clearclip.evaluate.methods import Method, methods_of
from napari_clearclip.evaluate.metrics import confusion_matrix
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import make_scene
from napari_clearclip.settings import Model, Runtime

SIX = ("clearclip", "sclip", "naclip", "maskclip", "segearth", "vanilla")


TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 1}  # small: it runs once a word


def main(arguments: list[str]) -> None:
    """Print the figures."""
    count = int(arguments[0]) if arguments else 3
    with tempfile.TemporaryDirectory() as folder:
        _compare("", _base_model(Path(folder)), folder, count)
        _compare("_demo", Model(), folder, count)


def _base_model(folder: Path) -> Model:
    """A model with ViT-B/16 as its image tower and random weights."""
    import open_clip
    from safetensors.torch import save_model

    config = {**open_clip.get_model_config("ViT-B-16"), "text_cfg": TEXT}
    vision, text = open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**TEXT)
    save_model(open_clip.model.CLIP(config["embed_dim"], vision, text), str(folder / "base.safetensors"))
    (folder / "base.json").write_text(json.dumps(config))
    return Model(name="", pretrained=str(folder / "base.safetensors"))


def _compare(name: str, model: Model, folder: str, count: int) -> None:
    """Print the figures of a model."""
    methods = methods_of(SIX)
    pipeline = Pipeline(Runtime(cache_folder=folder))
    _seconds(pipeline, methods, model, 0)  # loads the model and the words
    seconds = [[_seconds(pipeline, asked, model, seed) for asked in (methods[:1], methods)] for seed in range(count)]
    times = np.array(seconds)
    for what, value in zip(("one_variant", "six_variants"), np.median(times, axis=0), strict=True):
        print(f"evaluate_{what}{name}: {value:.2f} s")
    print(f"six_variants{name}_ratio: {np.median(times[:, 1] / times[:, 0]):.2f} ratio", flush=True)


def _seconds(pipeline: Pipeline, methods: list[Method], model: Model, seed: int) -> float:
    """The time of a pass over one scene, of which nothing is known."""
    case = scene_case(make_scene("aerial", seed, size=384), model=model)
    pipeline.forget()
    start = time.perf_counter()
    for _, labels in predictions(pipeline, case, methods):
        confusion_matrix(case.truth, labels, case.classes, case.ignore)
    return time.perf_counter() - start
