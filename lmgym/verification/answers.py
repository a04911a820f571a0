"""Numbers in text, read exactly."""

from __future__ import annotations

import re
from fractions import Fraction
from string import ascii_letters

from lmgym.errors import LmgymError

__all__ = ["last_box", "last_number", "parse_gold", "parse_number", "verify_number"]

_DIGIT = re.compile(r"[0-9]")
_MAX_DIGITS = 400
"""Longer numerals and exponents are not read: no answers, and big integers cost quadratic time."""
_MAX_BOX = 2 * _MAX_DIGITS
_RUN = re.compile(
    r"[-+]?[$\u20ac\u00a3]?[0-9.][0-9A-Za-z.,/]*(?:(?<=[0-9][eE])[-+][0-9][0-9A-Za-z.,/]*)?"
)
"""A maximal run of characters that may be a number; no nested quantifiers, so linear time."""
_NUMERAL = re.compile(
    r"(?P<sign>[-+]?)[$\u20ac\u00a3]?"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.(?P<decimals>[0-9]*))?"
    r"(?:[eE](?P<exponent>[-+]?[0-9]{1,3})|/(?P<denominator>[0-9]+))?"
)
_MIXED = re.compile(r"([-+]?)([0-9][0-9,]*)[ \u00a0\u2009\u202f]([0-9]+/[0-9]+)")
_NOT_OF_NUMBERS = re.compile(r"[^-+$\u20ac\u00a30-9.,/eE\s\u2212]")
_SIGN = re.compile(r"^([-+])\s+")
_SLASH = re.compile(r"\s?/\s?")
_POWER = re.compile(r"\^\{?[-+]?[0-9]")
_THIN = "\u2009"
_THIN_GROUPS = re.compile(
    r"(?<![0-9A-Za-z.,/])[0-9]{1,3}(?:[\u00a0\u2009\u202f][0-9]{3}(?![0-9/]))+"
)
_PLAIN_GROUPS = re.compile(r"(?<![0-9A-Za-z.,/])[0-9]{1,3}(?: [0-9]{3}(?![0-9/]))+")
_LATEX_SPACE = re.compile(r"\\[,;: ]|~")
_LATEX_NOTHING = re.compile(r"\\!|\\(?:left|right)(?![a-z])")
_LATEX_FRACTION = re.compile(
    r"(?P<apart>(?<=[0-9]))?\\[dt]?frac[ \u2009]?(?:([0-9])([0-9])"
    r"|\{[ \u2009]?([-+]?[0-9.,]{1,400})[ \u2009]?\}\{[ \u2009]?([0-9]{1,400})[ \u2009]?\})"
)
_BOX = "\\boxed{"
_BRACE = re.compile(r"\\boxed\{|[{}]")
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*)\}")
_NAME = re.compile(r"(?:[A-Za-z]\w{0,20}|\\(?:text|mathrm)\{[A-Za-z\s]*\})\s?=")
_UNIT = re.compile(
    r"(?<=[0-9.])\s?(?:\\?%|\^\{?\\circ\}?"
    r"|\\(?:text|mathrm|mbox)\{([^{}0-9=]*)\}(?:\^\{?[23]\}?)?|([A-Za-z]+(?:\s[A-Za-z]+){0,3}))\.?$"
)
_NO_UNIT = re.compile(
    r"\b(?:or|and|plus|minus|times|over|point|to|than|mod|modulo|out|pi|sin|cos|tan|log|ln|exp|sqrt|"
    r"squared|cubed|factorial|half|halves|dozens?|[eixy]|(?:third|fourth|fifth|tenth)s?|"
    r"(?:hundred|thousand|(?:m|b|tr)illion)(?:s|ths?)?)\b",
    re.IGNORECASE,
)
"""Words behind a number that make it another number, or more than one."""
_BARE_UNIT = re.compile(
    r"\s?(?:[mck]m|ft|in|yd|mi|[mk]g|lbs?|oz|ml|hrs?|min|sec|[ap]m|mph)\b|\s[A-Za-z]{3}|[A-Za-z]{4}"
)


