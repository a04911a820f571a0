"""Texts of strangers that people will read: one line, in NFC, that looks like what it is.

Refused are control characters, characters that change the direction of what follows, characters
that nobody sees, and words that mix Latin letters with those of scripts that look alike. Markup is
plain text here: who shows a text has to escape it.
"""

from __future__ import annotations

import re
import unicodedata

from lmgym.errors import LmgymError

__all__ = ["checked_text", "is_unicode"]

_JOINERS = "\u200c\u200d"
"""Invisible, but part of how Persian, Indic scripts and emoji are spelled."""

_MOST_MARKS = 4
"""Combining marks on one letter; Vietnamese and Hebrew do with fewer."""

_LOOK_ALIKE = ("CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU")
"""Scripts with letters that look like Latin ones (Unicode TR 39)."""

_BAD_KINDS = {
    "Cc": "a control character",
    "Cf": "an invisible or direction-changing character",
    "Cs": "half of a surrogate pair",
    "Co": "a private character",
    "Cn": "an unassigned character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Zs": "a space other than the usual one",
}


def checked_text(text: str, most: int, *, least: int = 0) -> str:
    r"""The text in NFC, if it may stand on a page.

    Args:
        text: what was given.
        most: characters that are allowed.
        least: characters that are needed.

    Example:
        >>> checked_text("Zoe\u0308 <b>", 80)
        'Zoë <b>'
        >>> checked_text("\u202eevil", 80)
        Traceback (most recent call last):
        lmgym.errors.LmgymError: U+202E is an invisible or direction-changing character
    """
    if len(text) > most:
        raise LmgymError(f"is a text of {len(text)} characters; {most} at most are allowed")
    normal = unicodedata.normalize("NFC", text)
    if len(normal) > most or len(normal) < least:
        raise LmgymError(f"has {len(normal)} characters; from {least} to {most} are allowed")
    if normal != normal.strip(" "):
        raise LmgymError("begins or ends with a space; take it out")
    for place, letter in enumerate(normal):
        _check_letter(normal, place, letter)
    for word in re.findall(r"[^\W\d_]+", normal):
        _check_word(word)
    return normal


def is_unicode(text: str) -> bool:
    r"""Whether a text has no half of a surrogate pair, which UTF-8 cannot hold.

    Example:
        >>> is_unicode("\U0001f600"), is_unicode("\ud83d")
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_letter(text: str, place: int, letter: str) -> None:
    kind = unicodedata.category(letter)
    if letter in _JOINERS and _joins(text, place):
        return
    if kind in _BAD_KINDS and letter != " ":
        raise LmgymError(f"U+{ord(letter):04X} is {_BAD_KINDS[kind]}")
    cluster = text[max(0, place - _MOST_MARKS) : place + 1]
    if len(cluster) > _MOST_MARKS and all(unicodedata.combining(mark) for mark in cluster):
        raise LmgymError(f"has more than {_MOST_MARKS} combining marks on one letter")


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands between two characters that it can join."""
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return len(around) == 2 and all(ord(c) > 0x2FF and c not in _JOINERS for c in around)


def _check_word(word: str) -> None:
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    alike = scripts.intersection(_LOOK_ALIKE)
    if alike and ("LATIN" in scripts or len(alike) > 1):
        mixed = " and ".join(sorted(s.title() for s in alike | (scripts & {"LATIN"})))
        raise LmgymError(f"the word {word!a} mixes {mixed} letters, which look alike")
