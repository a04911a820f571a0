"""Numbers in text, read exactly."""

from __future__ import annotations

import re
from fractions import Fraction
from string import ascii_letters

from lmgym.errors import LmgymError

__all__ = ["last_number", "parse_gold", "parse_number", "verify_number"]

_MAX_DIGITS = 400
"""Longer numerals are not read: they are no answers, and big integers cost quadratic time."""

_RUN = re.compile(
    r"[-+\u2212]?[$\u20ac\u00a3]?[0-9.][0-9A-Za-z.,/]*(?:(?<=[0-9][eE])[-+][0-9]{1,3})?"
)
"""A maximal run of characters that may be a number; no nested quantifiers, so linear time."""

_NUMERAL = re.compile(
    r"(?P<sign>[-+\u2212]?)[$\u20ac\u00a3]?"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.(?P<decimals>[0-9]*))?"
    r"(?:[eE](?P<exponent>[-+]?[0-9]{1,3})|/(?P<denominator>[0-9]+))?"
)
_LATEX_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?[0-9]{1,400})\}\{([0-9]{1,400})\}")
_BOX = "\\boxed{"
_BRACE = re.compile(r"\\boxed\{|[{}]")
_SPACED_DIGITS = re.compile(r"[0-9.]\s+[0-9.]")
_THIN_SPACE = re.compile(r"(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_WHOLE_BEFORE = re.compile(r"(?<![0-9.,/])(-?)([0-9]{1,9}) $")
_LATEX_NOISE = re.compile(
    r"\\[,;:! ]|\\(?:left|right)(?![a-z])|~|\\?[$%]|\\(?:text|textbf|mathrm|mbox)\{[^{}]*\}"
)
_NAME = re.compile(r"^[A-Za-z]\w{0,20}\s*=")
_UNIT = re.compile(r"(?<=[0-9.}])\s*(?!pi\b)[A-Za-z]{2,}(?: [A-Za-z]+){0,3}\.?$")
_MIXED = re.compile(
    r"([-+\u2212]?)([0-9]{1,9})(?:\s*\\frac\{([0-9]+)\}\{([0-9]+)\}|\s+([0-9]+)/([0-9]+))"
)
_MAX_BOX = 2 * _MAX_DIGITS
_CLOSES_A_TERM = ")]}"


def verify_number(response: str, gold: Fraction) -> bool:
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

    A box that holds anything but one number, with a unit or a name at most, is no answer.
    """
    boxed = _last_box(response)
    return _last_in(_THIN_SPACE.sub("", response)) if boxed is None else _boxed_number(boxed)


def parse_number(text: str) -> Fraction | None:
    """The number that `text` is, or None: decimal, with thousands, an exponent, or a fraction."""
    latex = _LATEX_FRACTION.fullmatch(text)
    if latex:
        sign = -1 if latex[1] else 1
        return _ratio(sign * int(latex[2]), int(latex[3]))
    match = _NUMERAL.fullmatch(text)
    if match is None or len(text) > _MAX_DIGITS:
        return None
    whole, decimals = match["whole"].replace(",", ""), match["decimals"] or ""
    if not whole and not decimals:
        return None
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    if match["sign"] and match["sign"] != "+":
        value = -value
    if match["exponent"] is not None:
        return value * Fraction(10) ** int(match["exponent"])
    return value if match["denominator"] is None else _ratio(value, int(match["denominator"]))


def parse_gold(text: str) -> Fraction:
    """The number of a gold answer: after ``####`` where there is one, in a box, or as it stands.

    Raises:
        LmgymError: where no number can be read.
    """
    answer = text.rpartition("####")[2].strip() if "####" in text else text.strip()
    boxed = _last_box(answer)
    answer = answer if boxed is None else boxed.strip()
    compact = answer.replace("$", "").replace(" ", "")
    value = None if _SPACED_DIGITS.search(answer) else parse_number(compact)
    if value is None:
        raise LmgymError(
            f"the gold answer {answer[:60]!r} is not a number; allowed are integers, decimals,"
            " fractions a/b and \\frac{a}{b}, alone, in \\boxed{} or after '####'"
        )
    return value


def _last_in(text: str) -> Fraction | None:
    *_, latex = [None, *_LATEX_FRACTION.finditer(text)]
    for match in reversed(list(_RUN.finditer(text, latex.end() if latex else 0))):
        run = _trimmed(match, text)
        value = parse_number(run)
        if value is not None:
            return _with_whole(value, run, text[max(0, match.start() - 12) : match.start()])
    return _boxed_number(latex[0]) if latex else None


def _with_whole(value: Fraction, run: str, before: str) -> Fraction:
    """The mixed number, where a proper fraction stands behind a whole number and a space."""
    whole = _WHOLE_BEFORE.search(before)
    if whole is None or "/" not in run or not (run[0].isdigit() and value < 1):
        return value
    return (-1 if whole[1] else 1) * (int(whole[2]) + value)


def _boxed_number(text: str) -> Fraction | None:
    """The number that the content of a box is, LaTeX's spacing, a name and a unit aside."""
    text = re.sub(r"\\[dt]frac", r"\\frac", text.replace("{,}", ","))
    text = _NAME.sub("", _LATEX_NOISE.sub("", _THIN_SPACE.sub("", text)).strip())
    text = re.sub(r"^\s*([-+\u2212])\s+", r"\1", text)
    text = re.sub(r"\\frac([0-9])([0-9])$", r"\\frac{\1}{\2}", text)
    text = _UNIT.sub("", text).strip().rstrip(".")
    mixed = _MIXED.fullmatch(text)
    if mixed is None:
        return parse_number(text)
    part = parse_number(f"{mixed[3] or mixed[5]}/{mixed[4] or mixed[6]}")
    sign = -1 if mixed[1] in ("-", "\u2212") else 1
    return None if part is None else sign * (int(mixed[2]) + part)


def _trimmed(match: re.Match[str], text: str) -> str:
    """The run without a sentence's punctuation, and without a minus that is an operator."""
    run = match[0].rstrip(".,/").rstrip(ascii_letters)  # "42kg": a unit
    before = text[match.start() - 1 : match.start()]
    is_operator = before.isalnum() or (before != "" and before in _CLOSES_A_TERM)
    return run[1:] if run[:1] in ("-", "+", "\u2212") and is_operator else run


def _last_box(text: str) -> str | None:
    """The content of the complete box that opens last, or None; one pass over the braces."""
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


def _ratio(numerator: int | Fraction, denominator: int) -> Fraction | None:
    return Fraction(numerator, denominator) if denominator else None
