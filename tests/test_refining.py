"""Refined maps: what each change refines again, and that neither memory nor parts change the masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_clearclip.edits import Edits, View
from napari_clearclip.engine import refinement
from napari_clearclip.engine.pamr import pamr
from napari_clearclip.engine.refinement import Parts
from napari_clearclip.engine.variants import variant
from napari_clearclip.job import Picture
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Preview, Progress
from napari_clearclip.settings import Comparing, Deciding, Model, Prompt, Refining, Runtime, Settings

RGB = View(channel_axis=-1)
IMAGE = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
CAT = Prompt(id="cat", phrase="cat", threshold=0.3)
DOG = Prompt(id="dog", phrase="dog", synonyms=("hound",), threshold=0.3)
HORSE = Prompt(id="horse", phrase="horse", threshold=0.3)
SKY = Prompt(id="sky", phrase="sky", kind="distractor")
PHRASES = 4  # cat, dog, hound, sky


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(device="cpu", cache_folder=str(tmp_path / "cache"))


@pytest.fixture
def settings(tiny: Path) -> Settings:
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=(CAT, DOG, SKY),
        comparing=Comparing(templates="single"),
        refining=Refining(pamr=2),
        deciding=Deciding(scale=20),
    )


@pytest.fixture
def refined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many maps each call refined."""
    counts: list[int] = []
    stage = refinement.refine_steps

    def counting(maps: torch.Tensor, *args: Any) -> Any:
        counts.append(len(maps))
        return stage(maps, *args)

    monkeypatch.setattr(refinement, "refine_steps", counting)
    return counts


def threshold(settings: Settings, value: float) -> Settings:
    return settings.replace(prompts=(CAT.replace(threshold=value), DOG, SKY))


