"""Whatever is done in whatever order: no painted pixel is lost, and what is shown is what the pipeline says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels

from napari_clearclip.edits import Plane
from napari_clearclip.gui.images.sources import key_of, source_of
from napari_clearclip.gui.prompts import listing
from napari_clearclip.settings import Attention, Prompt, Settings

from .conftest import Bench, Bound, CountingPipeline

SHAPE = (2, 12, 16)
WORDS = ("road", "tree", "car", "house")
Shadow = dict[tuple[str, Plane], Any]  # by prompt and plane: 1 painted, -1 erased, 0 neither

which = st.integers(0, 3)
pixel = st.tuples(st.integers(0, 11), st.integers(0, 15))
steps = st.one_of(
    st.tuples(st.just("add"), which),
    st.tuples(st.just("edit"), which, st.sampled_from(WORDS)),
    st.tuples(st.just("delete"), which),
    st.tuples(st.just("threshold"), which, st.sampled_from([0.0, 0.3, 0.6, 1.0])),
    st.tuples(st.just("hide"), which),
    st.tuples(st.just("reorder")),
    st.tuples(st.just("variant"), st.sampled_from(["qq", "kk"])),
    st.tuples(st.just("paint"), which, pixel),
    st.tuples(st.just("erase"), which, pixel),
    st.tuples(st.just("polygon"), which, st.lists(pixel, min_size=3, max_size=4)),
    st.tuples(st.just("fill"), which, pixel),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("lock"), which),
    st.tuples(st.just("clear"), which),
    st.tuples(st.just("plane"), st.integers(0, 1)),
    st.tuples(st.just("run")),
)


class Session:
    """A user at a stack of two planes, and a record of what was painted, kept apart from the code that is tested."""

    def __init__(self, most: int, exclusive: bool) -> None:
        self.bound = Bound(ViewerModel(), Bench(), "road tree car")
        self.image = self.bound.viewer.add_image(np.zeros(SHAPE, np.uint8), contrast_limits=(0, 1))
        self.controller, self.key = self.bound.controller, key_of(self.image)
        deciding = self.controller.settings.deciding.replace(exclusive=exclusive)
        self.look(0)
        self.controller.update(self.controller.settings.replace(deciding=deciding))
        self.past: list[Shadow] = [{}]
        self.at = 0
        self.controller.run()
        self.bound.settle()
        self.past, self.at = [{}, {}, {}], 2  # the start, the choice above, and the run

    # What is done

    def do(self, name: str, *arguments: Any) -> None:
        before, shadow = self.controller.state, dict(self.past[self.at])
        if name in ("undo", "redo"):
            self.step(name)
            return
        noted = (shadow,) if name in ("paint", "erase", "polygon", "fill", "clear") else ()
        getattr(self, name)(*arguments, *noted)
        self.bound.settle()
        if self.controller.state != before:
            self.past[self.at + 1 :] = [shadow]
            self.at += 1

    def step(self, name: str) -> None:
        can = self.controller.can_undo if name == "undo" else self.controller.can_redo
        getattr(self.controller, name)()
        self.bound.settle()
        if can:
            self.at += 1 if name == "redo" else -1

    def look(self, plane: int) -> None:
        self.bound.viewer.dims.set_point(0, plane)
        self.controller.look_at(source_of(self.image, self.bound.viewer.dims.point))

    @property
    def plane(self) -> Plane:
        assert self.controller.source is not None
        return self.controller.source.view.plane

    def prompt(self, at: int) -> Prompt | None:
        objects = self.controller.settings.objects
        return objects[at % len(objects)] if objects else None

    def change(self, make: Callable[[Settings], Settings]) -> None:
        try:
            changed = make(self.controller.settings)
        except ValueError:  # the phrase is there already
            return
        self.controller.update(changed)

    def add(self, at: int) -> None:
        self.change(lambda old: listing.added(old, WORDS[at]))

    def edit(self, at: int, word: str) -> None:
        if prompt := self.prompt(at):
            self.change(lambda old: listing.changed(old, (prompt.id,), text=word))

    def delete(self, at: int) -> None:
        if prompt := self.prompt(at):
            self.change(lambda old: listing.removed(old, (prompt.id,)))

    def threshold(self, at: int, value: float) -> None:
        if prompt := self.prompt(at):
            self.change(lambda old: listing.changed(old, (prompt.id,), threshold=value))

    def hide(self, at: int) -> None:
        if prompt := self.prompt(at):
            self.change(lambda old: listing.changed(old, (prompt.id,), visible=not prompt.visible))

    def reorder(self) -> None:
        self.change(lambda old: old.replace(prompts=tuple(reversed(old.prompts))))

    def variant(self, term: Any) -> None:
        self.change(lambda old: old.replace(attention=Attention(terms=(term,))))

    def lock(self, at: int) -> None:
        if prompt := self.prompt(at):
            self.bound.results.lock(prompt.id, not prompt.locked)

    def run(self) -> None:
        if self.controller.settings.objects:
            self.controller.run()

    def clear(self, at: int, shadow: Shadow) -> None:
        if prompt := self.prompt(at):
            self.bound.results.clear_edits(prompt.id)
            for owner, plane in list(shadow):
                if owner == prompt.id:
                    del shadow[owner, plane]

    def paint(self, at: int, pixel: Any, shadow: Shadow, value: int = 1) -> None:
        self.draw(at, "paint", (*self.plane, *pixel), value, shadow)

    def erase(self, at: int, pixel: Any, shadow: Shadow) -> None:
        self.paint(at, pixel, shadow, 0)

    def polygon(self, at: int, pixels: Any, shadow: Shadow) -> None:
        self.draw(at, "paint_polygon", [(*self.plane, *pixel) for pixel in pixels], 1, shadow)

    def fill(self, at: int, pixel: Any, shadow: Shadow) -> None:
        self.draw(at, "fill", (*self.plane, *pixel), 1, shadow)

    def draw(self, at: int, tool: str, where: Any, value: int, shadow: Shadow) -> None:
        """Use a tool where a prompt has a layer; what it covers, napari itself says on a layer where all is another."""
        prompt = self.prompt(at)
        layer, shown = self.layer_of(prompt)
        if prompt is None or layer is None:
            return
        plain = Labels(np.full(SHAPE, 7, np.uint8))
        if tool == "fill":
            plain.data = np.where(layer.data == layer.data[where], 7, 8).astype(np.uint8)
        for each in (layer, plain):
            each.brush_size = 3
        plain.set_view_slice()
        self.slice(plain)
        getattr(plain, tool)(where, 1)
        covered = plain.data[self.plane] == 1
        getattr(layer, tool)(where, value and shown[prompt.id])
        owners = list(shown) if value == 0 else [prompt.id]
        for owner in owners:
            self.note(shadow, owner, covered, value)

    def slice(self, layer: Any) -> None:
        """Let a layer outside of the viewer show the plane that the viewer shows."""
        layer._slice_dims(self.bound.viewer.dims)

    def note(self, shadow: Shadow, owner: str, covered: Any, value: int) -> None:
        prompts = {prompt.id: prompt for prompt in self.controller.settings.objects}
        if prompts[owner].locked or not covered.any():
            return
        known = shadow.get((owner, self.plane), np.zeros(SHAPE[1:], int)).copy()
        known[covered] = 1 if value else -1
        shadow[owner, self.plane] = known
        if value and self.controller.settings.deciding.exclusive:
            for (other, plane), known in list(shadow.items()):
                if other != owner and plane == self.plane:
                    shadow[other, plane] = np.where(covered & (known == 1), 0, known)

    # What must be so

    def layer_of(self, prompt: Prompt | None) -> tuple[Any, Any]:
        if prompt is None or not prompt.visible:
            return None, {}
        for kind, of in (("labels", prompt.id), ("combined", "")):
            if (layer := self.bound.results.find(kind, self.key, of)) is not None:
                return layer, layer.metadata["clearclip"]["shown"]
        return None, {}

    def check(self) -> None:
        state = self.controller.state
        for (owner, plane), known in self.past[self.at].items():
            painted = state.edits.painting(owner, plane)
            np.testing.assert_array_equal(painted.on.mask(SHAPE[1:]), known == 1)
            np.testing.assert_array_equal(painted.off.mask(SHAPE[1:]), known == -1)
        noted = {at for at, known in self.past[self.at].items() if known.any()}
        assert {(item.prompt, item.plane) for item in state.edits.painted} == noted
        for plane in state.readings:
            self.check_plane(plane)

    def check_plane(self, plane: Plane) -> None:
        """What is shown is what the pipeline gives from scratch."""
        state = self.controller.state
        if plane not in state.readings or not state.settings.objects:
            return
        view = self.controller.source.view.replace(plane=plane)  # type: ignore[union-attr]
        work = CountingPipeline().steps(lambda: self.image.data, state.settings, view, state.edits)
        result = None
        while result is None:
            try:
                next(work)
            except StopIteration as end:
                result = end.value
        for prompt in state.settings.objects:
            layer, shown = self.layer_of(prompt)
            if layer is None:
                continue
            assert set(np.unique(layer.data)) <= {0, *shown.values()}
            if len(shown) > 1:
                expected = expected_combined(result, shown)
                np.testing.assert_array_equal(layer.data[plane], expected)
            else:
                np.testing.assert_array_equal(layer.data[plane], result.mask(prompt.id))


def expected_combined(result: Any, shown: Any) -> Any:
    expected = np.zeros(SHAPE[1:], np.uint8)
    for prompt in reversed(result.settings.objects):
        if prompt.id in shown:
            expected[result.mask(prompt.id)] = shown[prompt.id]
    return expected


@pytest.mark.parametrize("exclusive", [True, False], ids=["exclusive", "overlapping"])
@pytest.mark.parametrize("most", [16, 1], ids=["a layer each", "one layer"])
def test_nothing_painted_is_lost(most: int, exclusive: bool, qapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_clearclip.gui.layers.shelf.MOST_LAYERS", most)
    monkeypatch.setattr(listing, "check_phrases", lambda *_: None)

    @settings(
        deadline=None,
        max_examples=25,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(steps, min_size=1, max_size=12))
    def session(found: list[Any]) -> None:
        user = Session(most, exclusive)
        try:
            for step in found:
                if step[0] == "plane":
                    user.look(step[1])
                    user.bound.settle()
                else:
                    user.do(*step)
                user.check()
        finally:
            user.bound.results.close()

    session()
