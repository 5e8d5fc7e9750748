"""The controller, without Qt: one job at a time, no late results, and what runs by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_clearclip.edits import Edits, View
from napari_clearclip.engine.variants import variant
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Outcome, Source
from napari_clearclip.progress import Preview
from napari_clearclip.settings import Attention, Cleaning, Model, Prompt, Runtime, Tiling

from ..conftest import Bench, CountingPipeline, in_line, looking, source
from .conftest import Heard, threshold


def test_run_tells_progress_and_result(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.run()
    assert controller.busy
    bench.drain()
    assert not controller.busy
    assert heard.busy[-1] is False
    assert [(p.stage, p.done, p.total) for p in heard.progress] == [("Reading windows", n, 3) for n in range(3)]
    (outcome,) = heard.results
    assert outcome.source.key == "image"
    assert outcome.coverage == {"road": 0.5}
    assert controller.device == ("cpu", "The CPU was chosen.")


def test_nothing_runs_before_the_first_run(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    threshold(controller, 0.9)
    controller.update(looking("road tree"))
    assert not bench.waiting
    assert not pipeline.runs


def test_new_threshold_and_new_phrase_are_shown_by_themselves(
    controller: Controller, bench: Bench, heard: Heard
) -> None:
    controller.run()
    bench.drain()
    threshold(controller, 0.9)
    bench.drain()
    assert heard.results[-1].coverage["road"] == 0.25
    controller.update(controller.settings.replace(prompts=looking("road tree").prompts))
    bench.drain()
    assert set(heard.results[-1].coverage) == {"road", "tree"}


@pytest.mark.parametrize(
    "change",
    [{"color": "#123456"}, {"visible": False}],
    ids=["colour", "visibility"],
)
def test_looks_cost_no_run(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, change: dict[str, Any]
) -> None:
    controller.run()
    bench.drain()
    prompts = tuple(prompt.replace(**change) for prompt in controller.settings.prompts)
    controller.update(controller.settings.replace(prompts=prompts))
    assert not bench.waiting
    assert len(pipeline.runs) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model": Model(name="", pretrained="other.safetensors")},
        {"tiling": Tiling(short_side=64)},
        {"attention": Attention(blocks=3)},
        {"attention": variant("gem")},
    ],
    ids=["model", "tiling", "blocks", "side path"],
)
def test_what_reads_the_image_anew_waits_for_run(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, change: dict[str, Any]
) -> None:
    controller.run()
    bench.drain()
    before = pipeline.runs[0][0]
    controller.update(controller.settings.replace(**change))
    assert controller.stale
    assert not bench.waiting
    threshold(controller, 0.7)  # is answered from the reading of the last run
    bench.drain()
    settings = pipeline.runs[1][0]
    assert (settings.model, settings.tiling, settings.attention) == (before.model, before.tiling, before.attention)
    assert settings.objects[0].threshold == 0.7
    assert controller.stale
    controller.run()
    bench.drain()
    for name, value in change.items():
        assert getattr(pipeline.runs[2][0], name) == value
    assert not controller.stale


def test_contrast_waits_for_run(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.run()
    bench.drain()
    other = View(limits=((0.0, 9.0),))
    controller.look_at(source(view=other))
    assert controller.stale
    assert not bench.waiting
    threshold(controller, 0.7)
    bench.drain()
    assert pipeline.runs[-1][1] == View()
    controller.run()
    bench.drain()
    assert pipeline.runs[-1][1] == other
    assert not controller.stale


def test_the_size_of_a_pixel_waits_for_run_where_masks_are_cleaned(
    controller: Controller, bench: Bench, pipeline: CountingPipeline
) -> None:
    controller.run()
    bench.drain()
    other = View(scale=(0.5, 0.5), unit="µm")
    controller.look_at(source(view=other))
    assert not controller.stale
    assert not bench.waiting
    controller.update(controller.settings.replace(cleaning=Cleaning(hole=3)))
    bench.drain()
    assert pipeline.runs[-1][0].cleaning == Cleaning(hole=3)
    assert pipeline.runs[-1][1] == View()
    assert controller.stale
    controller.run()
    bench.drain()
    assert pipeline.runs[-1][1] == other
    assert not controller.stale


def test_variant_is_shown_by_itself(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.run()
    bench.drain()
    controller.update(controller.settings.replace(attention=Attention(terms=("kk",))))
    bench.drain()
    assert pipeline.runs[-1][0].attention.terms == ("kk",)
    assert not controller.stale


def test_one_job_runs_and_only_the_newest_waits(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.run()
    bench.step()
    for value in (0.1, 0.2, 0.3):
        threshold(controller, value)
    assert len(bench.waiting) == 1
    bench.drain()
    assert [settings.objects[0].threshold for settings, _, _ in pipeline.runs] == [0.5, 0.3]
    assert len(heard.results) == 2


def test_result_after_cancel_is_late(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.run()
    bench.step(3)
    work, _, finished = bench.waiting.pop()
    with pytest.raises(StopIteration) as end:  # the worker is just done when the user presses Cancel
        next(work)
    assert isinstance(end.value.value, Outcome)
    controller.cancel()
    finished(end.value.value)
    assert not heard.results
    assert not controller.busy
    assert not controller.has_run


def test_cancel_closes_the_steps(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.run()
    bench.step(2)
    controller.cancel()
    assert controller.busy  # until the worker has stopped
    bench.drain()
    assert pipeline.closed == 1
    assert not controller.busy
    assert not heard.results
    assert not heard.errors


def test_cancel_leaves_the_last_reading(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.run()
    bench.drain()
    controller.update(controller.settings.replace(tiling=Tiling(short_side=64)))
    controller.run()
    bench.step()
    controller.cancel()
    bench.drain()
    assert controller.stale
    threshold(controller, 0.1)
    bench.drain()
    assert pipeline.runs[-1][0].tiling == Tiling()


def test_run_again_while_running_starts_after_the_first_has_stopped(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.run()
    bench.step()
    controller.run()
    assert len(bench.waiting) == 1
    bench.drain()
    assert pipeline.closed == 1
    assert len(heard.results) == 1


def test_failure_is_told_and_everything_stays_usable(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.update(looking("refuse"))
    controller.run()
    bench.drain()
    assert [str(error) for error in heard.errors] == ["this model knows no word of 'refuse'"]
    assert not controller.has_run
    controller.update(looking("road"))
    controller.run()
    bench.drain()
    assert len(heard.results) == 1


def test_what_waits_for_a_failed_reading_is_dropped(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.update(looking("refuse"))
    controller.run()
    bench.step()
    threshold(controller, 0.9)
    bench.drain()
    assert len(heard.errors) == 1


def test_cancel_after_a_first_result_keeps_its_reading(controller: Controller, bench: Bench) -> None:
    controller.run()
    bench.step()
    threshold(controller, 0.9)  # waits for the first run
    bench.step(3)  # the first run ends, the second starts
    assert controller.busy
    controller.cancel()
    bench.drain()
    assert controller.has_run


@pytest.mark.parametrize(
    ("prompts", "look", "words"),
    [("", True, "nothing to look for"), ("road", False, "no image to look at")],
    ids=["no prompt", "no image"],
)
def test_run_says_what_is_missing(bench: Bench, prompts: str, look: bool, words: str) -> None:
    controller = Controller(bench, state=State(looking(prompts)))
    heard = Heard(controller)
    controller.look_at(source() if look else None)
    controller.run()
    assert words in str(heard.errors[0])
    assert not bench.waiting


def test_forgotten_image_gets_no_result(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.run()
    bench.step()
    controller.look_at(None)
    controller.forget("image")
    bench.drain()
    assert not heard.results
    assert not heard.errors


def stack(planes: int = 3) -> Source:
    return Source("stack", View(plane=(0,)), lambda _: np.zeros((planes, 16, 16), np.uint8))


def planes_of(pipeline: CountingPipeline) -> list[int]:
    return [view.plane[0] for _, view, _ in pipeline.runs]


def test_each_plane_has_its_own_run(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    first = stack()
    controller.look_at(first)
    controller.run()
    bench.drain()
    controller.look_at(first.at((1,), View()))
    assert not controller.has_run
    threshold(controller, 0.9)  # is shown on the plane that was run, though another is looked at
    bench.drain()
    assert planes_of(pipeline) == [0, 0]
    assert pipeline.runs[-1][0].objects[0].threshold == 0.9
    controller.look_at(first)
    assert not bench.waiting


def test_all_planes_are_one_run_that_starts_where_one_looks(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.look_at(stack().at((1,), View()))
    controller.run([(0,), (1,), (2,)])
    bench.drain()
    assert planes_of(pipeline) == [1, 0, 2]
    assert [progress.stage for progress in heard.progress][::3] == [
        f"Plane {number} of 3: Reading windows" for number in (1, 2, 3)
    ]
    threshold(controller, 0.9)
    bench.drain()
    assert planes_of(pipeline)[3:] == [1, 0, 2]
    controller.undo()
    controller.undo()  # the whole run is one entry
    assert not controller.state.readings
    assert not controller.can_undo


def test_cancel_keeps_the_planes_that_are_finished(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.look_at(stack())
    controller.run([(0,), (1,), (2,)])
    bench.step(4)  # the first is finished
    bench.step()  # the second has begun
    controller.cancel()
    bench.drain()
    assert [outcome.source.view.plane for outcome in heard.results] == [(0,)]
    assert set(controller.state.readings) == {(0,)}
    threshold(controller, 0.9)
    bench.drain()
    assert planes_of(pipeline) == [0, 1, 0]


def test_what_is_looked_at_goes_first(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.look_at(stack())
    controller.run([(0,), (1,), (2,)])
    bench.step()
    controller.look_at(stack().at((2,), View()))
    bench.drain()
    assert planes_of(pipeline) == [0, 2, 0, 1]


def test_a_stroke_concerns_its_plane_only(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.look_at(stack())
    controller.run([(0,), (1,)])
    bench.drain()
    controller.update(edits=Edits().paint("road", (1,), np.ones((16, 16), bool), True))
    bench.drain()
    assert planes_of(pipeline) == [0, 1, 1]


def test_undoing_a_run_and_redoing_it(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.run()
    bench.drain()
    controller.undo()
    bench.drain()
    assert not controller.has_run
    controller.redo()
    bench.drain()
    assert len(heard.results) == 2


def test_undo_goes_back_to_the_former_reading(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.run()
    bench.drain()
    controller.update(controller.settings.replace(tiling=Tiling(short_side=64)))
    controller.run()
    bench.drain()
    controller.undo()
    bench.drain()
    assert [settings.tiling.short_side for settings, _, _ in pipeline.runs] == [None, 64, None]
    assert controller.stale  # the settings still ask for the detail that was chosen
    controller.undo()
    assert not controller.stale


def test_a_failed_change_is_not_tried_again(controller: Controller, bench: Bench, heard: Heard) -> None:
    controller.run()
    bench.drain()
    controller.update(looking("refuse"))
    bench.drain()
    assert len(heard.errors) == 1
    assert controller.stale
    controller.look_at(source())
    assert not bench.waiting
    controller.undo()
    assert not controller.stale


def test_run_reads_the_image_again_though_nothing_was_changed(
    controller: Controller, bench: Bench, pipeline: CountingPipeline
) -> None:
    for _ in range(2):
        controller.run()
        bench.drain()
    assert len(pipeline.runs) == 2


def test_pixels_are_known_from_the_result_until_the_image_is_looked_at_or_run_again(
    controller: Controller, bench: Bench, pipeline: CountingPipeline
) -> None:
    def known() -> str:
        bench.drain()
        return str(pipeline.hints[-1]["known"])

    controller.run()
    assert known() == ""
    threshold(controller, 0.9)
    assert known() == "pixels"
    controller.run()
    assert known() == ""
    threshold(controller, 0.8)
    assert known() == "pixels"
    controller.look_at(source())  # as when its data were replaced
    threshold(controller, 0.7)
    assert known() == ""
    threshold(controller, 0.6)
    assert known() == "pixels"
    controller.forget("image")
    controller.look_at(source())
    controller.run()
    assert known() == ""


def test_each_image_has_its_own_history(controller: Controller, bench: Bench, heard: Heard) -> None:
    threshold(controller, 0.1)
    controller.look_at(source("another"))
    assert controller.settings.objects[0].threshold == 0.1  # starts with the same
    assert not controller.can_undo
    threshold(controller, 0.2)
    controller.look_at(source())
    assert controller.settings.objects[0].threshold == 0.1
    controller.undo("another")
    assert controller.state_of("another").settings.objects[0].threshold == 0.1
    assert controller.settings.objects[0].threshold == 0.1


def test_settings_stay_when_the_last_image_goes(controller: Controller) -> None:
    threshold(controller, 0.1)
    controller.forget("image")
    controller.look_at(None)
    controller.look_at(source("another"))
    assert controller.settings.objects[0].threshold == 0.1


def test_a_run_goes_on_while_another_image_is_looked_at(
    controller: Controller, bench: Bench, heard: Heard, pipeline: CountingPipeline
) -> None:
    controller.look_at(stack())
    controller.run([(0,), (1,)])
    bench.step()
    controller.look_at(source("another"))
    bench.drain()
    assert planes_of(pipeline) == [0, 1]
    assert set(controller.state_of("stack").readings) == {(0,), (1,)}


def test_release_frees_the_model_and_keeps_what_is_shown(
    controller: Controller, bench: Bench, pipeline: CountingPipeline
) -> None:
    controller.run()
    bench.drain()
    controller.release()
    assert pipeline.released == 1
    assert controller.has_run


def test_edits_belong_to_their_image(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    stroke = np.ones((16, 16), bool)
    edits = Edits().paint("road", (), stroke, True)
    controller.update(edits=edits)
    controller.run()
    bench.drain()
    controller.look_at(source("another"))
    controller.run()
    bench.drain()
    assert [run[2] for run in pipeline.runs] == [edits, Edits()]


def test_undo_and_redo(controller: Controller, heard: Heard) -> None:
    first = controller.settings
    threshold(controller, 0.1)
    second = controller.settings
    assert controller.can_undo
    controller.undo()
    assert controller.settings == first
    assert not controller.can_undo
    controller.redo()
    assert controller.settings == second
    controller.redo()
    assert len(heard.changes) == 3


def test_a_moved_slider_is_one_entry_of_the_history(controller: Controller) -> None:
    first = controller.settings
    for value in (0.6, 0.7, 0.8):
        prompts = tuple(prompt.replace(threshold=value) for prompt in first.prompts)
        controller.update(first.replace(prompts=prompts), tag="threshold of road")
    controller.undo()
    assert controller.settings == first


def test_change_after_undo_drops_what_was_undone(controller: Controller) -> None:
    threshold(controller, 0.1)
    controller.undo()
    threshold(controller, 0.3)
    assert not controller.can_redo


def test_close_stops_and_releases(
    controller: Controller, bench: Bench, pipeline: CountingPipeline, heard: Heard
) -> None:
    controller.run()
    bench.step()
    controller.close()
    assert pipeline.released == 0  # not under the feet of the worker
    bench.drain()
    assert pipeline.released == 1
    assert pipeline.closed == 1
    controller.run()
    assert not bench.waiting
    assert not heard.results


def test_close_when_idle_releases_at_once(controller: Controller, bench: Bench, pipeline: CountingPipeline) -> None:
    controller.run()
    bench.drain()
    controller.close()
    assert pipeline.released == 1


def test_another_device_opens_another_pipeline() -> None:
    opened: list[CountingPipeline] = []

    def open_pipeline(runtime: Runtime) -> Any:
        opened.append(CountingPipeline(runtime))
        return opened[-1]

    controller = Controller(in_line, open_pipeline, State(looking()))
    controller.look_at(source())
    controller.run()
    controller.run()
    controller.runtime = Runtime(device="cpu")
    controller.run()
    assert [pipeline.runtime.device for pipeline in opened] == ["auto", "cpu"]
    assert [pipeline.released for pipeline in opened] == [1, 0]


def test_another_number_of_threads_keeps_the_pipeline(
    controller: Controller, bench: Bench, pipeline: CountingPipeline
) -> None:
    controller.run()
    bench.drain()
    controller.runtime = controller.runtime.replace(threads=3)
    controller.run()
    bench.drain()
    assert pipeline.runtime.threads == 3
    assert pipeline.released == 0


def test_what_is_held_is_known_before_it_is_released(
    controller: Controller, bench: Bench, pipeline: CountingPipeline
) -> None:
    assert controller.held == 0
    controller.run()
    bench.drain()
    assert controller.held == pipeline.held
    controller.release()
    assert controller.held == 0


def test_error_while_reading_the_image_is_told(bench: Bench, pipeline: CountingPipeline) -> None:
    controller = Controller(bench, lambda _: pipeline, State(looking()))
    heard = Heard(controller)

    def read(_: Any) -> np.ndarray:
        raise OSError("the disk is gone")

    controller.look_at(Source("image", View(), read))
    controller.run()
    bench.drain()
    assert [str(error) for error in heard.errors] == ["the disk is gone"]
    assert not controller.busy


def test_equal_value_changes_nothing(controller: Controller, heard: Heard) -> None:
    controller.update(looking())
    assert not heard.changes
    assert isinstance(controller.settings.objects[0], Prompt)


# ----------------------------------------------------------------------------------------------------------------------
# Previews


class PreviewingPipeline(CountingPipeline):
    """Shows one preview where it is asked to, at its first step but one."""

    def steps(self, image: Any, settings: Any, view: View, edits: Edits, **hints: Any) -> Any:
        steps = super().steps(image, settings, view, edits, **hints)
        yield next(steps)
        if hints["preview"]:
            coarse = CountingPipeline().steps(image, settings, view, edits)
            while True:
                try:
                    next(coarse)
                except StopIteration as end:
                    yield Preview("Making masks", segmentation=end.value)
                    break
        return (yield from steps)


class Previewed:
    """A controller on a pipeline that previews, what it told, and the previews that it took back."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.pipeline = bench, PreviewingPipeline()
        self.controller = Controller(bench, lambda _: self.pipeline, State(looking()))
        self.controller.look_at(source())
        self.heard = Heard(self.controller)
        self.withdrawn: list[Any] = []
        self.controller.withdrawn.connect(self.withdrawn.append)

    @property
    def told(self) -> list[bool]:
        """Of each result, whether it was a preview."""
        return [outcome.preview for outcome in self.heard.results]


