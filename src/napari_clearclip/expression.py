"""Band expressions such as ``(nir - red) / (nir + red)``: what may stand in one, and what it comes to (no eval)."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST = 500  # characters
_DEEPEST = 64  # operations within each other; more would exhaust the interpreter's stack

FloatArray = npt.NDArray[np.float32]

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: np.negative, ast.UAdd: np.positive}
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "log": (1, np.log),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
ALLOWED = f"numbers, band names, + - * / **, parentheses and {', '.join(_FUNCTIONS)}"

# Name: expression, and what it shows.
READY_MADE = {
    "NDVI": ("(nir - red) / (nir + red)", "vegetation"),
    "NDWI": ("(green - nir) / (green + nir)", "open water"),
}


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes
    ----------
    text : str
        As it was written.
    names : tuple of str
        The bands it names, each once, in the form of `identifier`.
    tree : ast.expr
        Its syntax tree, in which nothing but what is allowed occurs.
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr

    @property
    def is_normalized_difference(self) -> bool:
        """Whether it has the form (a - b) / (a + b), whose values lie from -1 to 1 where none is negative."""
        match self.tree:
            case ast.BinOp(ast.BinOp(a, ast.Sub(), b), ast.Div(), ast.BinOp(c, ast.Add(), d)):
                return {ast.dump(a), ast.dump(b)} == {ast.dump(c), ast.dump(d)}
        return False

    def __call__(self, bands: Mapping[str, FloatArray]) -> FloatArray:
        """The value at each pixel.

        Parameters
        ----------
        bands : mapping of str to (h, w) float32 array
            The bands by `names`.

        Returns
        -------
        (h, w) float32 array
            Computed in float32 throughout; infinite or not a number where a division by zero, the root or logarithm of
            a negative number or an overflow leaves no value.
        """
        with np.errstate(all="ignore"):
            return np.asarray(_value(self.tree, bands), np.float32)


def parse(text: str) -> Expression:
    """The expression that a text stands for.

    Parameters
    ----------
    text : str
        Numbers, names of bands, ``+ - * / **``, parentheses, and abs, sqrt, log (natural), min, max.

    Raises
    ------
    ValueError
        If it is empty, too long, too deeply nested, not an expression, names no band, or holds anything else.

    Examples
    --------
    >>> parse("(NIR - red) / (NIR + red)").names
    ('nir', 'red')
    """
    text = " ".join(text.split())
    if not text:
        raise ValueError("the expression is empty; write bands and operations, such as (nir - red) / (nir + red)")
    if len(text) > LONGEST:
        raise ValueError(f"the expression is too long: {len(text)} characters; at most {LONGEST} are allowed")
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not an expression: {_where(text, error)}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nesting that the parser cannot hold
        raise ValueError(f"{text[:40]!r} is not an expression; simplify it") from error
    names: dict[str, None] = {}
    _check(tree, names, 0)
    if not names:
        raise ValueError(f"{text!r} names no band; write b1 for the first one")
    return Expression(text, tuple(names), tree)


def identifier(name: str) -> str:
    """The form in which a band's name is written in an expression: lower case, one word.

    Examples
    --------
    >>> identifier("B8A (NIR narrow)"), identifier("405 nm")
    ('b8a_nir_narrow', '_405_nm')
    """
    name = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name).casefold()).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def identifiers(names: Sequence[str], count: int) -> dict[str, int]:
    """The channel that each name in an expression stands for.

    Parameters
    ----------
    names : sequence of str
        What the channels are called, in order; empty where one has no name.
    count : int
        How many channels there are.

    Returns
    -------
    dict of str to int
        Names in the form of `identifier`, the second of the same name with ``_2``. Besides, b1, b2, ... count the
        channels from 1, unless a channel is itself called so: then b8 is the one that is called B8, and no other.
    """
    found: dict[str, int] = {}
    for channel, name in enumerate(names[:count]):
        base = word = identifier(name)
        number = 1
        while word in found:
            number += 1
            word = f"{base}_{number}"
        if word:
            found[word] = channel
    if not any(re.fullmatch(r"b\d+", word) for word in found):
        found |= {f"b{channel + 1}": channel for channel in range(count)}
    return found


def words_for(names: Sequence[str]) -> tuple[str, ...]:
    """How each channel is written in an expression, in order: its name where it has one, else its number.

    Examples
    --------
    >>> words_for(("Red", "", "NIR"))
    ('red', 'b2', 'nir')
    """
    written: dict[int, str] = {}
    for word, channel in identifiers(names, len(names)).items():
        written.setdefault(channel, word)
    return tuple(written[channel] for channel in sorted(written))


def find_bands(expression: Expression, names: Sequence[str], count: int) -> dict[str, int]:
    """The channel of each band that an expression names.

    Raises
    ------
    ValueError
        If the image has no such band; it says which there are.
    """
    known = identifiers(names, count)
    unknown = [name for name in expression.names if name not in known]
    if unknown:
        raise ValueError(f"there is no band {unknown[0]!r}; this image has {_listed(tuple(known))}")
    return {name: known[name] for name in expression.names}


def _listed(names: tuple[str, ...]) -> str:
    shown = names if len(names) <= 16 else (*names[:14], "...", names[-1])
    return ", ".join(shown)


def _where(text: str, error: SyntaxError) -> str:
    """What the parser stumbled over, in a few words."""
    if "never closed" in error.msg:
        return "a parenthesis is not closed"
    at = (error.offset or len(text) + 1) - 1  # 0 is the end, where there is nothing to point at
    rest = text[at : at + 20]
    return f"mend it at {rest!r}" if rest else "its end is missing"


def _check(node: ast.expr, names: dict[str, None], depth: int) -> None:
    """Refuse what is not allowed, and note the bands."""
    if depth > _DEEPEST:
        raise ValueError("the expression is too deeply nested; simplify it")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            _number(value)
        case ast.Name(id=name):
            names[identifier(name)] = None
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            _check(operand, names, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left, names, depth + 1)
            _check(right, names, depth + 1)
        case ast.BinOp(op=ast.BitXor()):
            raise ValueError("^ is not allowed; write ** for a power")
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            wanted, _ = _FUNCTIONS[name]
            if len(args) != wanted:
                raise ValueError(f"{name} takes {wanted} value{'s' * (wanted > 1)}, not {len(args)}")
            for argument in args:
                _check(argument, names, depth + 1)
        case ast.Call(func=ast.Name(id=name)):
            raise ValueError(f"{name}(...) is not allowed; use {ALLOWED}")
        case _:
            raise ValueError(f"{ast.unparse(node)[:40]!r} is not allowed; use {ALLOWED}")


def _number(value: float) -> np.float32:
    """A number as it is computed with."""
    try:
        number = np.float32(value)
    except OverflowError:
        number = np.float32(np.inf)
    if not np.isfinite(number):
        raise ValueError("a number is too large; write one below 3e38")
    return number


def _value(node: ast.expr, bands: Mapping[str, FloatArray]) -> Any:
    """What a checked tree comes to."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return np.float32(value)
        case ast.Name(id=name):
            return bands[identifier(name)]
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, bands))
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, bands), _value(right, bands))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name][1](*(_value(argument, bands) for argument in args))
    raise TypeError(f"{type(node).__name__} was not checked")  # pragma: no cover
