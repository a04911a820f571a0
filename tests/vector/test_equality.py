"""Batched environments are equal, step by step, to SyncVectorEnv over single ones."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from lmgym.registry import LEVELS
from lmgym.rewards import RewardLevel
from lmgym.testing.reward_checks import ProbeReward
from lmgym.testing.vector_checks import assert_same_batch, compare_steps

from ..conftest import worlds_of_texts
from .conftest import DICE, GRADED, TurnReward

IDS = [*worlds_of_texts(in_full=True), DICE]
ROWS = 5
MODES = list(AutoresetMode)
EVERY_WAY = (DICE, "lmgym/Math-v0", "lmgym/GuessNumber-v0")
"""Worlds that are compared in every combination: whose replies draw, of one turn, of several."""
WAYS = [
    (world, level, mode, compiled)
    for world in EVERY_WAY
    for level, mode, compiled in itertools.product(LEVELS, MODES, (False, True))
]
# Each of the others meets every level and every mode, compiled and not, in three ways. All modes
# at all levels are checked by the suite's check "vector" of `test_worlds.py`.
WAYS += [
    (world, level, MODES[(number + turn) % 3], (number + turn) % 2 == 1)
    for number, world in enumerate(world for world in IDS if world not in EVERY_WAY)
    for turn, level in enumerate(LEVELS)
]
# All of three factors, and each of their pairs with the fourth in both its values.
PAID_WAYS = [
    (LEVELS[i], kind, MODES[k], (i + j + k) % 2 == 1)
    for i, (j, kind), k in itertools.product(
        range(3), enumerate((RewardLevel.STEP, RewardLevel.TOKEN)), range(3)
    )
]
# Every pair of two of three factors.
TRUNCATED_WAYS = [
    (LEVELS[i], kind, MODES[(i + j) % 3])
    for i, (j, kind) in itertools.product(range(3), enumerate(RewardLevel))
]
OPTIONS: list[dict[str, Any]] = [
    {"split": "test"},
    {"prefix_ids": [49, 50]},
    {"prefix_ids": np.array([49])},
    {"split": "validation", "prefix_ids": [49]},
]
"""Of resets; the worlds that are not compared in every way meet the last, which has both."""


def both(
    world: str,
    mode: AutoresetMode,
    *,
    batched: dict[str, Any] | None = None,
    **arguments: Any,
) -> tuple[Any, Any]:
    """Ours, and gymnasium's over single environments."""
    given = {"num_envs": ROWS, "autoreset_mode": mode.name.lower(), **arguments}
    ours = gym.make_vec(world, **given, **(batched or {}))

    def make() -> gym.Env[Any, Any]:
        return gym.make(world, disable_env_checker=True, **arguments)

    return ours, SyncVectorEnv([make] * ROWS, autoreset_mode=mode)


def random_actions(env: Any, level: str, rng: np.random.Generator) -> Any:
    """Actions of all rows; a sixth of the ids end the turn."""
    if level == "message":
        texts = [
            str(rng.integers(1, 120)) if rng.random() < 0.8 else "\u00fc\n?" for _ in range(ROWS)
        ]
        return tuple(texts)
    alphabet = env.alphabet
    size = 262 if alphabet is None else len(alphabet)
    ids = rng.integers(size, size=(ROWS, 4))
    ids[rng.random(ids.shape) < 1 / 6] = 257 if alphabet is None else size - 1
    if alphabet is None:
        ids[rng.random(ids.shape) < 1 / 8] = ord("\n")
    if level == "token":
        return ids[:, 0]
    ids[:, 1:][rng.random((ROWS, 3)) < 1 / 6] = size
    return ids


def play(ours: Any, theirs: Any, level: str, seed: int, steps: int) -> int:
    """Play both, comparing all they return; how many episodes ended."""

    def draw(rng: np.random.Generator) -> Any:
        return random_actions(ours, level, rng)

    return compare_steps(ours, theirs, draw, seed=seed, steps=steps)


def play_anew(ours: Any, theirs: Any, level: str, seed: int = 3) -> int:
    assert_same_batch(ours.reset(seed=seed), theirs.reset(seed=seed), "reset")
    return play(ours, theirs, level, seed, steps=100)


