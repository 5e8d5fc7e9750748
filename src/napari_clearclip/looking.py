"""An image as a run reads it, for those who look inside the model: its windows, their tokens and features."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clearclip.edits import Edits, View
from napari_clearclip.job import Job, Picture
from napari_clearclip.progress import Progress

if TYPE_CHECKING:
    import torch

    from napari_clearclip.engine.encoder import Features, Trunk
    from napari_clearclip.pipeline import Pipeline
    from napari_clearclip.settings import Attention, Settings
    from napari_clearclip.stages import Stages


@dataclass(frozen=True, eq=False)
class Looking:
    """An image, its model and its windows; what was read for a run is not read again.

    Attributes
    ----------
    job : Job
        Image, model, coordinates and settings with everything filled in.
    """

    job: Job
    _stages: Stages

    def by(self, row: Attention) -> Looking:
        """The same image read by another variant."""
        return replace(self, job=replace(self.job, settings=self.job.settings.replace(attention=row)))

    def trunk(self, number: int) -> Generator[Progress, None, Trunk]:
        """The tokens of a window that enter the blocks that the variant computes anew."""
        return self._stages.encoding.trunk(self.job, number)

    def pixels(self, number: int) -> torch.Tensor:
        """A window as the model reads it, before it is normalised: (1, h, w, 3) float32 in [0, 1]."""
        from napari_clearclip.engine.windows import cut

        job = self.job
        return cut(job.image, job.view, job.frame, [job.frame.box(number)], job.settings.tiling.antialias)

    def features(self, number: int) -> Generator[Progress, None, Features]:
        """The features of a window."""
        found: list[Features] = []
        yield from self._stages.encoding.visit(self.job, [number], lambda _, item: found.append(item))
        return found[0]

    def words(self, phrases: list[str]) -> Generator[Progress, None, dict[str, npt.NDArray[np.float32]]]:
        """The unit vector (D,) of each phrase, in one sentence where a run would take ImageNet's 80."""
        comparing = self.job.settings.comparing
        short = comparing.replace(templates="single") if comparing.templates == "imagenet" else comparing
        job = replace(self.job, settings=self.job.settings.replace(comparing=short))
        return self._stages.words(job, phrases)


def looking_steps(
    pipeline: Pipeline, image: Any, settings: Settings, view: View | None = None, known: str = ""
) -> Generator[Progress, None, Looking]:
    """What inspection looks at: the image as a run with these settings reads it; prompts are not needed.

    The arguments are those of `Pipeline.steps`.
    """
    view, stages = view or View(), pipeline.stages
    job = yield from stages.look(Picture(image, view, known), settings, view, Edits(), None, with_model=True)
    return Looking(job, stages)
