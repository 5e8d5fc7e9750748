"""How published evaluations read their data sets: sizes, windows, scale, thresholds and words beside the classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_clearclip.settings import Refining, Settings, Tiling

_WHOLE = 4096  # a window larger than any image that is read

_PERSON = tuple(f"person in {what}" for what in ("shirt", "jeans", "dress", "sweater", "skirt", "jacket"))
_MONITOR = ("television monitor", "tv monitor", "monitor", "television", "screen")
_SURROUNDINGS = (
    "sky wall tree wood grass road sea river mountain sands desk bed building cloud lamp door window wardrobe ceiling "
    "shelf curtain stair floor hill rail fence"
)
_STUFF = tuple(_SURROUNDINGS.split())


@dataclass(frozen=True)
class Recipe:
    """What an evaluation chooses for a data set.

    Attributes
    ----------
    short_side, window, stride : int or None
        In pixels of the resized image; what the model recommends where None.
    scale : float
        Factor on cosines before the softmax over all phrases.
    threshold, area : float
        A pixel whose highest probability is below the first is background; classes with at most the second share of
        the labelled area are dropped.
    background : tuple of str
        Phrases that stand for the background class, in data sets that have one. One that is a class too is left out.
    synonyms : tuple of (str, tuple of str)
        Phrases by class name.
    pamr : int
        Steps of PAMR.
    """

    short_side: int | None = None
    window: int | None = None
    stride: int | None = None
    scale: float = 50.0
    threshold: float = 0.0
    area: float = 0.0
    background: tuple[str, ...] = ("background",)
    synonyms: tuple[tuple[str, tuple[str, ...]], ...] = ()
    pamr: int = 0

    def on(self, settings: Settings, exact: bool) -> Settings:
        """The settings, read and decided as here; `exact` follows the published code to the resize and the pixel."""
        tiling = Tiling(short_side=self.short_side, window=self.window, stride=self.stride, antialias=not exact)
        comparing = settings.comparing.replace(cell=1 if exact else None)
        if self.short_side is not None:
            comparing = comparing.replace(templates="imagenet")
        deciding = settings.deciding.replace(competitors="all", scale=self.scale, area=self.area)
        refining = Refining(pamr=self.pamr) if self.pamr else settings.refining
        return settings.replace(tiling=tiling, comparing=comparing, deciding=deciding, refining=refining)


_CLEAR = Recipe(448, 448, 224, 50)
_SLIDE = Recipe(336, 224, 112, 40)
_PROXY = Recipe(336, 336, 112, 40)
_NEAR = replace(_SLIDE, pamr=10)
_VOC_WORDS = (("person", _PERSON), ("tvmonitor", _MONITOR))
_OBJECT_WORDS = (("person", (*_PERSON, "body")),)

# ClearCLIP Appendix, SCLIP Sec. 4 and the configurations that were released with these and with NACLIP and ProxyCLIP.
PROTOCOLS: dict[str, dict[str, Recipe]] = {
    "clearclip": {
        "voc20": _CLEAR,
        "voc21": replace(_CLEAR, threshold=0.5),
        "context59": _CLEAR,
        "context60": replace(_CLEAR, threshold=0.15),
        "object": replace(_CLEAR, threshold=0.4),
        "stuff": _CLEAR,
        "cityscapes": replace(_CLEAR, window=224),
        "ade20k": _CLEAR,
    },
    "sclip": {
        "voc20": _SLIDE,
        "voc21": replace(_SLIDE, scale=65, threshold=0.1, area=0.1, background=_STUFF, synonyms=_VOC_WORDS),
        "context59": _SLIDE,
        "context60": replace(_SLIDE, scale=50, threshold=0.1),
        "object": replace(_SLIDE, scale=50, threshold=0.1, background=_STUFF, synonyms=_OBJECT_WORDS),
        "stuff": replace(_SLIDE, short_side=448),
        "cityscapes": replace(_SLIDE, short_side=560),
        "ade20k": _SLIDE,
    },
    "naclip": {
        "voc20": replace(_NEAR, window=_WHOLE, stride=_WHOLE),
        "voc21": replace(_NEAR, window=_WHOLE, stride=_WHOLE, threshold=0.1, background=_STUFF, synonyms=_VOC_WORDS),
        "context59": _NEAR,
        "context60": replace(_NEAR, threshold=0.1),
        "object": replace(_NEAR, threshold=0.1, background=_STUFF, synonyms=_OBJECT_WORDS),
        "stuff": _NEAR,
        "cityscapes": replace(_NEAR, short_side=560),
        "ade20k": _NEAR,
    },
    "proxyclip": {
        "voc20": _PROXY,
        "voc21": replace(_PROXY, threshold=0.2, background=_STUFF),
        "context59": _PROXY,
        "context60": replace(_PROXY, threshold=0.15),
        "object": replace(_PROXY, threshold=0.25, background=(*_STUFF[:14], "floor", "hill", "rail")),
        "stuff": _PROXY,
        "cityscapes": replace(_PROXY, short_side=448, window=224),
        "ade20k": replace(_PROXY, short_side=448),
    },
}
RECOMMENDED = "recommended"


def recipe_of(protocol: str, dataset: str) -> Recipe:
    """How a protocol evaluates a data set; what the model recommends for data sets that it does not know.

    Raises
    ------
    ValueError
        If there is no such protocol.
    """
    if protocol == RECOMMENDED:
        return Recipe()
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is not known; there are {', '.join(PROTOCOLS)} and {RECOMMENDED}")
    if dataset not in PROTOCOLS[protocol]:
        raise ValueError(
            f"protocol {protocol} says nothing of {dataset}; it knows {', '.join(PROTOCOLS[protocol])}. "
            f"Use --protocol {RECOMMENDED}"
        )
    return PROTOCOLS[protocol][dataset]
