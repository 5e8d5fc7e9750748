"""From a click to layers and a table: asks the pipeline in the worker, and shows what comes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_clearclip.engine.sizes import sizes_of
from napari_clearclip.engine.variants import VARIANTS, variant, variant_name
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.control.history import State
from napari_clearclip.gui.control.jobs import Source
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.inspect.figures import FigureWindow
from napari_clearclip.gui.inspect.pointer import Pointer
from napari_clearclip.gui.inspect.section import InspectSection
from napari_clearclip.gui.inspect.shelf import Shelf
from napari_clearclip.gui.models.choices import title_of
from napari_clearclip.gui.prompts import listing
from napari_clearclip.inspection.curves import KINDS, curves_steps, norms_steps
from napari_clearclip.inspection.maps import USUAL, Comparison, Decomposition, compare_steps, decompose_steps
from napari_clearclip.inspection.plots import plot_curves, plot_last_block, plot_variants
from napari_clearclip.inspection.points import AttentionMap, Place, attention_steps, words_steps
from napari_clearclip.loading import Towers
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Attention, Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from napari.components import ViewerModel

    from napari_clearclip.pipeline import Pipeline

ATTENTION, OWN = "attention", "q-k attention"
NO_IMAGE = "Open an image first."
NO_PROMPT = "Add a prompt first: parts are shown of what it finds."
_SIDE = 512  # pixels of the longer side of an image in a figure, at least
Steps = Generator[Progress, None, Any]


class Inspector:
    """Wires the section, the layers and the worker.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    controller : Controller
        What is wanted of the image, and the pipeline that has read it.
    images : Images
        The image that is looked at.
    section : InspectSection
        The buttons.

    Notes
    -----
    One inspection goes on at a time; a new one stops it. Nothing of it enters the history.
    """

    said = Signal(str)

    def __init__(self, viewer: ViewerModel, controller: Controller, images: Images, section: InspectSection) -> None:
        self._viewer, self._controller, self._images, self._section = viewer, controller, images, section
        self.shelf = Shelf(viewer)
        self.pointer = Pointer(viewer, self.shelf)
        self._towers = Towers()
        self._stop: Callable[[], None] | None = None
        self._asked = self._working = 0  # the number of what was asked last, and of what is worked on
        self._closed = False
        self._point: tuple[float, float] | None = None
        self._row: Attention | None = None
        self._vocabulary: tuple[str, ...] = ()
        self._prompt: str | None = None
        self._maps: tuple[Source, list[AttentionMap]] | None = None
        self.pointer.clicked.connect(self.look_at)
        self.pointer.ended.connect(lambda: section.show_clicking(False))
        section.click_wanted.connect(self._click)
        section.compared.connect(self._choose_row)
        section.head_chosen.connect(lambda _: self._show_maps())
        section.vocabulary_changed.connect(self._choose_words)
        section.parts_wanted.connect(self.show_parts)
        section.variants_wanted.connect(self.show_variants)
        section.blocks_wanted.connect(self.show_blocks)
        section.last_block_wanted.connect(self.show_last_block)
        self._show_sizes(controller.settings)
        controller.changed.connect(self._on_changed)
        section.cancelled.connect(self.cancel)
        section.clear_wanted.connect(self.clear)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.events.inserted.connect(self._on_layers)

    def close(self) -> None:
        """Stop, and let go of the viewer; once is enough, more does no harm."""
        if not self._closed:
            self._closed = True
            self.cancel()
            self.pointer.close()
            self._controller.changed.disconnect(self._on_changed)
            self._viewer.layers.events.removed.disconnect(self._on_layers)
            self._viewer.layers.events.inserted.disconnect(self._on_layers)

    @property
    def busy(self) -> bool:
        """Whether something is being inspected."""
        return self._stop is not None

    def cancel(self) -> None:
        """Stop what is being inspected."""
        self._asked += 1
        if self._stop is not None:
            self._stop()
            self._stop, self._working = None, 0
            self._section.show_progress(None)

    def clear(self) -> None:
        """Take everything away that inspection has made."""
        self.cancel()
        self.pointer.stop()
        self.shelf.remove()
        self._point = self._maps = None
        self._section.show_words(())
        self._section.show_heads(0)
        self._section.say("")

    def select(self, prompt: str | None) -> None:
        """Say which prompt's parts are shown."""
        self._prompt = prompt

    # Points

    def _click(self, on: bool) -> None:
        image = self._images.current
        if not on:
            self.pointer.stop()
        elif image is None:
            self._section.show_clicking(False)
            self.said.emit(NO_IMAGE)
        else:
            self.pointer.start(image)
            self._section.show_clicking(True)

    def _choose_row(self, row: Attention | None) -> None:
        self._row = row
        if self._point is not None:
            self.look_at(self._point)

    def _choose_words(self, text: str) -> None:
        words = tuple(word for part in text.split(",") if (word := part.strip()))
        if words != self._vocabulary:
            self._vocabulary = words
            if self._point is not None:
                self.look_at(self._point)

    def look_at(self, point: tuple[float, float]) -> None:
        """Show where the patch at a point (row, column) looks, and what it is like."""
        self._point = point
        settings = self._controller.settings
        row = self._row or settings.attention
        rows = [row] if row.terms == ("qk",) else [row, variant("qk")]
        self.ask(
            lambda pipeline, source: _at_point(pipeline, source, settings, point, rows, self._vocabulary),
            self._show_point,
        )

    def _show_point(self, source: Source, found: tuple[list[AttentionMap], Any, Place]) -> None:
        maps, words, place = found
        self._maps = source, maps
        self._section.show_heads(len(maps[0].heads))
        self._section.show_words(words)
        rest = maps[0].rest.mean()
        share = 100 * rest / max(rest + maps[0].mean.sum(), 1e-12)
        token = f" {share:.0f} % of the attention goes to the class token." if rest else ""
        self._section.say(f"From {place}.{token}")
        self._show_maps()

    def _show_maps(self) -> None:
        image = self._images.current
        if self._maps is None or image is None:
            return
        source, maps = self._maps
        head = self._section.heads.currentData()
        which = "" if head is None else f", head {head + 1}"
        for slot, found in zip((ATTENTION, OWN), maps, strict=False):
            name = f"{_title(found.row)}{which}, window {found.place.window + 1} of {found.place.windows}"
            self.shelf.show_map(
                slot, name, image, source.view.plane, found.of(head), found.place.region, visible=slot == ATTENTION
            )
        if len(maps) == 1:
            self.shelf.remove(OWN)

    # Maps and figures

    def show_parts(self) -> None:
        """Show what the parts of the last block find of the prompt that is selected."""
        settings = self._controller.settings
        prompt = next((item for item in settings.worded if item.id == self._prompt), next(iter(settings.worded), None))
        if prompt is None:
            self.said.emit(NO_PROMPT)
            return
        phrase = prompt.words[0]
        self.ask(
            lambda pipeline, source: decompose_steps(
                pipeline, partial(source.read, source.view.plane), settings, phrase, source.view
            ),
            partial(self._show_parts, phrase),
        )

    def _show_parts(self, phrase: str, source: Source, found: Decomposition) -> None:
        image = self._images.current
        if image is None:
            return
        for kind, maps in (("alone", found.alone), ("share", found.shares)):
            for part, values in maps.items():
                name = f"{phrase}, {part} {kind}"
                seen = (kind, part) == ("alone", "x_attn")
                self.shelf.show_map(f"{kind} {part}", name, image, source.view.plane, values, visible=seen)

    def show_variants(self) -> None:
        """Show what variants find, side by side, and where they disagree."""
        settings = self._controller.settings
        sizes = sizes_of(settings.model)
        names = [name for name in USUAL if sizes is None or not sizes.lacking(VARIANTS[name].row)]
        self.ask(
            lambda pipeline, source: _compared(pipeline, source, settings, names),
            partial(self._show_variants, settings),
        )

    def _show_variants(self, settings: Settings, source: Source, found: tuple[Comparison, Any]) -> None:
        image = self._images.current
        if image is None:
            return
        comparison, shown = found
        name = f"disagreement of {len(comparison.labels)} variants"
        values = comparison.disagreement
        self.shelf.show_map("disagreement", name, image, source.view.plane, values, limits=(0, 1))
        prompts = [(item.phrase, item.color) for item in settings.objects]
        self._show_figure("Variants side by side", lambda: plot_variants(shown, comparison, prompts))

    def show_blocks(self) -> None:
        """Show curves over the blocks of the model, and of another tower beside it if one is named."""
        settings, other = self._controller.settings, self._section.other.text().strip()
        self.ask(
            lambda pipeline, source: _curves(pipeline, source, settings, other, self._towers),
            lambda _, curves: self._show_figure("Blocks of the model", lambda: plot_curves(curves)),
        )

    def show_last_block(self) -> None:
        """Show how large the parts of the last block are, by variant."""
        settings = self._controller.settings
        sizes = sizes_of(settings.model)
        names = [name for name in KINDS if sizes is None or not sizes.lacking(VARIANTS[name].row)]
        self.ask(
            lambda pipeline, source: norms_steps(
                pipeline, partial(source.read, source.view.plane), settings, names, source.view
            ),
            lambda _, found: self._show_figure("Last block", lambda: plot_last_block(found)),
        )

    def _on_changed(self, _: Any, old: State, new: State) -> None:
        before, after = old.settings, new.settings
        if (before.model, before.attention) != (after.model, after.attention):
            self._show_sizes(after)

    def _show_sizes(self, settings: Settings) -> None:
        self._section.show_sizes(sizes_of(settings.model), settings.attention)

    def _show_figure(self, title: str, make: Callable[[], Figure]) -> None:
        try:
            window = FigureWindow(title, make(), self._section)
        except ImportError as error:
            self.said.emit(listing.sentence(error))
            return
        window.show()

    # The worker

    def ask(self, work: Callable[[Pipeline, Source], Steps], show: Callable[[Source, Any], None]) -> None:
        """Do some work on the image that is looked at, in the worker, and show what it returns."""
        self.cancel()
        source = self._images.source
        if source is None:
            self.said.emit(NO_IMAGE)
            return
        self._asked += 1
        number = self._working = self._asked
        self._section.show_progress(Progress("Looking at the image"))
        stop = self._controller.beside.start(
            lambda pipeline: work(pipeline, source),
            lambda progress: self._section.show_progress(progress) if number == self._asked else None,
            partial(self._finish, number, source, show),
        )
        self._stop = stop if number == self._working else None

    def _finish(self, number: int, source: Source, show: Callable[[Source, Any], None], found: Any) -> None:
        if number != self._asked or self._closed:
            return
        self._stop, self._working = None, 0
        self._section.show_progress(None)
        if isinstance(found, Exception):
            self.said.emit(listing.sentence(found))
        elif found is not None and self._images.current is not None:
            show(source, found)

    def _on_layers(self, event: Any) -> None:
        self._section.clear_button.setEnabled(any(True for _ in self.shelf))


