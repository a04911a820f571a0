"""Checks of an environment as gymnasium knows it: spaces, seeds, copies, snapshots, memory."""

from __future__ import annotations

import copy
import gc
import importlib.util
import io
import pickle
import tracemalloc
import warnings
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from lmgym.base_env import EpisodeEnv
from lmgym.errors import LmgymError
from lmgym.goal_env import GoalEnv
from lmgym.testing.case import Case, Env, Step, assert_same, view_of
from lmgym.testing.goal_case import goal_view_of
from lmgym.testing.growth import least_growth

__all__ = [
    "check_fresh_data",
    "check_growth",
    "check_gymnasium",
    "check_pickling",
    "check_sb3",
    "check_seeding",
    "check_snapshots",
    "check_spec",
]

_SEEDS = range(5)
_EPISODES = 1000
_MEASURED = 200
"""The last of the episodes, whose memory is measured. It's traced from as many before them on, in
which caches change what they hold; tracing all would make play several times as slow."""
_TOLERANCE = 64 * 1024
"""Bytes that measured episodes may leave behind: caches of the interpreter, no episode."""


def check_gymnasium(case: Case) -> None:
    """Gymnasium's own checker passes, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(case.make(render_mode="ansi").unwrapped)


def check_sb3(case: Case) -> None:
    """The checker of Stable-Baselines3 passes without a warning, where actions are no text."""
    if case.level == "message":
        return
    if importlib.util.find_spec("stable_baselines3") is None:
        raise LmgymError("stable-baselines3 is not installed; install it, or skip the check 'sb3'")
    from stable_baselines3.common import env_checker

    env = case.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of an environment with goals it calls methods that gymnasium's wrappers do not pass on.
        env_checker.check_env(env.unwrapped if case.level == "goal" else env, warn=True)


def check_seeding(case: Case) -> None:
    """The same seed and the same actions give the same episode, in one environment and in two."""
    one, other = case.make(), case.make()
    for seed in _SEEDS:
        first = case.play(one, seed, reseeds=True)
        twin = case.play(other, seed, reseeds=True)
        assert_same(first, twin, f"another environment, seed {seed}")
        assert_same(first, case.play(one, seed, reseeds=True), f"reset again with seed {seed}")
        assert_same(case.play(one, seed), case.play(other, seed), f"the episode after seed {seed}")


def check_fresh_data(case: Case) -> None:
    """What was returned stays as it was while the environment goes on."""
    env = case.make(**{"goal_text": True} if case.level == "goal" else {})
    for seed in _SEEDS:
        step = case.reset(env, seed=seed)
        returned, kept = [step], [copy.deepcopy(step)]
        while not (step.terminated or step.truncated):
            step = case.wander(env, seed + len(kept), limit=1)[0]
            returned.append(step)
            kept.append(copy.deepcopy(step))
        case.play(env, seed)
        assert_same(kept, returned, "data changed after they were returned")


def check_pickling(case: Case) -> None:
    """A copy by pickling, made in the middle of an episode, goes on in the same way."""
    for seed in _SEEDS:
        env = case.make()
        _go_half_way(case, env, seed)
        twin: Env = pickle.loads(_pickled(env))  # noqa: S301 - written one call earlier
        assert_same(case.wander(env, seed), case.wander(twin, seed), "the rest of the episode")
        assert_same(case.play(env, seed), case.play(twin, seed), "the episode after it")


def _pickled(env: Env) -> bytes:
    try:
        return pickle.dumps(env)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"the environment cannot be pickled: {error}") from error


def check_spec(case: Case) -> None:
    """The spec can be written as JSON, and makes an equal environment when it is read again."""
    env = case.make()
    assert env.spec is not None
    try:
        written = env.spec.to_json()
    except TypeError as error:
        raise AssertionError(f"the spec cannot be written as JSON: {error}") from error
    twin = gym.make(EnvSpec.from_json(written))
    assert twin.observation_space == env.observation_space, "the observation space differs"
    assert twin.action_space == env.action_space, "the action space differs"
    for seed in _SEEDS:
        first, second = case.play(env, seed, reseeds=True), case.play(twin, seed, reseeds=True)
        assert_same(first, second, f"seed {seed}")


def check_snapshots(case: Case) -> None:
    """From a snapshot the episode goes on in the same way, as often as one likes, anywhere."""
    for seed in _SEEDS:
        env = _view_of(case.make())
        before = _go_half_way(case, env, seed)
        state: Any = env.get_state()
        after = case.wander(env, seed)
        elsewhere = _view_of(case.make())
        for view in (env, env, elsewhere):
            observation = view.set_state(state)
            assert_same([before._replace(observation=observation)], [before], "the observation")
            assert_same(case.wander(view, seed), after, "the rest of the episode")
        assert_same(case.play(elsewhere, seed), case.play(env, seed), "the episode after it")


def check_growth(case: Case) -> None:
    """A thousand episodes leave nothing behind: no longer observations, no larger snapshots."""
    env = case.make()
    first = case.play(env, 0, reseeds=True), _size_of_snapshot(env)
    for episode in range(_EPISODES - 2 * _MEASURED):
        case.play(env, episode)
    tracemalloc.start()
    for episode in range(_MEASURED):
        case.play(env, episode)
    case.play(env, 0)  # so that the episode at hand counts on both sides
    grown = least_growth(lambda: _growth(case, env), _TOLERANCE)
    tracemalloc.stop()
    assert grown < _TOLERANCE, f"{grown} bytes more after {_MEASURED} episodes"
    again = case.play(env, 0, reseeds=True), _size_of_snapshot(env)
    assert_same(first[0], again[0], f"seed 0 after {_EPISODES} episodes")
    assert first[1] == again[1], f"the snapshot grew from {first[1]} to {again[1]} bytes"


def _growth(case: Case, env: Env) -> int:
    """Bytes that the measured episodes leave behind."""
    _view_of(env).task.forget()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for episode in range(_MEASURED):
        case.play(env, episode)
    _view_of(env).task.forget()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


def _go_half_way(case: Case, env: Env, seed: int) -> Step:
    """Play at random up to the middle of an episode; the last step."""
    length = len(case.play(env, seed, reseeds=True))
    start = case.reset(env, seed=seed)
    return [start, *case.wander(env, seed, limit=max(length // 2 - 1, 0))][-1]


def _view_of(env: Env) -> EpisodeEnv[Any, Any] | GoalEnv:
    """The environment below gymnasium's wrappers, of text or of goals."""
    return goal_view_of(env) if isinstance(env.unwrapped, GoalEnv) else view_of(env)


def _size_of_snapshot(env: Env) -> int:
    """Bytes of a snapshot, in which what is held twice counts twice, the same object or not."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.fast = True
    pickler.dump(_view_of(env).get_state())
    return file.tell()
