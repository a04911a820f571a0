"""Checks of a world at level "goal": goals and rewards, masks, copies, snapshots, addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmgym.errors import LmgymError
from lmgym.goal_env import GoalEnv
from lmgym.goal_view import GOAL_REWARDS, GOAL_VIEWS
from lmgym.task import Opening
from lmgym.testing.case import Case, Step, assert_same
from lmgym.testing.goal_case import goal_view_of

__all__ = [
    "check_action_masks",
    "check_addresses",
    "check_goals",
    "check_splits",
]

_SEEDS = range(5)
_DRAWS = 100
"""Problems a split that are looked at."""
_STATES = 8
"""States of an episode in which every command is tried."""


def check_goals(case: Case) -> None:
    """Rewards and ends of all steps are what goals alone say, in every view, one or many."""
    for goals in GOAL_VIEWS:
        for reward in GOAL_REWARDS:
            env = case.make(goals=goals, reward=reward, goal_text=True)
            for seed in _SEEDS:
                _check_play(goal_view_of(env), case.play(env, seed, reseeds=True))


def _check_play(view: GoalEnv, steps: list[Step]) -> None:
    observations = [step.observation for step in steps]
    for observation in observations:
        assert view.observation_space.contains(observation), f"{observation} is not in the space"
        _check_vectors(view, observation)
    for step in steps[1:]:
        goals = step.observation["achieved_goal"], step.observation["desired_goal"]
        told = view.compute_reward(*goals, {}), view.compute_terminated(*goals, {})
        assert told == (step.reward, step.terminated), f"goals say {told}, step {step}"
    achieved, desired = (
        np.array([step.observation[key] for step in steps[1:]])
        for key in ("achieved_goal", "desired_goal")
    )
    drifted = not np.array_equal(view.task.desired(view.state), view.desired)
    assert not drifted, "the desired goal changes within an episode"
    _check_batches(view, achieved, desired, steps[1:])
    derived = view.derive_goal_keys(desired)
    for key, values in derived.items():
        shown = [step.observation[key] for step in steps[1:]]
        assert np.array_equal(values, shown), f"derive_goal_keys tells another {key!r}"
    known = {"observation", "achieved_goal", "desired_goal", "action_mask"}
    assert {*observations[0]} == known | {*derived}, "keys that derive_goal_keys does not tell"
    ends = [step.terminated or step.truncated for step in steps]
    assert ends == [False] * (len(steps) - 1) + [True], f"ends {ends}"
    assert steps[-1].info["is_success"] is steps[-1].terminated, "is_success"
    assert steps[-1].info["n_steps"] == len(steps) - 1 <= view.task.horizon, "n_steps"


def _check_vectors(view: GoalEnv, observation: dict[str, Any]) -> None:
    """Goals lie in the schema, and one-hot vectors and texts lead back to them."""
    schema = view.task.schema
    for key in ("achieved_goal", "desired_goal"):
        goal = view.goal_view.vectors(observation[key])
        assert np.array_equal(schema.check(goal), goal), key
        assert np.array_equal(schema.from_one_hot(schema.one_hot(goal)), goal), key
        assert np.array_equal(schema.parse(schema.describe(goal)), goal), key


def _check_batches(view: GoalEnv, achieved: Any, desired: Any, steps: list[Step]) -> None:
    """Many goals, along one axis or two, are paid as one at a time."""
    n = len(steps)
    for shape in ((n,), (n, 1), (1, n)):
        pair = achieved.reshape(*shape, -1), desired.reshape(*shape, -1)
        rewards, ends = view.compute_reward(*pair, [{}] * n), view.compute_terminated(*pair, None)
        for told, kind in ((rewards, "f"), (ends, "b"), (view.compute_truncated(*pair), "b")):
            assert isinstance(told, np.ndarray), f"{told!r} is no array"
            assert told.shape == shape, f"shape {told.shape} for goals of shape {shape}"
            assert told.dtype.kind == kind, f"type {told.dtype}"
        assert np.ravel(rewards).tolist() == [step.reward for step in steps], "rewards of a batch"
        assert np.ravel(ends).tolist() == [step.terminated for step in steps], "ends of a batch"


def check_action_masks(case: Case) -> None:
    """What a mask leaves out costs a step and says why; what it lets through is carried out."""
    env = goal_view_of(case.make())
    for seed in _SEEDS:
        case.reset(env, seed=seed)
        for number in range(_STATES):
            if env.verdict is None:
                _try_all(env)
                case.wander(env, seed + number, limit=1)


def _try_all(env: GoalEnv) -> None:
    """Try every command in a state, and go back to it."""
    before, shown, masks = env.get_state(), env.set_state(env.get_state()), env.action_masks()
    assert np.array_equal(shown["action_mask"], masks), "action_masks() and the observation differ"
    for action, is_let_through in enumerate(masks.tolist()):
        observation, _, terminated, _, info = env.step(action)
        name, told = env.task.commands[action], info.get("last_action_error")
        if is_let_through:
            assert told is None, f"the mask lets {name!r} through, but: {told}"
        else:
            assert isinstance(told, str), f"the mask leaves {name!r} out; nobody says why"
            assert told, f"the mask leaves {name!r} out; the reason is empty"
            assert not terminated, f"{name!r} terminates"
            assert_same(_as_steps(observation), _as_steps(shown), f"{name!r} is left out")
            assert env.n_steps == before.n_steps + 1, f"{name!r} costs no step"
        env.set_state(before)


def _as_steps(observation: Any) -> list[Step]:
    return [Step(observation, 0.0, False, False, {})]


def check_addresses(case: Case) -> None:
    """A task_id starts the same episode anywhere, its goal included; unknown ones are refused."""
    env = case.make()
    task = goal_view_of(env).task
    for split in task.splits:
        ids = task.task_ids(split, _DRAWS)
        assert len(set(ids)) == len(ids) <= _DRAWS, f"task_ids repeats in {split!r}"
        again = goal_view_of(case.make()).task.task_ids(split, _DRAWS // 2)
        assert again == ids[: len(again)], f"another instance lists other problems of {split!r}"
        for seed, task_id in enumerate(ids):
            _, info = env.reset(seed=seed, options={"task_id": task_id})
            assert info["task_id"] == task_id, f"{task_id!r} starts {info['task_id']!r}"
            assert _open(task, seed, task_id=task_id) == goal_view_of(env).opening, task_id
        for seed in _SEEDS:
            _check_drawn(task, split, seed)
    for options in ({"task_id": "no such problem"}, {"split": "no such split"}, {"goal": [-1]}):
        try:
            env.reset(options=options)
        except LmgymError:
            continue
        raise AssertionError(f"reset takes {options}")


def _check_drawn(task: Any, split: str, seed: int) -> None:
    """What is drawn, and what is drawn for a given goal, has an address."""
    drawn = _open(task, seed, split=split)
    assert _open(task, seed + 1, task_id=drawn.task_id) == drawn, f"{drawn.task_id!r} differs"
    goal = task.desired(drawn.state).tolist()
    try:
        aimed = _open(task, seed, split=split, goal=goal)
    except LmgymError:  # another start is drawn, from which the goal is out of reach
        return
    assert task.desired(aimed.state).tolist() == goal, f"goal {goal} is not pursued"
    assert _open(task, seed, task_id=aimed.task_id) == aimed, f"{aimed.task_id!r} differs"


def check_splits(case: Case) -> None:
    """No problem of one split, listed or drawn, is in another."""
    task = goal_view_of(case.make()).task
    owner: dict[str, str] = {}
    for split in task.splits:
        listed = [_open(task, 0, task_id=task_id) for task_id in task.task_ids(split, _DRAWS)]
        drawn = [_open(task, seed, split=split) for seed in range(_DRAWS)]
        for opening in listed + drawn:
            problem = repr((opening.messages, opening.gold, opening.state))
            first = owner.setdefault(problem, split)
            assert first == split, f"{opening.task_id!r} is in {first!r} and in {split!r}"


def _open(task: Any, seed: int, **start: Any) -> Opening[Any]:
    opening: Opening[Any] = task.reset(np.random.default_rng(seed), **start)
    return opening
