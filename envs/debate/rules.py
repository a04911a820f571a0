"""The debate: Con and Pro quote sentences of a document in turn, and a judge decides by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.game import Game, IllegalMoveError
from lmgym.games.messages import tamed

from .documents import Document, draw_document
from .judges import BayesianJudge, GroundedJudge, find_judge
from .positions import Position
from .wording import N_PHRASINGS

__all__ = ["ACTION_FEATURES", "CON", "PRO", "Debate", "DebateArgs", "Position"]

CON, PRO = 0, 1
"""The seats: Con speaks first, as the claim stands until it is defeated; Pro has the last word."""

ACTION_FEATURES = (
    "defeats the claim",
    "defeats nothing",
    "defeats a quote of the other side",
    "defeats a quote of one's own",
    "is defeated by a quote",
    "stands in the document",
    "what defeats it, of those that stand",
    "the judge would side with one",
    "the judge would, and it stands",
    "answers what the judge's view rests on",
)
"""What `Debate.action_features` tells of a sentence."""

_SIDES = ("You are Con: the claim is false.", "You are Pro: the claim is true.")
_REFERENCE = re.compile(r"\[(\d{1,3})\]")
_QUOTED = re.compile(r'"([^"]*)"')
_SPEAKERS = ("con", "pro", "judge", "claim")
_MARKS = str.maketrans(dict.fromkeys("“”„‟«»″\uff02", '"'))


@dataclass(frozen=True)
class DebateArgs:
    """Arguments of `lmgym/Debate-v0`."""

    sentences: int = 10
    """Sentences of a document."""
    distractors: int = 3
    """Those among them that contradict nothing."""
    depth: int = 3
    """Sentences of the longest chain at most, each of which contradicts the next."""
    quotes: int = 2
    """Quotes of each side."""
    phrasings: int = 2
    """Ways in which the same thing is said, from 1 to 4."""
    judge: str = "grounded"
    """Who decides by what was quoted: grounded, bayesian, learned:DIR, or a reward source."""

    def __post_init__(self) -> None:
        """Raise where a value is not allowed."""
        limits = {
            "sentences": (2, 26),
            "distractors": (0, 24),
            "depth": (2, 25),
            "quotes": (1, 13),
            "phrasings": (1, N_PHRASINGS),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or not low <= value <= high:
                raise LmgymError(f"{name}={value!r} is out of range; allowed are {low} to {high}")
        if self.sentences - self.distractors < 2:
            raise LmgymError(
                f"sentences={self.sentences}, distractors={self.distractors}: two sentences or more"
                " must contradict something"
            )
        if 2 * self.quotes > self.sentences:
            raise LmgymError(
                f"quotes={self.quotes} of each side are more than sentences={self.sentences}"
            )


class Debate(Game[Position]):
    """Con attacks a claim, Pro defends it, by quoting a document that the judge cannot see.

    Args:
        args: a `DebateArgs`.

    Example:
        >>> game = Debate(DebateArgs(sentences=3, distractors=0, quotes=1, phrasings=1))
        >>> position = game.start(np.random.default_rng(1))
        >>> print(game.observe(position, CON))  # doctest: +ELLIPSIS
        Claim: ...
        You are Con: the claim is false.
        ...
    """

    Args = DebateArgs
    name = "debate"
    is_perfect_information = True
    args: DebateArgs

    def __init__(self, args: DebateArgs | None = None) -> None:
        super().__init__(args or DebateArgs())
        n = self.args.sentences
        self.judge = find_judge(self.args.judge)
        self.n_actions = n
        self.n_features = n * (n + 3) + 2
        self.max_moves = 2 * self.args.quotes
        self.max_message = 400
        self.max_text = 160 + 100 * n + self.max_moves * (self.max_message + 120)

    def start(self, rng: np.random.Generator) -> Position:
        """Draw a document; the claim is true in half of all cases."""
        args = self.args
        return Position(
            draw_document(rng, args.sentences, args.distractors, args.depth, args.phrasings)
        )

    def mover(self, state: Position) -> int | None:
        """Con, then Pro, and so on."""
        n_said = len(state.quotes)
        return None if n_said == self.max_moves else n_said % 2

    def legal(self, state: Position) -> Sequence[int]:
        """What was not quoted yet."""
        quotes = state.quotes
        return [place for place in range(self.n_actions) if place not in quotes]

    def play(self, state: Position, action: int) -> Position:
        """Quote a sentence, and write nothing besides."""
        return Position(state.document, (*state.quotes, action), (*state.messages, ""))

    def tell(self, state: Position, text: str) -> Position:
        """Quote the sentence of a message, and keep the words around it.

        What others hear has the sentence word for word, also where it was quoted by its number.
        """
        told = _as_heard(text)
        document, quotes, messages = self.play(state, self.read(state, told))
        quote = f'"{document.sentences[quotes[-1]]}"'
        heard = told if quote in told else f"{told} {quote}"
        return Position(document, quotes, (*messages[:-1], heard))

    def returns(self, state: Position) -> tuple[float, float]:
        """1 for the side that the judge agrees with, -1 for the other."""
        if len(state.quotes) < self.max_moves:
            return (0.0, 0.0)
        return (-1.0, 1.0) if self.accepts(state) else (1.0, -1.0)

    def accepts(self, state: Position) -> bool:
        """Whether the judge takes the claim to be true by what was quoted so far."""
        return self.judge.accepts(state)

    def facts(self, state: Position) -> Mapping[str, Any]:
        """What the judge decided, and whether it was right."""
        is_accepted = self.accepts(state)
        return {
            "judge_accepts": is_accepted,
            "is_true": state.document.is_true,
            "judge_correct": is_accepted == state.document.is_true,
        }

    def observe(self, state: Position, player: int) -> str:
        """The claim, the document, and what was said."""
        mover = self.mover(state)
        turn = "The debate is over." if mover is None else "Quote." if mover == player else "Wait."
        return "\n".join([state.document.page, _SIDES[player], *state.lines(), turn])

    def features(self, state: Position, player: int) -> NDArray[np.float32]:
        """The graph of the document, who quoted what, the seat, and the share that was said.

        For each sentence: a 1 for each sentence that it defeats, and for the claim; whether Con has
        quoted it, and whether Pro has.
        """
        n, quotes = self.n_actions, state.quotes
        seen = state.document.table.copy()
        for number, place in enumerate(quotes):
            seen[place * (n + 3) + n + 1 + number % 2] = 1
        seen[-2], seen[-1] = player, len(quotes) / self.max_moves
        return seen

    def action_features(self, state: Position) -> NDArray[np.float64]:
        """What a careful reader sees of each sentence for the mover, shape (n_actions, 10)."""
        document, quotes = state.document, state.quotes
        mover = len(quotes) % 2
        stand, attackers = document.labels, document.attackers
        own, other = set(quotes[mover::2]), set(quotes[1 - mover :: 2])
        table = np.zeros((self.n_actions, len(ACTION_FEATURES)))
        for place, targets in enumerate(document.targets):
            if place in quotes:
                continue
            after = Position(document, (*quotes, place), (*state.messages, ""))
            sides = self.accepts(after) == (mover == PRO)
            standing = [a for a in attackers[place] if stand[a]]
            table[place] = (
                -1 in targets,
                not targets,
                any(t in other for t in targets),
                any(t in own for t in targets),
                any(a in quotes for a in attackers[place]),
                stand[place],
                len(standing) / 3,
                sides,
                sides and stand[place],
                sides and any(t in other or t == -1 for t in targets),
            )
        return table

    def knowledge(self, state: Position, player: int) -> Hashable:
        """Both know everything."""
        del player
        return state

    def key(self, state: Position) -> Hashable:
        """Judges that do not read what was written do not mind the order of quotes."""
        if self._has_ruling_judge:
            return state.document, frozenset(state.quotes)
        return state

    def say(self, state: Position, action: int) -> str:
        """The sentence between quotation marks."""
        return f'"{state.document.sentences[action]}"'

    def read(self, state: Position, text: str) -> int:
        """The one sentence that a message quotes, word for word or by its number as [3]."""
        sentences, text = state.document.sentences, _as_heard(text)
        for quote in _QUOTED.findall(text):
            if quote not in sentences:
                raise IllegalMoveError(
                    f'"{quote[:80]}" is not in the document; quote a whole sentence, word for word'
                )
        found = {place for place, sentence in enumerate(sentences) if sentence in text}
        numbers = [int(number) for number in _REFERENCE.findall(text)]
        for number in numbers:
            if not 1 <= number <= len(sentences):
                raise IllegalMoveError(
                    f"there is no sentence [{number}]; they end at [{len(sentences)}]"
                )
        found |= {number - 1 for number in numbers}
        if len(found) != 1:
            told = "no sentence" if not found else f"{len(found)} sentences"
            raise IllegalMoveError(
                f"the message quotes {told} of the document; quote exactly one, word for word"
            )
        (place,) = found
        if place in state.quotes:
            raise IllegalMoveError(f"sentence [{place + 1}] was quoted before; quote another one")
        return place

    def rules(self, player: int) -> str:
        """How to play."""
        goal, n = ("false", "true")[player], self.args.quotes
        return (
            "A debate about a claim. You and your opponent read the same document; the judge does"
            " not. In turn, each quotes one sentence of the document, word for word between"
            f" quotation marks, or by its number, as [3]. You get {n} quote{'s' * (n > 1)}. The"
            " judge sees the quotes alone: a sentence counts unless a quoted sentence that counts"
            f" contradicts it. You win if the judge takes the claim to be {goal}."
        )

    def best(self, state: Position) -> int | None:
        """A quote that wins if any does, by looking ahead to the end.

        None where the judge reads what is written, so that more than the quotes decides.
        """
        if not self._has_ruling_judge:
            return None
        sign = 1 if self.mover(state) == PRO else -1
        value = _solver(self, state.document)
        quoted = sum(1 << place for place in state.quotes)
        n_said = len(state.quotes)
        return max(self.legal(state), key=lambda i: sign * value(quoted | 1 << i, n_said + 1))

    def value(self, state: Position) -> int:
        """1 where Pro wins if both play on as well as they can, else -1."""
        if not self._has_ruling_judge:
            raise LmgymError("the judge reads what is written; best play is known for others only")
        quoted = sum(1 << place for place in state.quotes)
        return _solver(self, state.document)(quoted, len(state.quotes))

    @property
    def _has_ruling_judge(self) -> bool:
        """Whether the judge decides by rule, from which sentences were quoted and nothing else."""
        return isinstance(self.judge, GroundedJudge | BayesianJudge)


def _as_heard(text: str) -> str:
    """A message as others hear it: without roles, and with one kind of quotation marks."""
    return tamed(text, _SPEAKERS).translate(_MARKS)


@lru_cache(maxsize=64)
def _solver(game: Debate, document: Document) -> Callable[[int, int], int]:
    """Who wins from what was quoted: 1 for Pro, -1 for Con, whatever the order of the quotes."""
    n, length = game.n_actions, game.max_moves

    @cache
    def value(quoted: int, n_said: int) -> int:
        if n_said == length:
            places = tuple(place for place in range(n) if quoted >> place & 1)
            return 1 if game.accepts(Position(document, places, ("",) * length)) else -1
        worth = (value(quoted | 1 << i, n_said + 1) for i in range(n) if not quoted >> i & 1)
        wanted = 1 if n_said % 2 == PRO else -1
        return wanted if any(w == wanted for w in worth) else -wanted

    return value
