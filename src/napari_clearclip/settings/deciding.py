"""How phrases are compared with the image, and how scores become masks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from napari_clearclip.settings.value import Value

TemplateSet = Literal["imagenet", "single", "microscopy", "aerial"]


class Comparing(Value):
    """How phrases are put into words and compared with patches."""

    templates: TemplateSet | tuple[str, ...] | None = Field(
        None, description="Named template set or your own sentences with {} for the phrase; empty = the model's own."
    )
    cell: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Side of an output cell in resized pixels; empty = one patch, 1 = as in the papers.",
    )
    surgery: bool = Field(
        False,
        title="Feature surgery",
        description="Takes off what a patch has in common with all phrases, and phrases that fit the window as a whole "
        "count more (CLIP Surgery). The winner changes little; the map of each prompt by itself becomes clearer.",
    )
    denoise: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Prompt denoising",
        json_schema_extra={"zero": "off"},
        description="Prompts and distractors that are nowhere in the image as likely as this are dropped, and the rest "
        "compete without them (MaskCLIP: 0.5); 0 = none.",
    )
    smooth: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Key smoothing",
        json_schema_extra={"zero": "off"},
        description="Patches where no phrase is as likely as this take what patches with similar keys have (MaskCLIP: "
        "1, all of them); 0 = none. What comes out is a score between -1 and 1 and no cosine.",
    )
    smooth_axis: Literal["channels", "tokens"] = Field(
        "channels",
        title="Keys of length 1",
        description="Along which axis keys are normalised for smoothing: the channels of each patch, as in MaskCLIP's "
        "paper, or the tokens of each channel, as its published code does.",
    )

    @property
    def adjusting(self) -> tuple[object, ...]:
        """All that changes a phrase's cosines by those of the others, window by window; empty where nothing does."""
        smoothing = (self.smooth, self.smooth_axis) if self.smooth else ()
        return (self.surgery, smoothing) if self.surgery or smoothing else ()

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple):
            if not value:
                raise ValueError("templates is an empty list; give at least one sentence with {} in it")
            for template in value:
                if template.count("{}") != 1:
                    raise ValueError(f"template {template!r} needs exactly one {{}} where the phrase goes")
        return value


class Refining(Value):
    """How maps that are as coarse as a patch take on the edges of the image, before anything is decided."""

    pamr: int = Field(
        0,
        ge=0,
        le=100,
        title="PAMR steps",
        json_schema_extra={"zero": "off"},
        description="How often each pixel's cosines become the mean of its neighbours', those of like colour counting "
        "most; 0 = off, 10 as in NACLIP. More steps carry further and take longer.",
    )
    dilations: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (8, 16),
        min_length=1,
        max_length=8,
        title="PAMR distances",
        description="How far away these neighbours are, in pixels of the image: eight around each pixel for a number.",
    )
    guided: int = Field(
        0,
        ge=0,
        le=64,
        title="Guided filter",
        json_schema_extra={"zero": "off"},
        description="Radius, in pixels of the image, of the windows in which cosines become a linear function of the "
        "colours (He et al., 2010); 0 = off. Larger carries further. Needs kornia: napari-clearclip[guided].",
    )
    contrast: float = Field(
        0.03,
        ge=0.001,
        le=1,
        title="Guided contrast",
        description="Standard deviation of colours (0 to 1) in such a window below which it counts as flat and is only "
        "blurred, the root of the paper's epsilon: lower = weaker edges count.",
    )

    @property
    def is_idle(self) -> bool:
        """Whether maps stay as they are."""
        return not (self.pamr or self.guided)

    @property
    def key(self) -> tuple[object, ...]:
        """All that is read."""
        around = (self.pamr, self.dilations) if self.pamr else ()
        return around + ((self.guided, self.contrast) if self.guided else ())


class Deciding(Value):
    """How cosines become scores and scores become masks."""

    score: Literal["softmax", "sigmoid"] = Field(
        "softmax",
        description="How cosines become scores: softmax, of prompts that compete; or sigmoid, each phrase by itself, "
        "with the scale and bias that SigLIP has learned. Sigmoids are often small: thresholds must be lower then.",
    )
    competitors: Literal["distractors", "all"] = Field(
        "distractors",
        json_schema_extra={"read_with": {"score": ["softmax"]}},
        description="What a prompt competes with in the softmax: the distractors only, "
        "or all phrases of all prompts as in the papers.",
    )
    scale: float = Field(
        50.0,
        gt=0,
        le=1000,
        json_schema_extra={"read_with": {"score": ["softmax"]}},
        description="Factor on the cosines before the softmax.",
    )
    exclusive: bool = Field(True, description="Each pixel belongs to at most one prompt.")
    lead: float = Field(
        0.0, ge=0, le=1, description="Smallest lead over the second best: tanh(scale * difference of cosines / 2)."
    )
    area: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Least area",
        description="Prompts that win at most this share of the labelled area are dropped (SCLIP). "
        "Masks that may overlap are not touched by it.",
    )

    @property
    def scoring(self) -> tuple[object, ...]:
        """All that scores are made by; the model's own knows nothing of competitors and has its own scale."""
        return ("sigmoid",) if self.score == "sigmoid" else ("softmax", self.competitors, self.scale)
