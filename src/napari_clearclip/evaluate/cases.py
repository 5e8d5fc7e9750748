"""Images with known truth, ready to be run and compared."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_clearclip import domains
from napari_clearclip.edits import Edits, View
from napari_clearclip.encoding import Cosines
from napari_clearclip.evaluate.metrics import Labels
from napari_clearclip.job import Job, Picture
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.progress import Progress
from napari_clearclip.result import Segmentation
from napari_clearclip.scenes import DISTRACTORS, Scene, vocabulary
from napari_clearclip.settings import Model, Prompt, Settings
from napari_clearclip.steps import drain

See = Callable[[Job, dict[str, npt.NDArray[np.float32]]], Generator[Progress, None, Cosines]]


@dataclass(frozen=True)
class Case:
    """An image with known truth, and what is asked of it.

    Attributes
    ----------
    image : (H, W, 3) array
    settings : Settings
        The prompts, without thresholds, so that the best candidate has the pixel.
    truth : (H, W) integer array
        Classes from 0, which has no name, to ``classes - 1``; or `ignore`.
    found : (1 + P,) integer array
        The class of each label: of nothing, and of each object prompt.
    classes : int
        Number of classes.
    ignore : int or None
        The truth of pixels that are not compared.
    view : View
        How the image is looked at.
    """

    image: npt.NDArray[np.generic]
    settings: Settings
    truth: Labels
    found: Labels
    classes: int
    ignore: int | None = None
    view: View = View(channel_axis=-1)

    def segmented(self, pipeline: Pipeline, settings: Settings, see: See | None = None) -> Segmentation:
        """What is made of the image with some settings, by what `see` finds if that is given."""
        if see is None:
            return pipeline.run(self.image, settings, self.view)
        return drain(self._seen_steps(pipeline, settings, see))

    def _seen_steps(self, pipeline: Pipeline, settings: Settings, see: See) -> Generator[Progress, None, Segmentation]:
        """The same in steps, from the cosines on the cells that `see` makes of the job and its phrases' vectors."""
        stages = pipeline.stages
        job = yield from stages.prepare(Picture(self.image, self.view), settings, self.view, Edits())
        cosines = yield from see(job, (yield from stages.vectors(job)))
        return (yield from stages.segmentation(job, cosines))

    def predicted(self, pipeline: Pipeline, settings: Settings) -> Labels:
        """The class (H, W) that each pixel is given with some settings."""
        return self.classified(self.segmented(pipeline, settings))

    def classified(self, segmentation: Segmentation) -> Labels:
        """The class (H, W) that each pixel was given."""
        classes: Labels = self.found[segmentation.labels]
        return classes

    def confidence(self, segmentation: Segmentation, wanted: int | None) -> npt.NDArray[np.float32]:
        """The score (H, W) of a class, or of whichever has the highest where that is None; from 0 to 1."""
        everywhere = slice(0, self.truth.shape[0]), slice(0, self.truth.shape[1])
        best = np.zeros(self.truth.shape, np.float32)
        for prompt, owner in zip(segmentation.settings.objects, self.found[1:], strict=True):
            if wanted in (None, owner):
                best = np.maximum(best, segmentation.scores.at(prompt.id, *everywhere))
        return best


def scene_case(scene: Scene, candidates: Literal["scene", "kind"] = "scene", model: Model | None = None) -> Case:
    """A procedural scene; class i + 1 is ``vocabulary(kind)[i]``.

    Parameters
    ----------
    scene : Scene
        With truth.
    candidates : {"scene", "kind"}
        What competes beside the kind's distractors: the names that the scene shows, or all names of its kind.
    model : Model, optional
        The model; the bundled one if left out.
    """
    known = vocabulary(scene.kind)
    names = scene.names if candidates == "scene" else known
    truth = np.array([0, *(known.index(name) + 1 for name in scene.names)])[scene.truth]
    found = np.array([0, *(known.index(name) + 1 for name in names)])
    prompts = tuple(Prompt(id=f"object-{i}", phrase=name, threshold=0) for i, name in enumerate(names))
    prompts += domains.as_prompts(DISTRACTORS[scene.kind])
    return Case(scene.image, Settings(model=model or Model(), prompts=prompts), truth, found, len(known) + 1)
