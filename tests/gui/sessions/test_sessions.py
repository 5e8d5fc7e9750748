"""A session opened in another viewer is what was saved: prompts, what was painted, accepted layers, look and place."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication
from scipy import ndimage
from tifffile import imwrite

from napari_clearclip.edits import Region
from napari_clearclip.gui.images.sources import is_source, key_of
from napari_clearclip.gui.layers.styles import tag_of
from napari_clearclip.gui.opening import open_file
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.sessions.restoring import LEFT_OUT, OTHER_PIXELS
from napari_clearclip.io import sessions
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Index, Runtime, Splitting

from ..conftest import CountingPipeline, in_line

TURNED = np.array([[0.8, -0.6, 3.0], [0.6, 0.8, -2.0], [0.0, 0.0, 1.0]])
Open = Callable[[], Panel]


@pytest.fixture
def opened(qtbot: Any) -> Generator[Open]:
    """Panels on viewers of their own, whose engine only counts."""
    panels = []

    def open_panel() -> Panel:
        panel = Panel(ViewerModel(), executor=in_line, open_pipeline=lambda _: CountingPipeline())  # type: ignore[arg-type]
        qtbot.addWidget(panel)
        panels.append(panel)
        return panel

    yield open_panel
    for panel in panels:
        panel.close_down()


def viewer_of(panel: Panel) -> ViewerModel:
    return panel.sessions._viewer


def settle(panel: Panel) -> None:
    while not panel.results.idle:
        QApplication.processEvents()


def work(panel: Panel, image: Image) -> None:
    """Look for two things, paint, teach, accept one, and correct what was accepted."""
    viewer_of(panel).layers.append(image)
    for phrase in ("red star", "water"):
        panel.prompts.added.emit(phrase, "object")
    first, second = panel.controller.settings.objects
    panel.prompts.edited.emit(second.id, {"threshold": 0.61})
    panel.run()
    settle(panel)
    stroke, plane = np.zeros((16, 24), bool), panel.controller.source.view.plane  # type: ignore[union-attr]
    stroke[3:9, 2:11] = True
    edits = panel.controller.state.edits.paint(second.id, plane, stroke, True)
    edits = edits.teach(first.id, plane, Region.of(stroke.T[:16, :16]), positive=False)
    panel.controller.update(edits=edits.find_similar(first.id, plane, stroke))
    settle(panel)
    panel.results.accept(first.id)
    settle(panel)
    own = next(layer for layer in viewer_of(panel).layers if layer.name.endswith("accepted"))
    own.data[..., 0, :5] = 1
    own.opacity, own.visible = 0.3, False


def reopened(panel: Panel, file: Path, opened: Open) -> Panel:
    panel.sessions.write(file)
    assert panel.message.label.text() == f"The session was saved as {file.name}."
    other = opened()
    other.sessions.open(file)
    settle(other)
    return other


def shown(layer: Any) -> dict[str, Any]:
    """All of a layer that a session keeps."""
    _, state, kind = layer.as_layer_data_tuple()
    names = ("name", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels", "opacity", "visible")
    found = {name: state[name] for name in (*names, "blending")} | {"kind": kind, "data": np.asarray(layer.data)}
    if isinstance(layer, Image):
        found |= {"limits": tuple(layer.contrast_limits), "gamma": layer.gamma, "colormap": layer.colormap.name}
    else:
        found |= {"features": layer.features.to_dict("list"), "colors": layer.colormap.map(np.arange(4))}
        found |= {name: layer.metadata[name] for name in ("classes", "objects") if name in layer.metadata}
    return found


def assert_same(one: Panel, other: Panel) -> None:
    """Whether two viewers and what their panels want are the same, in every pixel."""
    layers = [
        [layer for layer in viewer_of(panel).layers if layer.visible or not tag_of(layer)[0]]
        for panel in (one, other)  # layers of hidden prompts are made when they are shown
    ]
    assert [layer.name for layer in layers[0]] == [layer.name for layer in layers[1]]
    for pair in zip(*layers, strict=True):
        was, is_ = (shown(layer) for layer in pair)
        assert was.keys() == is_.keys()
        for name in was:
            np.testing.assert_equal(is_[name], was[name], err_msg=f"{name} of {pair[0].name}")
    states = [panel.controller.state for panel in (one, other)]
    assert states[0] == states[1]


def placed(data: Any, **options: Any) -> Image:
    where = {"scale": (0.5, 0.25), "translate": (10, -3), "affine": TURNED, "units": ("um", "um")}
    return Image(data, name="photo", **where, **options)


def pixels(*shape: int) -> Any:
    return np.random.default_rng(1).integers(0, 4000, shape, dtype=np.uint16)


@pytest.mark.parametrize("found", [False, True], ids=["computed anew", "with results"])
def test_everything_is_as_it_was(tmp_path: Path, opened: Open, found: bool) -> None:
    panel = opened()
    work(panel, placed(pixels(16, 24), contrast_limits=(100, 900), gamma=0.7, colormap="magma", opacity=0.9))
    panel.session.results.setChecked(found)
    other = reopened(panel, tmp_path / "a.clearclip", opened)
    assert_same(panel, other)
    runs = other.controller._runner._pipeline
    assert (runs is None) == found  # what was kept is not computed again


def test_objects_of_a_band_expression_keep_their_ids(tmp_path: Path, qtbot: Any) -> None:
    """Where a pixel's score is highest, though a session keeps no more than the scores of cells."""
    runtime = Runtime(device="cpu", cache_folder=str(tmp_path / "cache"))
    panels = [Panel(ViewerModel(), in_line, lambda _: Pipeline(runtime)) for _ in range(2)]
    ids = []
    for at, panel in enumerate(panels):
        qtbot.addWidget(panel)
        if at:
            panel.sessions.open(tmp_path / "a.clearclip")
        else:
            spots = ndimage.gaussian_filter(np.random.default_rng(3).random((40, 50)), 1)
            viewer_of(panel).add_image((4000 * spots).astype(np.uint16), name="dapi")
            settings = panel.controller.settings
            parts = {"splitting": Splitting(method="components"), "comparing": Comparing(cell=16)}
            panel.controller.update(settings.replace(**parts))
            panel.prompting.add_index("spots", Index(expression="dapi", otsu=True))
            panel.run()
            settle(panel)
            panel.session.results.setChecked(True)
            panel.sessions.write(tmp_path / "a.clearclip")
        settle(panel)
        outcome = panel.results.outcome(panel.controller.source.spot)  # type: ignore[union-attr]
        assert outcome is not None
        ids.append(outcome.segmentation.instances)
        assert (panel.controller._runner._pipeline is None) == bool(at)  # it is not computed again
        panel.close_down()
    assert len(np.unique(ids[0])) > 12
    np.testing.assert_array_equal(ids[0], ids[1])


