"""Batched goal worlds: equal to single ones, and what they offer beyond them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from lmgym.errors import LmgymError
from lmgym.testing.flip_bits import FLIP_BITS, FlipBitsTask
from lmgym.testing.goal_case import drawn_commands, goal_view_of
from lmgym.testing.vector_checks import assert_same_batch, compare_steps
from lmgym.vector import GoalVectorEnv, VectorArgs

ROWS = 5
LOCK = 4
MODES = list(AutoresetMode)


def make(num_envs: int = ROWS, **arguments: Any) -> Any:
    return gym.make_vec(FLIP_BITS, num_envs, **arguments)


def both(mode: AutoresetMode, **arguments: Any) -> tuple[Any, Any]:
    ours = make(autoreset_mode=mode.name.lower(), **arguments)
    theirs = SyncVectorEnv([lambda: gym.make(FLIP_BITS, **arguments)] * ROWS, autoreset_mode=mode)
    return ours, theirs


def play(ours: Any, theirs: Any, steps: int, seed: int = 0) -> int:
    def draw(rng: np.random.Generator) -> Any:
        return drawn_commands(ours.action_masks(), rng)

    return compare_steps(ours, theirs, draw, seed=seed, steps=steps)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"goals": "vector", "goal_text": True},
        {"reward": "verifier", "n": 3},
        {"max_episode_steps": 3},
        {"max_episode_steps": 8},
        {"split": "test"},
    ],
    ids=str,
)
def test_it_plays_as_single_environments(mode: AutoresetMode, arguments: dict[str, Any]) -> None:
    ours, theirs = both(mode, **arguments)
    assert_same_batch(ours.reset(seed=3), theirs.reset(seed=3), "reset")
    assert play(ours, theirs, 80) > ROWS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "options", [{"goal": [1, 0, 1, 0]}, {"task_id": "flip/4/5"}, {"split": "validation"}], ids=str
)
def test_options_are_those_of_single_environments(
    mode: AutoresetMode, options: dict[str, Any]
) -> None:
    ours, theirs = both(mode)
    for seed in (0, None, [4, None, 2, 1, 0]):
        one, other = (
            ours.reset(seed=seed, options=options),
            theirs.reset(seed=seed, options=options),
        )
        assert_same_batch(one, other, f"reset with seed {seed}")
        play(ours, theirs, 30)
        if mode is AutoresetMode.DISABLED:  # rows that are over are reset on the way
            assert ours.np_random_seed[0] == theirs.np_random_seed[0]


def test_options_may_differ_by_row() -> None:
    env = make(3)
    goals = [[1, 0, 0, 0], None, [0, 0, 1, 1]]
    observations, infos = env.reset(seed=0, options={"goal": goals})
    assert infos["task_id"].tolist()[::2] == ["flip/4/8", "flip/4/3"]
    _, infos = env.reset(options={"task_id": ["flip/4/1", None, "flip/4/2"]})
    assert infos["task_id"].tolist()[::2] == ["flip/4/1", "flip/4/2"]
    assert observations["desired_goal"].shape == (3, 8)


def test_a_masked_reset_leaves_other_rows_alone() -> None:
    env = make(3, autoreset_mode="disabled", goals="vector")
    env.reset(options={"goal": [1, 1, 0, 0]})
    env.step([0, 0, 0])
    mask = np.array([False, True, False])
    observations, infos = env.reset(options={"goal": [0, 0, 0, 1], "reset_mask": mask})
    assert observations["achieved_goal"].tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert infos["_task_id"].tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"goal": [0, 0, 0, 0]}, "reached already"),
        ({"goal": [1, 0, 0]}, "a goal holds 4 whole numbers"),
        ({"goal": [[1, 0, 0, 0]]}, f"goal has 1 values for {ROWS} rows"),
        ({"goal": 3}, "goal=3 is no list"),
        ({"task_id": "flip"}, "unknown task_id 'flip'"),
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"prefix_ids": [1]}, "unknown reset option 'prefix_ids'; known: "),
        ({"reset_mask": [True]}, "reset_mask has shape"),
        ([], "is no dictionary"),
    ],
)
def test_options_that_do_not_fit_change_nothing(options: Any, told: str) -> None:
    env = make(goals="vector")
    env.reset(seed=0, options={"goal": [1, 1, 0, 0]})
    before = env.step(np.zeros(ROWS, int))[0]
    with pytest.raises(LmgymError, match=told):
        env.reset(seed=1, options=options)
    after = env.step(np.full(ROWS, LOCK))[0]
    assert np.array_equal(after["achieved_goal"], before["achieved_goal"])
    assert np.array_equal(after["desired_goal"], before["desired_goal"])


@pytest.mark.parametrize("actions", [[0] * 4, [0.0] * ROWS, [5] * ROWS, [-1] * ROWS, None])
def test_actions_that_do_not_fit_change_nothing(actions: Any) -> None:
    env = make()
    env.reset(seed=0)
    before = [*env.states]
    with pytest.raises(LmgymError, match=r"the actions have shape|stands for no command"):
        env.step(actions)
    assert env.states == before
    env.step([LOCK] * ROWS)


def test_no_step_before_a_reset() -> None:
    env = make()
    with pytest.raises(LmgymError, match="were never started"):
        env.step([0] * ROWS)
    env.reset(seed=0, options={"reset_mask": np.arange(ROWS) < 2})
    with pytest.raises(LmgymError, match=r"rows \[2, 3, 4\] were never started"):
        env.step([0] * ROWS)


def test_in_mode_disabled_rows_that_are_over_are_to_be_reset() -> None:
    env = make(2, autoreset_mode="disabled")
    env.reset(options={"goal": [[1, 0, 0, 0], [1, 1, 0, 0]]})
    assert env.step([0, 0])[2].tolist() == [True, False]
    with pytest.raises(LmgymError, match=r"episodes of rows \[0\] are over"):
        env.step([0, 0])


class Breaking(FlipBitsTask):
    """The lock breaks."""

    def command(self, state: Any, index: int) -> Any:
        if index == LOCK:
            raise RuntimeError("the lock broke")
        return super().command(state, index)


def test_an_error_of_the_world_asks_for_a_reset() -> None:
    env = GoalVectorEnv(Breaking(), VectorArgs(num_envs=2))
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="the lock broke"):
        env.step([1, LOCK])
    with pytest.raises(LmgymError, match="an error left them half way"):
        env.step([1, 1])
    env.reset()
    env.step([1, 1])


def test_observations_are_fresh_by_default() -> None:
    env = make()
    first, _ = env.reset(seed=0)
    kept = {key: array.copy() for key, array in first.items()}
    env.step([1] * ROWS)
    assert all(np.array_equal(first[key], kept[key]) for key in kept)


def test_views_follow_the_episodes_and_cannot_be_written_to() -> None:
    env = make(copy=False, goals="vector")
    first, _ = env.reset(seed=0)
    after = env.step([1] * ROWS)[0]
    assert first["achieved_goal"][0].tolist() == [0, 1, 0, 0]
    assert np.shares_memory(first["achieved_goal"], after["achieved_goal"])
    with pytest.raises(ValueError, match="read-only"):
        after["achieved_goal"][0, 0] = 1


def test_masks_are_those_of_the_rows() -> None:
    env = make(2)
    env.reset(seed=0)
    env.step([LOCK, 1])
    assert env.action_masks().tolist() == [[False, *[True] * 4], [True] * 5]
    assert env.action_masks().dtype == np.bool_


def test_rows_of_a_group_play_the_same_problems_in_the_same_order() -> None:
    env = make(4, group_size=2, autoreset_mode="same_step")
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    played: list[list[str]] = [[task_id] for task_id in env.task_ids]
    for _ in range(200):
        for row, info in env.step_rows(drawn_commands(env.action_masks(), rng)).started.items():
            played[row].append(info["task_id"])
    for one, other in (played[:2], played[2:]):
        shortest = min(len(one), len(other))
        assert shortest > 5
        assert one[:shortest] == other[:shortest]
    assert played[0][:5] != played[2][:5]


def test_groups_may_be_given_a_goal() -> None:
    env = make(4, group_size=2, goals="vector")
    observations, _ = env.reset(seed=0, options={"goal": [0, 1, 0, 0]})
    assert observations["desired_goal"].tolist() == [[0, 1, 0, 0]] * 4


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_copies_go_on_as_what_they_copy(mode: str) -> None:
    env = make(4, autoreset_mode=mode, goal_text=True)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        for _ in range(int(rng.integers(1, 12))):
            env.step(drawn_commands(env.action_masks(), rng))
        env.fork([0, 2], [1, 3])
        for _ in range(30):
            actions = drawn_commands(env.action_masks(), rng)
            actions[[1, 3]] = actions[[0, 2]]
            step = env.step(actions)
            for values in (*step[0].values(), *step[1:4], np.array(env.task_ids)):
                assert np.array_equal(values[[0, 2]], values[[1, 3]])


def test_copies_are_independent_of_what_they_copy() -> None:
    env = make(2, goals="vector")
    env.reset(seed=0, options={"goal": [1, 1, 1, 1]})
    env.step([0, 1])
    env.fork([0], [1])
    assert env.step([1, 2])[0]["achieved_goal"].tolist() == [[1, 1, 0, 0], [1, 0, 1, 0]]


def test_forks_that_do_not_fit_are_refused() -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(LmgymError, match="fork takes as many sources as targets"):
        env.fork([0, 1], [1, 2])


def test_rows_that_are_over_are_told_as_arrays() -> None:
    env = make(3, autoreset_mode="same_step", goals="vector")
    env.reset(options={"goal": [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]})
    step = env.step_rows(np.zeros(3, int))
    assert step.final_rows.tolist() == [0, 2]
    assert step.final_arrays["achieved_goal"].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert {*step.infos} == {*step.started} == {*step.final_observations} == {0, 2}
    assert step.infos[2] == {"verdict": "correct", "is_success": True, "n_steps": 1}
    for place, row in enumerate((0, 2)):
        for key, array in step.final_arrays.items():
            assert np.array_equal(step.final_observations[row][key], array[place])


def test_steps_on_the_way_tell_nothing_but_errors() -> None:
    env = make(2, autoreset_mode="same_step")
    env.reset(options={"goal": [1, 1, 1, 1]})
    assert env.step_rows([LOCK, 1]).infos == {}
    step = env.step_rows([0, 0])
    assert step.infos == {0: {"last_action_error": "bit 0 is locked"}}
    assert step.final_rows.tolist() == []


def test_goals_are_computed_as_in_single_environments() -> None:
    ours, theirs = make(goal_text=True), goal_view_of(gym.make(FLIP_BITS, goal_text=True))
    observations, _ = ours.reset(seed=0)
    goals = observations["achieved_goal"], observations["desired_goal"]
    assert np.array_equal(ours.compute_reward(*goals), theirs.compute_reward(*goals))
    assert np.array_equal(ours.compute_terminated(*goals), theirs.compute_terminated(*goals))
    assert not ours.compute_truncated(*goals).any()
    derived = ours.derive_goal_keys(observations["desired_goal"])
    assert np.array_equal(derived["instruction"], observations["instruction"])


def test_states_are_shown_as_single_environments_show_them() -> None:
    ours, theirs = both(AutoresetMode.DISABLED, render_mode="ansi")
    for env in (ours, theirs):
        env.reset(seed=0, options={"goal": [1, 0, 0, 0]})
        env.step([0, 1, LOCK, 0, 1])
    assert ours.render() == theirs.render()
    assert make().render() is None


def test_compiling_is_refused() -> None:
    with pytest.raises(LmgymError, match="compiled=True: level 'goal' has no loop over ids"):
        make(compiled=True)


def test_seeds_are_those_of_the_rows() -> None:
    env, alone = make(2), make(1)
    env.reset(seed=[5, 9])
    alone.reset(seed=9)
    assert env.np_random_seed == (5, 9)
    assert env.task_ids[1] == alone.task_ids[0]
    assert env.np_random[1].random() == alone.np_random[0].random()
