"""The history of what the user wants: settings, and what was done by hand to each image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from napari_clearclip.edits import Edits
from napari_clearclip.settings import Settings

_LONGEST = 200


@dataclass(frozen=True)
class State:
    """One entry of the history: the settings, and what was done by hand to each image."""

    settings: Settings = field(default_factory=Settings)
    edits: Mapping[Hashable, Edits] = field(default_factory=dict)

    def edits_of(self, key: Hashable) -> Edits:
        """What was done by hand to an image."""
        return self.edits.get(key, Edits())

    def with_edits(self, key: Hashable, edits: Edits) -> State:
        """The state with other edits of one image."""
        return replace(self, edits={**self.edits, key: edits})


class History:
    """Values one after the other, and which of them stands.

    Parameters
    ----------
    state : State
        The first value.
    """

    def __init__(self, state: State) -> None:
        self._states = [state]
        self._tags = [""]
        self._at = 0

    @property
    def state(self) -> State:
        """The value that stands."""
        return self._states[self._at]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier value."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is a value that was undone."""
        return self._at < len(self._states) - 1

    def push(self, state: State, tag: str = "") -> None:
        """Make a value the one that stands, in place of one with the same tag, so that a moved slider leaves one."""
        kept = self._at + (not tag or tag != self._tags[self._at])
        self._states[kept:] = [state]
        self._tags[kept:] = [tag]
        surplus = max(len(self._states) - _LONGEST, 0)
        del self._states[:surplus], self._tags[:surplus]
        self._at = len(self._states) - 1

    def undo(self) -> None:
        """Go one value back, if there is one."""
        self._at = max(self._at - 1, 0)

    def redo(self) -> None:
        """Go one value on, if there is one."""
        self._at = min(self._at + 1, len(self._states) - 1)