def test_a_stack_with_its_planes(tmp_path: Path, opened: Open) -> None:
    panel = opened()
    image = Image(pixels(3, 16, 24), name="stack", scale=(2, 1, 1))
    viewer_of(panel).dims.point = (2, 0, 0)
    work(panel, image)
    viewer_of(panel).dims.point = (2, 0, 0)
    settle(panel)
    other = reopened(panel, tmp_path / "a.clearclip", opened)
    assert viewer_of(other).dims.point == viewer_of(panel).dims.point
    assert_same(panel, other)


def test_colours_from_several_layers(tmp_path: Path, opened: Open) -> None:
    from napari_clearclip.gui.images.channels import Pick, picks_of

    panel = opened()
    red, green = (Image(pixels(16, 24) + at, name=name) for at, name in enumerate(("red", "green")))
    for layer in (red, green):
        viewer_of(panel).layers.append(layer)
    panel.images.choose(key_of(red))
    panel.images.set_picks((Pick(key_of(red)), Pick(key_of(green)), None))
    other = reopened(panel, tmp_path / "a.clearclip", opened)
    first, second = viewer_of(other).layers
    assert picks_of(first) == (Pick(key_of(first)), Pick(key_of(second)), None)
    assert other.images.current is first


def test_an_image_that_is_open_already_is_used(tmp_path: Path, opened: Open) -> None:
    panel, data = opened(), pixels(16, 24)
    work(panel, placed(data))
    file = tmp_path / "a.clearclip"
    panel.sessions.write(file)
    other = opened()
    viewer_of(other).add_image(data + 1, name="photo")
    mine = viewer_of(other).add_image(data.copy(), name="same pixels")
    other.sessions.open(file)
    assert [layer.name for layer in viewer_of(other).layers if is_source(layer)] == ["photo", "photo [1]"]
    assert other.images.current is mine


class Answers:
    """What somebody answers who is asked for an image, and what was asked."""

    def __init__(self, panel: Panel, path: Path | None = None, go_on: bool = True) -> None:
        self.asked: list[str] = []
        panel.sessions._find = lambda image: (self.asked.append(image.name), path)[1]  # type: ignore[method-assign]
        panel.sessions._confirm = lambda text: (self.asked.append(text), go_on)[1]  # type: ignore[method-assign]


