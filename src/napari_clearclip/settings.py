"""What the user wants, as frozen values: every default, range and help text stands here once."""

from __future__ import annotations

import re
import unicodedata
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_clearclip.expression import LONGEST, parse

Term = Literal["qk", "qq", "kk", "vv", "identity"]
TemplateSet = Literal["imagenet", "single", "microscopy", "aerial"]

# Okabe and Ito's colours, told apart with every common colour blindness.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")

MOST_PROMPTS = 100


class Value(BaseModel):
    """A frozen, validated value; a change makes a new one with ``model_copy`` or `replace`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64"
    )

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed, validated again.

        Raises
        ------
        pydantic.ValidationError
            If a field does not exist or a value is outside its range.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, **changes})


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

    terms: tuple[Term, ...] = Field(
        ("qq",),
        min_length=1,
        description="What attends to what in the last block: queries (q), keys (k) or values (v) of each patch to "
        "those of the others. Several are summed; identity lets each patch keep its own value.",
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


def clean_phrase(text: str) -> str:
    """A phrase with Unicode composed and white space single: what is compared, embedded and shown."""
    return " ".join(unicodedata.normalize("NFC", text).split())


class Index(Value):
    """A band expression whose values, scaled to [0, 1], are the scores of a prompt."""

    expression: str = Field(
        max_length=LONGEST,
        description="Bands by name (nir, red) or number (b1, b2, ...), numbers, + - * / **, parentheses, "
        "abs, sqrt, log, min and max; such as (nir - red) / (nir + red).",
    )
    low: float | None = Field(
        None,
        description="Value that is scored 0; empty = -1 for a normalised difference (a - b) / (a + b), else the value "
        "that 0.1 per cent of the image's pixels lie below.",
    )
    high: float | None = Field(
        None,
        description="Value that is scored 1; empty = 1 for a normalised difference, else the value that 0.1 per cent "
        "of the image's pixels lie above.",
    )
    otsu: bool = Field(
        False,
        title="Threshold by Otsu",
        description="The threshold is set anew for each image, between its low and high values (Otsu's method); "
        "the prompt's own is not read.",
    )

    @property
    def usual_threshold(self) -> float:
        """Where to begin: 0.6 for a normalised difference, which is 0.2 unscaled; else that of other prompts."""
        if parse(self.expression).is_normalized_difference and self.low is None and self.high is None:
            return 0.6
        return float(Prompt.model_fields["threshold"].default)

    @field_validator("expression")
    @classmethod
    def _is_allowed(cls, value: str) -> str:
        return parse(value).text

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low} and high {self.high} of an index must rise")
        return self


class Prompt(Value):
    """What to find (object) or to compete with (distractor): a phrase, or a band expression with a name."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12], min_length=1, description="Stable for life.")
    phrase: Annotated[str, Field(max_length=500, description="What to look for.")]
    synonyms: tuple[str, ...] = Field((), max_length=50, description="Other words for the same; the best one counts.")
    kind: Literal["object", "distractor"] = Field("object", description="A distractor only competes; it gets no mask.")
    threshold: float = Field(0.2, ge=0, le=1, description="A pixel belongs to the prompt from this score on.")
    color: str = Field(COLORS[0], pattern=r"^#[0-9A-Fa-f]{6}$", description="Colour of mask and heat map.")
    visible: bool = Field(True, description="Whether its layers are shown.")
    locked: bool = Field(False, description="Whether its mask is kept as it is.")
    muted: bool = Field(False, description="A muted distractor does not compete.")
    mix: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Words or example",
        description="How much the example counts that was given with Find similar: 0 = words only, 1 = example only. "
        "Without an example it changes nothing.",
    )
    index: Index | None = Field(
        None, description="Band expression that is looked for instead of the phrase, which is its name then."
    )

    @field_validator("phrase")
    @classmethod
    def _phrase_is_not_empty(cls, value: str) -> str:
        if not (value := clean_phrase(value)):
            raise ValueError("a phrase is empty; write what to look for")
        return value

    @field_validator("synonyms")
    @classmethod
    def _synonyms_are_clean(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(phrase for text in value if (phrase := clean_phrase(text)))

    @model_validator(mode="after")
    def _index_is_alone(self) -> Self:
        if self.index is not None and (self.kind != "object" or self.synonyms):
            raise ValueError(
                f"{self.phrase!r} is an index: it has no synonyms and is no distractor; leave out `index`, or those"
            )
        return self

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrase and its synonyms, each once: what is listed under its name."""
        return tuple(dict.fromkeys((self.phrase, *self.synonyms)))

    @property
    def words(self) -> tuple[str, ...]:
        """The phrases that are compared with the image; none for an index."""
        return () if self.index is not None else self.phrases

    @property
    def fixed_threshold(self) -> float | None:
        """The threshold, or None where each image sets its own."""
        return None if self.index is not None and self.index.otsu else self.threshold

    @property
    def text(self) -> str:
        """The prompt in a line, as `parse` reads it."""
        if self.index is not None:
            return f"{self.phrase} = {self.index.expression}"
        return ", ".join((self.phrase, *self.synonyms))

    @classmethod
    def parse(cls, text: str, **fields: Any) -> Prompt:
        """The prompt that a line makes: a phrase and its synonyms after commas, or a name and its band expression.

        Examples
        --------
        >>> Prompt.parse("tree, bush").phrases
        ('tree', 'bush')
        >>> Prompt.parse("NDVI = (nir - red) / (nir + red)").index.expression
        '(nir - red) / (nir + red)'
        """
        name, is_index, expression = text.partition("=")
        if is_index:
            index = Index(expression=expression)
            return cls(**{"phrase": name, "index": index, "threshold": index.usual_threshold, **fields}, synonyms=())
        first, *synonyms = text.split(",")
        return cls(phrase=first, synonyms=tuple(synonyms), index=None, **fields)


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
    def smoothing(self) -> tuple[object, ...]:
        """All that key smoothing reads; empty where nothing is smoothed."""
        return (self.smooth, self.smooth_axis) if self.smooth else ()

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

    @property
    def is_idle(self) -> bool:
        """Whether maps stay as they are."""
        return not self.pamr

    @property
    def key(self) -> tuple[object, ...]:
        """All that is read."""
        return () if self.is_idle else (self.pamr, self.dilations)


class Deciding(Value):
    """How cosines become scores and scores become masks."""

    competitors: Literal["distractors", "all"] = Field(
        "distractors",
        description="What a prompt competes with in the softmax: the distractors only, "
        "or all phrases of all prompts as in the papers.",
    )
    scale: float = Field(50.0, gt=0, le=1000, description="Factor on the cosines before the softmax.")
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


class Settings(Value):
    """Everything the user wants; with an image, its `View` and the `Edits` it determines the result."""

    model: Model = Model()
    attention: Attention = Attention()
    tiling: Tiling = Tiling()
    prompts: tuple[Prompt, ...] = ()
    comparing: Comparing = Comparing()
    refining: Refining = Refining()
    deciding: Deciding = Deciding()
    cleaning: Cleaning = Cleaning()
    splitting: Splitting = Splitting()
    linking: Linking = Linking()

    @field_validator("prompts")
    @classmethod
    def _are_distinct(cls, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        if len({prompt.id for prompt in prompts}) < len(prompts):
            raise ValueError("two prompts have the same id; give each its own")
        objects = [prompt for prompt in prompts if prompt.kind == "object"]
        if len(objects) > MOST_PROMPTS:
            raise ValueError(f"{len(objects)} prompts; at most {MOST_PROMPTS} can be compared at once")
        seen: dict[tuple[str, str], str] = {}
        for prompt in prompts:
            for phrase in prompt.phrases:
                if (key := (prompt.kind, phrase.casefold())) in seen:
                    raise ValueError(f"the phrase {phrase!r} is given twice; remove one")
                seen[key] = prompt.id
        return prompts

    @property
    def objects(self) -> tuple[Prompt, ...]:
        """The prompts that get masks, in order."""
        return tuple(prompt for prompt in self.prompts if prompt.kind == "object")

    @property
    def worded(self) -> tuple[Prompt, ...]:
        """The object prompts that are phrases, in order."""
        return tuple(prompt for prompt in self.objects if prompt.index is None)

    @property
    def distractors(self) -> tuple[Prompt, ...]:
        """The distractors that compete: not muted, and no phrase of theirs asked for by a prompt."""
        asked = {phrase.casefold() for prompt in self.objects for phrase in prompt.words}
        return tuple(
            prompt
            for prompt in self.prompts
            if prompt.kind == "distractor"
            and not prompt.muted
            and asked.isdisjoint(phrase.casefold() for phrase in prompt.phrases)
        )


class Runtime(Value):
    """What changes only speed and memory; never part of a session."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps.")
    threads: int | None = Field(
        None, ge=1, le=1024, description="CPU cores to compute with; empty = as many as torch takes by itself."
    )
    batch_size: int | None = Field(None, ge=1, le=4096, description="Windows at once; empty = by their cost.")
    cache_bytes: int = Field(2 * 1024**3, ge=0, description="Memory for what can be reused, in bytes.")
    cache_folder: str | None = Field(None, description="Folder for text vectors; empty = the user's cache folder.")
    storage: Literal["float32", "float16"] = Field("float32", description="How cached features are stored.")