def refining(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(refining=settings.refining.replace(**changes))


def deciding(settings: Settings, **changes: Any) -> Settings:
    return settings.replace(deciding=settings.deciding.replace(**changes))


TABLE: dict[str, tuple[Callable[[Settings], Settings], int]] = {
    "moves a threshold": (lambda s: threshold(s, 0.7), 0),
    "asks for a lead": (lambda s: deciding(s, lead=0.2), 0),
    "asks for an area": (lambda s: deciding(s, area=0.2), 0),
    "changes the scale": (lambda s: deciding(s, scale=50), 0),
    "lets masks overlap": (lambda s: deciding(s, exclusive=False), 0),
    "removes a prompt": (lambda s: s.replace(prompts=(CAT, SKY)), 0),
    "adds a prompt": (lambda s: s.replace(prompts=(*s.prompts, HORSE)), 1),
    "takes more steps": (lambda s: refining(s, pamr=3), PHRASES),
    "changes the distances": (lambda s: refining(s, dilations=(1, 2)), PHRASES),
    "turns PAMR off": (lambda s: refining(s, pamr=0), 0),
    "adds the guided filter": (lambda s: refining(s, guided=2), PHRASES),
    "filters instead": (lambda s: refining(s, pamr=0, guided=2), PHRASES),
    "changes the contrast of a filter that is off": (lambda s: refining(s, contrast=0.1), 0),
    "switches to SCLIP": (lambda s: s.replace(attention=variant("sclip")), PHRASES),
}


@pytest.mark.parametrize("change", TABLE)
def test_what_a_change_refines_again(change: str, settings: Settings, runtime: Runtime, refined: list[int]) -> None:
    pipeline = Pipeline(runtime)
    pipeline.run(IMAGE, settings, RGB)
    assert sum(refined) == PHRASES
    refined.clear()
    make, maps = TABLE[change]
    changed = pipeline.run(IMAGE, make(settings), RGB)
    assert sum(refined) == maps
    alone = Pipeline(runtime.replace(cache_folder=f"{runtime.cache_folder}-other")).run(IMAGE, make(settings), RGB)
    assert np.array_equal(changed.labels, alone.labels)


def test_a_threshold_of_overlapping_masks_refines_nothing_again(
    settings: Settings, runtime: Runtime, refined: list[int]
) -> None:
    settings, pipeline = deciding(settings, exclusive=False), Pipeline(runtime)
    before = pipeline.run(IMAGE, settings, RGB)
    refined.clear()
    after = pipeline.run(IMAGE, threshold(settings, 0.5), RGB)
    assert not refined
    assert (before.mask("cat") != after.mask("cat")).any()


@pytest.mark.parametrize("exclusive", [True, False])
def test_maps_that_are_not_kept_give_the_same_masks(exclusive: bool, settings: Settings, runtime: Runtime) -> None:
    settings = deciding(settings, exclusive=exclusive, area=0.01)
    kept = Pipeline(runtime).run(IMAGE, settings, RGB)
    plain = Pipeline(runtime).run(IMAGE, refining(settings, pamr=0), RGB)
    again = Pipeline(runtime.replace(cache_bytes=2 * PHRASES * IMAGE[..., 0].size)).run(IMAGE, settings, RGB)
    for id_ in ("cat", "dog"):
        assert np.array_equal(again.mask(id_), kept.mask(id_))
    assert any((plain.mask(id_) != kept.mask(id_)).any() for id_ in ("cat", "dog"))


@pytest.mark.parametrize("cache_bytes", [0, 2**30], ids=["not kept", "kept"])
@pytest.mark.parametrize(
    ("changes", "halo"),
    [({"dilations": (1, 3)}, 6), ({"pamr": 0, "guided": 2}, 8), ({"pamr": 1, "dilations": (2,), "guided": 1}, 6)],
    ids=["PAMR", "guided", "both"],
)
def test_parts_give_the_masks_of_the_whole(
    cache_bytes: int,
    changes: dict[str, Any],
    halo: int,
    settings: Settings,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = refining(settings, **changes)
    image = IMAGE.astype(np.float32)
    image[10:16, 20:35] = np.nan
    whole = Pipeline(runtime).run(image, settings, RGB)
    assert refinement.parts_of(IMAGE.shape[:2], PHRASES, settings.refining).halo == halo
    monkeypatch.setattr(refinement, "parts_of", lambda shape, *_: Parts(shape, (13, 17), halo, together=3))
    parts = Pipeline(runtime.replace(cache_bytes=cache_bytes)).run(image, settings, RGB)
    assert (parts.labels == whole.labels).mean() > 0.999  # a sum may differ in its last bit


def test_masks_are_those_of_refined_maps(settings: Settings, runtime: Runtime) -> None:
    """With everything by hand: upsampled, refined as a whole, and the best phrase of each prompt."""
    settings = settings.replace(prompts=(CAT.replace(threshold=0), DOG.replace(threshold=0), SKY))
    pipeline = Pipeline(runtime)
    job = _finish(pipeline.stages.prepare(Picture(IMAGE, RGB), settings, RGB, Edits()))
    cosines = _finish(pipeline.stages.cosines(job, _finish(pipeline.stages.vectors(job))))
    maps = torch.stack([cosines[phrase] for phrase in ("cat", "dog", "hound", "sky")])
    maps = torch.nn.functional.interpolate(maps[None], size=(40, 60), mode="bilinear", align_corners=False)[0]
    guide = (torch.from_numpy(IMAGE).permute(2, 0, 1) / 255 - torch.tensor(job.clip.mean)[:, None, None]) / (
        torch.tensor(job.clip.std)[:, None, None]
    )
    best = pamr(maps, guide, 2, (8, 16))
    winner = torch.stack([best[0], best[1:3].amax(0), best[3]]).argmax(0).numpy()
    labels = pipeline.run(IMAGE, settings, RGB).labels
    assert (labels == np.array([1, 2, 0])[winner]).mean() > 0.998


def test_pixels_without_data_change_nothing_elsewhere(settings: Settings, runtime: Runtime) -> None:
    settings = settings.replace(prompts=(CAT.replace(threshold=0), DOG.replace(threshold=0)))
    image = IMAGE.astype(np.float32)
    image[:20] = np.nan
    result = Pipeline(runtime).run(image, settings, RGB)
    assert result.valid is not None
    assert np.array_equal(result.labels > 0, result.valid)


def test_progress_counts_maps(settings: Settings, runtime: Runtime) -> None:
    states = [state for state in Pipeline(runtime).steps(IMAGE, settings, RGB) if state.stage == "Refining edges"]
    assert states[0] == Progress("Refining edges", 0, PHRASES)
    assert [state.done for state in states] == sorted(state.done for state in states)


def test_previews_are_not_refined(settings: Settings, runtime: Runtime, refined: list[int]) -> None:
    steps = Pipeline(runtime.replace(batch_size=3)).steps(IMAGE, settings, RGB, preview=True)
    previews = 0
    for state in steps:
        if isinstance(state, Preview):
            previews += 1
            assert not refined
            assert state.segmentation.settings.refining == settings.refining
    assert previews > 0
    assert sum(refined) == PHRASES


def _finish(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
