"""Hindsight replay: relabelled transitions are those of the relabelled task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.save_util import load_from_pkl, save_to_pkl
from stable_baselines3.her import HerReplayBuffer

from lmgym.errors import LmgymError
from lmgym.sb3 import GoalReplayBuffer, MaskedDQN, as_sb3
from lmgym.testing.flip_bits import FLIP_BITS

STRATEGIES = ["future_change", "future", "final", "episode"]


class Script:
    """An environment that only judges goals; episodes are written by hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.infos: list[Any] = []

    def has_attr(self, name: str) -> bool:
        return name != "derive_goal_keys"

    def env_method(self, name: str, achieved: Any, desired: Any, infos: Any, indices: Any) -> Any:
        assert indices == [0]
        self.asked.append((name, len(achieved)))
        self.infos = infos
        is_reached = (achieved == desired).all(-1)
        return [is_reached.astype(float) if name == "compute_reward" else is_reached]


def scripted(size: int = 100, n_envs: int = 1, **words: Any) -> Any:
    box = spaces.Box(-1, 1e6, (1,), np.float32)
    keys = spaces.Dict(dict.fromkeys(("observation", "achieved_goal", "desired_goal"), box))
    given: dict[str, Any] = {"n_envs": n_envs, "seed": 0, "device": "cpu"} | words
    env: Any = Script()
    return GoalReplayBuffer(size, keys, spaces.Discrete(2), env, **given)


def write(buffer: Any, *rows: list[float], goal: float = -1, end: str = "truncated") -> None:
    """Add an episode a row; each is what was achieved, before the first step and after each."""
    for step in range(len(rows[0]) - 1):
        is_last = step == len(rows[0]) - 2
        before, after = (np.array([[row[i]] for row in rows], np.float32) for i in (step, step + 1))
        goals = np.full_like(before, goal)
        here = np.full_like(before, step)
        infos = [{"TimeLimit.truncated": is_last and end == "truncated", "step": step}] * len(rows)
        buffer.add(
            {"observation": here, "achieved_goal": before, "desired_goal": goals},
            {"observation": here + 1, "achieved_goal": after, "desired_goal": goals},
            np.zeros(len(rows), np.int64),
            np.zeros(len(rows)),
            np.full(len(rows), is_last and end != "cut"),
            infos,
        )


def goals_of(buffer: Any, n: int = 4000) -> dict[int, Counter[int]]:
    """How often each new goal was drawn, by the step of the transition."""
    batch = buffer.sample(n)
    found: dict[int, Counter[int]] = {}
    steps, goals = batch.observations["observation"], batch.observations["desired_goal"]
    for step, goal in zip(steps[:, 0].int().tolist(), goals[:, 0].int().tolist(), strict=True):
        found.setdefault(step, Counter())[goal] += 1
    return found


def filled(buffer_class: type[HerReplayBuffer], n_envs: int, **words: Any) -> Any:
    """The buffer of an algorithm that has played at random."""
    make: dict[str, Any] = {"n": 4, "goal_text": True, "reward": "verifier"}
    env = as_sb3(gym.make_vec(FLIP_BITS, n_envs, autoreset_mode="same_step", **make))
    algorithm = DQN(
        "MultiInputPolicy",
        env,
        buffer_size=2000,
        learning_starts=10_000,
        replay_buffer_class=buffer_class,
        replay_buffer_kwargs=words,
        seed=0,
        device="cpu",
    )
    algorithm.learn(900)
    return algorithm.replay_buffer


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_transition_is_one_of_its_own_goal(strategy: Any, n_envs: int) -> None:
    buffer = filled(GoalReplayBuffer, n_envs, goal_selection_strategy=strategy)
    batch = buffer.sample(512)
    now, then = batch.observations, batch.next_observations
    goals, env = now["desired_goal"], buffer.env.env
    outcome = (then["achieved_goal"].numpy(), goals.numpy())
    reached = env.compute_terminated(*outcome)
    assert 0 < reached.sum() < len(reached)
    assert np.array_equal(batch.dones[:, 0].numpy(), reached)
    assert np.array_equal(batch.rewards[:, 0].numpy(), env.compute_reward(*outcome))
    assert then["desired_goal"].equal(goals)
    instructions = env.derive_goal_keys(goals.numpy())["instruction"]
    for part in (now, then):
        assert np.array_equal(part["instruction"].numpy(), instructions)


