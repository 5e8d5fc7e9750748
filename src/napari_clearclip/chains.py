"""Chains: what refines and tidies masks beside the decision itself, offered under one name each."""

from __future__ import annotations

from napari_clearclip.settings import Cleaning, Refining, Settings, Value


class Chain(Value):
    """One choice of everything that refines and tidies masks."""

    title: str
    summary: str
    denoise: float = 0.0
    smooth: float = 0.0
    surgery: bool = False
    refining: Refining = Refining()
    cleaning: Cleaning = Cleaning()

    def on(self, settings: Settings) -> Settings:
        """The settings with this chain."""
        comparing = settings.comparing.replace(
            surgery=self.surgery, denoise=self.denoise, smooth=self.smooth, smooth_axis="channels"
        )
        return settings.replace(comparing=comparing, refining=self.refining, cleaning=self.cleaning)


OFF = "off"
DEFAULT = "clean_edges"

# The defaults of the settings are `off`, so that the numbers of the papers stay as they are. `clean_edges` was the best
# of those tried on scenes that no benchmark reports, see docs/refinement.md.
CHAINS: dict[str, Chain] = {
    OFF: Chain(title="Off", summary="Masks as the scores give them, with the soft outlines of patches."),
    DEFAULT: Chain(
        title="Clean edges",
        summary="Outlines move to edges of the image: each superpixel goes to whoever has most of it.",
        cleaning=Cleaning(edges="slic"),
    ),
    "maskclip": Chain(
        title="MaskCLIP",
        summary="Prompt denoising and key smoothing as in MaskCLIP; the bundled model does worse with them.",
        denoise=0.5,
        smooth=1.0,
    ),
    "clip_surgery": Chain(
        title="CLIP Surgery",
        summary="Feature surgery: each map without what all phrases have in common.",
        surgery=True,
    ),
    "naclip": Chain(
        title="NACLIP",
        summary="PAMR as in NACLIP's evaluation: 10 steps, neighbours 8 and 16 pixels away.",
        refining=Refining(pamr=10, dilations=(8, 16)),
    ),
    "naclip_figures": Chain(
        title="NACLIP, figures",
        summary="PAMR as for NACLIP's figures: 50 steps over six distances. Slow on large images.",
        refining=Refining(pamr=50, dilations=(1, 2, 4, 8, 12, 24)),
    ),
}


def chain_name(settings: Settings) -> str:
    """The name of the chain that settings have; empty if it is none of `CHAINS`."""
    return next((name for name, chain in CHAINS.items() if chain.on(settings) == settings), "")
