"""What tests of the batched environments share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from lmgym.registry import WorldSpec, register_world
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.transcript import Transcript

DICE, GRADED = "tests/Dice-v0", "tests/GradedDice-v0"


class DiceTask(Task[int]):
    """A world whose replies are drawn: guess the next throw, three times."""

    max_turns = 3
    context = 160
    max_tokens = 20

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[int]:
        start = int(rng.integers(1000)) if task_id is None else int(task_id)
        return Opening(start, (Message(Role.USER, f"{split} {start}?"),), str(start))

    def reply(self, state: int, text: str, rng: np.random.Generator) -> Reply[int]:
        thrown = int(rng.integers(1, 7))
        if text == str(thrown):
            return Reply(state, verdict=Verdict.CORRECT)
        return Reply(state + thrown, (Message(Role.USER, f"it was {thrown}"),))

    def task_ids(self, split: str, limit: int) -> list[str]:
        return [str(number) for number in range(limit)]


class GradedDiceTask(DiceTask):
    """The same, graded by the length of what was said; counts the episodes of each call."""

    has_gold_reward = True

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self.graded: list[int] = []

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        self.graded.append(len(transcripts))
        return np.array([len(repr(t.messages)) / 8 for t in transcripts])


@pytest.fixture(scope="session", autouse=True)
def _dice() -> None:
    register_world(WorldSpec(DICE, DiceTask, "Guess throws."))
    register_world(WorldSpec(GRADED, GradedDiceTask, "Guess throws, graded."))


class TurnReward:
    """Pays each turn the length of its text, and leaves texts with a 7 unscored."""

    def __init__(self) -> None:
        from lmgym.rewards import RewardLevel

        self.level = RewardLevel.TURN
        self.is_causal = True
        self.batches: list[int] = []

    def score(self, transcripts: Sequence[Any]) -> Any:
        from lmgym.rewards import RewardBatch

        self.batches.append(len(transcripts))
        turns = [t.segments[0].turns for t in transcripts]
        dense = [np.array([len(turn.text) for turn in of], np.float64) for of in turns]
        outcome = np.array([float(len(of)) for of in turns])
        unscored = np.array(["7" in of[-1].text for of in turns])
        return RewardBatch(outcome, dense, {"turns": outcome}, unscored)


def make(world: str = "lmgym/Math-v0", num_envs: int = 4, **arguments: Any) -> Any:
    """A batched environment."""
    return gym.make_vec(f"lmgym:{world}" if "lmgym/" in world else world, num_envs, **arguments)