def test_the_parent_bootstraps_past_goals_and_leaves_instructions_stale() -> None:
    """What this buffer is for: Stable-Baselines3's own keeps both of the original goal."""
    buffer = filled(HerReplayBuffer, 3)
    batch = buffer.sample(512)
    env, goals = buffer.env.env, batch.observations["desired_goal"].numpy()
    reached = env.compute_terminated(batch.next_observations["achieved_goal"].numpy(), goals)
    assert batch.dones[:, 0].numpy()[reached].mean() < 0.5
    fresh = env.derive_goal_keys(goals)["instruction"]
    stale = (batch.observations["instruction"].numpy() != fresh).any(1)
    assert stale.mean() > 0.5


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("future_change", {0: {1, 2}, 1: {1, 2}, 2: {2}, 3: {2}}),
        ("future", {0: {1, 2}, 1: {1, 2}, 2: {2}, 3: {2}}),
        ("final", {0: {2}, 1: {2}, 2: {2}, 3: {2}}),
        ("episode", {0: {1, 2}, 1: {1, 2}, 2: {0, 2}, 3: {0, 2}, 4: {0, 1}}),
    ],
)
def test_goals_are_outcomes_that_were_not_reached_before(strategy: Any, expected: Any) -> None:
    buffer = scripted(goal_selection_strategy=strategy, n_sampled_goal=10_000)
    write(buffer, [0, 0, 1, 1, 2, 2])
    found = {step: set(goals) - {-1} for step, goals in goals_of(buffer).items()}
    assert {step: goals for step, goals in found.items() if goals} == expected


def test_future_change_draws_each_later_change_as_often() -> None:
    buffer = scripted(n_sampled_goal=10_000)
    write(buffer, [0, 1, 1, 1, 1, 1, 1, 2])
    first = goals_of(buffer, 8000)[0]
    assert first[1] / (first[1] + first[2]) == pytest.approx(0.5, abs=0.06)


def test_future_draws_each_later_step_as_often() -> None:
    buffer = scripted(n_sampled_goal=10_000, goal_selection_strategy="future")
    write(buffer, [0, 1, 1, 1, 1, 1, 1, 2])
    first = goals_of(buffer, 8000)[0]
    assert first[1] / (first[1] + first[2]) == pytest.approx(6 / 7, abs=0.04)


def test_episodes_that_change_nothing_give_real_transitions() -> None:
    buffer = scripted()
    write(buffer, [3, 3, 3, 3])
    assert set(buffer.sample(64).observations["desired_goal"][:, 0].tolist()) == {-1}


def test_as_many_transitions_are_relabelled_as_were_asked_for() -> None:
    buffer = scripted(n_sampled_goal=3)
    write(buffer, [0, 1, 2, 3, 4])
    goals = buffer.sample(400).observations["desired_goal"][:, 0]
    assert int((goals != -1).sum()) == 300


