"""How the image is read: which model, how its last block attends, and in which windows."""

from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from napari_clearclip.settings.value import Value

Term = Literal["qk", "qq", "kk", "vv", "identity", "uu", "random"]

# Blocks, counted from the last (1), whose attention is mixed in by `cross`: 6 to 9 of 12, as in ResCLIP.
CROSSED = (7, 6, 5, 4)
CALIBRATED = 8  # SC-CLIP reads what enters the last 8 blocks: 5 to 12 of 12
DEEPEST = 8  # the most blocks that any variant reads


class Model(Value):
    """Which CLIP to use."""

    name: str = Field(
        "demo",
        description="open_clip architecture (ViT-B-16), hf-hub:ORGANISATION/NAME, or demo. "
        "Empty for a local file with its configuration beside it.",
    )
    pretrained: str = Field("", description="Published tag (openai, laion2b_s34b_b88k, ...) or a local weights file.")
    precision: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Arithmetic on a GPU; a CPU always computes in float32."
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.name and not self.pretrained:
            raise ValueError("model needs a name or a weights file in `pretrained`")
        return self

    @classmethod
    def parse(cls, text: str) -> Model:
        """The model that a short text names.

        Parameters
        ----------
        text : str
            ``demo``, ``ViT-B-16/openai`` (architecture/tag), ``hf-hub:ORGANISATION/NAME``, a weights file, or
            ``ViT-B-32/weights.pt`` (architecture/file, for a bare state dict).

        Raises
        ------
        ValueError
            If the text is empty.
        """
        text = text.strip()
        if not text:
            raise ValueError("model is empty; give demo, ARCHITECTURE/TAG, hf-hub:ORGANISATION/NAME or a weights file")
        if text == "demo" or text.startswith("hf-hub:"):
            return cls(name=text)
        is_file = re.search(r"\.(pt|pth|bin|ckpt|safetensors|json)$", text, re.IGNORECASE) is not None
        head, slash, tail = text.partition("/")
        if is_file and not (slash and re.fullmatch(r"(roberta-|xlm-roberta-.*|nllb-.*)?ViT-[\w.-]+", head)):
            return cls(name="", pretrained=text)
        return cls(name=head, pretrained=tail)

    def __str__(self) -> str:
        return "/".join(part for part in (self.name, self.pretrained) if part)