def verify_number(response: str, gold: Fraction | int) -> bool:
    r"""Whether the answer of `response` equals `gold` exactly.

    Example:
        >>> verify_number("5 + 7 = 12, so the answer is 1,200.", Fraction(1200))
        True
        >>> verify_number("It is \\boxed{\\frac{1}{2}}, not 3.", Fraction(1, 2))
        True
    """
    return last_number(response) == gold


def last_number(response: str) -> Fraction | None:
    """The number that the last complete box of `response` is; without a box, its last number.

    A box that holds anything but one number, with a unit or a name at most, is no answer; nor is
    a last number that is a power. Groups of three digits apart by a thin or no-break space are one
    number; apart by plain spaces only in a box, or where a group starts with 0: `12 000` is
    12000, but `5 300` ends in 300.
    """
    if response.isdecimal() and response.isascii() and len(response) <= _MAX_DIGITS:
        return Fraction(int(response))  # what most answers are, at a tenth of the cost
    if _DIGIT.search(response) is None:
        return None
    boxed = last_box(response)
    if boxed is not None:
        return _boxed_number(boxed)
    value = _one_number(text := _plain(response))
    return _last_in(text) if value is None else value


def parse_number(text: str) -> Fraction | None:
    """The number that `text` is, or None: decimal, with thousands, an exponent, or a fraction."""
    if text.isdecimal() and text.isascii() and len(text) <= _MAX_DIGITS:
        return Fraction(int(text))
    if "\\" in text:
        text = _LATEX_FRACTION.sub(_slashed, text)
    text = text.replace("\u2212", "-").rstrip(" ")
    match = _NUMERAL.fullmatch(text) if len(text) <= _MAX_DIGITS else None
    if match is None:
        return None
    whole, decimals = match["whole"].replace(",", ""), match["decimals"] or ""
    exponent, denominator = int(match["exponent"] or 0), int(match["denominator"] or 1)
    if not (whole or decimals) or abs(exponent) > _MAX_DIGITS or not denominator:
        return None
    scale = 10 ** len(decimals) * denominator
    value = Fraction(int(whole + decimals), scale) if scale > 1 else Fraction(int(whole))
    value = value * Fraction(10) ** exponent if exponent else value
    return -value if match["sign"] == "-" else value


def parse_gold(text: str) -> Fraction:
    """The number of a gold answer: after ``####`` where there is one, in a box, or as it stands.

    Raises:
        LmgymError: where it is not one number alone; a unit or a percent sign is refused.
    """
    answer = text.rpartition("####")[2].strip()
    boxed = last_box(answer)
    value = _one_number(_plain(answer if boxed is None else _respaced(boxed)))
    if value is None:
        raise LmgymError(
            f"the gold answer {answer[:60]!r} is not a number; allowed are integers, decimals,"
            " fractions a/b and \\frac{a}{b}, alone, in \\boxed{} or after '####'"
        )
    return value


def _plain(text: str) -> str:
    """`text` with LaTeX's spacing and fractions written plainly, and grouped digits joined."""
    text = text.replace("\u2212", "-").replace("{,}", ",")
    if "\\" in text or "~" in text:
        text = _LATEX_SPACE.sub(_THIN, _LATEX_NOTHING.sub("", text))
        text = _LATEX_FRACTION.sub(_slashed, text)
    if not text.isascii():
        text = _THIN_GROUPS.sub(_joined, text)
    return _PLAIN_GROUPS.sub(_joined, text) if " " in text else text


def _slashed(match: re.Match[str]) -> str:
    """A fraction with a slash, apart from digits around it: they make it a mixed number."""
    numerator, denominator = match[2] or match[4], match[3] or match[5]
    return f"{'' if match['apart'] is None else ' '}{numerator}/{denominator} "