@pytest.fixture
def previewed(bench: Bench) -> Previewed:
    return Previewed(bench)


def test_a_preview_is_shown_and_enters_nothing(previewed: Previewed) -> None:
    previewed.controller.run()
    previewed.bench.step(2)
    assert previewed.told == [True]
    assert previewed.heard.results[0].coverage == {"road": 0.5}
    assert not previewed.heard.changes
    assert not previewed.controller.can_undo
    previewed.bench.drain()
    assert previewed.told == [True, False]
    assert not previewed.withdrawn
    assert previewed.controller.can_undo


def test_what_was_run_before_is_not_previewed(previewed: Previewed) -> None:
    previewed.controller.run()
    previewed.bench.drain()
    previewed.controller.run()
    threshold(previewed.controller, 0.9)
    previewed.bench.drain()
    assert previewed.told.count(True) == 1


def test_a_plane_that_is_not_looked_at_is_not_previewed(previewed: Previewed) -> None:
    stack = Source("image", View(plane=(0,)), lambda _: np.zeros((3, 16, 16), np.uint8))
    previewed.controller.look_at(stack)
    previewed.controller.run([(0,), (1,)])
    previewed.bench.drain()
    assert [(outcome.source.view.plane, outcome.preview) for outcome in previewed.heard.results] == [
        ((0,), True),
        ((0,), False),
        ((1,), False),
    ]


