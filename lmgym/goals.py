"""Goals as vectors of facts, and `GoalTask`: a world of discrete commands that pursues them.

A goal is a whole number for each fact of a schema, the place of the fact's value in its list. Two
views follow from it exactly, back and forth: a one-hot vector for networks, and a text. A goal is
reached where every fact has the value it should have, so what a state achieves is itself a goal,
and past episodes can be told again with the goals that they did reach.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.task import Opening, Reply, Task

__all__ = ["Fact", "GoalSchema", "GoalTask", "GoalVector"]

GoalVector = NDArray[np.int16]
"""A goal, shape (D,), or several, shape (..., D): for each fact the place of its value."""

_MOST = 1 << 15
"""Values that one fact can have: places are int16."""
_ESCAPES = (("%", "%25"), ("=", "%3D"), (";", "%3B"))


class Fact(NamedTuple):
    """One fact of a goal.

    Attributes:
        key: its name.
        values: what it can be; a goal holds the place of one of them.
    """

    key: str
    values: tuple[str, ...]


class GoalSchema:
    """The facts that make up a goal, and the views of it.

    Args:
        facts: with different keys, each with one value or more, all different.

    Attributes:
        facts: as given, shape (D,).
        sizes: number of values of each fact, shape (D,), int64.
        n_values: their sum.

    Raises:
        LmgymError: where there are no facts, or keys or values repeat.

    Example:
        >>> schema = GoalSchema([Fact("light", ("off", "on")), Fact("speed", ("1", "2", "3"))])
        >>> schema.describe([1, 2])
        'light=on; speed=3'
        >>> schema.parse("light=on; speed=3").tolist()
        [1, 2]
        >>> schema.one_hot([1, 2]).tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0]
    """

    def __init__(self, facts: Sequence[Fact]) -> None:
        """Check the facts."""
        self.facts = tuple(Fact(key, tuple(values)) for key, values in facts)
        _check_facts(self.facts)
        self.sizes: NDArray[np.int64] = np.array([len(f.values) for f in self.facts], np.int64)
        self.n_values = int(self.sizes.sum())
        self._fact_of = np.repeat(np.arange(len(self.facts)), self.sizes)  # (n_values,)
        self._place_of = np.concatenate([np.arange(n) for n in self.sizes]).astype(np.int16)
        self._starts = np.cumsum(self.sizes) - self.sizes  # (D,)
        self._spelled = [
            tuple(f"{_escaped(fact.key)}={_escaped(value)}" for value in fact.values)
            for fact in self.facts
        ]

    def __eq__(self, other: object) -> bool:
        """Whether the facts are the same."""
        return isinstance(other, GoalSchema) and self.facts == other.facts

    def __hash__(self) -> int:
        """Of the facts."""
        return hash(self.facts)

    def __repr__(self) -> str:
        """The schema as it is made."""
        return f"GoalSchema({list(self.facts)!r})"

    def one_hot(self, goals: Any) -> NDArray[np.float32]:
        """Goals of shape (..., D) as vectors of shape (..., n_values); ranges are not checked."""
        places = np.asarray(goals)[..., self._fact_of]
        hot: NDArray[np.float32] = (places == self._place_of).astype(np.float32)
        return hot

    def from_one_hot(self, vectors: Any) -> GoalVector:
        """The goals, shape (..., D), that `one_hot` makes these vectors of.

        Raises:
            LmgymError: where it makes none of them.
        """
        given = np.asarray(vectors)
        if not given.ndim or given.shape[-1] != self.n_values:
            raise LmgymError(
                f"one-hot goals have the shape (..., {self.n_values}); given {given.shape}"
            )
        goals = np.add.reduceat(given * self._place_of, self._starts, axis=-1).astype(np.int16)
        if not np.array_equal(self.one_hot(goals), given):
            raise LmgymError("a one-hot goal has exactly one 1 for each fact, and zeros elsewhere")
        return goals

    def describe(self, goal: Any) -> str:
        """The whole goal as text, "key=value; key=value"; %, = and ; in names are escaped.

        Raises:
            LmgymError: as `check`.
        """
        places = self.check(goal).tolist()
        return "; ".join(
            [spelled[place] for spelled, place in zip(self._spelled, places, strict=True)]
        )

    @property
    def longest(self) -> int:
        """Bytes of the longest description, in UTF-8."""
        longest = [max(len(text_bytes(text)) for text in spelled) for spelled in self._spelled]
        return sum(longest) + len("; ") * (len(longest) - 1)

    def parse(self, text: str) -> GoalVector:
        """The goal, shape (D,), that `describe` writes like this.

        Raises:
            LmgymError: where it writes no goal like this; it says which fact is wrong.
        """
        parts = text.split("; ")
        if len(parts) != len(self.facts):
            raise LmgymError(
                f"a goal has {len(self.facts)} facts, '; ' between them, as"
                f" {self.describe(np.zeros(len(self.facts), np.int16))!r}; given {text!r:.200}"
            )
        places: list[int] = []
        for part, spelled in zip(parts, self._spelled, strict=True):
            if part not in spelled:
                raise unknown("fact", part, spelled, "facts stand in the order of the schema")
            places.append(spelled.index(part))
        return np.array(places, np.int16)

    def check(self, goal: Any) -> GoalVector:
        """The goal as a vector of shape (D,), a copy.

        Raises:
            LmgymError: where it has another shape, or holds what is no whole number or no place of
                a value; it says which fact is wrong and what is allowed.
        """
        given = _as_array(goal)
        if given.shape != self.sizes.shape:
            keys = ", ".join(fact.key for fact in self.facts)
            raise LmgymError(
                f"a goal holds {len(self.facts)} whole numbers, one for each of {keys:.200}; given"
                f" {goal!r:.100}"
            )
        is_wrong = (given < 0) | (given >= self.sizes)
        if is_wrong.any():
            place = int(is_wrong.argmax())
            fact = self.facts[place]
            allowed = ", ".join(f"{n} ({value})" for n, value in enumerate(fact.values[:8]))
            more = f", ... {len(fact.values) - 1}" if len(fact.values) > 8 else ""
            raise LmgymError(
                f"fact {fact.key!r} of the goal is {given[place]}; allowed are {allowed}{more}"
            )
        return given.astype(np.int16)

    @staticmethod
    def matches(achieved: Any, desired: Any) -> NDArray[np.bool_]:
        """Whether goals are equal in all their facts, shape (...); either view, both the same."""
        same: NDArray[np.bool_] = np.equal(achieved, desired).all(-1)
        return same


S = TypeVar("S")


class GoalTask(Task[S]):
    """A world of discrete commands in which a goal is to be reached; no tokens, no reward.

    The state of an episode is an immutable value, as in `Task`, and commands draw nothing: what
    they do follows from the state alone. The goal is part of the state.

    Attributes:
        schema: the facts that make up a goal.
        commands: what each action stands for, for people, shape (A,).
        n_features: of a state.
        horizon: commands of an episode.
        reads_messages: whether the world offers levels of ids and text, too, and gives `reply`.
    """

    reads_messages: ClassVar[bool] = False
    schema: GoalSchema
    commands: tuple[str, ...]
    n_features: int
    horizon: int

    @abstractmethod
    def reset(
        self,
        rng: np.random.Generator,
        *,
        split: str = "train",
        task_id: str | None = None,
        goal: Sequence[int] | None = None,
    ) -> Opening[S]:
        """Draw an episode from `split`, or start the one that `task_id` addresses.

        Args:
            rng: draws the episode.
            split: where it is drawn from.
            task_id: start this one instead.
            goal: pursue this goal, shape (D,), instead of the drawn one.

        Raises:
            LmgymError: where the goal cannot be reached, or is reached already.
        """

    @abstractmethod
    def achieved(self, state: S) -> GoalVector:
        """The goal that the state has reached, shape (D,)."""

    @abstractmethod
    def desired(self, state: S) -> GoalVector:
        """The goal of the episode, shape (D,); the same in all its states."""

    @abstractmethod
    def features(self, state: S) -> NDArray[np.float32]:
        """What the agent sees besides goals, shape (n_features,), each from 0 to 1."""

    @abstractmethod
    def command_mask(self, state: S) -> NDArray[np.bool_]:
        """Which commands do something here, shape (A,)."""

    @abstractmethod
    def command(self, state: S, index: int) -> tuple[S, str | None]:
        """Carry out a command.

        Returns:
            The next state, and None; or the same state, and why the command did nothing, which
            is so exactly where `command_mask` leaves it out.
        """

    def describe_state(self, state: S) -> str:
        """The state for people."""
        describe = self.schema.describe
        return f"goal: {describe(self.desired(state))}\nstate: {describe(self.achieved(state))}"

    def reply(self, state: S, text: str, rng: np.random.Generator) -> Reply[S]:
        """Goal worlds read no messages, unless `reads_messages`.

        Raises:
            LmgymError: always.
        """
        del state, rng
        raise LmgymError(
            f"{type(self).__name__} takes commands and no messages such as {text!r:.60}; call"
            " command(state, index)"
        )


def text_bytes(text: str) -> bytes:
    """Any Python string as UTF-8, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def _escaped(name: str) -> str:
    for letter, code in _ESCAPES:
        name = name.replace(letter, code)
    return name


def _check_facts(facts: Sequence[Fact]) -> None:
    if not facts:
        raise LmgymError("a goal has one fact or more; given none")
    keys = [fact.key for fact in facts]
    if len(set(keys)) != len(keys):
        raise LmgymError(f"the keys of facts are all different; given {keys}")
    for fact in facts:
        if not 1 <= len(set(fact.values)) == len(fact.values) < _MOST:
            raise LmgymError(
                f"fact {fact.key!r} has {len(fact.values)} values, {len(set(fact.values))} of them"
                f" different; allowed are 1 to {_MOST - 1}, all different"
            )


def _as_array(goal: Any) -> NDArray[Any]:
    """What was given as an array of numbers; anything else becomes an array of the wrong shape."""
    try:
        given = np.asarray(goal)
    except ValueError:  # ragged
        return np.zeros((0, 0))
    return given if given.dtype.kind in "iu" else np.zeros((0, 0))
