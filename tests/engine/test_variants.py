"""The table of variants: rows as published, rows by name, and what a tower must have for them."""

from __future__ import annotations

from typing import Any

import pytest

from napari_clearclip.engine.variants import VARIANTS, register_variant, unmet, variant, variant_name
from napari_clearclip.settings import Attention

# terms, residual, ffn, bias as published, and what else is not at its default.
SIDE: dict[str, Any] = {"blocks": 6, "origin": "first"}
PUBLISHED: dict[str, tuple[Any, ...]] = {
    "vanilla": (("qk",), 1, 1, 0),
    "maskclip": (("identity",), 0, 0, 0),
    "maskclip_official": (("identity",), 1, 1, 0),
    "sclip": (("qq", "kk"), 1, 1, 0),
    "sclip_clear": (("qq", "kk"), 0, 0, 0),
    "clearclip": (("qq",), 0, 0, 0),
    "naclip": (("kk",), 0, 0, 5),
    "qk": (("qk",), 0, 0, 0),
    "qq": (("qq",), 0, 0, 0),
    "kk": (("kk",), 0, 0, 0),
    "vv": (("vv",), 0, 0, 0),
    "gem": (("vv", "kk", "qq"), 1, 0, 0, {**SIDE, "gain": 1 / 3, "unit": True, "iterations": 1}),
    "clip_surgery": (("vv",), 1, 0, 0, {**SIDE, "own_class": True}),
    "segearth": (("qq", "kk", "vv"), 0, 0, 0, {"debias": 0.3}),
    "resclip": (("kk",), 0, 0, 5, {"cross": 0.4, "gain": 2}),
    "sc_clip": (("kk",), 0, 0, 0, {"gain": 0.5, "own_class": True, "calibrated": True}),
    "x_res": (("qk",), 1, 0, 0, {"alpha": 0}),
    "x_attn": (("qk",), 0, 0, 0),
    "x_sum": (("qk",), 1, 0, 0),
    "sclip_identity": (("uu",), 1, 1, 0),
    "sclip_q": (("qq",), 1, 1, 0),
    "sclip_k": (("kk",), 1, 1, 0),
    "sclip_random": (("random",), 1, 1, 0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_rows_are_the_published_ones(name: str) -> None:
    terms, residual, ffn, bias, *rest = PUBLISHED[name]
    assert variant(name) == Attention(terms=terms, residual=residual, ffn=ffn, bias=bias, **dict(*rest))


def test_the_table_is_complete_and_clearclip_is_the_default() -> None:
    assert set(VARIANTS) == set(PUBLISHED)
    assert Attention() == variant("clearclip")


def test_a_row_says_what_the_tower_lacks() -> None:
    assert unmet(variant("gem"), 6) == ""
    assert unmet(variant("gem"), 5) == "It reads the last 6 blocks, and the model has 5."
    assert unmet(variant("resclip"), 6) == "It reads the last 7 blocks, and the model has 6."
    assert unmet(variant("segearth"), 12, has_class=False) == "It needs a class token, and the model has none."
    assert unmet(variant("clearclip"), 1, has_class=False) == ""
    assert unmet(variant("clearclip"), 0) == "The model has no attention block that variants could change."


def test_register_variant() -> None:
    row = Attention(terms=("vv", "identity"), gain=0.5)
    register_variant("mine", row, "Half and half.", "nobody 2026")
    try:
        assert variant("mine") == row
        assert variant_name(row) == "mine"
        assert VARIANTS["mine"].summary == "Half and half."
        register_variant("mine", row)  # the same row again does no harm
        with pytest.raises(ValueError, match="'mine' exists with another row"):
            register_variant("mine", Attention())
    finally:
        del VARIANTS["mine"]


def test_variant_names_are_identifiers_and_known() -> None:
    with pytest.raises(ValueError, match="variant name 'a b' must be letters"):
        register_variant("a b", Attention())
    with pytest.raises(ValueError, match="unknown variant 'clipclear'; known are clearclip, sclip"):
        variant("clipclear")


def test_rows_are_found_by_value() -> None:
    assert variant_name(Attention(terms=("qq",))) == "clearclip"
    assert variant_name(Attention(terms=("qq",), alpha=2)) == "custom"
    assert all(variant_name(entry.row) in {name, "clearclip", "qk"} for name, entry in VARIANTS.items())
