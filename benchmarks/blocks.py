"""Whether results depend on how an image is cut: ``python -m benchmarks blocks [HEIGHT WIDTH]`` (3000 5000).

The same drawn scene is read from an array in memory, with all windows kept, and from zarr arrays of other chunks and a
dask array, row of windows by row of windows. Compared with the array in memory:

- ``labels_differ``: pixels with another label; ``sure_labels_differ``: of these, pixels whose winner leads by more than
  1e-5 and whose score is not within 1e-5 of its threshold;
- ``objects_differ``: objects, of those whose pixels are the same, with another id;
- ``cuts_differ``: pixels of labels or ids in which the cuts differ among each other.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import WORDS, draw
from napari_clearclip.edits import View
from napari_clearclip.io.images import read_image
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Model, Prompt, Runtime, Settings, Splitting, Tiling

SURE = 1e-5


def settings_of(shift: float = 0.0, lead: float = 0.0) -> Settings:
    """Five prompts, objects split at necks; thresholds moved by a shift."""
    prompts = tuple(Prompt(phrase=word) for word in WORDS[:5])
    prompts = tuple(prompt.replace(threshold=prompt.threshold + shift) for prompt in prompts)
    settings = Settings(
        model=Model(),
        prompts=prompts,
        tiling=Tiling(short_side="native", window=64, stride=32),
        splitting=Splitting(method="shape"),
    )
    return settings.replace(deciding=settings.deciding.replace(lead=lead))


def cuts(folder: Path, image: Any) -> dict[str, Any]:
    """The image in other pieces."""
    import dask.array as da
    import zarr

    found: dict[str, Any] = {}
    for chunks in ((512, 512, 3), (333, 1777, 1), (len(image), 64, 3)):
        path = folder / f"{'x'.join(map(str, chunks))}.zarr"
        zarr.open_array(path, mode="w", shape=image.shape, chunks=chunks, dtype="u1")[...] = image
        found[path.name] = read_image(path).data
    found["dask"] = da.from_array(image, chunks=(700, 900, 3))
    return found


def main(arguments: list[str]) -> int:
    """Measure and print."""
    height, width = (int(text) for text in arguments or ("3000", "5000"))
    view = View(channel_axis=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "scene.zarr", max(height, width))
        image = np.asarray(read_image(folder / "scene.zarr").data)[:height, :width]
        much = Runtime(device="cpu", cache_bytes=2**34, cache_folder=str(folder / "cache"))
        pipeline = Pipeline(much)
        whole = pipeline.run(image, settings_of(), view)
        sure = np.ones(image.shape[:2], bool)
        for doubt in (settings_of(SURE), settings_of(-SURE), settings_of(lead=SURE)):
            sure &= pipeline.run(image, doubt, view).labels == whole.labels
        ids = whole.instances
        pipeline.release()
        first = None
        for cut, data in cuts(folder, image).items():
            runtime = much.replace(cache_bytes=2**20, cache_folder=str(folder / cut))
            found = Pipeline(runtime).run(data, settings_of(), view)
            other = found.labels != whole.labels
            print(f"labels_differ {cut}: {other.sum()} pixels")
            print(f"sure_labels_differ {cut}: {(other & sure).sum()} pixels")
            print(f"objects_differ {cut}: {differing(ids, found.instances)} objects of {len(np.unique(ids)) - 1}")
            first = first or found
            apart = (found.labels != first.labels) | (found.instances != first.instances)
            print(f"cuts_differ {cut}: {apart.sum()} pixels", flush=True)
    return 0


def differing(ids: Any, others: Any) -> int:
    """How many objects of the same pixels have another id."""
    pairs, counts = np.unique(np.stack([ids[ids > 0], others[ids > 0]]), axis=1, return_counts=True)
    sizes, others_sizes = (dict(zip(*np.unique(part, return_counts=True), strict=True)) for part in (ids, others))
    same = [
        one != other
        for (one, other), count in zip(pairs.T.tolist(), counts.tolist(), strict=True)
        if other and count == sizes[one] == others_sizes[other]
    ]
    return sum(same)
