"""What the user wants of each image, and the histories of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace

from napari_clearclip.edits import Edits, Plane
from napari_clearclip.gui.control.jobs import Reading
from napari_clearclip.settings import Settings

_LONGEST = 200


@dataclass(frozen=True)
class State:
    """One entry of an image's history.

    Attributes
    ----------
    settings : Settings
        What to look for and how.
    edits : Edits
        What was done by hand.
    readings : mapping of plane to Reading
        The planes that were run, and what they were read with.
    """

    settings: Settings = field(default_factory=Settings)
    edits: Edits = field(default_factory=Edits)
    readings: Mapping[Plane, Reading] = field(default_factory=dict)

    def with_reading(self, plane: Plane, reading: Reading) -> State:
        """The state after a plane was run."""
        return replace(self, readings={**self.readings, plane: reading})


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

    def amend(self, state: State) -> None:
        """Put another value in the place of the one that stands."""
        self._states[self._at] = state

    def undo(self) -> None:
        """Go one value back, if there is one."""
        self._at = max(self._at - 1, 0)

    def redo(self) -> None:
        """Go one value on, if there is one."""
        self._at = min(self._at + 1, len(self._states) - 1)


class Histories:
    """A history for each image, by key; under None, what is wanted before there is an image.

    Parameters
    ----------
    states : mapping
        What is known from the start; None is among the keys.

    Attributes
    ----------
    key : hashable
        Of the image that is looked at, or None.
    """

    def __init__(self, states: Mapping[Hashable, State]) -> None:
        self.key: Hashable = None
        self._histories = {key: History(state) for key, state in states.items()}

    @property
    def current(self) -> History:
        """The history of the image that is looked at."""
        return self._histories[self.key]

    def knows(self, key: Hashable) -> bool:
        """Whether an image has a history."""
        return key in self._histories

    def of(self, key: Hashable) -> State:
        """What is wanted of an image; of a new one, the settings of the one that is looked at."""
        history = self._histories.get(key)
        return State(self.current.state.settings) if history is None else history.state

    def look_at(self, key: Hashable) -> None:
        """Make another image the current one; a new one, or none, takes over the settings."""
        if key is None and self.key is not None:
            self._histories.pop(None)
        self._histories.setdefault(key, History(self.of(key)))
        self.key = key

    def push(self, key: Hashable, state: State, tag: str = "") -> None:
        """Make a value the one that stands for an image."""
        self._histories.setdefault(key, History(self.of(key))).push(state, tag)

    def amend(self, key: Hashable, state: State) -> None:
        """Put another value in the place of the one that stands for an image."""
        if key in self._histories:
            self._histories[key].amend(state)

    def step(self, way: Callable[[History], None], key: Hashable) -> None:
        """Undo or redo what was done to an image."""
        if key in self._histories:
            way(self._histories[key])

    def forget(self, key: Hashable) -> None:
        """Drop an image that is gone."""
        if key == self.key:
            self.look_at(None)
        self._histories.pop(key, None)
