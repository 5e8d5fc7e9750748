"""What the prompt section asks for becomes a change of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_clearclip.engine.automatic import Counts, otsu
from napari_clearclip.gui.prompts import indices, listing
from napari_clearclip.gui.prompts.ranges import Ranges
from napari_clearclip.gui.prompts.section import PromptSection
from napari_clearclip.gui.sections import Message
from napari_clearclip.io.prompt_bank import Line, lines_of, read_prompts, write_prompts
from napari_clearclip.settings import Index, Learned, Settings

Change = Callable[..., bool]  # takes Settings -> Settings and a tag for the history; whether it was accepted


class Prompting:
    """Connects the prompt section to whoever holds the settings.

    Parameters
    ----------
    section : PromptSection
        Where the user works.
    settings : callable
        The settings as they stand.
    change : callable
        Takes a function from settings to settings and a tag, and says whether that was accepted.
    message : Message
        Where things are said.
    """

    def __init__(
        self, section: PromptSection, settings: Callable[[], Settings], change: Change, message: Message
    ) -> None:
        self._section = section
        self._settings = settings
        self._change = change
        self._message = message
        self._scores: Mapping[str, Counts] = {}
        self._learned: Mapping[str, Learned] = {}
        self._gestures = 0
        section.added.connect(self.add)
        section.index_chosen.connect(self.add_index)
        section.pasted.connect(self.add_lines)
        section.edited.connect(self.edit)
        section.duplicated.connect(self.duplicate)
        section.removed.connect(lambda ids: change(lambda settings: listing.removed(settings, ids)))
        section.moved.connect(lambda ids, before: change(lambda s: listing.moved(s, ids, before)))
        section.kind_changed.connect(lambda id_, kind: change(lambda s: listing.with_kind(s, id_, kind)))
        section.automatic.connect(self.set_automatically)
        section.ranged.connect(lambda id_, ends: change(lambda s: listing.with_range(s, id_, **ends)))
        section.released.connect(self._end_gesture)
        section.refused.connect(lambda reason: message.say(reason) if reason else message.clear())
        section.opened.connect(lambda path: self.open(Path(path)))
        section.saved.connect(lambda path: self.save(Path(path)))
        section.emptied.connect(lambda: change(listing.without_objects))

    def set_scores(self, scores: Mapping[str, Counts], ranges: Ranges) -> None:
        """Take scores, and the values of band expressions, of what is looked at, by prompt; empty before it was run."""
        self._scores = scores
        self._section.set_scores(scores, ranges)

    def set_learned(self, learned: Mapping[str, Learned]) -> None:
        """Take what prompts have learned on the image that is looked at, by id."""
        self._learned = learned

    def add(self, text: str, kind: listing.Kind) -> None:
        """Add what was typed; what is refused stays where it was typed."""
        entry = self._section.entry if kind == "object" else self._section.other_entry
        if reason := indices.refusal(text, self._section.bands):
            self._message.say(reason)
            entry.line.refuse(reason)
        elif self._change(lambda settings: listing.added(settings, text, kind)):
            entry.line.clear()
            self._select_last(kind)
        else:
            entry.line.refuse(self._message.label.text())

    def add_index(self, name: str, index: Index) -> None:
        """Add a band expression that was chosen."""
        if self._change(lambda settings: listing.with_index(settings, name, index)):
            self._select_last("object")

    def add_lines(self, text: str, kind: listing.Kind) -> None:
        """Add a prompt for each line that was pasted, and say which were left out."""
        lines = lines_of(text)
        if kind == "distractor":
            lines = tuple(Line(line.number, line.text, kind) for line in lines)
        made, refused = listing.added_lines(self._settings(), lines)
        if self._change(lambda _: made):
            self._select_last(kind)
        self._say(listing.report(refused, len(lines) - len(refused)))

    def edit(self, prompt: str, fields: dict[str, Any]) -> None:
        """Change some fields of a prompt; each move of a slider leaves one entry in the history."""
        slid = [name for name in ("threshold", "mix") if name in fields]
        tag = f"{slid[0]} of {prompt}, {self._gestures}" if slid else ""
        self._change(lambda settings: listing.changed(settings, (prompt,), **fields), tag)

    def _end_gesture(self) -> None:
        self._gestures += 1

    def duplicate(self, source: str, text: str) -> None:
        """Add a copy of a prompt with other words."""
        before = {prompt.id for prompt in self._settings().prompts}
        if self._change(lambda settings: listing.duplicated(settings, source, text)):
            for prompt in self._settings().prompts:
                if prompt.id not in before:
                    (self._section.table if prompt.kind == "object" else self._section.others).select_prompt(prompt.id)

    def set_automatically(self, ids: list[str] | None) -> None:
        """Set thresholds between low and high scores, of some prompts or of all."""
        asked = [prompt for prompt in self._settings().objects if ids is None or prompt.id in ids]
        wanted = [prompt for prompt in asked if prompt.fixed_threshold is not None]
        if asked and not wanted:
            self._say("Each image sets this threshold by Otsu's method already.")
            return
        found = {prompt.id: otsu(self._scores[prompt.id]) for prompt in wanted if prompt.id in self._scores}
        thresholds = {id_: threshold for id_, threshold in found.items() if threshold is not None}
        if thresholds:
            self._change(lambda settings: listing.with_thresholds(settings, thresholds))
        without = [f"“{prompt.phrase}”" for prompt in wanted if prompt.id not in thresholds and not prompt.locked]
        if not found:
            self._say("There are no scores yet; press Run first.")
        elif without:
            self._say(f"No automatic threshold for {', '.join(without)}: all scores are about the same.")

    def open(self, path: Path) -> None:
        """Take the prompts of a file over in place of those that are there."""
        try:
            made, refused = listing.opened(self._settings(), read_prompts(path))
        except ValueError as error:
            self._say(listing.sentence(error))
            return
        if self._change(lambda _: made):
            objects, others = len(made.objects), len(made.prompts) - len(made.objects)
            self._section.table.select_prompt(made.objects[0].id if made.objects else None)
            opened = f"{path.name} has {objects} prompts and {others} distractors; undo brings the earlier ones back."
            if taught := [f"“{prompt.phrase}”" for prompt in made.objects if prompt.learned is not None]:
                opened += f" What {' and '.join(taught)} learned elsewhere counts here too; Forget takes it away."
            self._say(listing.report(refused, len(made.prompts)) or opened)

    def taught(self) -> Settings:
        """The settings, with what prompts have learned on the image that is looked at."""
        settings = self._settings()
        prompts = (
            prompt.replace(learned=self._learned[prompt.id]) if prompt.id in self._learned else prompt
            for prompt in settings.prompts
        )
        return settings.replace(prompts=tuple(prompts))

    def save(self, path: Path) -> None:
        """Write the prompts to a file; JSON has what they have learned on this image too."""
        prompts = self.taught().prompts
        try:
            write_prompts(path, prompts)
        except (OSError, ValueError) as error:
            self._say(listing.sentence(error))
            return
        taught = [f"“{prompt.phrase}”" for prompt in prompts if prompt.learned is not None]
        kept = f", with what {' and '.join(taught)} learned" if taught and path.suffix.lower() == ".json" else ""
        self._say(f"Saved the prompts to {path}{kept}.")

    def _say(self, text: str) -> None:
        if text:
            self._message.say(text)

    def _select_last(self, kind: listing.Kind) -> None:
        """Make the last prompt of a kind the current one."""
        view = self._section.table if kind == "object" else self._section.others
        prompts = [prompt for prompt in self._settings().prompts if prompt.kind == kind]
        if prompts:
            view.select_prompt(prompts[-1].id)