def test_goals_come_from_the_same_episode_once_the_store_is_full() -> None:
    rng = np.random.default_rng(0)
    buffer = scripted(size=60, n_envs=3)
    for episode in range(1, 40):
        n_steps = int(rng.integers(2, 9))
        rows = [[1000 * episode + 100 * row + step for step in range(n_steps)] for row in range(3)]
        write(buffer, *[list(map(float, row)) for row in rows])
        batch = buffer.sample(200)
        achieved = batch.observations["achieved_goal"][:160, 0].int()
        goals = batch.observations["desired_goal"][:160, 0].int()
        assert bool((achieved // 100 == goals // 100).all())
        assert bool((goals > achieved).all())
        assert int(achieved.min()) // 1000 >= episode - 20


def test_each_transition_of_finished_episodes_is_as_likely() -> None:
    buffer = scripted(size=64, n_sampled_goal=0)
    for episode in range(4):
        write(buffer, [10.0 * episode + step for step in range(6)])
    write(buffer, [90.0, 91.0, 92.0], end="cut")
    achieved = buffer.sample(20_000).observations["achieved_goal"][:, 0].int().tolist()
    counts = Counter(achieved)
    assert sorted(counts) == [10 * episode + step for episode in range(4) for step in range(5)]
    assert max(counts.values()) < 1.2 * min(counts.values())


@pytest.mark.parametrize(("end", "done"), [("truncated", 0), ("terminated", 1)])
def test_real_transitions_are_done_where_they_terminated(end: str, done: int) -> None:
    buffer = scripted(n_sampled_goal=0)
    write(buffer, [0, 1, 2], end=end)
    batch = buffer.sample(50)
    is_last = batch.observations["observation"][:, 0] == 1
    assert set(batch.dones[:, 0][is_last].tolist()) == {done}
    assert set(batch.dones[:, 0][~is_last].tolist()) == {0}


def test_a_batch_is_judged_in_one_call() -> None:
    buffer = scripted()
    write(buffer, [0, 1, 2, 3, 4, 5])
    buffer.sample(100)
    assert buffer.env.asked == [
        ("compute_terminated", 80),  # before the step
        ("compute_reward", 80),
        ("compute_terminated", 80),
    ]


def test_infos_are_those_of_the_transitions() -> None:
    buffer = scripted(copy_info_dict=True)
    write(buffer, [0, 1, 2, 3, 4, 5])
    batch = buffer.sample(50)
    steps = batch.observations["observation"][:40, 0].int().tolist()
    assert [info["step"] for info in buffer.env.infos] == steps


def test_the_same_seed_draws_the_same_batches() -> None:
    first, second = (filled(GoalReplayBuffer, 2, seed=5).sample(64) for _ in range(2))
    assert first.observations["desired_goal"].equal(second.observations["desired_goal"])
    assert first.actions.equal(second.actions)


def test_an_unfinished_episode_can_be_closed() -> None:
    buffer = scripted(n_sampled_goal=0)
    write(buffer, [0, 1, 2], end="cut")
    with pytest.warns(UserWarning, match="truncated"):
        buffer.truncate_last_trajectory()
    assert set(buffer.sample(50).dones[:, 0].tolist()) == {0}


def test_a_saved_buffer_goes_on(tmp_path: Path) -> None:
    buffer = scripted(size=20)
    write(buffer, [0, 1, 2])
    save_to_pkl(tmp_path / "buffer.pkl", buffer)
    restored: Any = load_from_pkl(tmp_path / "buffer.pkl")
    with pytest.raises(LmgymError, match="set_env"):
        restored.sample(4)
    restored.set_env(Script())
    write(restored, [7, 8, 9])
    achieved = restored.sample(100).observations["achieved_goal"][:, 0].int().tolist()
    assert set(achieved) == {0, 1, 7, 8}


def test_observations_can_be_normalised() -> None:
    buffer = scripted()
    write(buffer, [0, 1, 2, 3])
    norm: Any = SimpleNamespace(
        normalize_obs=lambda obs: {key: value / 10 for key, value in obs.items()},
        normalize_reward=lambda reward: reward / 2,
    )
    batch = buffer.sample(64, env=norm)
    assert set((batch.observations["achieved_goal"][:, 0] * 10).int().tolist()) == {0, 1, 2}
    assert float(batch.rewards.max()) == 0.5


def test_sampling_before_an_episode_is_over_says_what_to_do() -> None:
    buffer = scripted()
    with pytest.raises(LmgymError, match="learning_starts"):
        buffer.sample(4)
    write(buffer, [0, 1, 2], end="cut")
    with pytest.raises(LmgymError, match="learning_starts"):
        buffer.sample(4)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"goal_selection_strategy": "futur"}, "future"),
        ({"handle_timeout_termination": False}, "time limit"),
    ],
)
def test_it_refuses_what_it_cannot_do(words: dict[str, Any], match: str) -> None:
    with pytest.raises(LmgymError, match=match):
        scripted(**words)


def test_environments_without_compute_terminated_are_refused() -> None:
    from stable_baselines3.common.envs import BitFlippingEnv

    with pytest.raises(LmgymError, match="compute_terminated"):
        MaskedDQN("MultiInputPolicy", BitFlippingEnv(4), replay_buffer_class=GoalReplayBuffer)
