"""The words of a document: witnesses, what they claim, and how they contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["N_PHRASINGS", "write"]

_NAMES = (
    "Ada",
    "Bela",
    "Cleo",
    "Dora",
    "Egon",
    "Fay",
    "Gus",
    "Hana",
    "Ivo",
    "Jana",
    "Kofi",
    "Lena",
    "Milo",
    "Nora",
    "Omar",
    "Pia",
    "Quin",
    "Rosa",
    "Sven",
    "Tara",
    "Ugo",
    "Vera",
    "Wim",
    "Xena",
    "Yuri",
    "Zoe",
)

_CLAIMS = (
    ("the ferry sails on Monday", "the ferry stays in port on Monday"),
    ("the museum opens at nine", "the museum is still closed at nine"),
    ("the bridge carries a truck", "the bridge breaks under a truck"),
    ("the well holds clean water", "the water of the well is foul"),
    ("the painting is an original", "the painting is a copy"),
    ("the road to the north is open", "the road to the north is blocked"),
    ("the old mill still works", "the old mill has stopped for good"),
    ("the seeds are ready to sow", "the seeds have gone bad"),
)

_CLAIM = (
    lambda who, what: f"{who} says that {what}.",
    lambda who, what: f"{who} found out that {what}.",
    lambda who, what: f"As {who} tells it, {what}.",
    lambda who, what: f"{who} is certain: {what}.",
)
_ONE = (
    lambda who, whom: f"{who} says that {whom} is wrong.",
    lambda who, whom: f"{who} proved {whom} mistaken.",
    lambda who, whom: f"Nothing that {whom} says is true, {who} reports.",
    lambda who, whom: f"{who} was there, and {whom} made it up.",
)
_TWO = (
    lambda who, whom, other: f"{who} says that {whom} and {other} are wrong.",
    lambda who, whom, other: f"{who} proved {whom} and {other} mistaken.",
    lambda who, whom, other: f"Nothing that {whom} or {other} says is true, {who} reports.",
    lambda who, whom, other: f"{who} was there, and both {whom} and {other} made it up.",
)
_BESIDE = (
    lambda who, whom: f"{who} says that {whom} came by train.",
    lambda who, whom: f"{who} met {whom} at the market.",
    lambda who, whom: f"Nobody knows {whom} better than {who}.",
    lambda who, whom: f"{who} was there, and so was {whom}.",
)

N_PHRASINGS = len(_BESIDE)
"""Ways in which the same thing can be said."""


def write(
    draws: Sequence[float], targets: Sequence[tuple[int, ...]], n_phrasings: int
) -> tuple[str, tuple[str, ...]]:
    """The claim and the sentences in words; each sentence has a witness of its own.

    Args:
        draws: numbers between 0 and 1 that choose the words, shape (3 n + 1,).
        targets: what each sentence defeats, and -1 for the claim.
        n_phrasings: ways that are used.
    """
    n = len(targets)
    claim, denial = _CLAIMS[int(draws[-1] * len(_CLAIMS))]
    left = list(_NAMES)
    names = [left.pop(int(draw * len(left))) for draw in draws[:n]]
    sentences = []
    for place, aims in enumerate(targets):
        who, way = names[place], int(draws[n + place] * n_phrasings)
        if not aims:
            whom = names[(place + 1 + int(draws[2 * n + place] * (n - 1))) % n]
            said = _BESIDE[way](who, whom)
        elif -1 not in aims:
            first = names[aims[0]]
            said = (
                _ONE[way](who, first) if len(aims) == 1 else _TWO[way](who, first, names[aims[1]])
            )
        else:
            said = _CLAIM[way](who, denial)
            if len(aims) == 2:
                said = f"{said[:-1]}, and that {names[max(aims)]} is wrong."
        sentences.append(said)
    return f"{claim[0].upper()}{claim[1:]}.", tuple(sentences)
