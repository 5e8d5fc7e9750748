"""Band expressions: what may stand in one, what it comes to, and what is refused."""

from __future__ import annotations

import keyword
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clearclip.expression import LONGEST, find_bands, identifier, identifiers, parse

BANDS = {
    "nir": np.array([[0, 3, 250.5], [-2, 0.25, 7]], np.float32),
    "red": np.array([[0, 1, 250.5], [4, -0.5, 65535]], np.float32),
    "_x1": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nir", [[0, 3, 250.5], [-2, 0.25, 7]]),
        ("-nir + 1", [[1, -2, -249.5], [3, 0.75, -6]]),
        ("(NIR - Red) / (nir + RED)", [[np.nan, 0.5, 0], [-3, -3, (7 - 65535) / (7 + 65535)]]),
        ("2 * x1 ** 2", [[np.nan] * 3] * 2),
        ("min(nir, red) + max(nir, red) * 10", [[0, 31, 2755.5], [38, 2, 655357]]),
        ("abs(-nir)", [[0, 3, 250.5], [2, 0.25, 7]]),
        ("1 / red", [[np.inf, 1, 1 / 250.5], [0.25, -2, 1 / 65535]]),
    ],
)
def test_by_hand(text: str, expected: Any) -> None:
    bands = BANDS if "x1" not in text else {"x1": np.full((2, 3), np.nan, np.float32)}
    found = parse(text)(bands)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(expected, np.float32), rtol=1e-6)


def test_what_has_no_value_is_not_finite() -> None:
    zeros = {"b1": np.zeros((1, 1), np.float32)}
    for text in ("1 / b1", "b1 / b1", "log(b1)", "sqrt(b1 - 1)", "log(b1 - 1)", "(b1 + 10) ** 60", "(b1 - 8) ** 0.5"):
        assert not np.isfinite(parse(text)(zeros)).any(), text


numbers = st.floats(-100, 100, width=32).map(lambda value: f"({value!r})") | st.integers(0, 1000).map(str)
texts = st.recursive(
    st.sampled_from(["nir", "red", "_x1"]) | numbers,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(lambda part: "({}{}{})".format(*part))
        | inner.map(lambda part: f"(-{part})")
        | st.tuples(st.sampled_from(["abs", "sqrt", "log"]), inner).map(lambda part: "{}({})".format(*part))
        | st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda part: "{}({}, {})".format(*part))
    ),
    max_leaves=12,
)


