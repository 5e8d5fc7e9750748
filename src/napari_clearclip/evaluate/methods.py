"""What is compared: a variant with a chain, a scale and a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_clearclip.chains import CHAINS, Chain
from napari_clearclip.evaluate.cases import See
from napari_clearclip.evaluate.crops import by_crops
from napari_clearclip.settings import Attention, Settings

# ClearCLIP's Table 1 (query-query attention with and without residual and feed-forward network), and other attentions.
ABLATION: dict[str, Attention] = {
    "clearclip": Attention(terms=("qq",)),
    "qq_rc_ffn": Attention(terms=("qq",), residual=1, ffn=1),
    "qq_rc": Attention(terms=("qq",), residual=1),
    "qq_ffn": Attention(terms=("qq",), ffn=1),
    "vanilla": Attention(terms=("qk",), residual=1, ffn=1),
    "qk": Attention(terms=("qk",)),
    "kk": Attention(terms=("kk",)),
    "vv": Attention(terms=("vv",)),
    "sclip": Attention(terms=("qq", "kk"), residual=1, ffn=1),
    "sclip_clear": Attention(terms=("qq", "kk")),
    "naclip": Attention(terms=("kk",), bias=5),
    "maskclip": Attention(terms=("identity",)),
}
CROPS = "clip_diy"
_LEARNED = "learned:"


@dataclass(frozen=True)
class Method:
    """A name for people, and what it changes in the settings; None leaves something to the protocol.

    With `crops`, phrases are compared with whole crops (CLIP-DIY), and the attention is not read. `learned_from` names
    images that it must not be measured on.
    """

    name: str
    attention: Attention
    chain: Chain | None = None
    scale: float | None = None
    threshold: float | None = None
    crops: bool = False
    learned_from: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """All but the name."""
        return self.attention, self.chain, self.scale, self.threshold, self.crops

    @property
    def see(self) -> See | None:
        """What finds phrases where it is no variant."""
        return by_crops if self.crops else None

    def on(self, settings: Settings) -> Settings:
        """The settings with this method."""
        settings = settings.replace(attention=self.attention)
        if self.chain is not None:
            settings = self.chain.on(settings)
        if self.scale is not None:
            settings = settings.replace(deciding=settings.deciding.replace(scale=self.scale))
        if self.threshold is not None:
            prompts = tuple(prompt.replace(threshold=self.threshold) for prompt in settings.prompts)
            settings = settings.replace(prompts=prompts)
        return settings


def method_of(text: str) -> Method:
    """The method that a text names: a variant or a row of the ablation, with ``+CHAIN`` behind it if wanted.

    ``random-N`` and ``random-N-SEED`` are SCLIP with N random projections, ``clip_diy`` is whole crops of three sizes.
    ``learned:FILE`` is SCLIP with a learned projection.

    Raises
    ------
    ValueError
        If there is no such variant, chain or file.

    Examples
    --------
    >>> method_of("naclip+naclip").attention.bias
    5.0
    >>> method_of("random-4-2").attention.seed
    2
    """
    name, plus, chain = text.partition("+")
    if chain and chain not in CHAINS:
        raise ValueError(f"chain {chain!r} is not known; there are {', '.join(CHAINS)}")
    if name.startswith(_LEARNED):
        from napari_clearclip.engine.projections import read_projection

        path = Path(name.removeprefix(_LEARNED)).expanduser()
        learned, text = read_projection(path), f"{_LEARNED}{path.stem}{plus}{chain}"
        method = Method(text, _row_of("sclip_random").replace(projection=learned.name), learned_from=learned.images)
    else:
        method = Method(text, Attention() if name == CROPS else _row_of(name), crops=name == CROPS)
    return replace(method, chain=CHAINS[chain] if chain else None)


def _row_of(name: str) -> Attention:
    """The row of a variant, of the ablation, or of so many random projections."""
    from napari_clearclip.engine.variants import VARIANTS, variant

    if name in ABLATION and name not in VARIANTS:
        return ABLATION[name]
    kind, *numbers = name.split("-")
    if kind == "random" and numbers and all(number.isdecimal() for number in numbers):
        count, seed = [int(number) for number in (*numbers, "0")][:2]
        return variant("sclip_random").replace(projections=count, seed=seed)
    return variant(name)


def methods_of(names: Sequence[str], scales: Sequence[float] = (), thresholds: Sequence[float] = ()) -> list[Method]:
    """Every method with every scale and threshold; what is not given is left to the protocol.

    Raises
    ------
    ValueError
        If a method does not exist or is named twice.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"a variant is named twice in {', '.join(names)}; name each once")
    found = [method_of(name) for name in names]
    if scales:
        found = [replace(method, scale=x, name=f"{method.name} scale={x:g}") for method in found for x in scales]
    if thresholds:
        found = [
            replace(method, threshold=x, name=f"{method.name} threshold={x:g}") for method in found for x in thresholds
        ]
    return found
