"""The guessing world: find a number by asking higher or lower."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.verification import last_number

__all__ = ["GuessNumberArgs", "GuessNumberTask", "GuessState"]


@dataclass(frozen=True)
class GuessNumberArgs:
    """Arguments of `lmgym/GuessNumber-v0`."""

    high: int = 100
    """The largest number; the smallest is 1."""
    max_turns: int | None = None
    """Guesses the agent has; by default as many as bisection needs in the worst case, plus one."""


@dataclass(frozen=True, slots=True)
class GuessState:
    """The secret, and the range that the answers so far leave."""

    secret: int
    low: int
    high: int


class GuessNumberTask(Task[GuessState]):
    """Find a secret number; each guess is answered with higher or lower.

    Description:
        A multi-turn world. The agent writes a number a message; the world answers `higher`,
        `lower`, or that it read no number. Bisection always finds the number in time.

    Action space:
        {action_space}

    Observation space:
        {observation_space}

    Reward:
        `verifier` (default): 1 where the number is found, else 0, paid at the end of the episode.

    Start:
        A secret number drawn uniformly from the split; the splits share no secret. A fixed
        secret: `reset(options={"task_id": "guess/37"})`.

    Episode end:
        Terminated when the number is found, and, unfinished, when the turns, the token budget or
        the context are spent. Never truncated.

    Info:
        At reset `task_id`, which names the secret, and `prompt_text`; at a turn's end `text` and
        `n_tokens`; at the end also `response_ids`, `role_ids`, `loss_mask`, `verdict`,
        `reward_parts`, `is_success`. At level chunk `n_tokens` counts the ids of each step; at
        level message `messages` is there throughout.

    Arguments:
        {arguments}

    Data and licence:
        Generated; part of this package.

    Baselines:
        {baselines}

    Versions:
        v0: first version.
    """

    Args = GuessNumberArgs
    alphabets = {"digits": "0123456789"}
    replies_draw = False

    def __init__(self, args: GuessNumberArgs) -> None:
        """Set the number of turns and the lengths that it needs."""
        super().__init__(args)
        if not 2 <= args.high <= 100_000:
            raise LmgymError(f"high {args.high} is out of range; allowed are 2 to 100000")
        if args.max_turns is not None and args.max_turns < 1:
            raise LmgymError(f"max_turns {args.max_turns} is out of range; at least 1 is needed")
        self.max_turns = args.max_turns or ceil(log2(args.high + 1)) + 1
        digits = len(str(args.high))
        self.max_tokens = self.max_turns * (digits + 2)
        self.context = 64 + self.max_turns * (digits + 12)
        self._secrets: dict[str, list[int]] = {split: [] for split in self.splits}
        for secret in range(1, args.high + 1):
            self._secrets[split_of(f"guess/{secret}")].append(secret)

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[GuessState]:
        """Draw a secret from `split`, or take the one that `task_id` addresses."""
        if task_id is not None:
            return self._open(self._secret_at(task_id))
        secrets = self._secrets_of(split)
        return self._open(secrets[int(rng.integers(len(secrets)))])

    def reply(self, state: GuessState, text: str, rng: np.random.Generator) -> Reply[GuessState]:
        """Say higher or lower, or that the number is found."""
        del rng
        guess = last_number(text)
        if guess is None:
            return _say("write a number", state)
        if guess == state.secret:
            return Reply(state, verdict=Verdict.CORRECT)
        if guess < state.secret:
            low = max(state.low, int(guess) + 1)
            return _say("higher", GuessState(state.secret, low, state.high))
        high = min(state.high, ceil(guess) - 1)
        return _say("lower", GuessState(state.secret, state.low, high))

    def task_ids(self, split: str, limit: int) -> list[str]:
        """The first secrets of `split`."""
        return [f"guess/{secret}" for secret in self._secrets_of(split)[:limit]]

    def demonstrate(self, state: GuessState) -> str:
        """The middle of what is left: bisection."""
        return str((state.low + state.high) // 2)

    def _secrets_of(self, split: str) -> list[int]:
        secrets = self._secrets[self.check_split(split)]
        if not secrets:
            raise LmgymError(f"split {split!r} has no secret up to {self.args.high}; raise high")
        return secrets

    def _secret_at(self, task_id: str) -> int:
        kind, _, number = task_id.partition("/")
        is_number = kind == "guess" and number.isdecimal() and len(number) < 11
        if not is_number or not 1 <= int(number) <= self.args.high:
            raise self.bad_task_id(task_id, "guess/number")
        return int(number)

    def _open(self, secret: int) -> Opening[GuessState]:
        high = self.args.high
        opening = Message(Role.USER, f"Guess my number from 1 to {high}.")
        state = GuessState(secret, 1, high)
        return Opening(state, (opening,), f"guess/{secret}", str(secret), {"high": high})


def _say(text: str, state: GuessState) -> Reply[GuessState]:
    return Reply(state, (Message(Role.USER, text),))
