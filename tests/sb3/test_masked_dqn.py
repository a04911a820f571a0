"""Q-learning with admissible actions only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from lmgym.errors import LmgymError
from lmgym.sb3 import GoalFeatures, GoalReplayBuffer, MaskedDQN, as_sb3
from lmgym.testing.flip_bits import FLIP_BITS

N_ACTIONS = 5


def world(num_envs: int = 4, **words: Any) -> Any:
    return as_sb3(gym.make_vec(FLIP_BITS, num_envs, autoreset_mode="same_step", **words))


def learner(env: Any = None, **words: Any) -> MaskedDQN:
    given: dict[str, Any] = {"learning_starts": 60, "buffer_size": 2000, "seed": 0, "device": "cpu"}
    given |= {"replay_buffer_class": GoalReplayBuffer, "policy_kwargs": {"net_arch": [16]}}
    return MaskedDQN("MultiInputPolicy", env or world(), **given | words)


def observed(n: int, seed: int = 0) -> dict[str, Any]:
    """Observations with masks that admit one action or more."""
    rng = np.random.default_rng(seed)
    algorithm_space: Any = world().observation_space
    found = {
        key: rng.integers(0, 2, (n, *space.shape)).astype(space.dtype)
        for key, space in algorithm_space.items()
    }
    found["action_mask"][np.arange(n), rng.integers(0, N_ACTIONS, n)] = 1
    return found


def tensors(observations: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {key: torch.as_tensor(array) for key, array in observations.items()}


def is_admissible(observations: dict[str, Any], actions: Any) -> Any:
    return observations["action_mask"][np.arange(len(actions)), actions] == 1


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("deterministic", [True, False])
def test_predicted_actions_are_admissible(rate: float, deterministic: bool) -> None:
    algorithm, observations = learner(), observed(200)
    algorithm.exploration_rate = rate
    actions, _ = algorithm.predict(observations, deterministic=deterministic)
    assert is_admissible(observations, actions).all()


def test_greedy_actions_are_the_best_admissible_ones() -> None:
    algorithm, observations = learner(), observed(200)
    with torch.no_grad():
        values = algorithm.q_net(tensors(observations)).numpy()
    values[observations["action_mask"] == 0] = -np.inf
    actions, _ = algorithm.predict(observations, deterministic=True)
    assert np.array_equal(actions, values.argmax(1))
    assert np.array_equal(algorithm.policy.predict(observations)[0], actions)


def test_one_observation_gives_one_action() -> None:
    algorithm, observations = learner(), observed(8)
    batch, _ = algorithm.predict(observations, deterministic=True)
    for row in range(8):
        single = {key: array[row] for key, array in observations.items()}
        for deterministic in (True, False):
            action, _ = algorithm.predict(single, deterministic=deterministic)
            assert np.ndim(action) == 0
            assert single["action_mask"][int(action)] == 1
        assert algorithm.predict(single, deterministic=True)[0] == batch[row]


def test_rows_explore_each_by_itself() -> None:
    algorithm, observations = learner(), observed(2000)
    observations["action_mask"][:] = 1
    algorithm.exploration_rate = 0.5
    greedy, _ = algorithm.predict(observations, deterministic=True)
    drawn, _ = algorithm.predict(observations)
    assert np.mean(drawn != greedy) == pytest.approx(0.5 * 4 / 5, abs=0.05)


def test_admissible_actions_are_explored_as_often() -> None:
    algorithm, observations = learner(), observed(6000)
    observations["action_mask"][:] = [1, 0, 1, 0, 1]
    algorithm.exploration_rate = 1.0
    counts = np.bincount(algorithm.predict(observations)[0], minlength=5)
    assert counts[[1, 3]].sum() == 0
    assert counts[[0, 2, 4]] == pytest.approx(2000, abs=200)


def test_a_row_that_admits_nothing_is_read_as_one_that_admits_everything() -> None:
    algorithm, observations = learner(), observed(500)
    observations["action_mask"][:] = 0
    algorithm.exploration_rate = 1.0
    assert set(algorithm.predict(observations)[0].tolist()) == set(range(N_ACTIONS))
    values = algorithm.q_net.masked(tensors(observations))
    assert bool(values.isfinite().all())


@pytest.mark.parametrize("double", [True, False])
def test_next_values_are_those_of_the_best_admissible_actions(double: bool) -> None:
    algorithm, observations = learner(double=double), observed(100)
    torch.nn.init.normal_(next(algorithm.q_net_target.parameters()))
    observations["action_mask"][0] = 0
    given = tensors(observations)
    with torch.no_grad():
        found = algorithm._next_values(given)[:, 0].numpy()
        online, target = (net(given).numpy() for net in (algorithm.q_net, algorithm.q_net_target))
    for row in range(100):
        allowed = observations["action_mask"][row].nonzero()[0]
        allowed = allowed if allowed.size else np.arange(N_ACTIONS)
        best = allowed[online[row, allowed].argmax()]
        expected = target[row, best] if double else target[row, allowed].max()
        assert found[row] == pytest.approx(expected)


def test_the_mask_is_no_input() -> None:
    algorithm, observations = learner(), tensors(observed(20))
    values = algorithm.q_net(observations)
    other = observations | {"action_mask": 1 - observations["action_mask"]}
    assert algorithm.q_net(other).equal(values)


def test_words_are_no_input_unless_asked_for() -> None:
    space = world(goal_text=True).observation_space
    plain, asked = GoalFeatures(space), GoalFeatures(space, leave_out=("action_mask",))
    n_words = space["instruction"].shape[0]
    assert asked.features_dim == plain.features_dim + n_words


def test_features_show_where_goals_differ() -> None:
    space: Any = world().observation_space
    observations = tensors(observed(3))
    features = GoalFeatures(space)(observations)
    differs = (observations["achieved_goal"] != observations["desired_goal"]).float()
    assert features[:, -differs.shape[1] :].equal(differs)
    assert GoalFeatures(space, compare=False)(observations).shape[1] == 21


@pytest.mark.parametrize(
    ("space", "match"),
    [
        (spaces.Box(0, 1, (3,)), "Dict"),
        (spaces.Dict(action_mask=spaces.Box(0, 1, (3,))), "leave out less"),
        (spaces.Dict(observation=spaces.Discrete(3)), "leave it out"),
    ],
)
def test_features_refuse_what_holds_no_numbers(space: Any, match: str) -> None:
    with pytest.raises(LmgymError, match=match):
        GoalFeatures(space)


@pytest.mark.parametrize("words", [{}, {"double": False}, {"max_grad_norm": 0.1}])
def test_the_same_seed_gives_the_same_parameters(words: dict[str, Any]) -> None:
    def parameters() -> torch.Tensor:
        algorithm = learner(**words).learn(200)
        return torch.nn.utils.parameters_to_vector(algorithm.q_net.parameters())

    assert parameters().equal(parameters())


def test_a_saved_algorithm_acts_as_before(tmp_path: Path) -> None:
    algorithm = learner(double=False).learn(200)
    algorithm.save(tmp_path / "saved")
    loaded = MaskedDQN.load(tmp_path / "saved", env=world(), device="cpu")
    observations = observed(50)
    expected, _ = algorithm.predict(observations, deterministic=True)
    assert np.array_equal(loaded.predict(observations, deterministic=True)[0], expected)
    assert not loaded.double
    loaded.learn(200)


def test_what_is_kept_is_what_happened() -> None:
    """Last observations take the place of the first ones of the next episode."""
    algorithm = learner(DummyVecEnv([lambda: gym.make(FLIP_BITS)] * 3))
    algorithm.learn(400)
    buffer: Any = algorithm.replay_buffer
    top = buffer.pos
    before, after = buffer.observations, buffer.next_observations
    assert buffer.dones[:top].any()
    changes = np.abs(before["observation"][:top] - after["observation"][:top])
    assert np.array_equal(changes.argmax(-1), buffer.actions[:top, :, 0])
    assert (changes.sum(-1) == 1).all()


@pytest.mark.parametrize("size", [3, 6])
def test_masks_of_another_size_are_refused(size: int) -> None:
    class Odd(gym.ObservationWrapper[Any, Any, Any]):
        def __init__(self) -> None:
            super().__init__(gym.make(FLIP_BITS))
            parts: Any = self.env.observation_space
            self.observation_space = spaces.Dict(
                {**parts.spaces, "action_mask": spaces.Box(0, 1, (size,), np.int8)}
            )

    with pytest.raises(LmgymError, match="5 actions"):
        learner(Odd())


def test_observations_without_keys_are_refused() -> None:
    with pytest.raises(LmgymError, match="no keys"):
        MaskedDQN("MultiInputPolicy", gym.make("CartPole-v1"))


@pytest.mark.learning
@pytest.mark.slow
def test_it_learns_to_flip_eight_bits() -> None:
    algorithm = learner(
        world(16, n=8),
        learning_rate=2e-3,
        learning_starts=300,
        batch_size=64,
        gamma=0.9,
        train_freq=1,
        target_update_interval=100,
        exploration_fraction=0.5,
        buffer_size=20_000,
        policy_kwargs={"net_arch": [64]},
    )
    before = solved(algorithm)
    algorithm.learn(4_000)
    assert before < 0.2
    assert solved(algorithm) > 0.95


def solved(algorithm: MaskedDQN, n_bits: int = 8) -> float:
    """Share of new goals that greedy actions reach."""
    env = world(100, split="test", n=n_bits)
    observations: Any = env.reset()
    reached: dict[int, bool] = {}
    for _ in range(2 * n_bits):
        actions, _ = algorithm.predict(observations, deterministic=True)
        observations, _, dones, infos = env.step(actions)
        for row in dones.nonzero()[0].tolist():
            reached.setdefault(row, infos[row]["is_success"])
    return float(np.mean(list(reached.values())))