def _title(row: Attention) -> str:
    name = variant_name(row)
    return VARIANTS[name].title if name in VARIANTS else "your own variant"


def _curves(
    pipeline: Pipeline, source: Source, settings: Settings, other: str, towers: Towers
) -> Generator[Progress, None, Any]:
    """Curves by tower: the model's, and those of another, ``NAME`` or ``NAME = FILE``, on the same windows."""
    read = partial(source.read, source.view.plane)
    name, _, file = (part.strip() for part in other.partition("="))
    tower = (yield from towers.steps(name, Path(file).expanduser() if file else None)) if name else None
    found = {title_of(settings.model): (yield from curves_steps(pipeline, read, settings, source.view))}
    if tower is not None:
        found[name] = yield from curves_steps(pipeline, read, settings, source.view, tower)
    return found


def _at_point(
    pipeline: Pipeline,
    source: Source,
    settings: Settings,
    point: tuple[float, float],
    rows: list[Attention],
    vocabulary: tuple[str, ...],
) -> Generator[Progress, None, Any]:
    """Attention maps and words of a point."""
    read = partial(source.read, source.view.plane)
    maps = yield from attention_steps(pipeline, read, settings, point, rows, source.view)
    words, place = yield from words_steps(pipeline, read, settings, point, vocabulary, source.view)
    return maps, words, place


def _compared(
    pipeline: Pipeline, source: Source, settings: Settings, names: list[str]
) -> Generator[Progress, None, tuple[Comparison, Any]]:
    """What variants find, and the image as it is looked at."""
    from napari_clearclip.engine.view import render, resolve_view

    read = partial(source.read, source.view.plane)
    found = yield from compare_steps(pipeline, read, settings, names, source.view)
    stored = read()
    shown = render(stored, resolve_view(stored, source.view), slice(None), slice(None))[0]
    step = max(max(shown.shape[:2]) // _SIDE, 1)
    labels = {name: values[::step, ::step] for name, values in found.labels.items()}
    return Comparison(labels, found.disagreement[::step, ::step]), shown[::step, ::step]
