"""What is looked for: phrases, their colours and thresholds, and band expressions."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from napari_clearclip.expression import LONGEST, parse
from napari_clearclip.settings.value import Value

# Okabe and Ito's colours, told apart with every common colour blindness.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")


MOST_PROMPTS = 250  # a label is a byte
_WIDEST = 65536  # numbers that a vector may have
FloatArray = npt.NDArray[np.float32]


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
        allow_inf_nan=False,
        description="Value that is scored 0; empty = -1 for a normalised difference (a - b) / (a + b), else the value "
        "that 0.1 per cent of the image's pixels lie below.",
    )
    high: float | None = Field(
        None,
        allow_inf_nan=False,
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
            raise ValueError(f"low {self.low:g} of an index must be below high {self.high:g}")
        return self


class Learned(Value):
    """What phrases have become by strokes and examples, as vectors of one model: other models cannot use them."""

    weights: str = Field(min_length=1, max_length=200, description="Hash of the model's weights.")
    model: str = Field("", max_length=500, description="What the model is called.")
    vectors: tuple[tuple[str, bytes], ...] = Field(
        (), max_length=51, description="Each phrase and its vector, float32 with the lowest byte first."
    )

    @field_validator("vectors")
    @classmethod
    def _are_numbers(cls, value: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
        for phrase, vector in value:
            if not 4 <= len(vector) <= 4 * _WIDEST or len(vector) % 4 or not np.isfinite(_unpacked(vector)).all():
                raise ValueError(f"the vector of {phrase!r} has {len(vector)} bytes that are no list of numbers")
        return value

    @classmethod
    def of(cls, weights: str, model: str, vectors: Mapping[str, FloatArray]) -> Learned:
        """Vectors (D,) by phrase."""
        packed = tuple((phrase, vector.astype("<f4").tobytes()) for phrase, vector in vectors.items())
        return cls(weights=weights, model=model, vectors=packed)

    def vector(self, phrase: str) -> FloatArray | None:
        """A phrase's vector (D,), or None."""
        return next((_unpacked(vector) for known, vector in self.vectors if known == phrase), None)


def _unpacked(vector: bytes) -> FloatArray:
    return np.frombuffer(vector, "<f4").astype(np.float32)


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

    learned: Learned | None = Field(
        None,
        description="What was learned elsewhere from strokes and examples; the model that learned it starts there.",
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