def _joined(match: re.Match[str]) -> str:
    """Groups of digits as one number; "5 300" may be two, but nobody writes 000 alone."""
    return match[0] if " " in match[0] and " 0" not in match[0] else "".join(match[0].split())


def _respaced(content: str) -> str:
    """The content of a box, where all spaces are alike: LaTeX prints none of them."""
    return _THIN.join(_LATEX_SPACE.sub(" ", content).split())


def _boxed_number(content: str) -> Fraction | None:
    """The number that the content of a box is, a name and a unit aside."""
    text = _plain(_respaced(content))
    wrapped = _WRAPPED.fullmatch(text)
    text = (wrapped[1] if wrapped else text).replace("\\$", "$").strip("$ \u2009")
    name = _NAME.match(text)
    text = text[name.end() :].strip() if name else text
    text = text[1:-1] if text[:1] == "(" and text[-1:] == ")" else text
    unit = _UNIT.search(text)
    return _one_number(text[: unit.start()] if unit and _is_unit(unit) else text)


def _is_unit(match: re.Match[str]) -> bool:
    """Whether words behind a number leave it as it is; letters on it may be variables: 5x, 5ab."""
    if _NO_UNIT.search(match[1] or match[2] or ""):
        return False
    return match[2] is None or _BARE_UNIT.match(match[0]) is not None


def _one_number(text: str) -> Fraction | None:
    """The number that plain `text` is as a whole, or None."""
    if len(text) > _MAX_BOX or ("\\" not in text and _NOT_OF_NUMBERS.search(text)):
        return None
    text = text.replace("\\$", "$").strip().strip("$").strip().rstrip(".")
    text = _SIGN.sub(r"\1", text)
    text = _SLASH.sub("/", text) if "/" in text else text
    value = parse_number(text)
    return _mixed(text) if value is None else value


def _mixed(text: str) -> Fraction | None:
    """The mixed number that `text` is, or None: a whole number, a space, a proper fraction."""
    match = _MIXED.fullmatch(text)
    if match is None:
        return None
    whole, part = parse_number(match[2]), parse_number(match[3])
    if whole is None or part is None or part >= 1:
        return None
    return -(whole + part) if match[1] == "-" else whole + part


def _last_in(text: str) -> Fraction | None:
    runs = list(_RUN.finditer(text))
    for i in range(len(runs) - 1, -1, -1):
        match, previous = runs[i], runs[i - 1] if i else None
        if text[max(0, match.start() - 2) : match.start()].rstrip("{")[-1:] == "^":
            continue  # cm^2: an exponent
        run = _trimmed(match, text)
        value = parse_number(run)
        if value is None:
            continue
        if _POWER.match(text, match.end()):
            return None
        if previous is None or not previous[0][-1].isdigit():
            return value
        mixed = _mixed(_trimmed(previous, text) + text[previous.end() : match.start()] + run)
        return value if mixed is None else mixed
    return None


def _trimmed(match: re.Match[str], text: str) -> str:
    """The run without a sentence's punctuation, and without a minus that is an operator."""
    run = match[0].rstrip(".,/").rstrip(ascii_letters)  # "42kg": a unit
    before = text[match.start() - 1 : match.start()]
    is_operator = before.isalnum() or before in (")", "]", "}")
    return run[1:] if run[:1] in ("-", "+") and is_operator else run


def last_box(text: str) -> str | None:
    r"""The content of the complete ``\boxed{...}`` that opens last, or None; one pass over it."""
    if _BOX not in text:
        return None
    opened: list[int] = []  # where the content of a box begins; -1 for any other brace
    last = (-1, -1)
    for brace in _BRACE.finditer(text):
        if brace[0] != "}":
            opened.append(-1 if brace[0] == "{" else brace.end())
        elif opened:
            start = opened.pop()
            if start > last[0] and brace.start() - start <= _MAX_BOX:
                last = (start, brace.start())
    return text[slice(*last)] if last[0] >= 0 else None