def test_a_cancelled_preview_is_taken_back(previewed: Previewed) -> None:
    previewed.controller.run()
    previewed.bench.step(2)
    previewed.controller.cancel()
    previewed.bench.drain()
    assert previewed.told == [True]
    assert previewed.withdrawn == [("image", ())]
    assert not previewed.controller.has_run


def test_a_threshold_moved_on_a_preview_is_seen_at_once(previewed: Previewed) -> None:
    previewed.controller.run()
    previewed.bench.step(2)
    threshold(previewed.controller, 0.9)
    previewed.bench.drain()
    assert previewed.told == [True, True, False]
    assert [outcome.coverage["road"] for outcome in previewed.heard.results] == [0.5, 0.25, 0.25]
    assert not previewed.withdrawn


def test_what_is_in_sight_goes_along_and_changes_no_question(bench: Bench, pipeline: CountingPipeline) -> None:
    controller = Controller(bench, lambda _: pipeline, State(looking()))
    seen = Source("image", View(), lambda _: np.zeros((16, 16), np.uint8), (0.0, 0.0, 8.0, 8.0))
    controller.look_at(seen)
    controller.run()
    bench.drain()
    (hints,) = pipeline.hints
    assert hints == {"preview": True, "first": (0.0, 0.0, 8.0, 8.0), "bands": None, "read": seen.read, "known": ""}
    controller.look_at(replace(seen, region=(8.0, 8.0, 16.0, 16.0)))
    assert not controller.stale
    assert not bench.waiting


def test_planes_that_are_left_are_counted(controller: Controller, bench: Bench) -> None:
    controller.look_at(Source("image", View(plane=(0,)), lambda _: np.zeros((3, 16, 16), np.uint8)))
    assert controller.planes_left == 0
    controller.run([(0,), (1,), (2,)])
    left = []
    while bench.waiting:
        left.append(controller.planes_left)
        bench.step()
    assert list(dict.fromkeys(left)) == [2, 1, 0]
