"""What band expressions can name of napari layers, and a panel that measures without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.channels import Pick
from napari_clearclip.gui.images.sources import key_of, source_of
from napari_clearclip.gui.panel import Panel
from napari_clearclip.gui.prompts.ranges import written
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Index, Runtime

from .conftest import in_line

RNG = np.random.default_rng(4)
PHOTO = RNG.integers(0, 255, (20, 30, 3), np.uint8)
GREY = RNG.integers(0, 4000, (20, 30)).astype(np.uint16)
CUBE = RNG.integers(0, 4000, (5, 4, 20, 30)).astype(np.uint16)  # five planes of four channels


def bands(layer: Image, others: Any = ()) -> Any:
    found = source_of(layer, (0,) * layer.ndim, (layer, *others)).bands
    assert found is not None
    return found


def test_colours_have_their_names() -> None:
    found = bands(Image(PHOTO, rgb=True))
    assert found.names == ("red", "green", "blue")
    np.testing.assert_array_equal(found.at(())[2, slice(None), slice(None)], PHOTO[..., 2])
    assert bands(Image(np.dstack([PHOTO, PHOTO[..., :1]]), rgb=True)).names == ("red", "green", "blue", "alpha")


def test_a_grey_layer_has_its_name_and_others_that_lie_on_it_follow_from_bottom_to_top() -> None:
    photo, nir = Image(PHOTO, rgb=True, name="photo"), Image(GREY, name="near infrared")
    elsewhere = Image(GREY, name="elsewhere", translate=(5, 0))
    smaller = Image(GREY[:10], name="smaller")
    top = Image(GREY[::-1], name="top")
    found = bands(nir, (top, smaller, elsewhere, photo))
    assert found.names == ("near infrared", "red", "green", "blue", "top")
    np.testing.assert_array_equal(found.at(())[4, slice(None), slice(None)], GREY[::-1])
    assert bands(photo, (top, nir)).names == ("red", "green", "blue", "near infrared", "top")


def test_all_channels_of_an_axis_whichever_are_looked_at() -> None:
    layer = Image(CUBE, metadata={"channel_names": ["DAPI", "GFP", "RFP", "Cy5"]}, rgb=False)
    channels.set_axis(layer, 1)
    channels.set_picks(layer, (Pick(key_of(layer), 3), Pick(key_of(layer), 1), None))
    found = bands(layer)
    assert found.names == ("DAPI", "GFP", "RFP", "Cy5")
    np.testing.assert_array_equal(found.at((3, 0))[2, slice(None), slice(None)], CUBE[3, 2])
    plain = Image(CUBE, rgb=False, metadata={"bands": ["too", "few"]})
    channels.set_axis(plain, 1)
    assert bands(plain).names == ("", "", "", "")


def test_a_panel_measures_without_a_model(qtbot: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from napari_clearclip.engine import model

    monkeypatch.setattr(model, "load", lambda *_: 1 / 0)
    viewer = ViewerModel()
    nir = viewer.add_image(GREY, name="NIR")
    photo = viewer.add_image(PHOTO, rgb=True, name="photo")
    runtime = Runtime(device="cpu", cache_folder=str(tmp_path))
    panel = Panel(viewer, in_line, lambda _: Pipeline(runtime))
    qtbot.addWidget(panel)
    try:
        assert panel.prompts.bands == ("red", "green", "blue", "NIR")
        panel.prompting.add_index("NDVI", Index(expression="(nir - red) / (nir + red)"))
        panel.prompting.add_index("bright", Index(expression="nir", otsu=True))
        assert "no model is read" in panel.segment.cost.text()
        panel.run()
        while not panel.results.idle:
            QApplication.processEvents()
        assert panel.message.label.text() == ""
        outcome = panel.results.outcome((key_of(photo), ()))
        assert outcome is not None
        ndvi, bright = panel.controller.settings.objects
        assert outcome.scores[ndvi.id].sum() == GREY.size  # pixels, not cells
        shown = panel.prompts.shown.objects[1]
        assert shown.threshold == outcome.segmentation.settings.objects[1].threshold != bright.threshold
        red = PHOTO[..., 0].astype(np.float32)
        value = (GREY - red) / (GREY + red)
        own = outcome.segmentation.mask(ndvi.id) | outcome.segmentation.mask(bright.id)
        low, high = np.percentile(GREY.astype(float), (0.1, 99.9))
        above = np.clip((GREY - low) / (high - low), 0, 1) >= shown.threshold
        assert np.array_equal(own, ((value + 1) / 2 >= 0.6) | above)
        measured = tuple(np.percentile(value[np.isfinite(value)].astype(float), (0.1, 99.9)))
        assert outcome.segmentation.scores.ranges == {ndvi.id: measured, bright.id: (low, high)}
        panel.prompts.table.select_prompt(ndvi.id)
        assert panel.prompts.range.about.text().startswith(f"This image has {written(measured[0])} to ")
        line = panel.prompts.range.editors["low"].inner
        line.setText("0.5")
        QTest.keyClick(line, Qt.Key.Key_Return)
        while not panel.results.idle:
            QApplication.processEvents()
        outcome = panel.results.outcome((key_of(photo), ()))
        assert outcome is not None
        assert outcome.segmentation.settings.objects[0].index == Index(
            expression=ndvi.index.expression, low=0.5, high=1
        )
        panel.controller.undo()
        assert panel.controller.settings.objects[0].index == ndvi.index
        assert line.text() == ""
        viewer.layers.remove(nir)
        assert panel.prompts.bands == ("red", "green", "blue")
        tip = panel.prompts.objects.unknown(panel.prompts.objects.index(0, 0))
        assert tip == ("nir",)
        panel.run()
        assert "There is no band 'nir'; this image has red, green, blue" in panel.message.label.text()
    finally:
        panel.close_down()
