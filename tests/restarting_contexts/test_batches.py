"""Batches of episodes whose context starts again are equal to single ones, forks included."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from lmgym.rewards import RewardLevel
from lmgym.testing.reward_checks import ProbeReward
from lmgym.testing.vector_checks import assert_same_batch, compare_steps

from .conftest import END, SPELL, said

LEVELS = ("token", "chunk", "message")
ROWS = 5


def both(mode: AutoresetMode, *, compiled: bool = False, **arguments: Any) -> tuple[Any, Any]:
    """Ours, and gymnasium's over single environments."""
    name = mode.name.lower()
    ours = gym.make_vec(SPELL, ROWS, autoreset_mode=name, compiled=compiled, **arguments)

    def make() -> gym.Env[Any, Any]:
        return gym.make(SPELL, disable_env_checker=True, **arguments)

    return ours, SyncVectorEnv([make] * ROWS, autoreset_mode=mode)


def random_actions(level: str, rng: np.random.Generator) -> Any:
    """Letters that are often right, and ids of which a third end the turn."""
    if level == "message":
        return tuple("abcdef\n"[int(i)] for i in rng.integers(7, size=ROWS))
    ids = rng.integers(97, 103, size=(ROWS, 4))
    ids[rng.random(ids.shape) < 1 / 3] = END
    ids[rng.random(ids.shape) < 1 / 9] = ord("\n")
    return ids[:, 0] if level == "token" else ids


def play(ours: Any, theirs: Any, level: str, steps: int = 50) -> int:
    def draw(rng: np.random.Generator) -> Any:
        return random_actions(level, rng)

    assert_same_batch(ours.reset(seed=3), theirs.reset(seed=3), "reset")
    return compare_steps(ours, theirs, draw, seed=3, steps=steps)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("context", [52, 32])
def test_equal_single_environments(
    level: str, mode: AutoresetMode, compiled: bool, context: int
) -> None:
    ours, theirs = both(mode, level=level, compiled=compiled, context=context)
    assert play(ours, theirs, level) > ROWS


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kind", RewardLevel)
@pytest.mark.parametrize("level", LEVELS)
def test_are_paid_as_single_environments(
    level: str, kind: RewardLevel, mode: AutoresetMode
) -> None:
    ours, theirs = both(mode, level=level, reward=ProbeReward(kind))
    assert play(ours, theirs, level, steps=40) > 0


def test_transcripts_equal_those_of_single_environments() -> None:
    ours, theirs = both(AutoresetMode.DISABLED, level="token")
    prefixes = {"prefix_ids": [[120], [], [97, 97], [98], []]}
    ours.reset(seed=1, options=prefixes)
    singles = [env.unwrapped for env in theirs.envs]
    for row, (env, prefix) in enumerate(zip(singles, prefixes["prefix_ids"], strict=True)):
        env.reset(seed=1 + row, options={"prefix_ids": prefix})
    rng = np.random.default_rng(0)
    found = [list(t.segments) for t in ours.transcripts()]
    for _ in range(9):
        ids = rng.integers(97, 103, ROWS)
        ids[rng.random(ROWS) < 1 / 2] = END
        if any(env.episode.verdict is not None for env in singles):
            break
        ours.step(ids)
        for env, token in zip(singles, ids.tolist(), strict=True):
            env.step(token)
        found = [list(t.segments) for t in ours.transcripts()]
        assert found == [unsampled(env.transcript()) for env in singles]
    assert max(len(segments) for segments in found) >= 3


def unsampled(transcript: Any) -> Any:
    """Segments without log-probabilities, which batches don't keep."""
    from dataclasses import replace

    return [replace(segment, logprobs=None) for segment in transcript.segments]


def test_a_row_says_what_it_sees_and_all_that_was_said() -> None:
    env: Any = gym.make_vec(SPELL, 2, level="message").unwrapped
    env.reset(seed=0, options={"task_id": "abc"})
    observations, _, _, _, infos = env.step(("a", "b"))
    assert observations[0].startswith("spell\nabc: a")
    assert len(env.batch.seen(0)) == len(infos["messages"][0]) == 2
    assert len(env.batch.messages(0)) == 5


@pytest.mark.parametrize("compiled", [False, True])
def test_copies_go_on_as_what_they_copy(compiled: bool) -> None:
    env: Any = gym.make_vec(SPELL, 4, level="token", compiled=compiled, autoreset_mode="same_step")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        for _ in range(int(rng.integers(1, 12))):
            env.step(np.where(rng.random(4) < 1 / 3, END, rng.integers(97, 103, 4)))
        env.fork([0, 2], [1, 3])
        told = env.transcripts()
        assert (told[0].segments, told[2].segments) == (told[1].segments, told[3].segments)
        for _ in range(12):
            pair = np.where(rng.random(2) < 1 / 3, END, rng.integers(97, 103, 2))
            observations = env.step(pair.repeat(2))[0]
            for array in observations.values():
                assert array[::2].tolist() == array[1::2].tolist()


def test_a_copy_keeps_its_contexts_while_the_other_goes_on() -> None:
    env: Any = gym.make_vec(SPELL, 2, level="message").unwrapped
    env.reset(seed=0, options={"task_id": "abc"})
    env.step(("a", "a"))
    env.fork([0], [1])
    first = env.batch.transcript(1).segments[0]
    env.step(("b", "z"))
    one, other = env.transcripts()
    assert one.segments[0] == other.segments[0] == first
    assert one.segments[1].response_ids == tuple(said("b"))
    assert other.segments[1].response_ids == tuple(said("z"))
