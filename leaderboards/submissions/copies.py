"""Copies of other entries: the same weights under a new name, and the same answers.

Weights are compared as numbers, whatever the file looks like: saved again, cast to another type,
with noise on all of them, or with units in another order. What two people have trained from one
model is further apart than that; docs/submissions.md has the distances that were measured. It is a
reason to look, and no proof: the same command with the same seed makes the same weights.

Tables of games are compared by the chances that they give to moves.

Weights can be rewritten so that nothing of them is alike and every answer is the same, by moving a
norm's scale into the next layer. For those, and for processes, there are the answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError

from .game_tables import Chances, chances_of, play_distance
from .tensor_files import WEIGHTS_FILE, each_array, read_header

__all__ = [
    "NEAR",
    "Agreement",
    "CopyFinding",
    "agreement",
    "agreement_of",
    "copies_of",
    "relative_distance",
]

NEAR = 0.002
"""Weights that differ by less than this share of their norm are a copy. Rounding to bfloat16 moves
the embedded policy by 0.0017, noise of a thousandth of each weight by 0.001."""

NEAR_OF_TRAINING = 0.1
"""And so are those whose difference is less than this share of the way that they have come from the
model that they started with: 0.18 and more lay between runs of different seeds."""

NEAR_IN_PLAY = 0.005
"""Tables of games are copies where they play apart by less than this share of their way from equal
chances. Noise of a hundredth of each number made 0.004 in Kuhn poker; between runs of different
seeds lay 0.008 and more."""

LEAST_TELLING, SAME_ANSWERS, SAME_MISTAKES = 20, 0.99, 0.9
"""Answers are those of a copy where at least so many are telling, and more than this share of them
are equal: of all answers, or of those of which one is wrong. Of the latter, runs of different seeds
shared 0.78 at most, and a run and its copy with noise 0.96."""

_FAR = 0.1
"""No noise that leaves an entry as good as it was moves its weights further than that; putting them
in another order does."""

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class CopyFinding:
    """An entry that another one seems to be a copy of.

    Attributes:
        name: of the other entry.
        kind: file, the same bytes; tensors, the same numbers; order, the same numbers in another
            order; near, numbers that are almost the same; play, a table of a game that plays almost
            the same.
        detail: a sentence.
    """

    name: str
    kind: Literal["file", "tensors", "order", "near", "play"]
    detail: str


def copies_of(
    folder: str | Path,
    others: Mapping[str, str | Path],
    *,
    bases: Sequence[str | Path] | None = None,
) -> list[CopyFinding]:
    """Entries whose weights are those in a folder, or almost.

    Args:
        folder: of an entry that was checked.
        others: folders of other entries by name; those without weights are no copies.
        bases: folders of models that everybody trains from; by default the embedded policy.
    """
    own = Path(folder) / WEIGHTS_FILE
    if not own.is_file():
        return []
    starts = [Path(base) for base in (_known_bases() if bases is None else bases)]
    mine, known = _Tensors(own), {base.name: _Tensors(base / WEIGHTS_FILE) for base in starts}
    found = (
        _compared(mine, _Tensors(Path(other) / WEIGHTS_FILE), name, known)
        for name, other in others.items()
        if (Path(other) / WEIGHTS_FILE).is_file()
    )
    return [finding for finding in found if finding is not None]


def relative_distance(file: Path, other: Path) -> float:
    """The norm of the difference of all numbers, as a share of the other file's norm.

    Infinite where names or shapes of tensors differ.
    """
    return _Tensors(file).distance_to(_Tensors(other))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two entries gave the same answer.

    Attributes:
        share: of the telling answers that are equal; NaN where there are none.
        n_telling: how many there are.
        limit: the share that answers of a copy exceed.
    """

    share: float
    n_telling: int
    limit: float = SAME_ANSWERS

    @property
    def is_suspicious(self) -> bool:
        """Whether the answers are those of a copy: enough are telling, and almost all are equal."""
        return self.n_telling >= LEAST_TELLING and self.share > self.limit


def agreement(
    answers: Sequence[object],
    others: Sequence[object],
    is_telling: Sequence[bool] | None = None,
) -> float:
    """The share of equal answers to the same questions; see `agreement_of`."""
    return agreement_of(answers, others, is_telling).share


