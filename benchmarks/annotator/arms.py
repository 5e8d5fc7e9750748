"""Ways to begin a mask, and how many actions each leaves to do: thresholds, and strokes from which something learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.annotator.strokes import GOAL, Brush, Mask, Stroke, iou, next_stroke, strokes_until

# What all strokes so far, each with the position of its prompt, make of the image: one mask a prompt.
Learn = Callable[[Sequence[tuple[int, Stroke]]], list[Mask]]


def best_mask(masks: Sequence[Mask], truth: Mask) -> Mask:
    """The mask that the eye finds best of those that a slider goes through; of equals, the first."""
    return max(masks, key=lambda mask: iou(mask, truth))


def otsu_masks(image: npt.NDArray[np.generic]) -> list[Mask]:
    """What is above and what is below Otsu's threshold of each channel of an image (H, W, C).

    References
    ----------
    Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    from skimage.filters import threshold_otsu

    above = [channel > threshold_otsu(channel) for channel in np.moveaxis(image, -1, 0)]
    return [*above, *(~mask for mask in above)]


def actions_left(masks: Sequence[Mask], truths: Sequence[Mask], brushes: Sequence[Brush]) -> list[int]:
    """For each prompt, the strokes of the brush that take its mask to the goal.

    Raises
    ------
    RuntimeError
        If a mask cannot be brought there, which would make counts of strokes meaningless.
    """
    counts = []
    for mask, truth, brush in zip(masks, truths, brushes, strict=True):
        count, reached = strokes_until(mask, truth, brush)
        if not reached:
            raise RuntimeError(f"no stroke of a brush of {brush.diameter:.1f} pixels makes the mask better")
        counts.append(count)
    return counts


def taught(
    masks: list[Mask],
    truths: Sequence[Mask],
    brushes: Sequence[Brush],
    learn: Learn,
    strokes: Sequence[tuple[int, Stroke]] = (),
    most: int = 5,
) -> tuple[list[int], list[Mask]]:
    """Strokes from which something learns, one prompt after the other, as long as learning does more than painting.

    Parameters
    ----------
    masks, truths : sequences of (H, W) bool array
        What is there and what should be there, by prompt.
    brushes : sequence of Brush
        What is drawn with, by prompt.
    learn : callable
        Masks from all strokes so far.
    strokes : sequence of (int, Stroke)
        What was drawn before; not counted here.
    most : int
        Strokes that are tried for a prompt.

    Returns
    -------
    actions : list of int
        By prompt. A stroke is one action; one after which the masks' mean IoU is not higher than if it had only been
        painted is taken back, which is another, and the prompt is taught no more.
    masks : list of (H, W) bool array
        What the strokes that were kept have led to.
    """
    kept, actions = list(strokes), [0] * len(masks)
    for prompt, (truth, brush) in enumerate(zip(truths, brushes, strict=True)):
        while actions[prompt] < most and iou(masks[prompt], truth) < GOAL:
            stroke = next_stroke(masks[prompt], truth, brush)
            if stroke is None:
                break
            actions[prompt] += 1
            lesson = _lesson(prompt, stroke, truths)
            found = learn([*kept, lesson])
            painted = [lesson[1].painted(mask) if at == lesson[0] else mask for at, mask in enumerate(masks)]
            painted[prompt] = stroke.painted(masks[prompt])
            if _mean_iou(found, truths) <= _mean_iou(painted, truths):
                actions[prompt] += 1
                break
            kept.append(lesson)
            masks = found
    return actions, masks


def first_strokes(truths: Sequence[Mask], brushes: Sequence[Brush]) -> list[tuple[int, Stroke]]:
    """A stroke on each prompt's largest object and one on what has no name, where there is any; -1 is its position."""
    strokes = [
        (prompt, next_stroke(np.zeros_like(truth), truth, brush))
        for prompt, (truth, brush) in enumerate(zip(truths, brushes, strict=True))
    ]
    rest = ~np.any(truths, axis=0)
    strokes.append((-1, next_stroke(np.zeros_like(rest), rest, max(brushes, key=lambda brush: brush.reach))))
    return [(prompt, stroke) for prompt, stroke in strokes if stroke is not None]


def _lesson(prompt: int, stroke: Stroke, truths: Sequence[Mask]) -> tuple[int, Stroke]:
    """What is drawn: a stroke on what belongs to another prompt is drawn with that one, on its pixels only."""
    shares = [np.count_nonzero(stroke.pixels & truth) for truth in truths]
    owner = int(np.argmax(shares))
    if stroke.on or 2 * shares[owner] <= np.count_nonzero(stroke.pixels):
        return prompt, stroke
    return owner, Stroke(stroke.pixels & truths[owner], True)


def _mean_iou(masks: Sequence[Mask], truths: Sequence[Mask]) -> float:
    return float(np.mean([iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)]))
