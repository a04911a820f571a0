"""Units of measurement and of money: what stands before or behind a value, and how they convert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache

from lmgym.verification.vocabulary import SCALES
from lmgym.verification.wrappers import WRAPPER

__all__ = ["Unit", "split_unit"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        dimensions: exponents by base dimension; an unknown noun is a dimension of its own.
        factor: how many base units it is.
        about: words around it, as north and loss.
    """

    dimensions: frozenset[tuple[str, int]]
    factor: Fraction
    about: frozenset[str] = field(default=frozenset(), compare=False)

    def per(self, other: Unit) -> Unit:
        """This unit divided by another one."""
        powers = dict(self.dimensions)
        for name, power in other.dimensions:
            powers[name] = powers.get(name, 0) - power
        bases = frozenset((name, power) for name, power in powers.items() if power)
        return Unit(bases, self.factor / other.factor, self.about | other.about)

    def contradicts(self, other: Unit) -> bool:
        """Whether each has words around it that the other has not, as red and blue balls."""
        return bool(self.about - other.about) and bool(other.about - self.about)

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
    "sterling": "\u00a3 gbp:1 penny pence:1/100",
    "yen": "\u00a5 yen jpy:1",
    "rupee": "\u20b9 rupee rs inr:1",
    "force": "newton:1 kn kilonewton:1000",
    "energy": "joule:1 kj kilojoule:1000 megajoule:1000000 kwh:3600000",
    "power": "watt:1 kw kilowatt:1000 megawatt:1000000",
    "voltage": "volt:1 kv kilovolt:1000 millivolt:1/1000",
    "frequency": "hz hertz:1 khz kilohertz:1000 mhz megahertz:1000000 ghz gigahertz:1000000000",
    "pressure": "pa pascal:1 kpa kilopascal:1000",
    "capacitance": "farad:1 microfarad \u03bcf:1/1000000",
    "amount": "mol mole:1",
    "charge": "coulomb:1",
    "current": "ampere amp:1 milliampere milliamp:1/1000",
    "resistance": "ohm:1 kiloohm kiloohms:1000",
    "electronvolt": "ev electronvolt:1 kev:1000 mev:1000000",
    "heat": "cal calorie:1 kcal kilocalorie:1000",
    "area": "hectare ha:10000 acre:40468564224/10000000 are:100",
    "data": "byte:1 kilobyte kb:1000 megabyte mb:1000000 gigabyte gb:1000000000",
    "celsius": "celsius \u2103:1",
    "fahrenheit": "fahrenheit \u2109:1",
    "kelvin": "kelvin:1",
}
"""By base dimension the names of its units, and how many base units each is."""
_GRAMS = Fraction(1000)
_DERIVED: dict[str, tuple[Fraction, dict[str, int]]] = {
    "volume": (Fraction(1, 1000), {"length": 3}),
    "area": (Fraction(1), {"length": 2}),
    "power": (_GRAMS, {"mass": 1, "length": 2, "time": -3}),
    "energy": (_GRAMS, {"mass": 1, "length": 2, "time": -2}),
    "pressure": (_GRAMS, {"mass": 1, "length": -1, "time": -2}),
    "force": (_GRAMS, {"mass": 1, "length": 1, "time": -2}),
    "frequency": (Fraction(1), {"time": -1}),
}
"""Dimensions that are made of others, and how many of those base units one unit of them is."""
_UNITS = {
    name: (dimension, Fraction(factor))
    for dimension, line in _TABLE.items()
    for names, factor in re.findall(r"([^:]+):(\S+)", line)
    for name in names.split()
}
_CASED = {
    **{"L": "l", "mL": "ml", "N": "newton", "J": "joule", "kJ": "kj", "W": "watt", "kW": "kw"},
    **{"V": "volt", "Hz": "hz", "kHz": "khz", "Pa": "pa", "kPa": "kpa", "K": "kelvin", "KM": "km"},
    **{"C": "coulomb", "F": "farad", "kWh": "kwh", "MJ": "megajoule", "MW": "megawatt"},
    **{"MHz": "mhz", "GHz": "ghz", "kV": "kv", "mA": "milliampere", "kN": "kn"},
}
"""Symbols with capitals."""
_SYMBOLS = frozenset("msghdLNJWVKCF$\u20ac\u00a3\u00a2\u00a5\u20b9")
"""Units of one letter; of those, lower case alone is no newton, joule, watt or volt."""
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
_WRAPPED = re.compile(WRAPPER + r"\{([^{}]*(?:\{[^{}]*\}[^{}]*){0,4})\}|\\[ ,;:!]|~")
_SPACE = re.compile(r"\\[ ,;:!]|~")
_PER = re.compile(r"(?:\s?/\s?|\s+per\s+|\s+an?\s+)([A-Za-z]+)\.?$")
_QUOTIENT = re.compile(
    r"\\[dt]?frac\s?\{" + WRAPPER + r"\{([^{}0-9]*)\}\s?\}\s?\{" + WRAPPER + r"\{([^{}0-9]*)\}\s?\}"
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
    half halves third thirds quarter fourth fourths fifth fifths sixth sixths seventh sevenths
    eighth eighths ninth ninths tenth tenths twelfth twelfths hundredth hundredths thousandth
    thousandths hundred thousand million billion trillion quadrillion dozen score gross crore lakh
    tens dozens hundreds thousands millions billions percent percentage point
    plus minus times over divided multiplied added subtracted squared cubed factorial twice thrice
    fold than below above together mod cup of to in and or not is except unless otherwise wrong debt
    pi e i x y z t u theta exp sqrt sin cos tan log ln infinity inf oo
    """.split()  # noqa: SIM905 - a word list
)
"""Words that are no things that are counted."""
_NEUTRAL = frozenset(
    """
    left remaining remain total altogether each only more way long wide high tall deep old away
    apart
    """.split()  # noqa: SIM905 - a word list
)
"""Words around a unit that say nothing of it."""
_SHORTEST_NOUN, _LONGEST_SYMBOL = 3, 2
"""Letters of a thing that is counted, and of a symbol with a capital."""
_WRAPPED_END = re.compile(WRAPPER + r"\{[^{}]*\}(?:\s?\^\s?\{?-?[0-9]\}?|\u00b2|\u00b3)?[\s.]*$")
_NUMERAL = re.compile(
    r"[-+]?(?:\\?\$)?\s?(?:[0-9][0-9,.\u2009 ]*|\.[0-9]+)(?:/[0-9]+)?"
    r"(?:\s?(?:\\times|\\cdot|\u00d7|\*|x)\s?10\s?\^\s?\{?[-+]?[0-9]+\}?|e[-+]?[0-9]+)?"
    r"|[-+]?[0-9]*\s?\\[dt]?frac\s?\{?[0-9]+\}?\s?\{?[0-9]+\}?",
    re.IGNORECASE,
)
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|leq|geq|lt|gt)(?![a-z])|\u2264|\u2265")
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
    per = _PER.search(plain) if currency else None
    below = _unit(per[1]) if per else None
    if currency and per and below:
        return plain[: per.start()].strip(), currency.per(below)
    degrees = _DEGREES.search(plain)
    if degrees:
        return plain[: degrees.start()].strip(), _unit("degree")
    tail = _TAIL.search(plain)
    unit = _unit(tail[1]) if tail else None
    if tail and unit is not None and _may_be_unit(plain[: tail.start()], tail, text):
        return plain[: tail.start()].strip(), _joined(currency, unit)
    return (text, None) if currency is None else (plain.strip(), currency)


def _joined(currency: Unit | None, behind: Unit) -> Unit:
    """The unit before a value with the words behind it; else the unit behind it."""
    if currency is None:
        return behind
    return replace(currency, about=behind.about)


def _may_be_unit(value: str, tail: re.Match[str], text: str) -> bool:
    """Whether letters behind a value are a unit, not variables: marked as text, or apart."""
    if _WRAPPED_END.search(text) or not tail[1][0].isalpha():
        return True
    is_apart = tail[0][:1].isspace()
    is_joined = "-" in tail[0][: tail.start(1) - tail.start()]
    first = _PARTS.match(tail[1])
    word = tail[1] if first is None else first[3].strip(".")
    if len(word) > 1:
        is_known = _known(word) is not None
        return (is_apart or is_known) and (is_known or not is_joined)
    is_numeral = _NUMERAL.fullmatch(_RELATION.split(value)[-1].strip()) is not None
    return word in _SYMBOLS and not is_joined and (is_numeral or (is_apart and word == "m"))


def _unwrapped(text: str) -> str:
    """The text without LaTeX's commands for text and space."""
    if "\\" not in text and "~" not in text:
        return text
    text = _QUOTIENT.sub(r" \1/\2", text)
    bare = _WRAPPED.sub(lambda m: f" {_SPACE.sub(' ', m[1] or '')} ", text)
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
    about: set[str] = set()
    factor, noun = Fraction(1), ""
    for word, exponent in _words(text.strip()):
        known = _known(word)
        if known is None:
            noun = _noun(word)
            if not noun:
                return None
            about.add(noun)
        for dimension, size, own in known or ():
            dimensions[dimension] = dimensions.get(dimension, 0) + exponent * own
            factor *= size ** (exponent * own)
    if noun and not dimensions:
        dimensions[f"noun {noun}"] = 1
    factor = _in_bases(dimensions, factor)
    bases = frozenset((name, power) for name, power in dimensions.items() if power)
    return Unit(bases, factor, frozenset(about - _NEUTRAL)) if dimensions else None


def _in_bases(dimensions: dict[str, int], factor: Fraction) -> Fraction:
    """Replace dimensions that are made of others by those, and return the factor for them."""
    for name, (scale, parts) in _DERIVED.items():
        exponent = dimensions.pop(name, 0)
        factor *= scale**exponent
        for part, power in parts.items() if exponent else ():
            dimensions[part] = dimensions.get(part, 0) + exponent * power
    return factor


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
        plain = SCALES[plain[-1]]
    is_symbol = len(plain) <= _LONGEST_SYMBOL and plain[0].isupper() and plain[1:].islower()
    if is_symbol and plain not in _CASED:
        return None  # another prefix: Mm is not mm
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