def agreement_of(
    answers: Sequence[object],
    others: Sequence[object],
    is_telling: Sequence[bool] | None = None,
    *,
    scores: Sequence[float] | None = None,
    other_scores: Sequence[float] | None = None,
) -> Agreement:
    """How often two entries gave the same answer where that tells something.

    Who solves a task says what everybody says who solves it, so equal answers tell something only
    where at least one of them is wrong. In games a move tells nothing where only one is allowed.

    Args:
        answers: texts or actions of one entry, in the order of the questions.
        others: of the other entry.
        is_telling: whether an answer is looked at, as where more than one move was allowed; by
            default all are.
        scores: of the answers, 1 for those that are right; both are given, or none.
        other_scores: of the other ones.

    Example:
        >>> agreement_of(["4", "5", "7"], ["4", "5", "9"], scores=[1, 0, 0], other_scores=[1, 0, 1])
        Agreement(share=0.5, n_telling=2, limit=0.9)
    """
    n = len(answers)
    lists = (others, is_telling, scores, other_scores)
    if any(each is not None and len(each) != n for each in lists):
        raise LmgymError("answers of two entries are compared one by one; give lists of one length")
    telling = np.ones(n, np.bool_) if is_telling is None else np.array(is_telling, np.bool_)
    limit = SAME_ANSWERS
    if scores is not None and other_scores is not None:
        limit = SAME_MISTAKES
        telling &= (np.array(scores) < 1) | (np.array(other_scores) < 1)
    same = [answers[place] == others[place] for place in np.flatnonzero(telling).tolist()]
    return Agreement(float(np.mean(same)) if same else math.nan, len(same), limit)


class _Tensors:
    """The numbers of a file, with what was found out about them."""

    def __init__(self, file: Path) -> None:
        self.file, self._header = file, read_header(file)
        self._arrays = dict(each_array(file, self._header))
        self._shapes = {name: place.shape for name, place in self._header.items()}

    @cached_property
    def sha256(self) -> str:
        """Of the file."""
        with self.file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @cached_property
    def chances(self) -> Chances | None:
        """Of moves, where they are a table of a game."""
        return chances_of(self.file.parent)

    @cached_property
    def moments(self) -> list[tuple[int, tuple[float, ...]]]:
        """Of each tensor what does not depend on the order of its numbers, rounded."""
        return sorted((len(values), _moments(values)) for values in self._arrays.values())

    def distance_to(self, other: _Tensors) -> float:
        """See `relative_distance`."""
        if self._shapes != other._shapes:
            return math.inf
        squares, total = 0.0, 0.0
        for name, values in self._arrays.items():
            parts = zip(_floats(values), _floats(other._arrays[name]), strict=True)
            for a, b in parts:
                squares += float(np.square(a - b).sum())  # a product would wake BLAS's threads
                total += float(np.square(b).sum())
        return math.sqrt(squares / total) if total else math.inf if squares else 0.0


def _compared(
    own: _Tensors, other: _Tensors, name: str, bases: Mapping[str, _Tensors]
) -> CopyFinding | None:
    if own.sha256 == other.sha256:
        return CopyFinding(name, "file", f"{WEIGHTS_FILE} is the same file as that of {name}")
    distance = own.distance_to(other)
    if distance == 0:
        return CopyFinding(name, "tensors", f"all weights are those of {name}, saved otherwise")
    if own.chances is not None and other.chances is not None:
        return _compared_in_play(own.chances, other.chances, name)
    if why := _why_near(own, other, distance, bases):
        detail = f"weights differ from those of {name} by {distance:.2%} of their norm, {why}"
        return CopyFinding(name, "near", detail)
    if distance > _FAR and own.moments == other.moments:
        return CopyFinding(name, "order", f"weights are those of {name} in another order")
    return None


def _compared_in_play(own: Chances, other: Chances, name: str) -> CopyFinding | None:
    """Tables of games, whose numbers may be far apart where they play alike, or the other way."""
    share = play_distance(own, other)
    if share >= NEAR_IN_PLAY:
        return None
    detail = (
        f"moves have the chances of {name}, but for {share:.2%} of their way from equal ones, which"
        f" is less than {NEAR_IN_PLAY:.1%}"
    )
    return CopyFinding(name, "play", detail)


def _why_near(
    own: _Tensors, other: _Tensors, distance: float, bases: Mapping[str, _Tensors]
) -> str:
    """What makes a distance a small one, in words; empty where nothing does."""
    if distance < NEAR:
        return f"which is less than {NEAR:.1%}"
    for name, base in bases.items():
        way = max(own.distance_to(base), other.distance_to(base)) if distance < _FAR else 0.0
        if math.isfinite(way) and distance < NEAR_OF_TRAINING * way:
            return f"which is {distance / way:.0%} of the way from {name}"
    return ""


def _known_bases() -> list[Path]:
    from lmgym import policies

    return [Path(policies.__file__).parent / "embedded"]


def _floats(values: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """The numbers of a tensor in parts; those of bfloat16 come as their bits."""
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK]
        if part.dtype == np.uint16:
            part = (part.astype(np.uint32) << 16).view(np.float32)
        yield part.astype(np.float64)


def _moments(values: NDArray[Any]) -> tuple[float, ...]:
    sums = np.zeros(3)
    for part in _floats(values):
        squares = part * part
        sums += [np.abs(part).sum(), squares.sum(), np.square(squares).sum()]
    return tuple(float(f"{total:.9e}") for total in sums)
