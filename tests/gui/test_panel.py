"""The panel with a viewer's model but without a canvas: what is typed and clicked, and what is said."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import WorkerBase
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clearclip.chains import DEFAULT, OFF, chain_name
from napari_clearclip.domains import as_prompts, distractors_for
from napari_clearclip.gui.control.worker import in_thread
from napari_clearclip.gui.images.channels import Pick
from napari_clearclip.gui.images.sources import key_of
from napari_clearclip.gui.panel import NOTHING_FOUND, Panel
from napari_clearclip.gui.plugin import open_aerial, open_shapes
from napari_clearclip.gui.sections import Fold
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Attention, Model, Runtime, Settings, Tiling

from .conftest import Bench, CountingPipeline


class Opened:
    """A panel on a viewer's model with a small image."""

    def __init__(self, qtbot: Any, bench: Bench) -> None:
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(np.zeros((16, 16), np.uint8), name="photo")
        self.bench = bench
        self.pipeline = CountingPipeline()
        self.panel = Panel(self.viewer, bench, lambda _: self.pipeline)
        self.controller = self.panel.controller
        qtbot.addWidget(self.panel)

    def type(self, text: str) -> None:
        line = self.panel.prompts.entry.line
        line.clear()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)

    def run(self) -> None:
        QTest.mouseClick(self.panel.segment.run_button, Qt.MouseButton.LeftButton)
        self.bench.drain()

    @property
    def phrases(self) -> list[str]:
        return [prompt.phrase for prompt in self.controller.settings.objects]

    @property
    def said(self) -> str:
        return self.panel.message.label.text()


GENERAL = Model(name="ViT-B-16", pretrained="openai")  # knows every word, unlike the bundled model


