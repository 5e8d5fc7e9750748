"""A random forest on filtered pixels that learns from strokes, as in ilastik, Labkit and scikit-image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.lessons import Lesson
from benchmarks.annotator.strokes import Mask


class Forest:
    """Learns the prompts of one image from strokes.

    Parameters
    ----------
    image : (H, W, C) array
        The image; intensity, edges and texture at scales from 1 to 16 pixels are the features, scikit-image's default.
    prompts : int
        Number of prompts.

    References
    ----------
    Breiman, Random Forests, 2001; Arganda-Carreras et al., Trainable Weka Segmentation, 2017.
    """

    def __init__(self, image: npt.NDArray[np.generic], prompts: int) -> None:
        from skimage.feature import multiscale_basic_features

        self._features = multiscale_basic_features(image, channel_axis=-1)
        self._prompts = prompts

    def learn(self, lessons: Sequence[Lesson]) -> list[Mask]:
        """Each prompt's mask (H, W) after some lessons.

        A pixel that several strokes cover counts as the last one says. A stroke that takes something away from a prompt
        says that its pixels have no name.
        """
        from sklearn.ensemble import RandomForestClassifier

        classes = np.full(self._features.shape[:2], -2)
        for prompt, stroke in lessons:
            classes[stroke.pixels] = prompt if stroke.on else -1
        known = classes > -2
        forest = RandomForestClassifier(n_estimators=50, max_depth=10, random_state=0)  # as in scikit-image's example
        forest.fit(self._features[known], classes[known])
        found = forest.predict(self._features.reshape(-1, self._features.shape[-1])).reshape(classes.shape)
        return [found == prompt for prompt in range(self._prompts)]
