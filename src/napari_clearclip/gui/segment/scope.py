"""What a run covers, planes, channels and detail, and what it costs: said before it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_clearclip.engine.sizes import sizes_of
from napari_clearclip.gui.control.controller import Controller
from napari_clearclip.gui.images import channels
from napari_clearclip.gui.images.channel_section import ChannelSection
from napari_clearclip.gui.images.gallery import Images
from napari_clearclip.gui.images.ruler import Ruler
from napari_clearclip.gui.images.sources import shape_of
from napari_clearclip.gui.sections import Message
from napari_clearclip.gui.segment.detail import cost, detail_for, windows
from napari_clearclip.gui.segment.pace import Paces
from napari_clearclip.gui.segment.section import SegmentSection
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Model, Settings

if TYPE_CHECKING:
    from napari_clearclip.edits import Plane
    from napari_clearclip.gui.images.channels import Picks

Change = Callable[..., bool]  # takes Settings -> Settings; whether it was accepted

NO_SIZES = "What the model reads at is not known yet: load it with a first run, or choose the detail by hand."


class Scope:
    """Connects the choice of planes, channels and detail to the images and to whoever holds the settings.

    Parameters
    ----------
    segment : SegmentSection
        Where planes and detail are chosen and costs are said.
    section : ChannelSection
        Where channels are chosen.
    images : Images
        The image that is looked at.
    ruler : Ruler
        Draws the line across an object.
    controller : Controller
        Holds the settings.
    change : callable
        Takes a function from settings to settings, and says whether that was accepted.
    message : Message
        Where things are said.
    """

    def __init__(
        self,
        segment: SegmentSection,
        section: ChannelSection,
        images: Images,
        ruler: Ruler,
        controller: Controller,
        change: Change,
        message: Message,
    ) -> None:
        self._segment, self._section, self._images = segment, section, images
        self._ruler, self._controller = ruler, controller
        self._change, self._message = change, message
        self._paces, self._learned = Paces(), False
        segment.line.connect(self._draw)
        segment.planes.changed.connect(self.show)
        section.axis_chosen.connect(images.set_axis)
        section.picks_chosen.connect(self._pick)
        ruler.measured.connect(self._measure)
        ruler.ended.connect(lambda: segment.show_drawing(False))

    def planes(self) -> list[Plane] | None:
        """The planes that Run segments, or None without an image."""
        source = self._images.source
        return None if source is None else self._segment.planes.planes(source.view.plane)

    def show(self) -> None:
        """Show the choices for the image that is looked at, and what a run costs."""
        image = self._images.current
        if image is None:
            self._segment.show_stack((), ())
            self._segment.show_cost("")
            self._section.setVisible(False)
            return
        *sizes, height, width = shape_of(image)
        self._segment.show_stack(sizes, [channels.axis_name(image, axis) for axis in range(len(sizes))])
        self._section.show_channels(
            channels.axes(image),
            channels.axis_of(image),
            channels.choices(self._images.layers),
            channels.picks_of(image),
            self._images.problem,
        )
        self._section.setVisible(bool(channels.axes(image)) or len(channels.choices(self._images.layers)) > 1)
        settings, planes = self._controller.settings, self.planes() or []
        known = sizes_of(settings.model)
        if settings.objects and not settings.worded:
            self._segment.show_cost("Band expressions only: quick, since no model is read.")
            return
        count = None if known is None else windows((height, width), settings, known)
        self._segment.show_cost(cost(count, len(planes), self._paces.rate(self._pace_key(settings), count or 0)))

    def note(self, progress: Progress) -> None:
        """Show how far a run is, and learn how fast it is."""
        self._learned = self._learned or progress.unit == "windows"
        following = self._controller.planes_left
        progress = self._paces.note(self._pace_key(self._controller.settings), progress, following)
        self._segment.show_progress(progress, following)

    def show_busy(self, busy: bool) -> None:
        """Show whether a job is running, at once if it answers a Run, and otherwise what a run costs."""
        self._segment.show_busy(busy, self._controller.reads)
        if not busy and self._learned:
            self._learned = False
            self._paces.rest()
            self.show()

    def _pace_key(self, settings: Settings) -> tuple[Model, int | None, str]:
        """What the time for a window depends on."""
        return settings.model, settings.tiling.window, self._controller.runtime.device

    def _draw(self, on: bool) -> None:
        image = self._images.current
        if not on or image is None:
            self._ruler.stop()
            self._segment.show_drawing(False)
            return
        self._segment.show_drawing(True)
        self._ruler.start(image)
        self._segment.show_drawing(self._ruler.drawing)

    def _measure(self, length: float) -> None:
        """Choose the detail for an object of some pixels."""
        image = self._images.current
        settings = self._controller.settings
        sizes = sizes_of(settings.model)
        if image is None:
            return
        if sizes is None:
            self._message.say(NO_SIZES)
            return
        height, width = shape_of(image)[-2:]
        detail = detail_for(length, (height, width), settings, sizes)
        if self._change(lambda s: s.replace(tiling=s.tiling.replace(short_side=detail.short_side))):
            self._message.say(
                f"The object of {length:.0f} pixels is read as {detail.patches:.0f} patches, at a detail of "
                f"{detail.short_side}."
                + (" Smaller objects than this image can show are hard to find." if detail.patches < 3.5 else "")
            )

    def _pick(self, picks: Picks) -> None:
        """Choose colours; what does not fit is said and put back."""
        try:
            self._images.set_picks(picks)
        except ValueError as error:
            self._message.say(str(error))
            self.show()
