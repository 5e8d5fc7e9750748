"""What papers report, to be shown beside what was measured; nothing of it was run here."""

from __future__ import annotations

_SETS = ("voc20", "context59", "stuff", "cityscapes", "ade20k", "voc21", "context60", "object")

# mIoU in per cent with CLIP ViT-B/16 (OpenAI), by protocol and variant, in the order of `_SETS`; None = not reported.
_CLEARCLIP: dict[str, tuple[float | None, ...]] = {
    "vanilla": (41.8, 9.2, 4.4, 5.5, 2.1, 16.2, 7.7, 5.5),
    "sclip": (78.2, 33.0, 21.1, 29.1, 14.6, 51.4, 30.5, 30.0),
    "clearclip": (80.9, 35.9, 23.9, 30.0, 16.7, 51.8, 32.6, 33.0),
    "gem": (None, None, None, None, None, 46.2, 32.6, None),
    "qq_rc_ffn": (68.4, 24.9, 14.7, 20.8, 7.6, None, None, None),
    "qq_rc": (62.8, 25.5, 14.6, 19.5, 6.9, None, None, None),
    "qq_ffn": (77.6, 31.8, 21.0, 23.4, 14.7, None, None, None),
    "x_sum": (None, None, 4.4, None, None, None, None, None),
    "x_res": (None, None, 0.01, None, None, None, None, None),
    "x_attn": (None, None, 11.6, None, None, None, None, None),
}
_SCLIP: dict[str, tuple[float | None, ...]] = {
    "vanilla": (49.4, 11.1, 5.7, 6.5, 3.1, 18.8, 9.9, 8.1),
    "sclip": (80.4, 34.2, 22.4, 32.2, 16.1, 59.1, 30.4, 30.5),
    "vanilla+naclip": (54.2, 11.7, 5.9, 7.0, 3.6, 19.8, 8.7, 10.4),
    "sclip+naclip": (83.5, 36.1, 23.9, 34.1, 17.8, 61.7, 31.5, 32.1),
    "sclip_identity": (None, 33.0, 21.5, None, None, 57.5, None, None),
    "sclip_q": (None, 33.5, 21.7, None, None, 58.2, None, None),
    "sclip_k": (None, 33.1, 21.8, None, None, 58.4, None, None),
    "random-1": (None, 32.4, 20.6, None, None, 57.1, None, None),
    "random-4": (None, 32.7, 20.9, None, None, 58.0, None, None),
    "random-16": (None, 32.7, 21.2, None, None, 58.1, None, None),
}
_NACLIP: dict[str, tuple[float | None, ...]] = {
    "naclip": (79.7, 35.2, 23.3, 35.5, 17.4, 58.9, 32.2, 33.2),
    "naclip+naclip": (83.0, 38.4, 25.7, 38.3, 19.1, 64.1, 35.0, 36.2),
}
PUBLISHED = {"clearclip": _CLEARCLIP, "sclip": _SCLIP, "naclip": _NACLIP}

SOURCES = {
    "clearclip": "ClearCLIP, Tables 1 to 3 and Figure 3 (SCLIP there as reproduced by its authors, without renamed "
    "classes)",
    "sclip": "SCLIP, Tables 1 and 2 (random projections there are means of five)",
    "naclip": "NACLIP's tables, without and with PAMR",
}


def drawn_as(method: str) -> str | None:
    """``random-N`` of a method with N random projections, whatever its seed; None of others."""
    kind, _, numbers = method.partition("-")
    return f"{kind}-{numbers.split('-')[0]}" if kind == "random" else None


def published(protocol: str, dataset: str, method: str) -> float | None:
    """The mIoU in per cent that a paper reports for a method on a data set; None if it reports none.

    That of random projections is the same for all seeds.
    """
    row = PUBLISHED.get(protocol, {}).get(drawn_as(method) or method)
    return None if row is None or dataset not in _SETS else row[_SETS.index(dataset)]
