"""Which class a patch is taught as, by hand."""

from __future__ import annotations

import numpy as np

from napari_clearclip.engine.windows import Frame
from napari_clearclip.evaluate.cases import Case
from napari_clearclip.evaluate.projecting import class_of, patch_classes
from napari_clearclip.settings import Prompt, Settings

OBJECTS = (Prompt(id="a", phrase="cat"), Prompt(id="b", phrase="dog"))
REST = Prompt(id="c", phrase="sky", kind="distractor")


def test_a_patch_has_the_class_of_most_of_it() -> None:
    truth = np.zeros((16, 20), int)
    truth[:, 8:] = 1
    truth[8:, 8:14] = 2  # of the patch below, 6 of 8 columns
    truth[8:, :8] = 255
    case = Case(np.zeros((16, 20, 3), np.uint8), Settings(prompts=OBJECTS), truth, np.array([3, 1, 2]), 4, 255)
    frame = Frame((16, 20), (16, 20), 32, 32, 8, 8)  # padded to 16 x 24, two columns on each side
    assert frame.padding == (0, 2)
    # patches begin at columns -2, 6 and 14: 0 is not asked for, nor is what lies outside
    np.testing.assert_array_equal(patch_classes(case, frame, 0), [-1, 1, 1, -1, 2, 1])
    with_rest = Case(case.image, Settings(prompts=(*OBJECTS, REST)), truth, np.array([0, 1, 2]), 3, 255)
    np.testing.assert_array_equal(patch_classes(with_rest, frame, 0), [0, 1, 1, -1, 2, 1])


def test_a_phrase_speaks_for_the_class_of_its_prompt() -> None:
    case = Case(np.zeros((1, 1, 3)), Settings(prompts=(*OBJECTS, REST)), np.zeros((1, 1), int), np.array([0, 4, 7]), 8)
    assert [class_of(case, owner) for owner in range(3)] == [4, 7, 0]
