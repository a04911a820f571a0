"""Units of measurement and of money: what stands before or behind a value, and how they convert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

__all__ = ["Unit", "split_unit"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        dimensions: exponents by base dimension; an unknown noun is a dimension of its own.
        factor: how many base units it is.
    """

    dimensions: frozenset[tuple[str, int]]
    factor: Fraction

    @property
    def is_noun(self) -> bool:
        """Whether it is things that are counted."""
        return any(name.startswith("noun ") for name, _ in self.dimensions)


_TABLE = {
    "length": "m meter metre:1 cm centimeter centimetre:1/100 mm millimeter millimetre:1/1000"
    " km kilometer kilometre:1000 in inch:254/10000 ft foot feet:3048/10000 yd yard:9144/10000"
    " mi mile:1609344/1000 nm nanometer:1/1000000000",
    "mass": "g gram gramme:1 kg kilogram kilo:1000 mg milligram:1/1000 lb pound:45359237/100000"
    " oz ounce:28349523125/1000000000 ton:907184740/1000 tonne:1000000",
    "time": "s sec second:1 min minute:60 h hr hour:3600 day:86400 week:604800"
    " ms millisecond:1/1000",
    "month": "month:1 year yr:12 decade:120 century centuries:1200",
    "volume": "l liter litre:1 ml milliliter millilitre:1/1000 gal gallon:3785411784/1000000000"
    " quart:946352946/1000000000 pint:473176473/1000000000 cup:2365882365/10000000000",
    "angle": "degree deg:1",
    "radian": "rad radian:1",
    "dollar": "$ dollar usd buck:1 cent:1/100 \u00a2:1/100",
    "euro": "\u20ac euro eur:1",
    "sterling": "\u00a3 gbp:1",
    "yen": "\u00a5 yen jpy:1",
    "rupee": "\u20b9 rupee rs inr:1",
    "force": "n newton:1",
    "energy": "j joule:1 kj kilojoule:1000",
    "power": "w watt:1 kw kilowatt:1000",
    "voltage": "v volt:1",
    "frequency": "hz hertz:1 khz:1000",
    "pressure": "pa pascal:1 kpa:1000",
    "amount": "mol mole:1",
    "celsius": "celsius \u2103:1",
    "fahrenheit": "fahrenheit \u2109:1",
    "kelvin": "kelvin:1",
}
"""By base dimension the names of its units, and how many base units each is."""
_UNITS = {
    name: (dimension, Fraction(factor))
    for dimension, line in _TABLE.items()
    for names, factor in re.findall(r"([^:]+):(\S+)", line)
    for name in names.split()
}
_CASED = {
    **{"L": "l", "mL": "ml", "N": "n", "J": "j", "kJ": "kj", "W": "w", "kW": "kw", "V": "v"},
    **{"Hz": "hz", "kHz": "khz", "Pa": "pa", "kPa": "kpa", "K": "kelvin", "KM": "km"},
}
"""Symbols with capitals."""
_DEGREES_OF = {"C": "celsius", "F": "fahrenheit", "K": "kelvin"}
_RATES = {
    "mph": "mile/hour",
    "kph": "km/hour",
    "kmph": "km/hour",
    "fps": "foot/second",
    "rpm": "revolution/minute",
}
_CURRENCY = re.compile(
    r"^([-+(]?)\s?(?:US|A|C)?(\\?\$|\u20ac|\u00a3|\u00a5|\u20b9|Rs\.?|USD|EUR|GBP)"
    r"\s?(?=[-+]?[.(\\0-9])"
)
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s?\{([^{}]*)\}"
    r"|\\[ ,;:!]|~"
)
_WORD = r"(?:\u00b0\s?[CFK]|[A-Za-z\u20ac\u00a3\u00a2\u00a5\u20b9\u00b5]+\.?|\\?\$)"
_POWER = r"(?:\s?\^\s?\{?(-?[0-9])\}?|\s?\u00b2|\s?\u00b3)?"
_ONE = rf"{_WORD}{_POWER}"
_BEHIND = r"(?:(?<=[0-9)}\]\u03c0.%])(?!\s?pi(?![a-z]))|(?<=\\pi)|(?<=[0-9 ]pi)(?=\s))"
"""Where a unit may begin: behind a number, a bracket or pi."""
_BETWEEN = r"(?:\s?/\s?|\s?\*\s?|\s?\\cdot\s?|\s?\u00b7\s?|\sper\s|\s)"
_TAIL = re.compile(
    rf"{_BEHIND}\s*-?\s?((?:(?:sq|square|cubic|cu)\.?\s)?{_ONE}"
    rf"(?:{_BETWEEN}(?:(?:sq|square|cubic)\.?\s)?{_ONE}){{0,6}})$"
)
_PARTS = re.compile(
    rf"(/|per\s|\*|\\cdot|\u00b7)?\s?((?:sq|square|cubic|cu)\.?\s)?({_WORD})({_POWER})"
)
_MATHEMATICAL = frozenset(
    """
    hundredth hundredths tenth tenths half halves third thirds squared cubed factorial times fold
    percent percentage or and pi e i x y z sqrt sin cos tan log ln infinity inf oo mod u cup to is
    not of in exp t theta
    """.split()  # noqa: SIM905 - a word list
)
"""Words that are no things that are counted."""
_SHORTEST_NOUN = 3
_DEGREES = re.compile(r"(?:\^\s?\{?\s?\\circ\s?\}?|\\degree|\u00b0|\u00ba)$")
_RAISED = {"\u00b2": 2, "\u00b3": 3}
_ENDINGS = (("ies", "y"), ("ches", "ch"), ("xes", "x"), ("shes", "sh"), ("s", ""))
"""Of plurals, and of their singulars."""


