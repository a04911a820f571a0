"""Mathematics told in words, and in the syntax of programs, as formulas."""

from __future__ import annotations

import re

from lmgym.verification.number_words import in_digits
from lmgym.verification.vocabulary import SCALES

__all__ = ["as_formula"]

_MAY_BE_SPOKEN = re.compile(r"[A-Za-z]{2}")
_MAY_BE_NUMBERS = re.compile(
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|teen|ty|zero|half)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
_VALUE = r"(-?[0-9]+(?:\.[0-9]+)?)"
_SPOKEN = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"(?:the\s)?square\sroot\sof\s", r"\\root "),
        (r"(?:the\s)?cube\sroot\sof\s", r"\\cuberoot "),
        (r"(?<=[0-9A-Za-z)])\stimes\s", "*"),
        (r"(?<=[0-9A-Za-z)}])\s(?:divided\sby|over)\s(?=[0-9A-Za-z(\\])", "/"),
        (r"(?<=[0-9A-Za-z)])\ssquared(?![a-z])", "^2"),
        (r"(?<=[0-9A-Za-z)])\scubed(?![a-z])", "^3"),
        (r"(?<=[0-9A-Za-z)])\splus\s", " + "),
        (r"(?<=[0-9A-Za-z)])\sminus\s", " - "),
        (r"(?<=[0-9A-Za-z)])\s(?:raised\s)?to\sthe\spower\s(?:of\s)?", "^"),
        (r"(?<=[A-Za-z])\sis\s(?:at\sleast|no\sless\sthan)\s", " >= "),
        (r"(?<=[A-Za-z])\sis\s(?:at\smost|no\smore\sthan)\s", " <= "),
        (r"(?<=[A-Za-z])\sis\s(?:greater|more|larger)\sthan\sor\sequal\sto\s", " >= "),
        (r"(?<=[A-Za-z])\sis\s(?:less|smaller)\sthan\sor\sequal\sto\s", " <= "),
        (r"(?<=[A-Za-z])\sis\s(?:greater|more|larger)\sthan\s", " > "),
        (r"(?<=[A-Za-z])\sis\s(?:less|smaller)\sthan\s", " < "),
        (
            rf"^all\sreal\s(?:numbers|values|x)\s(?:of\sx\s)?except\s(?:for\s)?(?:x\s?=\s?)?{_VALUE}$",
            r"\\reals \\setminus \\{\1\\}",
        ),
        (rf"^between\s{_VALUE}\sand\s{_VALUE},?\s\(?inclusive\)?$", r"[\1, \2]"),
        (rf"^between\s{_VALUE}\sand\s{_VALUE},?\s\(?exclusive\)?$", r"(\1, \2)"),
        (r"^([0-9]+)\sand\s([0-9]+/[0-9]+)$", r"\1 \2"),
        (rf"^{_VALUE}\s(?:\\text\s?\{{\s?)?to(?:\s?\}})?\s{_VALUE}$", r"\1:\2"),
        (r"^([0-9]+)\s(?:in|out\sof)\s([0-9]+)$", r"\1/\2"),
        (r"(?<=[0-9])\s*\\Omega\s*$", " ohm"),
        (r"^([0-9A-F]+)\s\(?(?:in\s)?hex(?:adecimal)?\)?$", r"\1_{16}"),
        (r"^([0-7]+)\s\(?(?:in\s)?octal\)?$", r"\1_{8}"),
        (r"^([01]+)\s\(?(?:in\s)?binary\)?$", r"\1_{2}"),
        (r"(?<![A-Za-z\\])(?:(?:np|numpy|sympy|sp)\.)?(?:array|matrix|vector)\s?\(", "("),
    )
)
_FEET = re.compile(r"(?<![0-9A-Za-z.])([0-9]+)\s?'\s?([0-9]+(?:\.[0-9]+)?)\s?(?:''|\")")
_MINUTES = re.compile(
    r"([0-9]{1,6})\s?(?:\^\s?\{?\s?\\circ\s?\}?|\\degree)\s*([0-9]{1,2})\s?'(?!')"
    r"(?:\s*([0-9]{1,2}(?:\.[0-9]{1,9})?)\s?(?:''|\"))?"
)
_TEMPERATURE = re.compile(
    r"(?:\^\s?\{?\s?\\circ\s?\}?|\\degree)\s*(?:\\(?:text|mathrm)\s?\{\s?)?([CFK])(?![A-Za-z])\s?\}?$"
)
_ROWS = re.compile(r"\[([-0-9./ ]+(?:,[-0-9./ ]+)*(?:;[-0-9./ ,]+)+)\]")
"""A matrix with a semicolon between its rows."""
_NAMED = re.compile(r"(?:\\(?:int|iint|sum|prod|lim)(?![a-z])|[\u222b\u2211\u220f])")
"""With what a value begins that is told behind it."""


def as_formula(text: str) -> str:
    r"""A text with what it tells in words written as mathematics.

    Example:
        >>> as_formula("twice"), as_formula("three times the square root of 2")
        ('twice', '3*\\root 2')
    """
    if _MAY_BE_NUMBERS.search(text):
        text = in_digits(text)
    if _MAY_BE_SPOKEN.search(text):
        for pattern, plain in _SPOKEN if " " in text or "(" in text else ():
            text = pattern.sub(plain, text)
        if "circ" in text or "degree" in text:
            text = _TEMPERATURE.sub(lambda m: rf"\text{{ {SCALES[m[1]]}}}", text)
    if "'" in text:
        text = _FEET.sub(r"\1 ft \2 in", _MINUTES.sub(_in_degrees, text))
    if ";" in text:
        text = _ROWS.sub(_nested, text)
    return _value_behind(text) if "=" in text and _NAMED.match(text) else text


def _in_degrees(match: re.Match[str]) -> str:
    """Degrees with minutes and seconds of arc as degrees alone."""
    return rf"({match[1]}+{match[2]}/60+{match[3] or 0}/3600)^\circ"


def _nested(match: re.Match[str]) -> str:
    """Rows as lists in a list: [[1, 2], [3, 4]]."""
    rows = (", ".join(row.replace(",", " ").split()) for row in match[1].split(";"))
    return "[" + ", ".join(f"[{row}]" for row in rows) + "]"


def _value_behind(text: str) -> str:
    """What a sum, an integral or a limit is said to be; the text where nothing is said."""
    value = text.rpartition("=")[2].strip()
    return (
        value
        if value.count("{") == value.count("}") and value.count("(") == value.count(")")
        else text
    )
