"""Rows that become copies of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.registry import LEVELS

from .conftest import DICE, make

END = 257
PAIRS = ([0, 0, 2], [1, 3, 4])


def random_ids(rng: np.random.Generator, n_rows: int) -> Any:
    ids = rng.integers(256, size=n_rows)
    ids[rng.random(n_rows) < 1 / 5] = END
    return ids


def same_in_each_pair(env: Any, rng: np.random.Generator) -> Any:
    """Random ids, where copies take the same as what they copy."""
    ids = random_ids(rng, env.num_envs)
    for source, target in zip(*PAIRS, strict=True):
        ids[target] = ids[source]
    return ids


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("world", ["lmgym/Math-v0", "lmgym/GuessNumber-v0", DICE])
@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_copies_go_on_as_what_they_copy(world: str, mode: str, compiled: bool) -> None:
    env = make(world, num_envs=6, autoreset_mode=mode, compiled=compiled)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        for _ in range(int(rng.integers(1, 25))):
            env.step(random_ids(rng, 6))
        env.fork(*PAIRS)
        drawn = []
        for _ in range(30):  # the same problems and the same luck, far beyond this episode
            observations, rewards, ends, _, _ = env.step(same_in_each_pair(env, rng))
            drawn.append(env.task_ids)
            for source, target in zip(*PAIRS, strict=True):
                for name, array in observations.items():
                    assert array[source].tolist() == array[target].tolist(), name
                assert (rewards[source], ends[source]) == (rewards[target], ends[target])
                assert drawn[-1][source] == drawn[-1][target]


def test_copies_are_independent_of_what_they_copy() -> None:
    env, alone = (make(DICE, num_envs=3) for _ in range(2))
    for each in (env, alone):
        each.reset(seed=0)
        each.step(np.full(3, 49))
    env.fork([0], [2])
    rng = np.random.default_rng(1)
    for _ in range(60):
        ids = random_ids(rng, 3)
        one = env.step(ids)[0]
        other = alone.step(ids)[0]
        assert one["tokens"][:2].tolist() == other["tokens"][:2].tolist()


def test_copies_of_a_row_draw_its_luck_and_not_each_others() -> None:
    env = make(DICE, num_envs=3)
    env.reset(seed=0)
    env.fork([0, 0], [1, 2])
    states = [rng.bit_generator.state for rng in env.np_random]
    assert states[0] == states[1] == states[2]
    env.step(np.array([END, 49, 49]))
    states = [rng.bit_generator.state for rng in env.np_random]
    assert states[0] != states[1] == states[2]


@pytest.mark.parametrize(("source", "target"), [(2, 0), (2, 1), (1, 3)])
def test_copies_across_groups_leave_the_other_rows_alone(source: int, target: int) -> None:
    env, alone = (make(num_envs=4, group_size=2) for _ in range(2))
    for each in (env, alone):
        each.reset(seed=0)
    env.fork([source], [target])
    expected = [source if row == target else row for row in range(4)]
    for _ in range(6):
        assert env.task_ids == [alone.task_ids[row] for row in expected]
        for each in (env, alone):
            each.step(np.full(4, END))


def test_one_row_may_be_started_and_copied_to_all() -> None:
    env = make(num_envs=3)
    env.reset(seed=0, options={"reset_mask": np.array([True, False, False])})
    env.fork([0, 0], [1, 2])
    tokens = env.step(np.array([49, 50, 51]))[0]["tokens"]
    assert tokens[:, :9].tolist() == [tokens[0, :9].tolist()] * 3


def test_copies_that_are_seeded_anew_forget_what_they_copied() -> None:
    forked, fresh = (make(num_envs=3, autoreset_mode="same_step") for _ in range(2))
    forked.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(50):  # into the middle of a block of problems
        forked.step(random_ids(rng, 3))
    forked.fork([0, 0], [1, 2])
    for env in (forked, fresh):
        env.reset(seed=9)
    for _ in range(100):
        assert forked.task_ids == fresh.task_ids
        ids = random_ids(rng, 3)
        forked.step(ids)
        fresh.step(ids)


def test_copies_are_truncated_with_what_they_copy() -> None:
    env = make(num_envs=2, autoreset_mode="disabled", max_episode_steps=4)
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([49, 49]))
    env.reset(options={"reset_mask": np.array([False, True])})
    env.fork([0], [1])
    truncations = [env.step(np.array([49, 49]))[3].tolist() for _ in range(2)]
    assert truncations == [[False, False], [True, True]]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_can_be_forked(level: str) -> None:
    env = make("lmgym/GuessNumber-v0", num_envs=2, level=level, render_mode="ansi")
    env.reset(seed=0)
    actions = {"token": [53, 54], "chunk": [[53, END, 262, 262]] * 2, "message": ["5", "6"]}
    env.step(actions[level])
    env.fork([0], [1])
    assert env.render()[0] == env.render()[1]
    assert env.transcripts([0])[0].segments == env.transcripts([1])[0].segments


def test_an_empty_fork_does_nothing() -> None:
    env = make()
    env.reset(seed=0)
    before = env.task_ids
    env.fork([], [])
    assert env.task_ids == before


@pytest.mark.parametrize(
    ("sources", "targets"),
    [([0], [0]), ([0, 1], [2]), ([0, 1], [2, 2]), ([0, 1], [2, 0]), ([0], [4]), ([-1], [0])],
)
def test_impossible_forks_are_refused(sources: list[int], targets: list[int]) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(LmgymError, match=r"fork takes|do not exist"):
        env.fork(sources, targets)
