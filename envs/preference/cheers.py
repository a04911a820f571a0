"""Generated prompts, and cheers as people write them."""

from __future__ import annotations

from zlib import crc32

from lmgym.addresses import mix

__all__ = ["N_PROMPTS", "cheer", "prompt_at", "words_of"]

_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"
_SYLLABLES = len(_CONSONANTS) * len(_VOWELS)
_ORDER = 2_999_999_993
"""Coprime to the number of prompts, so that neighbours have nothing in common."""

N_PROMPTS = _SYLLABLES**4


def prompt_at(index: int) -> str:
    """The prompt with an index below `N_PROMPTS`: no two are equal.

    Example:
        >>> prompt_at(0), prompt_at(1)
        ('say baba baba', 'say gojo gasa')
    """
    place = index * _ORDER % N_PROMPTS
    syllables = [_syllable(place // _SYLLABLES**n % _SYLLABLES) for n in range(4)]
    return f"say {''.join(syllables[:2])} {''.join(syllables[2:])}"


def words_of(prompt: str) -> tuple[str, ...]:
    """The words that a generated prompt asks for."""
    return tuple(prompt.split()[1:])


def cheer(prompt: str, writer: int) -> str:
    """What a person answers: the words, at times stretched or with another, and often a shout.

    Args:
        prompt: a generated one.
        writer: which person.

    Example:
        >>> [cheer("say kelo rami", writer) for writer in range(4)]
        ['rami', 'kelo wi rami', 'kelo ramiii rami', 'kelo ri kelo ci']
    """
    dice = _Dice(crc32(f"{writer} {prompt}".encode()))
    words = [_stretched(_word(prompt, dice), dice) for _ in range(1 + dice.geometric(2, 4))]
    is_loud = dice.chance(1, 20)
    return " ".join(words) + "!" * dice.geometric(2, 3 if is_loud else 5, limit=12)


def _word(prompt: str, dice: _Dice) -> str:
    if dice.chance(2, 3):
        given = words_of(prompt)
        return given[dice.below(len(given))]
    return "".join(_syllable(dice.below(_SYLLABLES)) for _ in range(1 + dice.below(2)))


def _stretched(word: str, dice: _Dice) -> str:
    return word + word[-1] * (dice.geometric(1, 2, limit=4) if dice.chance(1, 6) else 0)


def _syllable(number: int) -> str:
    consonant, vowel = divmod(number, len(_VOWELS))
    return _CONSONANTS[consonant] + _VOWELS[vowel]


class _Dice:
    """Draws that follow from a seed, equal in every process."""

    def __init__(self, seed: int) -> None:
        self._place = seed << 20

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        self._place += 1
        return mix(self._place) % n

    def chance(self, wins: int, of: int) -> bool:
        """Whether one of `wins` equal cases out of `of` comes up."""
        return self.below(of) < wins

    def geometric(self, wins: int, of: int, limit: int = 3) -> int:
        """How often in a row `chance` wins, `limit` at most."""
        n = 0
        while n < limit and self.chance(wins, of):
            n += 1
        return n