@pytest.mark.parametrize(("world", "level", "mode", "compiled"), WAYS)
def test_equals_single_environments(
    world: str, level: str, mode: AutoresetMode, compiled: bool
) -> None:
    short = {"max_turns": 4} if world == "lmgym/Web-v0" else {}  # so that episodes end
    ours, theirs = both(world, mode, level=level, batched={"compiled": compiled}, **short)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("world", "context"), [("lmgym/Math-v0", 13), ("lmgym/GuessNumber-v0", 60), (DICE, 30)]
)
def test_equals_single_environments_that_fill_the_context(
    world: str, level: str, context: int, compiled: bool
) -> None:
    mode = AutoresetMode.NEXT_STEP
    ours, theirs = both(world, mode, level=level, context=context, batched={"compiled": compiled})
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("level", LEVELS)
def test_equals_single_environments_that_are_truncated(level: str, mode: AutoresetMode) -> None:
    ours, theirs = both("lmgym/GuessNumber-v0", mode, level=level, max_episode_steps=4)
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("world", [DICE, "lmgym/GuessNumber-v0"])
@pytest.mark.parametrize("level", LEVELS)
def test_equals_single_environments_that_pay_turns(
    world: str, level: str, mode: AutoresetMode
) -> None:
    ours, theirs = both(world, mode, level=level, reward=TurnReward())
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize(("level", "kind", "mode", "compiled"), PAID_WAYS)
def test_equals_single_environments_that_pay_steps_and_ids(
    level: str, kind: RewardLevel, mode: AutoresetMode, compiled: bool
) -> None:
    reward = ProbeReward(kind, misses=5)
    batched = {"compiled": compiled}
    ours, theirs = both(DICE, mode, level=level, reward=reward, batched=batched)
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize(("level", "kind", "mode"), TRUNCATED_WAYS)
def test_equals_single_environments_that_are_truncated_while_they_are_paid(
    level: str, kind: RewardLevel, mode: AutoresetMode
) -> None:
    ours, theirs = both(
        "lmgym/GuessNumber-v0", mode, level=level, reward=ProbeReward(kind), max_episode_steps=4
    )
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("level", LEVELS)
def test_equals_single_environments_that_are_graded(level: str, mode: AutoresetMode) -> None:
    ours, theirs = both(GRADED, mode, level=level, reward=ProbeReward(RewardLevel.STEP))
    assert play_anew(ours, theirs, level) > ROWS


@pytest.mark.parametrize("reward", [None, lambda prompts, completions: map_lengths(completions)])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_equals_single_environments_under_other_rewards(reward: Any, mode: AutoresetMode) -> None:
    ours, theirs = both("lmgym/Math-v0", mode, reward=reward)
    assert play_anew(ours, theirs, "token") > ROWS


def map_lengths(completions: list[str]) -> list[float | None]:
    """Unscored where nothing was written."""
    return [float(len(text)) or None for text in completions]


@pytest.mark.parametrize("level", ["token", "chunk"])
@pytest.mark.parametrize("choice", [{"alphabet": "digits"}, {"mask": "digits"}])
def test_equals_single_environments_with_an_alphabet(level: str, choice: dict[str, Any]) -> None:
    ours, theirs = both("lmgym/Math-v0", AutoresetMode.SAME_STEP, level=level, **choice)
    assert play_anew(ours, theirs, level) > ROWS
    masks = theirs.call("action_masks")
    np.testing.assert_array_equal(ours.action_masks(), np.stack(masks))


@pytest.mark.parametrize(
    ("world", "options"),
    [
        *itertools.product(EVERY_WAY, OPTIONS),
        *((world, OPTIONS[-1]) for world in IDS if world not in EVERY_WAY),
    ],
)
def test_options_of_reset_mean_the_same(world: str, options: dict[str, Any]) -> None:
    mode = AutoresetMode.NEXT_STEP
    ours, theirs = both(world, mode, max_tokens=8)
    assert_same_batch(ours.reset(seed=3), theirs.reset(seed=3), "reset")
    play(ours, theirs, "token", seed=3, steps=30)
    assert_same_batch(ours.reset(options=options), theirs.reset(options=dict(options)), "reset")
    play(ours, theirs, "token", seed=8, steps=60)
    seeded = ours.reset(seed=4, options=options), theirs.reset(seed=4, options=dict(options))
    assert_same_batch(*seeded, "seeded reset")
    assert play(ours, theirs, "token", seed=9, steps=40) > 0


@pytest.mark.parametrize("seed", [[5, 5, None, 9, 0], [1, 2, 3, 4, 5]])
def test_rows_can_be_seeded_one_by_one(seed: list[int | None]) -> None:
    mode = AutoresetMode.SAME_STEP
    ours, theirs = both("lmgym/Math-v0", mode)
    assert_same_batch(ours.reset(seed=1), theirs.reset(seed=1), "reset")
    play(ours, theirs, "token", seed=0, steps=40)
    assert_same_batch(ours.reset(seed=seed), theirs.reset(seed=seed), "seeded reset")
    play(ours, theirs, "token", seed=1, steps=40)


def test_masked_resets_leave_the_other_rows_alone() -> None:
    mode = AutoresetMode.NEXT_STEP
    ours, theirs = both(DICE, mode)
    assert_same_batch(ours.reset(seed=1), theirs.reset(seed=1), "reset")
    for number in range(12):
        play(ours, theirs, "token", seed=number, steps=7)
        mask = np.arange(ROWS) % 3 == number % 3
        mine = ours.reset(seed=number, options={"reset_mask": mask})
        their = theirs.reset(seed=number, options={"reset_mask": mask.copy()})
        assert_same_batch(mine, their, f"masked reset {number}")
    play(ours, theirs, "token", seed=99, steps=60)


@pytest.mark.parametrize("world", ["lmgym/Math-v0", DICE])
def test_generators_and_seeds_of_rows_are_those_of_single_environments(world: str) -> None:
    mode = AutoresetMode.NEXT_STEP
    ours, theirs = both(world, mode)
    play_anew(ours, theirs, "token")
    assert ours.np_random_seed == theirs.np_random_seed
    draws = [[int(rng.integers(1 << 40)) for rng in env.np_random] for env in (ours, theirs)]
    assert draws[0] == draws[1]
    play(ours, theirs, "token", seed=5, steps=60)