@given(text=texts.filter(lambda text: any(name in text for name in BANDS)))
@settings(deadline=None)
def test_any_expression_is_what_numpy_makes_of_it(text: str) -> None:
    """Python's own evaluation of the same text, in which every number is wrapped as float32."""
    names: dict[str, Any] = {"abs": np.abs, "sqrt": np.sqrt, "log": np.log, "min": np.minimum, "max": np.maximum}
    names |= {"f": np.float32, **{name.strip("_"): band for name, band in BANDS.items()}}
    wrapped = re.sub(r"(?<![\w.])(\d+\.?\d*(?:e[+-]?\d+)?)", r"f(\1)", text).replace("_x1", "x1")
    with np.errstate(all="ignore"):
        expected = eval(wrapped, {"__builtins__": {}}, names)
    found = parse(text)({name.strip("_"): band for name, band in BANDS.items()})
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        ("b1" + "+1" * LONGEST, f"too long: 1002 characters; at most {LONGEST} are allowed"),
        ("-" * 400 + "b1", "too deeply nested; simplify it"),
        ("+".join(["b1"] * 150), "too deeply nested; simplify it"),
        ("(" * 240 + "b1" + ")" * 240, "is not an expression"),
        ("1 + 2", "'1 \\+ 2' names no band; write b1 for the first one"),
        ("b1 +", r"'b1 \+' is not an expression: its end is missing"),
        ("-", "'-' is not an expression: its end is missing"),
        ("nir red", "is not an expression: mend it at 'red'"),
        ("b1 ^ 2", "\\^ is not allowed; write \\*\\* for a power"),
        ("b1 // 2", "is not allowed; use numbers, band names"),
        ("b1 % 2", "is not allowed"),
        ("b1 @ b2", "is not allowed"),
        ("~b1", "is not allowed"),
        ("not b1", "is not allowed"),
        ("b1 < b2", "is not allowed"),
        ("b1 and b2", "is not allowed"),
        ("b1 if b2 else b3", "is not allowed"),
        ("b1[0]", "is not allowed"),
        ("[b1]", "is not allowed"),
        ("b1, b2", "is not allowed"),
        ("b1 := 2", "is not an expression"),
        ("b1; b2", "is not an expression"),
        ("b1 = 2", "is not an expression"),
        ("(b1 := 2)", "is not allowed"),
        ("lambda: b1", "is not allowed"),
        ("[b1 for b1 in b2]", "is not allowed"),
        ("(yield b1)", "is not allowed"),
        ("await b1", "is not allowed|is not an expression"),
        ("'b1'", "is not allowed"),
        ("f'{b1}'", "is not allowed"),
        ("b'1' * b1", "is not allowed"),
        ("True * b1", "is not allowed"),
        ("None * b1", "is not allowed"),
        ("... * b1", "is not allowed"),
        ("1j * b1", "is not allowed"),
        ("b1.__class__", "is not allowed"),
        ("b1.real", "is not allowed"),
        ("().__class__.__bases__[0].__subclasses__()", "is not allowed"),
        ("__import__('os').system('true') + b1", "is not allowed"),
        ("open('/etc/passwd') + b1", "open\\(...\\) is not allowed; use numbers"),
        ("exec('b1')", "exec\\(...\\) is not allowed"),
        ("abs(b1)(b2)", "is not allowed"),
        ("abs(x=b1)", "is not allowed"),
        ("abs(*b1)", "is not allowed"),
        ("abs(b1, b2)", "abs takes 1 value, not 2"),
        ("max(b1)", "max takes 2 values, not 1"),
        ("9" * 400 + " * b1", "a number is too large"),
        ("1e999 * b1", "a number is too large"),
        ("b1 \0", "is not an expression"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@given(text=st.text(max_size=60) | st.text("()+-*/. _,b1e9[]{}'\"\\\n#:=", max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError:
        return
    assert parse(parse(text).text).names == parse(text).names


def test_huge_powers_are_small_work() -> None:
    """Numbers are float32, so that nothing grows without end."""
    assert np.isinf(parse("9**9**9**9**9 * b1")({"b1": np.ones((2, 2), np.float32)})).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(nir - red) / (nir + red)", True),
        ("(nir-red)/(red+nir)", True),
        ("(sqrt(b1) - 2*b2) / (sqrt(b1) + 2*b2)", True),
        ("(nir - red) / (nir - red)", False),
        ("(nir + red) / (nir - red)", False),
        ("(nir - red) / (nir + green)", False),
        ("1.5 * (nir - red) / (nir + red)", False),
        ("nir", False),
    ],
)
def test_a_normalized_difference_is_known_by_its_form(text: str, expected: bool) -> None:
    assert parse(text).is_normalized_difference is expected


# ----------------------------------------------------------------------------------------------------------------------
# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NIR", "nir"),
        ("Near Infrared", "near_infrared"),
        ("405 nm", "_405_nm"),
        ("B8A (narrow)", "b8a_narrow"),
        ("-", ""),
    ],
)
def test_names_as_they_are_written(name: str, expected: str) -> None:
    assert identifier(name) == expected


@given(name=st.text(max_size=20).filter(lambda name: bool(identifier(name))))
def test_a_name_can_be_written_as_it_is_listed(name: str) -> None:
    word = identifier(name)
    assert identifier(word) in (word, word.strip("_"))
    if word.isidentifier() and not keyword.iskeyword(word):
        assert parse(f"{word} + 0").names == (identifier(word),)


def test_which_channel_a_name_stands_for() -> None:
    assert identifiers((), 3) == {"b1": 0, "b2": 1, "b3": 2}
    assert identifiers(("red", "NIR"), 3) == {"red": 0, "nir": 1, "b1": 0, "b2": 1, "b3": 2}
    assert identifiers(("DAPI", "dapi", ""), 3) == {"dapi": 0, "dapi_2": 1, "b1": 0, "b2": 1, "b3": 2}
    assert identifiers(("red", "green", "blue"), 2) == {"red": 0, "green": 1, "b1": 0, "b2": 1}


def test_bands_that_are_called_by_numbers_are_not_counted() -> None:
    """With the bands B2, B3, B4 and B8 of a satellite, b2 is not the second one."""
    assert identifiers(("B2", "B3", "B4", "B8"), 4) == {"b2": 0, "b3": 1, "b4": 2, "b8": 3}
    with pytest.raises(ValueError, match="there is no band 'b1'; this image has b2, b3, b4, b8"):
        find_bands(parse("b1 + b2"), ("B2", "B3", "B4", "B8"), 4)


def test_an_unknown_band_is_named_with_those_that_there_are() -> None:
    assert find_bands(parse("(NIR - red) / (nir + RED)"), ("Red", "Green", "Nir"), 3) == {"nir": 2, "red": 0}
    with pytest.raises(ValueError, match="there is no band 'nir'; this image has red, green, b1, b2"):
        find_bands(parse("nir / red"), ("red", "green"), 2)
    with pytest.raises(ValueError, match=r"there is no band 'nir'; this image has b1, b2, .*, b14, \.\.\., b40"):
        find_bands(parse("nir"), (), 40)