class Attention(Value):
    """How the last block looks at the image: one row of the table of variants.

    The last block's output is ``z = residual * x + alpha * O(A v)``, then ``z + ffn * MLP(LN(z))``, with
    ``A = gain * sum of softmax(a b^T / (temperature * sqrt(d)))`` over the pairs ``ab`` in `terms`.
    """

    # Fields that few variants differ in; the panel leaves them to the named rows.
    RARE: ClassVar[tuple[str, ...]] = (
        "origin",
        "own_class",
        "unit",
        "iterations",
        "cross",
        "calibrated",
        "debias",
        "projections",
        "seed",
        "projection",
    )

    terms: tuple[Term, ...] = Field(
        ("qq",),
        min_length=1,
        description="What attends to what in the last block: queries (q), keys (k) or values (v) of each patch to "
        "those of the others. Several are summed; identity lets each patch keep its own value, uu compares patches as "
        "they are, random after a random projection.",
    )
    gain: float = Field(1.0, gt=0, le=100, description="Factor on the summed attention; 1 leaves it as it is.")
    temperature: float = Field(
        1.0, gt=0, le=100, description="Below 1, each patch attends to fewer others; above 1, to more."
    )
    residual: float = Field(
        0.0,
        ge=0,
        le=100,
        title="RC (residual)",
        description="Weight of the residual connection, which carries what was known before the last block: 1 as in "
        "CLIP, 0 drops it, which makes masks cleaner.",
    )
    ffn: float = Field(
        0.0,
        ge=0,
        le=100,
        title="FFN",
        description="Weight of the feed-forward network of the last block: 1 as in CLIP, 0 drops it.",
    )
    alpha: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="Weight of what attention gives against the residual connection; without that it changes nothing.",
    )
    blocks: int = Field(
        1,
        ge=1,
        le=6,
        description="Attention outputs of this many last blocks are summed; the path itself is unchanged.",
    )
    bias: float = Field(
        0.0, ge=0, le=100, description="Gaussian neighbourhood bias (NACLIP): standard deviation in patches, 0 = none."
    )
    origin: Literal["last", "first"] = Field(
        "last",
        description="What the residual connection carries: what enters the last block, or what enters the first of "
        "`blocks` (the side path of GEM and CLIP Surgery).",
    )
    own_class: bool = Field(
        False, description="The class token is the one of the unchanged model, whatever patches do (CLIP Surgery)."
    )
    unit: bool = Field(
        False,
        description="Queries, keys and values are compared as unit vectors, at a temperature that follows the mean "
        "length of what they are made from (GEM).",
    )
    iterations: int = Field(
        0, ge=0, le=10, description="How often these unit vectors attend to their like before they are compared (GEM)."
    )
    cross: float = Field(
        0.0, ge=0, le=1, description="Share of CLIP's own attention in four middle blocks (ResCLIP); 0 = none."
    )
    calibrated: bool = Field(
        False,
        description="Tokens that stand out are mended, patches attend to those that are alike in a middle block too, "
        "and what middle blocks say is added (SC-CLIP, from its description).",
    )
    debias: float = Field(
        0.0, ge=0, le=1, description="Share of the class token's vector that is taken off each patch's (SegEarth-OV)."
    )
    projections: int = Field(1, ge=1, le=64, description="How many random projections are averaged, for `random`.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the random projections.")
    projection: str = Field("", description="Name of a learned projection, in the place of random ones; empty = none.")

    @property
    def entry(self) -> int:
        """How many last blocks are computed anew for it; those before are the same whatever the variant."""
        return max(self.blocks, CROSSED[0] if self.cross else 1, CALIBRATED if self.calibrated else 1)

    def alone(self, term: Term) -> Attention:
        """The row of one of its terms that attends in the same way; all that follows on that is at its default."""
        read = {"temperature", "bias", "unit", "iterations"}
        read |= {"projections", "seed", "projection"} if term == "random" else set()
        return Attention(terms=(term,), **{name: getattr(self, name) for name in read})

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.iterations and not self.unit:
            raise ValueError(f"iterations is {self.iterations}, but only unit vectors attend to their like; set unit")
        return self


class Tiling(Value):
    """At which size and in which windows the image is read; empty fields take what the model recommends."""

    short_side: int | Literal["native"] | None = Field(
        None, description="The image's shorter side in pixels when the model reads it; native = not resized."
    )
    window: int | None = Field(
        None, ge=8, le=4096, description="Side of the square windows in which the resized image is read, in pixels."
    )
    stride: int | None = Field(
        None,
        ge=4,
        le=4096,
        description="Step from window to window in pixels; half a window smooths the seams, a whole one is four times "
        "as fast.",
    )
    positions: Literal["dino_scale", "size", "size_antialias", "bilinear"] = Field(
        "dino_scale", description="How position embeddings are resampled to another grid; dino_scale as in the papers."
    )

    antialias: bool = Field(
        True,
        description="Smooth the image where it is made smaller, so that detail does not turn into noise; the papers' "
        "code does not.",
    )

    @field_validator("short_side")
    @classmethod
    def _is_sensible(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and not 8 <= value <= 65536:
            raise ValueError(f"short_side is {value}; it must be from 8 to 65536 pixels, or native")
        return value

    @model_validator(mode="after")
    def _covers(self) -> Self:
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ValueError(
                f"stride {self.stride} is larger than the window of {self.window}: pixels between windows would be lost"
            )
        return self
