"""A point that is clicked, with a real small model: what layers and table show, and that nothing else changes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_clearclip.engine.sizes import Sizes
from napari_clearclip.engine.variants import variant
from napari_clearclip.gui.images.sources import KEY, is_source
from napari_clearclip.gui.inspect.figures import FigureWindow
from napari_clearclip.gui.inspect.shelf import is_inspection
from napari_clearclip.gui.panel import Panel
from napari_clearclip.inspection import attention_map, decompose, last_block_norms, words_at
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Comparing, Model, Prompt, Runtime, Settings, Tiling

from ..conftest import Bench

IMAGE = np.random.default_rng(3).integers(0, 256, (3, 40, 60), np.uint8)


class Opened:
    """A panel on the second plane of a stack that is scaled and moved."""

    def __init__(self, qtbot: Any, bench: Bench, pipeline: Pipeline, settings: Settings) -> None:
        self.viewer, self.bench = ViewerModel(), bench
        self.image = self.viewer.add_image(IMAGE, name="stack", scale=(5, 0.5, 0.5), translate=(1, 2, 3))
        self.viewer.dims.set_point(0, 6)
        self.panel = Panel(self.viewer, bench, lambda _: pipeline)
        qtbot.addWidget(self.panel)
        self.panel.controller.update(settings)
        self.section, self.inspector = self.panel.inspect, self.panel.inspector

    def click(self, row: float, col: float, drag: bool = False) -> None:
        layer = self.viewer.layers.selection.active
        event = SimpleNamespace(type="mouse_press", position=layer.data_to_world((1, row, col)))
        steps = layer.mouse_drag_callbacks[-1](layer, event)
        next(steps)
        event.type = "mouse_move" if drag else "mouse_release"
        next(steps, None)

    @property
    def made(self) -> list[Any]:
        return [layer for layer in self.viewer.layers if is_inspection(layer)]

    def named(self, text: str) -> Any:
        return next(layer for layer in self.made if text in layer.name)

    def words(self) -> list[str]:
        table = self.section.words
        return [table.item(row, 0).text() for row in range(table.rowCount())]


@pytest.fixture
def settings(tiny: Path) -> Settings:
    return Settings(
        model=Model(name="", pretrained=str(tiny)),
        prompts=(Prompt(id="cat", phrase="cat"), Prompt(id="dog", phrase="dog")),
        tiling=Tiling(short_side=40, window=32, stride=16),
        comparing=Comparing(templates="single"),
    )


@pytest.fixture
def opened(qtbot: Any, bench: Bench, tmp_path: Path, settings: Settings) -> Opened:
    pipeline = Pipeline(Runtime(device="cpu", cache_folder=str(tmp_path / "cache")))
    return Opened(qtbot, bench, pipeline, settings)


@pytest.fixture
def clicked(opened: Opened) -> Opened:
    opened.section.more.setText("cat, dog, tree")
    opened.section.more.editingFinished.emit()
    opened.section.click_button.setChecked(True)
    opened.click(35, 20)
    opened.bench.drain()
    return opened


def test_a_click_shows_where_the_patch_looks_and_what_it_is_like(clicked: Opened, settings: Settings) -> None:
    source = clicked.panel.images.source
    assert source is not None
    expected = attention_map(IMAGE, settings, (35, 20), source.view)
    layer = clicked.named("ClearCLIP")
    np.testing.assert_allclose(layer.data[0], expected.mean, atol=1e-6)
    assert layer.name == "inspect · ClearCLIP, window 4 of 6"
    ranked = words_at(IMAGE, settings, (35, 20), ("cat", "dog", "tree"), source.view)
    assert clicked.words() == [item.word for item in ranked]
    assert clicked.section.about.text().startswith("From window 4 of 6, and 1 more window holds it.")
    assert not clicked.named("Query-key").visible


def test_the_class_token_is_told_of_only_where_something_goes_to_it(clicked: Opened, settings: Settings) -> None:
    assert "% of the attention goes to the class token." in clicked.section.about.text()
    clicked.panel.controller.update(settings.replace(attention=variant("maskclip")))  # each patch its own value
    clicked.inspector.look_at((35, 20))
    clicked.bench.drain()
    assert clicked.section.about.text() == "From window 4 of 6, and 1 more window holds it."


def test_the_map_lies_on_its_window_and_plane(clicked: Opened) -> None:
    layer = clicked.named("ClearCLIP")
    assert layer.data.shape == (1, 4, 4)
    for at, corner in (((0, -0.5, -0.5), (1, 8 - 0.5, -0.5)), ((0, 3.5, 3.5), (1, 40 - 0.5, 32 - 0.5))):
        np.testing.assert_allclose(layer.data_to_world(at), clicked.image.data_to_world(corner))
    np.testing.assert_allclose(clicked.named("point").data, [[1, 35, 20]])


def test_another_head_or_variant_is_shown_in_the_same_place(clicked: Opened, settings: Settings) -> None:
    source = clicked.panel.images.source
    assert source is not None
    clicked.section.heads.setCurrentIndex(3)
    clicked.section.heads.activated.emit(3)
    expected = attention_map(IMAGE, settings, (35, 20), source.view)
    np.testing.assert_allclose(clicked.named("ClearCLIP, head 3").data[0], expected.heads[2], atol=1e-6)
    assert not clicked.bench.waiting
    count = len(clicked.viewer.layers)
    at = next(at for at in range(clicked.section.variants.count()) if clicked.section.variants.itemText(at) == "SCLIP")
    clicked.section.variants.setCurrentIndex(at)
    clicked.section.variants.activated.emit(at)
    clicked.bench.drain()
    assert "SCLIP, head 3, window" in clicked.named("SCLIP").name
    assert len(clicked.viewer.layers) == count


def test_nothing_is_a_result_or_enters_the_history(clicked: Opened) -> None:
    assert len(clicked.made) == 3
    assert not any(is_source(layer) for layer in clicked.made)
    assert clicked.panel.images.layers == [clicked.image]
    assert all("layer" not in layer.metadata[KEY] for layer in clicked.made)
    assert clicked.viewer.layers[-3:] == clicked.made
    assert clicked.made[-1].name == "inspect · point"
    clicked.section.clear_button.click()
    assert not clicked.made
    assert not clicked.section.clear_button.isEnabled()
    assert clicked.words() == []
    assert not clicked.section.click_button.isChecked()
    assert list(clicked.viewer.layers) == [clicked.image]


def test_a_drag_is_no_click_and_escape_puts_the_tool_away(opened: Opened) -> None:
    opened.section.click_button.setChecked(True)
    opened.click(35, 20, drag=True)
    assert not opened.bench.waiting
    opened.inspector.pointer.stop()
    assert not opened.section.click_button.isChecked()
    assert opened.viewer.layers.selection.active is opened.image


def test_it_can_be_cancelled_and_a_late_answer_is_dropped(opened: Opened) -> None:
    opened.inspector.look_at((3, 3))
    opened.bench.step(2)
    assert opened.inspector.busy
    opened.inspector.look_at((35, 20))
    opened.bench.drain()
    assert "window 4 of 6" in opened.named("ClearCLIP").name
    assert not opened.inspector.busy
    opened.inspector.clear()
    opened.inspector.look_at((3, 3))
    opened.bench.step(2)
    opened.inspector.cancel()
    opened.bench.drain()
    assert not opened.made
    assert not opened.section.running.isVisibleTo(opened.section)


def test_what_cannot_be_is_said(opened: Opened) -> None:
    opened.inspector.look_at((100, 3))
    opened.bench.drain()
    assert "lies outside the image of (40, 60) pixels" in opened.panel.message.label.text()
    assert not opened.inspector.busy


def test_parts_lie_on_the_image_and_go_with_the_rest(opened: Opened, settings: Settings) -> None:
    opened.section.parts_button.click()
    opened.bench.drain()
    assert [layer.name for layer in opened.made if layer.visible] == ["inspect · cat, x_attn alone"]
    assert len(opened.made) == 6
    layer, source = opened.named("x_sum alone"), opened.panel.images.source
    assert source is not None
    expected = decompose(IMAGE, settings, "cat", source.view)
    np.testing.assert_allclose(layer.data[0], expected.alone["x_sum"], atol=1e-6)
    np.testing.assert_allclose(layer.data_to_world((0, -0.5, -0.5)), opened.image.data_to_world((1, -0.5, -0.5)))
    np.testing.assert_allclose(layer.data_to_world((0, 4.5, 7.5)), opened.image.data_to_world((1, 39.5, 59.5)))
    opened.section.clear_button.click()
    assert list(opened.viewer.layers) == [opened.image]


def test_one_map_is_seen_at_a_time(clicked: Opened) -> None:
    clicked.section.parts_button.click()
    clicked.bench.drain()
    seen = [layer.name for layer in clicked.made if layer.visible]
    assert seen == ["inspect · cat, x_attn alone", "inspect · point"]
    clicked.named("x_attn alone").visible = False
    clicked.inspector.look_at((3, 3))
    clicked.bench.drain()
    assert [layer.name for layer in clicked.made if layer.visible] == ["inspect · point"]  # as the user left them


def test_variants_and_blocks_have_figures(opened: Opened) -> None:
    opened.section.variants_button.click()
    opened.bench.drain()
    layer = opened.named("disagreement of 6 variants")
    assert layer.data.shape == (1, 40, 60)
    assert 0 <= layer.data.min() <= layer.data.max() <= 1
    opened.section.blocks_button.click()
    opened.bench.drain()
    windows = opened.section.findChildren(FigureWindow)
    assert [window.windowTitle() for window in windows] == ["Variants side by side", "Blocks of the model"]
    titles = [axes.get_title() for axes in windows[0].canvas.figure.axes]
    assert titles[:2] == ["Image", "ClearCLIP"]
    assert titles[-1] == "Disagreement"
    curves = windows[1].canvas.figure.axes[0].lines
    assert [len(line.get_xdata()) for line in curves] == [3, 3, 3]
    for window in windows:
        window.close()


def test_another_tower_is_drawn_beside_the_blocks(opened: Opened, tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict(), tmp_path / "tiny.safetensors")
    opened.section.other.setText(f"vit_tiny_patch16_224 = {tmp_path / 'tiny.safetensors'}")
    opened.section.blocks_button.click()
    opened.bench.drain()
    (window,) = opened.section.findChildren(FigureWindow)
    lines = window.canvas.figure.axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [3] * 3 + [12] * 3
    assert lines[3].get_label() == "vit_tiny_patch16_224, X_res"
    window.close()
    for text, said in (("vit_of_mine", "Timm has no model"), ("vit_tiny_patch16_224 = none.pth", "do not exist")):
        opened.section.other.setText(text)
        opened.section.blocks_button.click()
        opened.bench.drain()
        assert said.lower() in opened.panel.message.label.text().lower()


def test_another_tower_is_downloaded_with_progress_and_the_download_can_be_left(
    opened: Opened, hub_server: Any
) -> None:
    import timm
    from safetensors.torch import save

    weights = save(timm.create_model("vit_tiny_patch16_224").state_dict())
    hub_server.offer("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "model.safetensors", weights)
    opened.section.other.setText("vit_tiny_patch16_224")
    opened.section.blocks_button.click()
    while " of " not in opened.section.stage.text() or ": 0 bytes" in opened.section.stage.text():
        opened.bench.step()
    assert opened.section.stage.text().startswith("Downloading vit_tiny_patch16_224: ")
    assert 0 < opened.section.bar.value() < opened.section.bar.maximum()
    opened.section.cancel_button.click()
    assert not opened.inspector.busy
    assert not opened.section.running.isVisibleTo(opened.section)
    opened.bench.drain()
    assert not opened.section.findChildren(FigureWindow)
    hub_server.refuses = 503
    hub_server.go.set()
    for thread in threading.enumerate():
        if thread.name == "clearclip-load":
            thread.join(60)
    opened.section.blocks_button.click()
    opened.bench.drain()
    assert "could not be downloaded: " in opened.panel.message.label.text()
    hub_server.refuses = 0
    opened.section.blocks_button.click()
    opened.bench.drain()
    (window,) = opened.section.findChildren(FigureWindow)
    assert len(window.canvas.figure.axes[0].lines) == 6
    window.close()


def test_the_last_block_has_a_figure(opened: Opened, settings: Settings) -> None:
    opened.section.last_block_button.click()
    opened.bench.drain()
    (window,) = opened.section.findChildren(FigureWindow)
    frobenius, _, angles = window.canvas.figure.axes
    source = opened.panel.images.source
    assert source is not None
    expected = last_block_norms(IMAGE, settings, view=source.view)
    heights = [patch.get_height() for patch in frobenius.patches]
    np.testing.assert_allclose(heights[:6], [block.residual[0] for block in expected.values()], rtol=1e-5)
    np.testing.assert_allclose(heights[6:], [block.attended[0] for block in expected.values()], rtol=1e-5)
    found = [patch.get_height() for patch in angles.patches]
    np.testing.assert_allclose(found, [block.angle for block in expected.values()], rtol=1e-4)
    window.close()


def test_variants_that_the_model_cannot_compute_are_grey(opened: Opened, settings: Settings, deep: Path) -> None:
    choice = opened.section.variants

    def greyed() -> set[str]:
        items = [(choice.itemText(at), choice.model().item(at)) for at in range(choice.count())]
        return {text for text, item in items if not item.isEnabled()}

    assert greyed() == {"GEM", "CLIP Surgery", "ResCLIP, cross-layer attention", "SC-CLIP-style"}
    at = choice.findText("SC-CLIP-style")
    assert choice.itemData(at, 3) == "It reads the last 8 blocks, and the model has 3."  # the tool tip
    opened.panel.controller.update(settings.replace(model=Model(name="", pretrained=str(deep))))
    assert not greyed()


def test_what_cannot_be_taken_apart_is_grey_and_says_why(opened: Opened, settings: Settings, deep: Path) -> None:
    section = opened.section
    buttons = section.parts_button, section.blocks_button, section.last_block_button, section.variants_button
    settings = settings.replace(model=Model(name="", pretrained=str(deep)))
    for name, enabled in (("sc_clip", [False, True, True, True]), ("clearclip", [True] * 4)):
        opened.panel.controller.update(settings.replace(attention=variant(name)))
        assert [button.isEnabled() for button in buttons] == enabled
        assert section.parts_button.toolTip().startswith("What residual") is enabled[0]
    section.show_sizes(Sizes(8, Tiling(), 1, has_residual=False), settings.attention)
    assert [button.isEnabled() for button in buttons] == [False, True, True, True]
    section.show_sizes(Sizes(8, Tiling(), 12, has_class=False), settings.attention)  # a SigLIP's
    assert [button.isEnabled() for button in buttons] == [False, True, True, True]
    assert section.parts_button.toolTip().startswith("This model pools by an attention of its own")
    section.show_sizes(Sizes(8, Tiling()), settings.attention)  # a student's
    assert [button.isEnabled() for button in buttons] == [False] * 4
    assert section.blocks_button.toolTip().startswith("A student (MaskCLIP+) has no attention")


def test_without_matplotlib_it_is_said_what_to_install(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    opened.section.blocks_button.click()
    opened.bench.drain()
    assert 'pip install "napari-clearclip[plots]"' in opened.panel.message.label.text()


def test_parts_need_a_prompt(opened: Opened, settings: Settings) -> None:
    opened.panel.controller.update(settings.replace(prompts=()))
    opened.section.parts_button.click()
    assert opened.panel.message.label.text().startswith("Add a prompt first")
