"""Characters to tokens: numerals, names, commands, brackets and signs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from lmgym.verification.spelling import THIN, plain_spelling
from lmgym.verification.wrappers import WRAPPER

__all__ = ["MAX_LENGTH", "Token", "UnreadableError", "tokens_of"]

MAX_LENGTH = 6000
"""Characters of an answer that is read as mathematics."""
MAX_TOKENS = 1500
"""Numerals, names, commands and signs of an answer."""
MAX_DIGITS = 4000
"""Digits of a numeral."""
MAX_EXPONENT = 4000
"""Of scientific notation."""


class UnreadableError(ValueError):
    """The text is no mathematics that can be read; `too_big` where a limit says so."""

    def __init__(self, why: str, *, too_big: bool = False) -> None:
        """Keep what is wrong."""
        super().__init__(why)
        self.too_big = too_big


@dataclass(frozen=True, slots=True)
class Token:
    r"""A piece of text.

    Attributes:
        kind: number, name, command, words, or the sign itself.
        text: as it stands, a command without its backslash.
        value: of a numeral.
        is_apart: whether space stands before it.
        is_digits: whether a numeral is plain digits.
    """

    kind: str
    text: str
    value: Fraction = Fraction(0)
    is_apart: bool = False
    is_digits: bool = False


_TEN, _LARGEST_BASE = 10, 36
_MAX_PERIOD = 12
"""Digits that repeat behind a point and are told by dots."""
_DOTS = "\\dots"
_SPACES = re.compile(rf"[\s{THIN}]+")
_GROUPED = re.compile(rf"[0-9]{{1,3}}(?:[,{THIN}][0-9]{{3}})+(?![0-9])")
_BASED = re.compile(r"([0-9A-Z]{1,300}(?:\.[0-9A-Z]{1,60})?)_\{([0-9]{1,2})\}")
_PREFIXED = re.compile(r"0(?:[xX][0-9A-Fa-f]{1,64}|[bB][01]{1,256}|[oO][0-7]{1,64})(?![0-9A-Za-z])")
_DIGITS = re.compile(r"[0-9]+")
_REPEATING = re.compile(r"\\overline\s?\{([0-9]{1,60})\}|\(([0-9]{1,60})\)")
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]{1,6})(?![0-9A-Za-z.])")
_WORDS = re.compile(WRAPPER + r"\{([^{}]*)\}")
_COMMAND = re.compile(r"\\([a-zA-Z]+|[{}%$#&_|\\])")
_NAME = re.compile(r"[A-Za-z]+")
_SIGNS = ("**", "<=", ">=", "!=", "==", "=<", "=>")
_SINGLE = frozenset("+-*/^_()[]{}|=<>,;!%$':&")


def tokens_of(text: str, *, groups_commas: bool = True) -> list[Token]:
    """The tokens of a text.

    Args:
        text: an answer alone.
        groups_commas: read ``1,234`` as one number; else commas part items.

    Raises:
        UnreadableError: for a character that is none of mathematics, and beyond the limits.
    """
    if len(text) > MAX_LENGTH:
        raise UnreadableError(f"{len(text)} characters", too_big=True)
    text = plain_spelling(text)
    found: list[Token] = []
    place, is_apart = 0, False
    while place < len(text):
        space = _SPACES.match(text, place)
        if space:
            place, is_apart = space.end(), True
            continue
        token, place = _token(text, place, is_apart, groups_commas)
        found.append(token)
        is_apart = False
        if len(found) > MAX_TOKENS:
            raise UnreadableError("too many signs", too_big=True)
    return found


def _token(text: str, place: int, is_apart: bool, groups_commas: bool) -> tuple[Token, int]:
    character = text[place]
    if character.isdigit() and character.isascii():
        return _numeral(text, place, is_apart, groups_commas)
    if character == "." and _DIGITS.match(text, place + 1):
        return _numeral(text, place, is_apart, groups_commas)
    if _BASED.match(text, place) and _is_based(text, place):
        return _numeral(text, place, is_apart, groups_commas)
    if character == "\\":
        return _command(text, place, is_apart)
    name = _NAME.match(text, place)
    if name:
        return Token("name", name[0], is_apart=is_apart), name.end()
    sign = text[place : place + 2]
    if sign in _SIGNS:
        sign = {"**": "^", "==": "=", "=<": "<=", "=>": ">="}.get(sign, sign)
        return Token(sign, sign, is_apart=is_apart), place + 2
    if character in _SINGLE:
        return Token(character, character, is_apart=is_apart), place + 1
    raise UnreadableError(f"{character!r} is no mathematics")


def _command(text: str, place: int, is_apart: bool) -> tuple[Token, int]:
    words = _WORDS.match(text, place)
    if words:
        return Token("words", words[1].strip(), is_apart=is_apart), words.end()
    command = _COMMAND.match(text, place)
    if command is None:
        raise UnreadableError("a backslash without a command")
    name = command[1]
    if name in ("{", "}"):
        return Token("\\" + name, name, is_apart=is_apart), command.end()
    if name in ("%", "$", "&"):
        return Token(name, name, is_apart=is_apart), command.end()
    return Token("command", name, is_apart=is_apart), command.end()


def _numeral(text: str, place: int, is_apart: bool, groups_commas: bool) -> tuple[Token, int]:
    based = _BASED.match(text, place)
    if based:
        return Token("number", based[0], _in_base(based[1], int(based[2])), is_apart), based.end()
    prefixed = _PREFIXED.match(text, place)
    if prefixed:
        value = Fraction(int(prefixed[0], 0))
        return Token("number", prefixed[0], value, is_apart), prefixed.end()
    return _decimal(text, place, is_apart, groups_commas)


def _decimal(text: str, start: int, is_apart: bool, groups_commas: bool) -> tuple[Token, int]:
    """A numeral in base ten, with decimals, a period and an exponent where they follow."""
    whole, place = _whole(text, start, groups_commas)
    is_digits = text[start:place] == whole
    decimals = repeating = ""
    if text[place : place + 1] == ".":
        decimals, repeating, place = _decimals(text, place + 1)
        is_digits = False
    if len(whole) + len(decimals) > MAX_DIGITS:
        raise UnreadableError("a numeral with too many digits", too_big=True)
    value = Fraction(int(whole + decimals or "0"), 10 ** len(decimals))
    if repeating:
        value += Fraction(int(repeating), (10 ** len(repeating) - 1) * 10 ** len(decimals))
    exponent = _EXPONENT.match(text, place)
    if exponent:
        value, place, is_digits = value * _power_of_ten(exponent[1]), exponent.end(), False
    return Token("number", text[start:place], value, is_apart, is_digits), place


def _whole(text: str, place: int, groups_commas: bool) -> tuple[str, int]:
    """The digits before the point, without what groups them, and where they end."""
    grouped = _GROUPED.match(text, place)
    if grouped and "," in grouped[0] and _is_pair(text, place, grouped.end()):
        grouped = None
    if grouped and (groups_commas or "," not in grouped[0]):
        return grouped[0].replace(",", "").replace(THIN, ""), grouped.end()
    digits = _DIGITS.match(text, place)
    return (digits[0], digits.end()) if digits else ("", place)


def _is_pair(text: str, start: int, end: int) -> bool:
    """Whether brackets stand around digits with a comma: a point, an interval or a set."""
    return text[:start].rstrip()[-1:] in ("(", "[", "{") and text[end:].lstrip()[:1] in (
        *(")", "]"),
        "\\",
    )


def _decimals(text: str, place: int) -> tuple[str, str, int]:
    """The digits behind the point, those that repeat, and where they end."""
    digits = _DIGITS.match(text, place)
    decimals, place = (digits[0], digits.end()) if digits else ("", place)
    repeated = _REPEATING.match(text, place)
    if repeated:
        return decimals, repeated[1] or repeated[2], repeated.end()
    if text.startswith(_DOTS, place) and _period(decimals)[1]:
        return *_period(decimals), place + len(_DOTS)
    return decimals, "", place


def _power_of_ten(exponent: str) -> Fraction:
    if abs(int(exponent)) > MAX_EXPONENT:
        raise UnreadableError("an exponent that is too large", too_big=True)
    return Fraction(10) ** int(exponent)


def _is_based(text: str, place: int) -> bool:
    """Whether capital letters with a subscript are digits of a base above ten."""
    match = _BASED.match(text, place)
    if match is None or (place and text[place - 1].isalnum()):
        return False
    base = int(match[2])
    return _TEN < base <= _LARGEST_BASE and all(c == "." or int(c, 36) < base for c in match[1])


def _in_base(digits: str, base: int) -> Fraction:
    """The value of digits, a point among them, in a base."""
    whole, _, part = digits.partition(".")
    try:
        return Fraction(int(whole + part, base), base ** len(part))
    except (ValueError, ZeroDivisionError):
        raise UnreadableError(f"{digits} in base {base}") from None


def _period(decimals: str) -> tuple[str, str]:
    """What decimals with dots behind them begin with and repeat, as 0.1666...; empty where nothing.

    The period must have been written twice, a single digit three times.
    """
    for length in range(1, min(len(decimals) // 2, _MAX_PERIOD) + 1):
        period, times = decimals[-length:], 3 if length == 1 else 2
        if decimals.endswith(period * times):
            rest = decimals
            while rest.endswith(period):
                rest = rest[:-length]
            return rest, period
    return "", ""
