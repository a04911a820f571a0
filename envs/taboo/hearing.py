"""Which words a message says, however they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import groupby

__all__ = ["forms", "said_words", "words_of"]

_LETTERS = re.compile(r"[^\W\d_]+")
_IRREGULAR = {
    "cactus": ("cacti",),
    "fisherman": ("fishermen",),
    "foot": ("feet",),
    "goose": ("geese",),
    "mouse": ("mice",),
    "octopus": ("octopi",),
    "tooth": ("teeth",),
}
_SHORT = re.compile(r"[^aeiouy]*[aeiou][^aeiouwxy]")
"""A word that doubles its last letter before -ed and -ing."""


def said_words(text: str, words: Iterable[str]) -> list[str]:
    """Those of some words, in small letters, that a text says.

    A word is said in any case and in any characters that stand for the same letters (Unicode's
    compatibility forms), with or without accents, in its plural or with -ed or -ing, with marks or
    characters that are not seen between its letters, or spelled letter by letter. It is not said
    as a part of a longer word. Letters of other alphabets that only look alike, and misspellings,
    are not found.

    Example:
        >>> said_words("Peel it: a.P.p-l e! No PEARS, no pineapple.", ["apple", "pear", "plum"])
        ['apple', 'pear']
    """
    folded = _folded(text)
    plain = _LETTERS.findall(folded)
    joined = ("".join(_LETTERS.findall(piece)) for piece in folded.split())
    heard = {*plain, *joined}
    runs = groupby(plain, key=lambda word: len(word) == 1)
    spelled = ["".join(letters) for is_single, letters in runs if is_single]
    return [
        word
        for word in words
        if not heard.isdisjoint(forms(word)) or any(word in run for run in spelled)
    ]


def words_of(text: str) -> list[str]:
    """The words of a text, in small letters and without accents."""
    return _LETTERS.findall(_folded(text))


@cache
def forms(word: str) -> frozenset[str]:
    """A noun with its endings: the plural, -ed and -ing."""
    found = {word, f"{word}s", f"{word}es", *_IRREGULAR.get(word, ())}
    stem, last = word[:-1], word[-1]
    if last == "y":
        found |= {f"{stem}ies", f"{stem}ied"}
    if last == "f":
        found.add(f"{stem}ves")
    if word.endswith("fe"):
        found.add(f"{word[:-2]}ves")
    if _SHORT.fullmatch(word):
        return frozenset({*found, f"{word}{last}ed", f"{word}{last}ing"})
    if last == "e" and stem[-1] not in "aeiouy":
        return frozenset({*found, f"{word}d", f"{stem}ing"})
    return frozenset({*found, f"{word}ed", f"{word}ing"})


def _folded(text: str) -> str:
    """A text as it is compared: without accents, capitals, and characters that are not seen."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in text if c.isspace() or unicodedata.category(c)[0] not in "MC")
