"""How a student of MaskCLIP+ is trained, and the card that says what a trained one is (no torch)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from napari_clearclip.settings import Model, Value

Architecture = Literal["small", "deeplab50", "deeplab101"]

LICENCE_NOTE = (
    "The weights were learned from the images and the model named here; whoever passes them on should heed the "
    "licences of both."
)


_PAPER: dict[str, Any] = {"iterations": 4000, "batch": 4, "crop": 512, "loss_step": 1}
# Chosen on drawn scenes (seeds from 9000) for a network that starts from nothing and has minutes on a CPU.
_SMALL: dict[str, Any] = {
    "iterations": 2000,
    "batch": 8,
    "crop": 160,
    "optimizer": "adamw",
    "rate": 0.004,
    "decay": 0.05,
    "confidence": 0.95,
    "filling": 0.6,
    "left_out": 0.1,
    "scale": 50.0,
    "balance": 0.6,
    "distil": 1.0,
    "average": 0.995,
    "zoom": (0.8, 1.25),
    "distortion": 0.2,
    "loss_step": 2,
}
_PAPER_TRANSDUCTIVE: dict[str, Any] = {"guided": 0.1}
_RECOMMENDED: dict[Architecture, dict[str, Any]] = {"small": _SMALL, "deeplab50": _PAPER, "deeplab101": _PAPER}


class Study(Value):
    """How a student learns; the same study, images and phrases give the same weights on the same machine."""

    architecture: Architecture = Field(
        "small",
        description="small: a few convolutions for a CPU, a vector every 4 pixels. deeplab50, deeplab101: DeepLab-v2 "
        "on a ResNet as in the paper, a vector every 8 pixels, for a GPU.",
    )
    iterations: int = Field(1000, ge=1, le=1_000_000, description="Steps of the training.")
    batch: int = Field(8, ge=1, le=256, description="Crops in a step.")
    crop: int = Field(160, ge=32, le=2048, multiple_of=8, description="Side of a crop in pixels.")
    short_side: int | None = Field(
        None,
        ge=8,
        le=65536,
        description="The images' shorter side in pixels; empty = as the teacher reads them, but not enlarged.",
    )
    optimizer: Literal["sgd", "adamw"] = Field(
        "sgd", description="sgd as in the paper; adamw learns faster where nothing was learned before."
    )
    rate: float = Field(0.01, gt=0, le=10, description="Learning rate at the beginning.")
    least_rate: float = Field(1e-4, ge=0, le=10, description="Learning rate at the end.")
    power: float = Field(0.9, gt=0, le=10, description="Exponent of the polynomial from the one to the other.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of the gradient descent.")
    decay: float = Field(5e-4, ge=0, le=1, description="Weight decay.")
    confidence: float = Field(
        0.0, ge=0, lt=1, description="Pixels whose pseudo-label has a lower probability are left out; 0 = none."
    )
    filling: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Pixels without a pseudo-label get the phrase of the teacher's own vectors, before anything was "
        "refined, where that is an object's and has at least this probability; 0 = they stay empty.",
    )
    left_out: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of each distractor's pseudo-labels that is left out, those whose vectors are least like it: "
        "among them is what no phrase names; 0 = none.",
    )
    transductive: bool = Field(
        False,
        description="What the user labelled of a prompt is all there is of it: pseudo-labels are only of the prompts "
        "of which nothing is labelled.",
    )
    guided: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the steps in which CLIP gives the pseudo-labels; in the rest the student gives its own "
        "(self-training). 1 = none, 0.1 = the paper's transductive setting, from a network that knows ImageNet.",
    )
    background: bool = Field(
        False, description="What labels leave empty is background, with a vector that is learned, and not unlabelled."
    )
    scale: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Factor on the cosines with the phrases that the loss reads; 0 = as in the paper: products of the "
        "vectors as they are.",
    )
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How much more the pixels of rare phrases count; 0 = all pixels alike as in the paper, 1 = all "
        "phrases alike.",
    )
    distil: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of the distance between the student's vectors and the teacher's, from which it learns "
        "words that are not among the phrases; 0 = none.",
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="What is kept in the end is a running mean of the weights: the part of it that stays in a step. "
        "0 = the last weights as in the paper.",
    )
    zoom: tuple[float, float] = Field((0.5, 2.0), description="Smallest and largest factor on the size of an image.")
    distortion: float = Field(1.0, ge=0, le=1, description="Strength of the changes of light and colour; 0 = none.")
    turned: bool = Field(False, description="Crops are also turned by quarters: for images that have no up and down.")
    loss_step: int = Field(
        4, ge=1, le=8, description="Every how many pixels the student is compared with the labels; 1 as in the paper."
    )
    seed: int = Field(0, ge=0, description="Of everything random.")

    @model_validator(mode="after")
    def _is_ordered(self) -> Study:
        if not 0 < self.zoom[0] <= self.zoom[1] <= 16:
            raise ValueError(f"zoom is {self.zoom}; give a smallest and a largest factor, such as (0.5, 2)")
        if self.least_rate > self.rate:
            raise ValueError(f"least_rate {self.least_rate} is larger than rate {self.rate}")
        if self.crop % self.loss_step:
            raise ValueError(f"loss_step {self.loss_step} does not divide the crop of {self.crop} pixels")
        return self

    @classmethod
    def of(cls, architecture: Architecture, **fields: Any) -> Study:
        """The study that is recommended for an architecture, with some fields changed: DeepLab's is the paper's.

        A small student, which starts from nothing, does not label for itself in the transductive setting either.
        """
        recommended = _RECOMMENDED[architecture]
        if fields.get("transductive") and architecture != "small":
            recommended = {**recommended, **_PAPER_TRANSDUCTIVE}
        return cls.model_validate({**recommended, **fields, "architecture": architecture})

    @property
    def reads_vectors(self) -> bool:
        """Whether anything is learned from the teacher's vectors beside its labels."""
        return any((self.distil, self.filling, self.left_out))

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        left = float((1 - step / self.iterations) ** self.power)
        return self.least_rate + (self.rate - self.least_rate) * left

    def is_guided(self, step: int) -> bool:
        """Whether CLIP gives the pseudo-labels in a step, counted from 0."""
        return step < self.guided * self.iterations


def stride_of(architecture: Architecture) -> int:
    """Pixels from one of a student's vectors to the next."""
    return 4 if architecture == "small" else 8


class Card(Value):
    """What a student is: the JSON file beside its weights.

    Attributes
    ----------
    architecture, width : of the network and of the text space
    teacher, teacher_key : the CLIP that it belongs to, whose text tower it needs, and the hash of that one's weights
    phrases : what it was trained with
    images : names of the training images
    study : how it was trained
    start : what it knew before
    figures : what was measured at the end of the training
    licence : a note on whose rights the weights touch
    clearclip : what is recommended, as in the configuration of any model
    """

    architecture: Architecture
    width: int = Field(ge=1)
    teacher: Model
    teacher_key: str
    phrases: tuple[str, ...]
    images: tuple[str, ...]
    study: Study
    start: Literal["nothing", "ImageNet"] = "nothing"
    figures: dict[str, float] = Field(default_factory=dict)
    licence: str = LICENCE_NOTE
    clearclip: dict[str, Any] = Field(default_factory=dict)


def read_card(weights: Path) -> Card | None:
    """The card beside a weights file; None if there is none, or another model's configuration is there.

    Raises
    ------
    ValueError
        If a student's card is damaged.
    """
    path = weights.expanduser().with_suffix(".json")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or "teacher_key" not in content:
        return None
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path} is not a student's card: {place}: {first['msg']}") from error