@pytest.fixture
def readers(npe2pm: Any) -> Iterator[None]:
    """napari with its own readers alone."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_distribution("napari")):
        yield


@pytest.fixture
def on_disk(tmp_path: Path, opened: Open, readers: None) -> tuple[Panel, Path, Path]:
    """A session of an image with a file, beside it."""
    path, file, panel = tmp_path / "in" / "photo.tif", tmp_path / "in" / "a.clearclip", opened()
    path.parent.mkdir()
    imwrite(path, pixels(16, 24))
    (image,) = viewer_of(panel).open(str(path), plugin="napari")
    viewer_of(panel).layers.remove(image)
    work(panel, image)
    panel.sessions.write(file)
    return panel, path, file


def test_an_image_with_a_file_is_opened_from_it(on_disk: tuple[Panel, Path, Path], opened: Open) -> None:
    panel, _, file = on_disk
    (image,) = sessions.read(file).images
    assert image.pixels is None
    other = opened()
    other.sessions.open(file)
    settle(other)
    assert_same(panel, other)


def test_session_and_image_moved_together_are_found(on_disk: tuple[Panel, Path, Path], opened: Open) -> None:
    panel, path, file = on_disk
    moved = path.parent.rename(path.parent.with_name("elsewhere")) / file.name
    other = opened()
    other.sessions.open(moved)
    settle(other)
    assert_same(panel, other)


def test_a_moved_image_is_asked_for(on_disk: tuple[Panel, Path, Path], tmp_path: Path, opened: Open) -> None:
    panel, path, file = on_disk
    moved = path.rename(tmp_path / "other.tif")
    other = opened()
    answers = Answers(other, moved)
    other.sessions.open(file)
    settle(other)
    assert answers.asked == ["photo"]
    assert_same(panel, other)


def test_an_image_that_is_nowhere_is_left_out_and_told(on_disk: tuple[Panel, Path, Path], opened: Open) -> None:
    _, path, file = on_disk
    path.unlink()
    other = opened()
    Answers(other, None)
    other.sessions.open(file)
    assert not viewer_of(other).layers
    assert other.message.label.text() == LEFT_OUT.format(name="photo")


def test_another_size_is_refused(on_disk: tuple[Panel, Path, Path], tmp_path: Path, opened: Open) -> None:
    _, path, file = on_disk
    path.unlink()
    imwrite(tmp_path / "small.tif", pixels(8, 8))
    other = opened()
    Answers(other, tmp_path / "small.tif")
    other.sessions.open(file)
    assert not viewer_of(other).layers
    assert "is not the image “photo” of the session: that has 16 × 24 pixels" in other.message.label.text()


@pytest.mark.parametrize("go_on", [True, False])
def test_a_changed_image_is_told(on_disk: tuple[Panel, Path, Path], opened: Open, go_on: bool) -> None:
    panel, path, file = on_disk
    imwrite(path, pixels(16, 24) + 1)
    other = opened()
    answers = Answers(other, go_on=go_on)
    other.sessions.open(file)
    assert answers.asked == [OTHER_PIXELS.format(name="photo")]
    assert bool(viewer_of(other).layers) == go_on
    assert (other.controller.state.edits == panel.controller.state.edits) == go_on


def test_what_cannot_be_written_is_said_and_the_old_file_stays(on_disk: tuple[Panel, Path, Path]) -> None:
    panel, _, file = on_disk
    before = file.read_bytes()
    panel.sessions.write(file.parent / "missing" / "a.clearclip")
    assert panel.message.label.text().startswith("Not saved: ")
    assert "cannot be written" in panel.message.label.text()
    assert file.read_bytes() == before


def test_a_file_that_is_no_session_is_said(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "a.clearclip").write_bytes(b"no zip")
    panel = opened()
    panel.sessions.open(tmp_path / "a.clearclip")
    assert panel.message.label.text().startswith("Not opened: the session ")


def test_labels_with_colours_by_a_seed(tmp_path: Path, opened: Open) -> None:
    panel = opened()
    viewer_of(panel).add_image(pixels(16, 24), name="photo")
    ids = np.arange(16 * 24, dtype=np.int64).reshape(16, 24) * 2**33
    viewer_of(panel).add_labels(ids, name="mine", metadata={"note": ["a", 1], "objects": [{2**33: "cell"}]})
    other = reopened(panel, tmp_path / "a.clearclip", opened)
    (labels,) = (layer for layer in viewer_of(other).layers if isinstance(layer, Labels))
    assert labels.metadata == {"note": ["a", 1], "objects": [{2**33: "cell"}]}
    assert_same(panel, other)


def test_without_a_window_the_file_gives_the_layers_that_are_in_it(tmp_path: Path, opened: Open) -> None:
    panel = opened()
    work(panel, placed(pixels(16, 24), contrast_limits=(100, 900)))
    panel.sessions.write(tmp_path / "a.clearclip")
    read = open_file(str(tmp_path / "a.clearclip"))
    assert read is not None
    layers = [Layer.create(*data) for data in read(str(tmp_path / "a.clearclip"))]
    kept = [layer for layer in viewer_of(panel).layers if not tag_of(layer)[0]]
    assert [layer.name for layer in layers] == [layer.name for layer in kept]
    for layer, was in zip(layers, kept, strict=True):
        np.testing.assert_equal(shown(layer), shown(was))
