"""Numbers in text, read exactly."""

from __future__ import annotations

import re
from fractions import Fraction

from lmgym.errors import LmgymError

__all__ = ["last_number", "parse_gold", "parse_number", "verify_number"]

_MAX_DIGITS = 400
"""Longer numerals are not read: they are no answers, and big integers cost quadratic time."""

_RUN = re.compile(r"[-+\u2212]?[$\u20ac\u00a3]?[0-9.][0-9A-Za-z.,/]*")
"""A maximal run of characters that may be a number; no nested quantifiers, so linear time."""

_NUMERAL = re.compile(
    r"(?P<sign>[-+\u2212]?)[$\u20ac\u00a3]?"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.(?P<decimals>[0-9]*))?"
    r"(?:/(?P<denominator>[0-9]+))?(?P<unit>[A-Za-z]*)"
)
_LATEX_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?[0-9]{1,400})\}\{([0-9]{1,400})\}")
_BOX = "\\boxed{"
_BRACE = re.compile(r"\\boxed\{|[{}]")
_SPACED_DIGITS = re.compile(r"[0-9.]\s+[0-9.]")
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
    """The number in the last complete box of `response`, else its last number, else None."""
    boxed = _last_box(response)
    return _last_in(response if boxed is None else boxed)


def parse_number(text: str) -> Fraction | None:
    """The number that `text` is, or None; signs, thousands, decimals and fractions are read."""
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
        value = parse_number(_trimmed(match, text))
        if value is not None:
            return value
    return parse_number(latex[0]) if latex else None


def _trimmed(match: re.Match[str], text: str) -> str:
    """The run without a sentence's punctuation, and without a minus that is an operator."""
    run = match[0].rstrip(".,/")
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
