"""What an annotator is given: an image, names, and the truth to compare with; and the masks that names make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.lessons import Lesson
from benchmarks.annotator.strokes import EVERY_NEIGHBOUR, Brush, Mask, brush_for
from napari_clearclip import domains
from napari_clearclip.edits import Edits, View
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.scenes import DISTRACTORS, make_scene
from napari_clearclip.settings import Model, Prompt, Settings

THRESHOLD: float = Prompt.model_fields["threshold"].default
POSITIONS = np.linspace(0, 1, 41)  # of the slider, which the eye tells apart


@dataclass(frozen=True)
class Task:
    """An image (H, W) or (H, W, C), the names of what is in it, and each one's objects: (H, W), 0 = none."""

    image: npt.NDArray[np.generic]
    names: tuple[str, ...]
    objects: tuple[npt.NDArray[np.integer], ...]
    distractors: tuple[str, ...]

    @cached_property
    def truths(self) -> list[Mask]:
        """Each name's true mask (H, W)."""
        return [objects > 0 for objects in self.objects]

    @cached_property
    def brushes(self) -> list[Brush]:
        """What each name is drawn with."""
        return [brush_for(objects) for objects in self.objects]

    @cached_property
    def channels(self) -> npt.NDArray[np.generic]:
        """The image as (H, W, C)."""
        return self.image if self.image.ndim == 3 else self.image[..., None]


def scene_task(kind: str, seed: int) -> Task:
    """A procedural scene; its objects are the connected parts of a name's mask."""
    from scipy import ndimage

    scene = make_scene(kind, seed)
    masks = [scene.truth == index + 1 for index in range(len(scene.names))]
    objects = tuple(ndimage.label(mask, EVERY_NEIGHBOUR)[0] for mask in masks)
    return Task(scene.image, scene.names, objects, DISTRACTORS[scene.kind])


def nuclei_task(folder: Path) -> Task:
    """A fluorescence image of nuclei (H, W) with its instances."""
    import tifffile

    image, objects = (tifffile.imread(folder / "microscopy" / f"nuclei_2d{name}.tif") for name in ("", "_labels"))
    return Task(image, ("nuclei",), (objects,), domains.distractors_for(Model()))


class Words:
    """Masks from the names of a task.

    Parameters
    ----------
    pipeline : Pipeline
        Makes them.
    task : Task
        Image and names.
    settings : Settings
        Everything but the prompts.
    """

    def __init__(self, pipeline: Pipeline, task: Task, settings: Settings) -> None:
        self._pipeline, self._task, self._settings = pipeline, task, settings

    def masks(self, threshold: float = THRESHOLD, lessons: Sequence[Lesson] = ()) -> list[Mask]:
        """Each name's mask (H, W) at one threshold after some lessons."""
        prompts = tuple(Prompt(id=name, phrase=name, threshold=threshold) for name in self._task.names)
        settings = self._settings.replace(prompts=prompts + domains.as_prompts(self._task.distractors))
        edits = Edits()
        for prompt, stroke in lessons:
            edits = edits.teach(self._task.names[prompt], (), stroke.pixels, stroke.on)
        view = View(channel_axis=-1 if self._task.image.ndim == 3 else None)
        found = self._pipeline.run(self._task.image, settings, view, edits)
        return [found.mask(name) for name in self._task.names]

    def learn(self, lessons: Sequence[Lesson]) -> list[Mask]:
        """Each name's mask (H, W) after some lessons, at the default threshold."""
        return self.masks(lessons=lessons)

    def slide(self, lessons: Sequence[Lesson] = ()) -> list[list[Mask]]:
        """Each name's mask (H, W) at each position of the slider."""
        return [self.masks(float(threshold), lessons) for threshold in POSITIONS]
