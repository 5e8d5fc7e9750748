"""What a session file holds, as frozen values; the models are the schema of its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, JsonValue, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core.core_schema import SerializationInfo

from napari_clearclip.edits import Edits, Plane, View
from napari_clearclip.settings import Attention, Model, Settings, Tiling, Value

VERSION = 2

Row = tuple[float, ...]
Matrix = tuple[Row, ...]
Color = tuple[float, float, float, float]


class Arrays(Protocol):
    """Where arrays are kept beside the JSON."""

    def put(self, array: npt.NDArray[Any]) -> Mapping[str, Any]:
        """Keep an array; what stands for it in the JSON is returned."""

    def take(self, reference: Mapping[str, Any]) -> npt.NDArray[Any]:
        """The array that something in the JSON stands for.

        Raises
        ------
        ValueError
            If there is none, or it is not as the reference says.
        """


def _taken(value: Any, info: ValidationInfo) -> npt.NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    arrays: Arrays | None = info.context
    if arrays is None or not isinstance(value, dict):
        raise ValueError("an array is expected, or the reference to one in a session file")
    return arrays.take(value)


def _put(value: npt.NDArray[Any], info: SerializationInfo) -> Mapping[str, Any]:
    arrays: Any = info.context
    return dict(arrays.put(value))


_REFERENCE = {
    "type": "object",
    "properties": {
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "arrays/<sha256>.npy in the zip"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "dtype": {"type": "string"},
    },
    "required": ["sha256", "shape", "dtype"],
}
Pixels = Annotated[npt.NDArray[Any], PlainValidator(_taken), PlainSerializer(_put), WithJsonSchema(_REFERENCE)]


class Entry(Value):
    """A value that may hold arrays; two are equal if their arrays are, in every element and in type."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in type(self).model_fields)

    __hash__ = None  # type: ignore[assignment]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


class Placement(Value):
    """Where a layer lies in the world, and what its axes are; as in napari, `affine` acts on what comes before it."""

    scale: Row = ()
    translate: Row = ()
    rotate: Matrix = ()
    shear: Row | Matrix = ()
    affine: Matrix = ()
    units: tuple[str, ...] = ()
    axis_labels: tuple[str, ...] = ()


class Look(Value):
    """How a layer is shown; what is None is left as it is."""

    visible: bool = True
    opacity: float = Field(1.0, ge=0, le=1)
    blending: str = "translucent"
    contrast_limits: tuple[float, float] | None = Field(None, description="Of an image.")
    gamma: float | None = Field(None, gt=0, description="Of an image.")
    colormap: str | None = Field(None, description="Of an image with one channel, by name.")


class Pick(Value):
    """What is one of an image's colours: an image, by its place in the session, and a channel of it."""

    image: int = Field(ge=0)
    channel: int | None = Field(None, ge=0)


class Read(Value):
    """A plane that was run, and what decided how it was encoded."""

    plane: Plane = ()
    model: Model = Model()
    tiling: Tiling = Tiling()
    attention: Attention = Attention()
    view: View = View()


class Result(Entry):
    """What was found on a plane: an option, since opening a session can find it again."""

    plane: Plane = ()
    settings: Settings = Field(Settings(), description="What made it: the image's, with all that a model recommends.")
    view: View = View()
    labels: Pixels = Field(description="(H, W) uint8: 0 = no prompt, i + 1 = the object prompt i of `settings`.")
    overlaps: Pixels | None = Field(None, description="(P, H, ceil(W / 8)) uint8: packed masks, where they overlap.")
    scores: Pixels = Field(description="(P, h, w) float32: scores in [0, 1] on cells.")
    cell: tuple[float, float] = Field(description="Height and width of a cell in pixels.")
    valid: Pixels | None = Field(None, description="(H, W) bool: pixels with data; None = all.")


class Image(Entry):
    """An image, where it comes from, how it is looked at, and what was wanted and done."""

    name: str
    path: str | None = Field(None, description="Absolute path of its file; None for an image without one.")
    relative: str | None = Field(None, description="The path as seen from the session file's folder.")
    reader: str | None = Field(None, description="napari plugin that opened the file.")
    sample: tuple[str, str] | None = Field(None, description="Plugin and key of a sample image.")
    shape: tuple[int, ...] = ()
    dtype: str = ""
    rgb: bool = False
    digest: str = Field("", description="Names the pixels: as `fingerprint` gives it.")
    pixels: Pixels | None = Field(None, description="The image itself, where it has no file or that was asked for.")
    placement: Placement = Placement()
    look: Look = Look()
    axis: int | None = Field(None, description="The axis that holds channels.")
    picks: tuple[Pick | None, ...] = Field((), max_length=3, description="What is red, green and blue.")
    settings: Settings | None = Field(None, description="None for an image to which nothing was done.")
    edits: Edits = Edits()
    readings: tuple[Read, ...] = ()
    results: tuple[Result, ...] = ()


class Layer(Entry):
    """Labels that are the user's own, such as accepted masks and objects."""

    name: str
    image: int | None = Field(None, ge=0, description="The image that they lie on, by its place in the session.")
    data: Pixels
    placement: Placement = Placement()
    look: Look = Look()
    colors: tuple[tuple[int | None, Color], ...] | None = Field(
        None, description="RGBA by value, null for all others; None = colours by a seed."
    )
    seed: float | None = Field(None, description="Of colours that are made from the values.")
    classes: tuple[tuple[int, str], ...] = Field((), description="What values mean.")
    objects: tuple[tuple[int, str], ...] = Field((), description="What objects are, by id.")
    features: dict[str, tuple[str | int | float | bool | None, ...]] = Field({}, description="Columns of a table.")
    metadata: dict[str, JsonValue] = Field({}, description="What else is known of the layer.")


class Camera(Value):
    """What the viewer shows."""

    center: Row = ()
    zoom: float = Field(1.0, gt=0)
    angles: Row = ()
    point: Row = Field((), description="Place on all axes, in world coordinates.")
    ndisplay: Literal[2, 3] = 2


class Session(Entry):
    """The content of ``session.json``."""

    version: Literal[2] = 2
    program: str = Field("", description="What wrote it.")
    written: str = Field("", description="When, as ISO 8601 in UTC.")
    images: tuple[Image, ...] = Field((), description="From the bottom of the layer list.")
    layers: tuple[Layer, ...] = Field((), description="From the bottom of the layer list.")
    current: int | None = Field(None, ge=0, description="The image that is looked at, by its place.")
    prompt: str | None = Field(None, description="Id of the prompt that is selected.")
    camera: Camera | None = None
