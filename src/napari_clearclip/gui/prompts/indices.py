"""Band expressions as prompts: a menu of ready-made ones, and what there is to say about one that is being typed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from napari_clearclip.expression import ALLOWED, READY_MADE, find_bands, parse, words_for
from napari_clearclip.gui.prompts.listing import sentence
from napari_clearclip.settings import Index, Prompt

START = "name = "
_NO_IMAGE = "Open an image to see which bands it has"


class IndexButton(QPushButton):
    """A menu that adds band expressions, or begins one in the line beside it.

    `chosen` tells a name and an `Index`; `begun` the text of one that is to be completed, since the image has no bands
    of its names.
    """

    chosen = Signal(str, object)
    begun = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bands: tuple[str, ...] = ()
        tip = "Add a band expression: NDVI, NDWI, a channel above Otsu's threshold, or one of your own"
        self.setText("fx")
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setMenu(QMenu(self))
        self.setStyleSheet("QPushButton { font-style: italic; } QPushButton::menu-indicator { image: none; width: 0; }")
        self.menu().setToolTipsVisible(True)
        self.menu().aboutToShow.connect(self.fill)

    def set_bands(self, bands: Sequence[str]) -> None:
        """Offer what an image with these bands allows; of one without names, each is empty."""
        self._bands = tuple(bands)

    def fill(self) -> None:
        """Make the menu anew."""
        menu = self.menu()
        menu.clear()
        for name, (expression, about) in READY_MADE.items():
            action = menu.addAction(f"{name}: {about}")
            action.setToolTip(expression)
            add = partial(self.chosen.emit, name, Index(expression=expression))
            if not self._bands or missing(expression, self._bands):
                add = partial(self.begun.emit, f"{name} = {expression}")
            action.triggered.connect(lambda _=False, add=add: add())
        channels = menu.addMenu("Channel above Otsu")
        channels.setEnabled(bool(self._bands))
        for word in words_for(self._bands):
            add = partial(self.chosen.emit, f"{word} above Otsu", Index(expression=word, otsu=True))
            channels.addAction(word).triggered.connect(lambda _=False, add=add: add())
        menu.addSeparator()
        menu.addAction("Expression…", lambda: self.begun.emit(START))


def missing(expression: str, bands: Sequence[str]) -> str:
    """Why an allowed expression cannot be computed from some bands, in a sentence; empty if it can."""
    try:
        find_bands(parse(expression), bands, len(bands))
    except ValueError as error:
        return sentence(error)
    return ""


def missing_bands(prompt: Prompt, bands: Sequence[str]) -> tuple[str, ...]:
    """The bands that a prompt names and the image does not have; none while there is no image."""
    if prompt.index is None or not bands:
        return ()
    return tuple(name for name in parse(prompt.index.expression).names if missing(name, bands))


def refusal(text: str, bands: Sequence[str]) -> str:
    """Why typed text names no bands of the image, in a sentence; empty where it does, or is no band expression."""
    if "=" not in text or not bands:
        return ""
    try:
        prompt = Prompt.parse(text)
    except ValueError:
        return ""  # said elsewhere
    return "" if prompt.index is None else missing(prompt.index.expression, bands)


def about(text: str, bands: Sequence[str]) -> str:
    """What there is to say about an expression while it is typed; empty for words."""
    name, is_index, expression = text.partition("=")
    if not is_index:
        return ""
    there = f"Bands: {', '.join(words_for(bands))}" if bands else _NO_IMAGE
    if not expression.strip():
        return f"{there}. Besides: {ALLOWED}."
    try:
        found = parse(expression)
    except ValueError as error:
        return f"{sentence(error)} {there}."
    if bands and (reason := missing(expression, bands)):
        return reason
    return f"Reads {', '.join(found.names)}. Press Enter to add it{'' if name.strip() else ' once it has a name'}."
