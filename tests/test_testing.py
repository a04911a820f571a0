"""The conformance suite finds what it is for: each broken world fails the check it breaks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lmgym.addresses import split_of
from lmgym.errors import LmgymError
from lmgym.registry import LEVELS, WORLDS, WorldSpec, register_world
from lmgym.rewards import FunctionReward
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.testing import CHECKS, check_world, run_check

ID = "test/Fair-v0"
WORDS = ["".join(letters) for letters in itertools.product("abcdef", repeat=3)]
IDS = {split: [word for word in WORDS if split_of(word) == split] for split in Task.splits}


class Fair(Task[Any]):
    """Repeat the word, then again.

    Description: Two turns.
    Action space: {action_space}
    Observation space: {observation_space}
    Reward: 1 for the word.
    Start: A word.
    Episode end: After two messages.
    Info: Nothing more.
    Arguments: {arguments}
    Data and licence: Generated.
    Baselines: {baselines}
    Versions: v0
    """

    max_turns = 2

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[Any]:
        ids = IDS[self.check_split(split)]
        word = task_id or ids[int(rng.integers(len(ids)))]
        if word not in WORDS:
            raise self.bad_task_id(word, "word")
        return Opening((word, 0), (Message(Role.USER, word),), word, word)

    def reply(self, state: Any, text: str, rng: np.random.Generator) -> Reply[Any]:
        word, turn = state
        if text != word:
            return Reply(state, verdict=Verdict.INCORRECT)
        if turn == 1:
            return Reply(state, verdict=Verdict.CORRECT)
        return Reply((word, 1), (Message(Role.USER, str(rng.integers(10))),))

    def task_ids(self, split: str, limit: int) -> list[str]:
        return IDS[self.check_split(split)][:limit]

    def demonstrate(self, state: Any) -> str | None:
        return str(state[0])


class WithGlobalRandomness(Fair):
    generator = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator, **start: Any) -> Opening[Any]:
        return super().reset(self.generator, **start)


class WithStateChangedInPlace(Fair):
    def reset(self, rng: np.random.Generator, **start: Any) -> Opening[Any]:
        opening = super().reset(rng, **start)
        return Opening([*opening.state], opening.messages, opening.task_id, opening.gold)

    def reply(self, state: Any, text: str, rng: np.random.Generator) -> Reply[Any]:
        state[1] += 1
        is_over = state[1] == 2
        return Reply(state, () if is_over else (Message(Role.USER, "?"),), self.verdict(is_over))

    def verdict(self, is_over: bool) -> Verdict | None:
        return Verdict.ENDED if is_over else None


class WithoutPickling(Fair):
    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self.function = lambda: None


class WithGrowth(Fair):
    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self.history: list[str] = []

    def reset(self, rng: np.random.Generator, **start: Any) -> Opening[Any]:
        self.history.append("history" * 100 + str(len(self.history)))
        return super().reset(rng, **start)


class WithWrongDemonstrations(Fair):
    def demonstrate(self, state: Any) -> str | None:
        return f"{state[0]}?"


class WithoutDemonstrations(Fair):
    def demonstrate(self, state: Any) -> str | None:
        return None


class WithGenerosity(Fair):
    def reply(self, state: Any, text: str, rng: np.random.Generator) -> Reply[Any]:
        return Reply(state, verdict=Verdict.CORRECT)


class WithOverlappingSplits(Fair):
    def task_ids(self, split: str, limit: int) -> list[str]:
        self.check_split(split)
        return WORDS[:limit]


class WithRepeatedAddresses(Fair):
    def task_ids(self, split: str, limit: int) -> list[str]:
        return [IDS[self.check_split(split)][0]] * limit


class WithUnstableAddresses(Fair):
    instances = itertools.count()

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self.offset = next(self.instances)

    def task_ids(self, split: str, limit: int) -> list[str]:
        ids = IDS[self.check_split(split)]
        return (ids[self.offset % 5 :] + ids)[:limit]


class WithAnyAddress(Fair):
    def reset(self, rng: np.random.Generator, **start: Any) -> Opening[Any]:
        word = start.get("task_id")
        if word and word not in WORDS:
            start["task_id"] = WORDS[0]
        return super().reset(rng, **start)


class WithoutAnEnd(Fair):
    """Description: Half a card."""


class WithHiddenDraws(Fair):
    replies_draw = False

    def reply(self, state: Any, text: str, rng: np.random.Generator) -> Reply[Any]:
        rng.random()
        return super().reply(state, text, rng)


class WithOtherBlocks(Fair):
    replies_draw = False

    def reply(self, state: Any, text: str, rng: np.random.Generator) -> Reply[Any]:
        return Reply(state, verdict=Verdict.CORRECT if text == state[0] else Verdict.INCORRECT)

    def draw_many(
        self, rng: np.random.Generator, n: int, *, split: str = "train"
    ) -> list[Opening[Any]]:
        return [*super().draw_many(rng, n, split=split)][::-1]


class WithOtherBatches(Fair):
    def reply_many(self, states: Any, texts: Any, rngs: Any) -> list[Reply[Any]]:
        return [Reply(state, verdict=Verdict.CORRECT) for state in states]


class WithGrades(Fair):
    has_gold_reward = True

    def gold_rewards(self, transcripts: Any) -> Any:
        return np.array([float(len(t.completion_text)) for t in transcripts])


class WithMoodyGrades(WithGrades):
    moods = itertools.count()

    def gold_rewards(self, transcripts: Any) -> Any:
        return super().gold_rewards(transcripts) + next(self.moods)


class WithInfiniteGrades(WithGrades):
    def gold_rewards(self, transcripts: Any) -> Any:
        return super().gold_rewards(transcripts) + np.inf


class WithoutGrades(Fair):
    has_gold_reward = True


@dataclass(frozen=True)
class ListArgs:
    """Arguments that JSON cannot hold."""

    words: Any = field(default_factory=object)


class WithArgs(Fair):
    Args = ListArgs


BROKEN: list[tuple[type[Fair], str, str]] = [
    (WithGlobalRandomness, "seeding", "another environment, seed 0: "),
    (WithStateChangedInPlace, "snapshots", "the rest of the episode: "),
    (WithoutPickling, "pickling", "the environment cannot be pickled: "),
    (WithGrowth, "growth", "bytes more after 200 episodes"),
    (WithWrongDemonstrations, "gold", "the demonstration of aaa is paid 0.0"),
    (WithoutDemonstrations, "gold", "has gold answers and demonstrates none in aaa"),
    (WithGenerosity, "garbage", "'' is paid 1.0 in aaa"),
    (WithOverlappingSplits, "splits", "is in 'train' and in 'validation'"),
    (WithRepeatedAddresses, "addresses", "task_ids repeats in 'train'"),
    (WithUnstableAddresses, "addresses", "another instance lists other problems of 'train'"),
    (WithAnyAddress, "addresses", "reset takes {'task_id': 'no such problem'}"),
    (WithHiddenDraws, "vector", "NEXT_STEP: observations of step "),
    (WithOtherBlocks, "vector", "draw_many draws other problems of 'train' than reset"),
    (WithOtherBatches, "vector", "NEXT_STEP: rewards of step "),
    (WithMoodyGrades, "gold_rewards", "seed 0 is graded ["),
    (WithInfiniteGrades, "gold_rewards", "it must return one finite number for each"),
    (WithoutGrades, "gold_rewards", "WithoutGrades has no gold reward for 1 episodes"),
    (WithoutAnEnd, "card", "lacks 'Action space', 'Observation space', "),
]


@pytest.fixture
def world() -> Iterator[str]:
    """Where a world may be registered during a test."""
    yield ID
    WORLDS.pop(ID, None)
    gym.registry.pop(ID, None)


def register(task: type[Fair], **offers: Any) -> None:
    register_world(WorldSpec(ID, task, "A world of a test.", **offers))


@pytest.mark.parametrize("check", CHECKS)
def test_a_fair_world_passes(world: str, check: str) -> None:
    register(Fair)
    run_check(check, world)


@pytest.mark.parametrize(("task", "check", "message"), BROKEN, ids=[b[0].__name__ for b in BROKEN])
def test_a_broken_world_fails(world: str, task: type[Fair], check: str, message: str) -> None:
    register(task)
    with pytest.raises(AssertionError) as caught:
        run_check(check, world)
    told = str(caught.value)
    assert told.startswith(f"{ID} at level 'token' fails the check {check!r}: "), told
    assert message in told


@pytest.mark.parametrize("check", ["gold_rewards", "vector", "levels", "snapshots", "payments"])
def test_a_world_that_grades_passes(world: str, check: str) -> None:
    register(WithGrades)
    run_check(check, world)


def test_arguments_that_json_cannot_hold_fail(world: str) -> None:
    register(WithArgs)
    with pytest.raises(AssertionError, match="'spec': the spec cannot be written as JSON: "):
        run_check("spec", world, words=object())


def test_a_level_is_checked_alone(world: str) -> None:
    register(Fair, levels=("message",))
    check_world(world, skip=["growth"])
    with pytest.raises(
        AssertionError, match="unknown level of test/Fair-v0 'token'; known: messag"
    ):
        run_check("seeding", world, level="token")


def test_a_world_without_gold_needs_no_demonstration(world: str) -> None:
    register(WithoutDemonstrations, has_gold=False)
    check_world(world, skip=["growth", "sb3"])


def test_a_reward_of_ones_own_is_checked_along(world: str) -> None:
    register(Fair)
    reward = FunctionReward(lambda completions: [float(len(c)) for c in completions])
    for level in LEVELS:
        check_world(world, skip=["growth", "spec", "pickling"], level=level, reward=reward)


def test_unknown_checks_are_told() -> None:
    with pytest.raises(LmgymError, match="unknown check 'growt'; known: growth, "):
        check_world("lmgym/Copy-v0", skip=["growt"])
    with pytest.raises(LmgymError, match="unknown check 'seeds'; known: "):
        run_check("seeds", "lmgym/Copy-v0")
