"""What is drawn for the selected prompt becomes edits from which it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_clearclip.edits import Edits
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.layers.content import Stroke
from napari_clearclip.gui.prompts.section import PromptSection
from napari_clearclip.gui.teaching.pen import NEGATIVE, POSITIVE, SIMILAR, Pen
from napari_clearclip.settings import Prompt, Settings

if TYPE_CHECKING:
    from napari.components import ViewerModel

_HINTS = {
    POSITIVE: "Draw where “{}” is; its masks follow each stroke. Esc ends it.",
    NEGATIVE: "Draw where “{}” is not; its masks follow each stroke. Esc ends it.",
    SIMILAR: "Click or paint an example of “{}”; it finds what looks like that. Esc ends it.",
}
NO_PROMPT = "Select the prompt that is to learn."
RUN_FIRST = "Press Run first, to see what is to be corrected."


class Lessons:
    """Teaches the selected prompt.

    Parameters
    ----------
    viewer : ViewerModel
        Where strokes are drawn.
    section : PromptSection
        Which prompt is selected, and the buttons.
    controller : Controller
        Whose edits these are.
    images : Images
        What is drawn on.
    """

    said = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        section: PromptSection,
        controller: Controller,
        images: Images,
    ) -> None:
        self._section, self._controller, self._images = section, controller, images
        self._bar = section.teaching
        self.pen = Pen(viewer, self._may_draw)
        self._bar.tool_chosen.connect(self.take)
        self._bar.forgotten.connect(self.forget)
        self._bar.mix_moved.connect(self._mix)
        self._bar.released.connect(section.released)
        section.selected.connect(lambda _: self.show())
        self.pen.drawn.connect(self._on_drawn)
        self.pen.ended.connect(lambda: self._bar.show_tool(None))
        self.pen.undo.connect(lambda: controller.undo(self.pen.key))
        self.pen.redo.connect(lambda: controller.redo(self.pen.key))
        controller.changed.connect(self.show)
        controller.source_changed.connect(self._on_source)

    def close(self) -> None:
        """Put the pen away and let go of the controller."""
        self.pen.close()
        self._controller.changed.disconnect(self.show, missing_ok=True)
        self._controller.source_changed.disconnect(self._on_source, missing_ok=True)

    @property
    def _prompt(self) -> Prompt | None:
        """The selected prompt."""
        current = self._section.table.current_id()
        return next((prompt for prompt in self._controller.settings.objects if prompt.id == current), None)

    def show(self, *_: object) -> None:
        """Show what the selected prompt was taught."""
        prompt, edits = self._prompt, self._controller.state.edits
        self._bar.show_prompt(prompt, edits)
        self.pen.show(Edits() if prompt is None else edits.of(prompt.id))
        if prompt is None:
            self.pen.stop()

    def take(self, tool: int | None) -> None:
        """Take a tool in hand, or put it away; what cannot be taught is said."""
        image, prompt = self._images.current, self._prompt
        reason = "" if tool is None else self._refusal(prompt)
        if tool is None or reason or image is None or prompt is None:
            self.pen.stop()
            self._bar.show_tool(None)
            self.said.emit(reason)
            return
        self.pen.take(image, tool, self._controller.state.edits.of(prompt.id))
        self._bar.show_tool(tool)
        self.said.emit(_HINTS[tool].format(prompt.phrase))

    def forget(self) -> None:
        """Forget what the selected prompt was taught."""
        if (prompt := self._prompt) is None:
            return
        if prompt.locked:
            self.said.emit(self._refusal(prompt))
        else:
            if prompt.learned is not None:
                self._section.edited.emit(prompt.id, {"learned": None})
            self._controller.update(edits=self._controller.state.edits.forget(prompt.id))

    def _refusal(self, prompt: Prompt | None) -> str:
        """Why a prompt cannot learn; empty if it can."""
        if prompt is None:
            return NO_PROMPT
        if prompt.locked:
            return f"“{prompt.phrase}” is locked; unlock it to teach it."
        if prompt.index is not None:
            return f"“{prompt.phrase}” is computed from bands and cannot learn; change its expression."
        if not self._controller.has_run:
            return RUN_FIRST
        if not _competes(self._controller.settings):
            return f"There is nothing to tell “{prompt.phrase}” from; add a distractor."
        return ""

    def _may_draw(self) -> bool:
        """Whether a stroke counts; if not, it is said why."""
        reason = self._refusal(self._prompt)
        if reason:
            self.said.emit(reason)
        return not reason

    def _on_drawn(self, strokes: list[Stroke]) -> None:
        prompt, key = self._prompt, self.pen.key
        if prompt is None or key is None:
            return
        edits = self._controller.state_of(key).edits
        for stroke in strokes:
            plane, pixels = stroke.plane, stroke.pixels
            if stroke.value == SIMILAR:
                edits = edits.find_similar(prompt.id, plane, pixels)
            elif stroke.value:
                edits = edits.teach(prompt.id, plane, pixels, positive=stroke.value == POSITIVE)
            else:
                edits = edits.unteach(prompt.id, plane, pixels)
        self._controller.update(edits=edits, key=key)

    def _mix(self, value: float) -> None:
        if (prompt := self._prompt) is not None:
            self._section.edited.emit(prompt.id, {"mix": value})

    def _on_source(self, source: object) -> None:
        """Another image has its own strokes."""
        if self.pen.key is not None and self.pen.key != self._controller.key:
            self.pen.stop()
        self.show()


def _competes(settings: Settings) -> bool:
    """Whether there is anything that a prompt can be told from."""
    everyone = settings.deciding.exclusive or settings.deciding.competitors == "all"
    return bool(settings.distractors) or (everyone and len(settings.worded) > 1)
