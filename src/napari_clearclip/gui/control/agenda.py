"""What is asked of each plane, what is shown of it, and what comes next: no Qt, no napari."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from napari_clearclip.gui.control.history import Histories
from napari_clearclip.gui.control.jobs import Reading, Run, Source, Spot, question


class Agenda:
    """Planes whose answer is not the one shown.

    Parameters
    ----------
    histories : Histories
        What is wanted of each image.

    Attributes
    ----------
    source : Source or None
        The image and plane that are looked at.
    run : Run or None
        What was asked for by pressing Run and has not all come out yet.
    shown : dict
        By plane, the question whose answer is shown.
    given_up : dict
        By plane, the question that was cancelled or failed; it is not asked again by itself.
    known : dict
        By plane, what names the pixels that the result shown is of, until the image is looked at anew.
    """

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        self.source: Source | None = None
        self.run: Run | None = None
        self.shown: dict[Spot, Hashable] = {}
        self.given_up: dict[Spot, Hashable] = {}
        self.known: dict[Spot, str] = {}

    def reading(self, spot: Spot) -> Reading | None:
        """What a plane is read with: as the run says that is going on, else as in its last run."""
        if self.run is not None and spot[0] == self.run.source.key and spot[1] in self.run.left:
            return self.run.reading
        return self._histories.of(spot[0]).readings.get(spot[1])

    def question(self, spot: Spot, reading: Reading) -> Hashable:
        """What is asked of a plane, in short."""
        state = self._histories.of(spot[0])
        return question(state.settings, state.edits.at(spot[1]), reading)

    def stale(self) -> Iterator[tuple[Spot, Hashable]]:
        """The planes whose answer is not the one shown, and what is asked of them, the most urgent first."""
        spots: list[Spot] = []
        if self.source is not None:
            spots = [self.source.spot, *((self.source.key, plane) for plane in self._histories.current.state.readings)]
        if self.run is not None:
            spots += [(self.run.source.key, plane) for plane in self.run.left]
        for spot in dict.fromkeys(spots):
            if not self._histories.of(spot[0]).settings.objects or (reading := self.reading(spot)) is None:
                continue
            asked = self.question(spot, reading)
            if asked not in (self.shown.get(spot), self.given_up.get(spot)):
                yield spot, asked

    def forget(self, key: Hashable) -> None:
        """Drop an image that is gone."""
        if self.run is not None and self.run.source.key == key:
            self.run = None
        if self.source is not None and self.source.key == key:
            self.source = None
        self.look_again(key)
        for spots in (self.shown, self.given_up):
            for spot in [spot for spot in spots if spot[0] == key]:
                del spots[spot]

    def look_again(self, key: Hashable) -> None:
        """Rely no longer on what an image was when it was looked at: it may have been written to."""
        self.known = {spot: content for spot, content in self.known.items() if spot[0] != key}