@lru_cache(maxsize=4096)
def split_unit(text: str) -> tuple[str, Unit | None]:
    r"""The value and the unit of a text, None where it has none.

    Example:
        >>> split_unit("5 km/h") == split_unit(r"5 \text{ km per hour}"), split_unit("5 + x")
        (True, ('5 + x', None))
    """
    plain, currency = _without_currency(_unwrapped(text))
    degrees = _DEGREES.search(plain)
    if degrees:
        return plain[: degrees.start()].strip(), _unit("degree")
    tail = _TAIL.search(plain)
    unit = _unit(tail[1]) if tail else None
    if tail and unit is not None:
        return plain[: tail.start()].strip(), currency or unit
    return (text, None) if currency is None else (plain.strip(), currency)


def _unwrapped(text: str) -> str:
    """The text without LaTeX's commands for text and space."""
    if "\\" not in text and "~" not in text:
        return text
    bare = _WRAPPED.sub(lambda match: f" {(match[1] or '').replace('~', ' ')} ", text)
    return " ".join(bare.split())


def _without_currency(text: str) -> tuple[str, Unit | None]:
    """The text without the sign of a currency before it, and what that stands for."""
    money = _CURRENCY.match(text)
    if money is None:
        return text, None
    return money[1] + text[money.end() :], _unit(money[2].strip("\\.").lower())


def _unit(text: str) -> Unit | None:
    """The unit that words behind a value name, or None where they are no unit."""
    dimensions: dict[str, int] = {}
    factor, noun = Fraction(1), ""
    for word, exponent in _words(text.strip()):
        known = _known(word)
        if known is None:
            noun = _noun(word)
            if not noun:
                return None
        for dimension, size, own in known or ():
            dimensions[dimension] = dimensions.get(dimension, 0) + exponent * own
            factor *= size ** (exponent * own)
    if noun and not dimensions:
        dimensions[f"noun {noun}"] = 1
    if dimensions == {"volume": 1}:
        dimensions, factor = {"length": 3}, factor / 1000
    bases = frozenset((name, power) for name, power in dimensions.items() if power)
    return Unit(bases, factor) if dimensions else None


def _words(text: str) -> Iterator[tuple[str, int]]:
    """The words of a unit with their exponents, negative ones behind a slash or "per"."""
    if text.lower() == "per cent":
        return
    sign = 1
    for match in _PARTS.finditer(text):
        joint, prefix, word, power = match[1], match[2], match[3], match[4]
        is_per = word.lower().strip(".") == "per"
        if is_per or (joint and joint.strip() in ("/", "per")):
            sign = -1
        if not is_per:
            yield word, sign * _exponent(power, prefix)


def _noun(word: str) -> str:
    """A word as a thing that is counted; empty where it is none."""
    is_noun = word.isascii() and len(word) >= _SHORTEST_NOUN and word.lower() not in _MATHEMATICAL
    return _singular(word.lower().strip(".")) if is_noun else ""


def _known(word: str) -> list[tuple[str, Fraction, int]] | None:
    """Dimension, factor and exponent of what a known unit is made of, or None."""
    plain = word.strip(".\\")
    if plain.lower() in _RATES:
        upper, lower = _RATES[plain.lower()].split("/")
        above = _known(upper) or [("noun revolution", Fraction(1), 1)]
        return above + [(name, factor, -power) for name, factor, power in _known(lower) or []]
    if plain.startswith("\u00b0"):
        plain = _DEGREES_OF[plain[-1]]
    name = _CASED.get(plain, plain if len(plain) == 1 else plain.lower())
    found = _UNITS.get(name) or (_UNITS.get(_singular(name)) if len(name) > 2 else None)
    return None if found is None else [(*found, 1)]


def _singular(word: str) -> str:
    for ending, kept in _ENDINGS:
        if word.endswith(ending) and not word.endswith("ss") and len(word) > len(ending) + 1:
            return word[: -len(ending)] + kept
    return word


def _exponent(power: str, prefix: str | None) -> int:
    """The exponent of a word, as in m^2 or square feet."""
    if prefix:
        return 3 if prefix.lower().startswith("cu") else 2
    if power.strip() in _RAISED:
        return _RAISED[power.strip()]
    digits = re.search(r"-?[0-9]", power)
    return int(digits[0]) if digits else 1
