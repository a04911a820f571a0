"""A diagnostic goal world: flip bits, after Andrychowicz et al. (2017), section 3.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.goals import Fact, GoalSchema, GoalTask, GoalVector
from lmgym.registry import WORLDS, WorldSpec, register_world
from lmgym.task import Message, Opening, Role

__all__ = ["FLIP_BITS", "FlipBitsArgs", "FlipBitsTask"]

FLIP_BITS = "test/FlipBits-v0"
"""The id of the world."""


class _Bits(NamedTuple):
    """A state: what the bits are, what they should be, and how often they were flipped."""

    bits: tuple[int, ...]
    wanted: tuple[int, ...]
    is_locked: bool


@dataclass(frozen=True)
class FlipBitsArgs:
    """Arguments of `test/FlipBits-v0`."""

    n: int = 4
    """Bits, 3 to 16."""


class FlipBitsTask(GoalTask[_Bits]):
    """Flip the bits that differ: a diagnostic world in which goals are rarely reached by chance.

    Description:
        All bits are 0 at first. A command flips one bit; the last command locks the first bit, and
        a second time frees it. A locked bit cannot be flipped.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `sparse` (default): -1 a step, 0 once the goal is reached.

    Start:
        A goal other than all zeros, drawn uniformly; splits are disjoint. A fixed one:
        `reset(options={"task_id": "flip/4/5"})`.

    Episode end:
        Terminated when the goal is reached, truncated after twice as many commands as bits.

    Info:
        At reset `task_id` and `prompt_text`; `last_action_error`; at the end `verdict`,
        `is_success`, `n_steps`.

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.

    Example:
        >>> task = FlipBitsTask(FlipBitsArgs(n=4))
        >>> task.reset(np.random.default_rng(0), goal=[1, 0, 0, 1]).task_id
        'flip/4/9'
    """

    Args = FlipBitsArgs

    def __init__(self, args: FlipBitsArgs | None = None) -> None:
        """Make the schema."""
        super().__init__(args or FlipBitsArgs())
        n = self.args.n
        if not 3 <= n <= 16:
            raise LmgymError(f"n={n} is out of range; allowed are 3 to 16 bits")
        self.schema = GoalSchema([Fact(f"bit {i}", ("0", "1")) for i in range(n)])
        self.commands = (*(f"flip {i}" for i in range(n)), "lock or free 0")
        self.n_features = n + 1
        self.horizon = 2 * n

    def reset(
        self,
        rng: np.random.Generator,
        *,
        split: str = "train",
        task_id: str | None = None,
        goal: Sequence[int] | None = None,
    ) -> Opening[_Bits]:
        """Draw a goal from `split`, or open the one that is given."""
        if goal is not None:
            return self._open(tuple(map(int, goal)))
        if task_id is not None:
            return self._open(self._bits(self._read(task_id)))
        return self._open(self._bits(self._next(self.check_split(split), rng)))

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first goals of `split`."""
        self.check_split(split)
        numbers = [i for i in range(1, 1 << self.args.n) if self._split(i) == split]
        return [f"flip/{self.args.n}/{i}" for i in numbers[:limit]]

    def achieved(self, state: _Bits) -> GoalVector:
        """The bits."""
        return np.array(state.bits, np.int16)

    def desired(self, state: _Bits) -> GoalVector:
        """What they should be."""
        return np.array(state.wanted, np.int16)

    def features(self, state: _Bits) -> NDArray[np.float32]:
        """The bits, and whether the first is locked."""
        return np.array((*state.bits, state.is_locked), np.float32)

    def command_mask(self, state: _Bits) -> NDArray[np.bool_]:
        """All commands, but to flip what is locked."""
        mask = np.ones(len(self.commands), np.bool_)
        mask[0] = not state.is_locked
        return mask

    def command(self, state: _Bits, index: int) -> tuple[_Bits, str | None]:
        """Flip a bit, or lock or free the first."""
        bits = state.bits
        if index == len(bits):
            return state._replace(is_locked=not state.is_locked), None
        if index == 0 and state.is_locked:
            return state, "bit 0 is locked"
        flipped = (*bits[:index], 1 - bits[index], *bits[index + 1 :])
        return state._replace(bits=flipped), None

    def _next(self, split: str, rng: np.random.Generator) -> int:
        """A number of a goal in `split`, drawn uniformly."""
        while True:
            number = int(rng.integers(1, 1 << self.args.n))
            if self._split(number) == split:
                return number

    def _split(self, number: int) -> str:
        """Of five numbers three are for training."""
        return self.splits[max(number % 5 - 2, 0)]

    def _bits(self, number: int) -> tuple[int, ...]:
        return tuple(int(digit) for digit in f"{number:0{self.args.n}b}")

    def _read(self, task_id: str) -> int:
        """The number of a goal, from its address."""
        head, _, digits = task_id.rpartition("/")
        is_number = digits.isascii() and digits.isdecimal() and digits[0] != "0"
        number = int(digits) if is_number and len(digits) < 6 else 0
        if head != f"flip/{self.args.n}" or not 1 <= number < 1 << self.args.n:
            raise self.bad_task_id(task_id, f"flip/{self.args.n}/number")
        return number

    def _open(self, wanted: tuple[int, ...]) -> Opening[_Bits]:
        wanted = tuple(self.schema.check(wanted).tolist())
        number = int("".join(map(str, wanted)), 2)
        if not number:
            raise LmgymError("the goal is reached already: all bits are 0; ask for another")
        state = _Bits((0,) * len(wanted), wanted, is_locked=False)
        prompt = Message(Role.USER, self.schema.describe(wanted))
        return Opening(state, (prompt,), f"flip/{self.args.n}/{number}")


if FLIP_BITS not in WORLDS:
    register_world(
        WorldSpec(
            FLIP_BITS,
            "lmgym.testing.flip_bits:FlipBitsTask",
            "Flip the bits that differ: a diagnostic goal world.",
            levels=("goal",),
            defaults={"level": "goal", "reward": "sparse"},
            has_goals=True,
        )
    )
