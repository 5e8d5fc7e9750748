"""What is done to masks: cleaned, split into objects, linked from plane to plane."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from napari_clearclip.settings.value import Value


def _measure(title: str, power: int, description: str, zero: str = "off", **extra: Any) -> Any:
    """A field for a length (power 1) or an area (power 2) in the image's unit; `zero` is how 0 is shown."""
    shown: dict[str, Any] = {"power": power, "zero": zero, **extra}
    return Field(0.0, ge=0, le=1e9, title=title, description=description, json_schema_extra=shown)


class Cleaning(Value):
    """How masks are tidied after the threshold, in this order; lengths and areas are in the image's unit, else pixels.

    A field that is 0 does nothing, except `superpixel`.
    """

    edges: Literal["none", "slic", "felzenszwalb", "watershed"] = Field(
        "none",
        title="Move outlines",
        description="How outlines are moved to edges of the image: slic and felzenszwalb = each superpixel goes to "
        "whoever has most of it; watershed = doubtful pixels go to whoever reaches them without crossing an edge.",
    )
    superpixel: float = _measure(
        "Superpixel",
        1,
        "Side of a superpixel, at most 64 pixels; 0 = as suits the patches.",
        zero="recommended",
        read_with={"edges": ["slic", "felzenszwalb"]},
    )
    compactness: float = Field(
        30.0,
        gt=0,
        le=1000,
        description="How even superpixels are; lower = they follow colours more closely.",
        json_schema_extra={"read_with": {"edges": ["slic"]}},
    )
    certainty: float = Field(
        0.95,
        gt=0,
        le=1,
        json_schema_extra={"read_with": {"edges": ["watershed"]}},
        description="Pixels are doubtful whose lead over the second best is less than this, or whose "
        "score is less than this share of the way from the threshold to 1, or to 0. Higher = outlines move further.",
    )
    opening: float = _measure(
        "Remove thinner", 1, "Parts into which a disk of this radius does not fit are removed (opening); 0 = none."
    )
    closing: float = _measure(
        "Close gaps", 1, "Gaps into which a disk of this radius does not fit are closed (closing); 0 = none."
    )
    smooth: float = _measure(
        "Smooth outlines",
        1,
        "Each pixel goes to whoever has most of its surroundings, weighted by a Gaussian of this standard deviation; "
        "0 = outlines stay as they are.",
    )
    smallest: float = _measure("Smallest object", 2, "Objects of a smaller area are removed; 0 = none.")
    largest: int = Field(
        0,
        ge=0,
        le=100_000,
        title="Keep largest",
        description="Each prompt keeps so many of its largest objects on a plane; 0 = all.",
        json_schema_extra={"zero": "all"},
    )
    hole: float = _measure(
        "Fill holes", 2, "Empty parts up to this area that one prompt alone encloses are filled; 0 = none."
    )

    @property
    def moved(self) -> tuple[object, ...]:
        """What decides how outlines are moved to edges; () if they are not."""
        if self.edges == "none":
            return ()
        parts = {"slic": (self.superpixel, self.compactness), "felzenszwalb": (self.superpixel,)}
        return self.edges, *parts.get(self.edges, (self.certainty,))

    @property
    def lengths(self) -> tuple[float, float, float]:
        """What is done with a neighbourhood of each pixel: opening, closing, smooth."""
        return self.opening, self.closing, self.smooth

    @property
    def shaped(self) -> tuple[object, ...]:
        """What decides how masks are cleaned once their outlines are moved; () if they are not."""
        parts = (*self.lengths, self.smallest, self.largest, self.hole)
        return parts if any(parts) else ()

    @property
    def parts(self) -> tuple[Cleaning, Cleaning]:
        """What looks at the surroundings of each pixel, and after it what looks at objects and holes."""
        objects = {name: getattr(self, name) for name in ("smallest", "largest", "hole")}
        near = {name: getattr(self, name) for name in ("opening", "closing", "smooth")}
        return Cleaning(**near), Cleaning(**objects)

    @property
    def is_idle(self) -> bool:
        """Whether masks stay as they are."""
        return not self.moved and not self.shaped


class Splitting(Value):
    """How masks are split into instances, each with an id of its own."""

    method: Literal["none", "components", "shape", "score"] = Field(
        "none",
        title="Instances",
        description="How a mask becomes single objects: none; components = what hangs together is one; shape = that is "
        "also cut at narrow necks, for objects that touch; score = it is also cut where the score dips.",
    )
    neck: float = Field(
        0.95,
        gt=0,
        le=1,
        description="Parts are cut where the neck between them is narrower than this share of the narrower part (with "
        "score: where the score dips below this share of the lower peak). Lower = fewer cuts.",
    )
    smooth: float = Field(
        1.5,
        ge=0,
        le=100,
        description="Smoothing of shape or score before cuts are sought, in pixels, so that rough edges make none.",
    )
    distance: float = _measure(
        "Least distance", 1, "Parts whose middles are nearer to each other than this are not cut apart; 0 = any may be."
    )


class Linking(Value):
    """How the objects of a stack's planes become objects of the stack, when they are accepted."""

    on: bool = Field(
        False, title="Link planes", description="Objects that overlap from plane to plane are one object of the stack."
    )
    overlap: float = Field(
        0.25,
        gt=0,
        le=1,
        title="Least overlap",
        description="Two outlines are linked from this intersection over union on.",
    )
    reach: float = _measure(
        "Bridge gaps", 1, "Outlines this far apart are linked where planes between miss them; 0 = only neighbours are."
    )