@pytest.fixture
def opened(qtbot: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Opened:
    start = Settings(model=GENERAL, prompts=as_prompts(distractors_for(GENERAL)))
    monkeypatch.setattr("napari_clearclip.gui.panel.start_settings", lambda: start)
    return Opened(qtbot, bench)


def test_typed_phrases_become_prompts(opened: Opened) -> None:
    opened.type("road")
    opened.type("tree, bush")
    assert opened.phrases == ["road", "tree"]
    assert opened.controller.settings.objects[1].synonyms == ("bush",)
    assert opened.panel.prompts.entry.line.text() == ""
    assert opened.panel.prompts.table.current_id() == opened.controller.settings.objects[1].id


@pytest.mark.parametrize(("text", "words"), [("Road", "in the list already"), ("", "is empty")])
def test_what_is_refused_is_said_and_can_be_mended(opened: Opened, text: str, words: str) -> None:
    opened.type("road")
    opened.type(text)
    assert words in opened.said
    assert opened.panel.prompts.entry.line.text() == text
    opened.type("tree")
    assert opened.said == ""
    assert opened.phrases == ["road", "tree"]


def test_run_shows_masks_and_coverage(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    assert [layer.name for layer in opened.viewer.layers] == ["photo", "photo · road similarity", "photo · road"]
    assert opened.panel.prompts.objects.index(0, 4).data() == "75 %"
    assert opened.panel.model.about_device.text() == "The CPU was chosen."


def test_progress_and_buttons_while_running(opened: Opened) -> None:
    opened.type("road")
    segment = opened.panel.segment
    assert not segment.cancel_button.isEnabled()
    QTest.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    assert segment.cancel_button.isEnabled()
    opened.bench.step(2)
    assert segment.stage.text() == "Reading windows: 1 of 3"
    assert (segment.bar.value(), segment.bar.maximum()) == (1, 3)
    QTest.mouseClick(segment.cancel_button, Qt.MouseButton.LeftButton)
    opened.bench.drain()
    assert not segment.cancel_button.isEnabled()
    assert len(opened.viewer.layers) == 1
    opened.run()
    assert len(opened.viewer.layers) == 3


def test_a_chain_runs_at_once_and_is_one_step_of_the_history(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    refine, runs = opened.panel.refine, len(opened.pipeline.runs)
    at = refine.chains.findData(DEFAULT)
    refine.chains.setCurrentIndex(at)
    refine.chains.activated.emit(at)
    opened.bench.drain()
    assert [chain_name(settings) for settings, _, _ in opened.pipeline.runs[runs:]] == [DEFAULT]
    refine.forms["refining"].editors["pamr"].inner.setValue(3)
    opened.bench.drain()
    assert opened.pipeline.runs[-1][0].refining.pamr == 3
    opened.controller.undo()
    opened.controller.undo()
    assert chain_name(opened.controller.settings) == OFF
    assert refine.chains.currentText() == "Off"


def test_slider_relabels_without_run(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    opened.panel.prompts.objects.edited.emit(opened.controller.settings.objects[0].id, {"threshold": 0.9})
    opened.bench.drain()
    assert opened.panel.prompts.objects.index(0, 4).data() == "25 %"


def test_a_histogram_of_what_is_looked_at_sets_the_threshold(opened: Opened) -> None:
    opened.image = opened.viewer.add_image(np.zeros((2, 16, 16), np.uint8), name="stack")
    opened.viewer.dims.set_point(0, 0)
    opened.type("road")
    thresholds = opened.panel.prompts.thresholds
    assert thresholds.plot.missing == "Run once to see the scores"
    assert not thresholds.auto.isEnabled()
    opened.run()
    assert thresholds.plot.missing == ""
    thresholds.auto.click()
    opened.bench.drain()
    assert opened.controller.settings.objects[0].threshold != 0.2
    opened.panel.prompts.undo_button.click()
    assert opened.controller.settings.objects[0].threshold == 0.2
    opened.viewer.dims.set_point(0, 1)
    assert thresholds.plot.missing == "Run once to see the scores"
    opened.viewer.dims.set_point(0, 0)
    assert thresholds.plot.missing == ""


def test_overlap_and_lead_are_offered_once(opened: Opened) -> None:
    thresholds = opened.panel.prompts.thresholds
    thresholds.overlap.click()
    thresholds.lead.inner.setValue(0.1)
    deciding = opened.controller.settings.deciding
    assert (deciding.exclusive, deciding.lead) == (False, 0.1)
    assert not {"exclusive", "lead"} & set(opened.panel.segment.forms["deciding"].editors)


def test_stale_is_said_until_run(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    assert opened.panel.segment.stale.isHidden()
    opened.image.contrast_limits = (0, 100)
    assert not opened.panel.segment.stale.isHidden()
    opened.run()
    assert opened.panel.segment.stale.isHidden()
    assert opened.pipeline.runs[-1][1].limits == ((0.0, 100.0),)


def test_failure_is_said_in_the_panel_and_by_napari(opened: Opened) -> None:
    notices: list[str] = []
    opened.type("refuse")
    with notification_manager:
        notification_manager.notification_ready.connect(lambda notice: notices.append(notice.message))
        opened.run()
    assert opened.said == "This model knows no word of 'refuse'."
    assert notices == [opened.said]
    assert opened.panel.segment.run_button.isEnabled()


def test_a_change_says_that_it_is_computed_only_if_that_lasts(opened: Opened, qtbot: Any) -> None:
    opened.type("road")
    opened.run()
    segment = opened.panel.segment
    opened.panel.prompts.edited.emit(opened.controller.settings.objects[0].id, {"threshold": 0.9})
    assert opened.controller.busy
    assert segment.bar.isHidden()
    assert not segment.cancel_button.isEnabled()
    opened.bench.step(2)
    qtbot.waitUntil(segment.cancel_button.isEnabled)
    assert not segment.bar.isHidden()
    assert segment.stage.text() == "Reading windows: 1 of 3"
    opened.bench.drain()
    assert segment.bar.isHidden()
    assert not segment.cancel_button.isEnabled()
    opened.panel.prompts.edited.emit(opened.controller.settings.objects[0].id, {"threshold": 0.8})
    opened.bench.drain()
    assert not segment.patience.isActive()


def test_empty_result_says_what_to_try(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    assert opened.said == ""
    found = opened.pipeline.steps

    def nothing(*arguments: Any, **hints: Any) -> Any:
        result = yield from found(*arguments, **hints)
        return replace(result, labels=np.zeros_like(result.labels), tally=None)

    opened.pipeline.steps = nothing  # type: ignore[method-assign]
    opened.run()
    assert opened.said == NOTHING_FOUND


def test_words_that_the_model_does_not_know(opened: Opened, tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    weights.with_suffix(".json").write_text(json.dumps({"clearclip": {"vocabulary": ["road", "red"]}}))
    model, rows = Model(name="", pretrained=str(weights)), opened.panel.prompts.objects
    opened.panel.equipment.choose(model)
    assert opened.controller.settings.model == model
    assert opened.panel.model.name.text() == "small.safetensors"
    opened.type("red zebra")
    assert rows.unknown(rows.index(0, 2)) == ("zebra",)
    opened.type("zebra")
    assert "knows no word of 'zebra'" in opened.said
    opened.panel.equipment.chosen.emit(GENERAL)
    assert rows.unknown(rows.index(0, 2)) == ()
    assert opened.panel.model.name.text() == "ViT-B-16/openai"


def test_variant_and_advanced_fields_are_one_value(opened: Opened) -> None:
    segment = opened.panel.segment
    segment.variant_chosen.emit(Attention(terms=("qk",), residual=1, ffn=1))
    assert segment.variants.currentText() == "CLIP, unchanged"
    assert segment.forms["attention"].editors["ffn"].value == 1
    segment.forms["attention"].editors["ffn"].inner.setValue(0.5)
    assert segment.variants.currentText() == "Custom"
    assert opened.controller.settings.attention.ffn == 0.5


def test_what_a_field_refuses_is_put_back(opened: Opened) -> None:
    detail = opened.panel.segment.detail.inner
    detail.lineEdit().setText("3")
    QTest.keyClick(detail.lineEdit(), Qt.Key.Key_Return)
    assert "from 8 to 65536" in opened.said
    assert opened.controller.settings.tiling == Tiling()
    assert detail.currentText() == "recommended"


def test_results_lie_above_all_colours_of_their_image(opened: Opened) -> None:
    others = [opened.viewer.add_image(np.zeros((16, 16), np.uint8), name=name) for name in ("green", "blue", "other")]
    opened.type("road")
    red, green, blue = (Pick(key_of(layer)) for layer in (opened.image, *others[:2]))
    opened.panel.images.set_picks((red, green, blue))
    opened.type("road")
    opened.run()
    assert [layer.name for layer in opened.viewer.layers] == [
        *("photo", "green", "blue", "photo · road similarity", "photo · road", "other")
    ]


def test_the_image_that_is_chosen_stays_chosen_when_it_is_run(opened: Opened) -> None:
    opened.viewer.add_image(np.zeros((8, 8), np.uint8), name="other")
    opened.type("road")
    combo = opened.panel.image.images
    combo.setCurrentIndex(combo.findText("photo"))
    combo.activated.emit(combo.currentIndex())
    assert opened.viewer.layers.selection.active == opened.image
    opened.type("tree")
    opened.run()
    assert combo.currentText() == "photo"
    assert [prompt.phrase for prompt in opened.controller.settings.objects] == ["tree"]


def test_images_are_listed_without_our_own(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    combo = opened.panel.image.images
    assert [combo.itemText(at) for at in range(combo.count())] == ["photo"]
    other = opened.viewer.add_image(np.zeros((8, 8), np.uint8), name="other")
    assert [combo.itemText(at) for at in range(combo.count())] == ["other", "photo"]
    assert combo.currentText() == "other"  # napari selects what is new
    other.name = "renamed"
    assert combo.currentText() == "renamed"
    assert opened.panel.image.about_image.text() == "8 × 8 pixels, uint8"
    opened.viewer.layers.remove(other)
    assert combo.currentText() == "photo"
    assert opened.controller.source is not None
    assert opened.controller.source.key == key_of(opened.image)


def test_no_image_disables_run(opened: Opened) -> None:
    opened.viewer.layers.clear()
    assert not opened.panel.segment.run_button.isEnabled()
    assert opened.panel.image.images.placeholderText() == "no image is open"


def test_moving_through_a_stack(opened: Opened) -> None:
    opened.viewer.add_image(np.zeros((4, 16, 16), np.uint8))
    opened.viewer.dims.set_point(0, 3)
    assert opened.panel.image.about_image.text() == "16 × 16 pixels, uint8, plane 4/4"
    assert opened.controller.source is not None
    assert opened.controller.source.view.plane == (3,)


@pytest.mark.parametrize("sample", [open_shapes, open_aerial])
def test_samples_fill_in_their_prompts_once(opened: Opened, sample: Callable[[], Any]) -> None:
    ((data, options, _),) = sample()
    carried = options["metadata"]["clearclip"]
    opened.viewer.add_image(data, **options)
    assert opened.phrases == carried["prompts"]
    assert {prompt.phrase for prompt in opened.controller.settings.distractors} <= set(carried["distractors"])
    opened.type("something else")
    opened.viewer.layers.selection.active = opened.image
    opened.viewer.layers.selection.active = opened.viewer.layers[-1]
    assert opened.phrases == [*carried["prompts"], "something else"]


def test_prompts_of_a_sample_are_not_looked_for_in_the_image_before(opened: Opened) -> None:
    opened.type("road")
    opened.run()
    left = list(opened.viewer.layers)
    ((data, options, _),) = open_shapes()
    sample = opened.viewer.add_image(data, **options)
    assert not opened.bench.waiting
    assert list(opened.viewer.layers) == [*left, sample]


def test_prompts_of_a_sample_that_was_open_before_the_panel(qtbot: Any, bench: Bench) -> None:
    viewer = ViewerModel()
    ((data, options, _),) = open_shapes()
    viewer.add_image(data, **options)
    panel = Panel(viewer, bench)
    qtbot.addWidget(panel)
    assert [prompt.phrase for prompt in panel.controller.settings.objects] == options["metadata"]["clearclip"][
        "prompts"
    ]


def test_undo_and_redo_buttons(opened: Opened) -> None:
    prompts = opened.panel.prompts
    assert not prompts.undo_button.isEnabled()
    opened.type("road")
    QTest.mouseClick(prompts.undo_button, Qt.MouseButton.LeftButton)
    assert opened.phrases == []
    QTest.mouseClick(prompts.redo_button, Qt.MouseButton.LeftButton)
    assert opened.phrases == ["road"]


def test_distractors_are_counted_and_muted(opened: Opened) -> None:
    fold, model = opened.panel.prompts.fold, opened.panel.prompts.distractors
    count = model.rowCount()
    assert count > 0
    assert f"{count} of {count} compete" in fold.button.text()
    model.edited.emit(model.prompt(0).id, {"muted": True})
    assert f"{count - 1} of {count} compete" in fold.button.text()
    opened.type(model.prompt(1).phrase)
    assert f"{count - 2} of {count} compete" in fold.button.text()
    assert not model.works(model.prompt(1))


@pytest.mark.parametrize("width", [350, 500])
def test_nothing_is_cut_off(opened: Opened, qtbot: Any, width: int) -> None:
    opened.type("solar panel")
    opened.panel.resize(width, 840)
    for fold in opened.panel.findChildren(Fold):
        fold.button.click()
    opened.panel.show()
    qtbot.waitExposed(opened.panel)
    inside = opened.panel.prompts.parentWidget()
    qtbot.waitUntil(lambda: inside.width() == inside.parentWidget().width())
    assert inside.minimumSizeHint().width() <= inside.width()


def test_close_down_lets_go(opened: Opened) -> None:
    opened.type("road")
    QTest.mouseClick(opened.panel.segment.run_button, Qt.MouseButton.LeftButton)
    opened.bench.step()
    opened.panel.close_down()
    opened.bench.drain()
    assert opened.pipeline.released == 1
    assert opened.pipeline.closed == 1
    opened.viewer.add_image(np.zeros((8, 8), np.uint8))
    assert opened.panel.image.images.count() == 1


# With threads and a real model


def test_in_thread_reports_in_order_and_leaves_no_worker(qtbot: Any) -> None:
    heard: list[Any] = []

    def work() -> Any:
        yield 1
        yield 2
        return 3

    in_thread(work(), heard.append, lambda result: heard.append(("end", result)))
    qtbot.waitUntil(lambda: heard == [1, 2, ("end", 3)])
    qtbot.waitUntil(lambda: not WorkerBase._worker_set)


class Result:
    """Something that can be seen to go."""


def test_a_result_goes_once_nobody_needs_it(qtbot: Any) -> None:
    heard: list[Any] = []

    def work() -> Any:
        yield 1
        return Result()

    gc.disable()  # masks are too large to stay until it comes round
    try:
        in_thread(work(), heard.append, lambda result: heard.append(ref(result)))
        qtbot.waitUntil(lambda: len(heard) == 2)
        assert heard[1]() is None
    finally:
        gc.enable()


def test_what_takes_long_is_not_waited_for(qtbot: Any) -> None:
    heard, go_on = [], threading.Event()

    def work() -> Any:
        yield 1
        go_on.wait(60)
        return 2

    in_thread(work(), heard.append, heard.append)
    go_on.set()
    qtbot.waitUntil(lambda: heard == [1, 2])


@pytest.mark.parametrize("error", [ValueError("wrong"), RuntimeError("out of memory")])
def test_an_error_that_is_returned_arrives(qtbot: Any, error: Exception) -> None:
    heard: list[Any] = []

    def work() -> Any:
        yield 1
        return error

    in_thread(work(), heard.append, heard.append)
    qtbot.waitUntil(lambda: heard == [1, error])
    qtbot.waitUntil(lambda: not WorkerBase._worker_set)


def test_words_to_masks_with_a_real_model(qtbot: Any, tiny_weights: Path, tmp_path: Path) -> None:
    viewer = ViewerModel()
    rng = np.random.default_rng(0)
    image = viewer.add_image(rng.integers(0, 255, (48, 64, 3), np.uint8), rgb=True, scale=(0.5, 0.5), rotate=20)

    def open_pipeline(runtime: Runtime) -> Pipeline:
        return Pipeline(runtime.replace(cache_folder=str(tmp_path), device="cpu"))

    panel = Panel(viewer, in_thread, open_pipeline)
    qtbot.addWidget(panel)
    controller = panel.controller
    errors: list[Exception] = []
    controller.failed.connect(errors.append)
    panel.equipment.choose(Model(name="", pretrained=str(tiny_weights)))
    panel.prompts.added.emit("road", "object")
    panel.prompts.added.emit("sky", "object")
    with qtbot.waitSignal(panel.segment.run_button.clicked):
        QTest.mouseClick(panel.segment.run_button, Qt.MouseButton.LeftButton)
    assert controller.busy
    qtbot.waitUntil(lambda: not controller.busy, timeout=60_000)
    assert not errors
    prompt = controller.settings.objects[0]
    labels, heat = (panel.results.find(kind, key_of(image), prompt.id) for kind in ("labels", "similarity"))
    assert labels.data.shape == (48, 64)
    np.testing.assert_allclose(labels.data_to_world((47, 63)), image.data_to_world((47, 63)))
    rows, cols = heat.data.shape
    corner = ((rows - 0.5), (cols - 0.5))
    np.testing.assert_allclose(heat.data_to_world(corner), image.data_to_world((47.5, 63.5)))
    assert 0 < heat.data.max() <= 1
    labels.data[0, :8] = 1
    panel.prompts.edited.emit(prompt.id, {"threshold": 1.0})
    qtbot.waitUntil(lambda: not controller.busy, timeout=60_000)
    assert labels.data.sum() == 8  # all that is left is what was painted
    panel.close_down()
    qtbot.waitUntil(lambda: not WorkerBase._worker_set)
