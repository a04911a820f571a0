"""Rollout buffers of whole trajectories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.env_util import make_vec_env

from lmgym.errors import LmgymError
from lmgym.sb3 import (
    MaskableTokenActorCriticPolicy,
    MaskableTrajectoryBuffer,
    TokenActorCriticPolicy,
    TrajectoryBuffer,
)
from lmgym.sb3.language_model import FRAGMENTS, PLACES, ROWS

N_ENVS, N_STEPS, CONTEXT = 3, 20, 48
COLUMNS = ("actions", "old_values", "old_log_prob", "advantages", "returns")


def digits_env() -> gym.Env[Any, Any]:
    """A small world whose episodes are short."""
    return gym.make("lmgym/Math-v0", context=CONTEXT, alphabet="digits", max_tokens=6)


def algorithm(kind: Any, buffer: Any, **words: Any) -> Any:
    """An algorithm with a tiny language model; the same weights each time."""
    is_maskable = kind is MaskablePPO
    policy: Any = MaskableTokenActorCriticPolicy if is_maskable else TokenActorCriticPolicy
    alphabet = digits_env().get_wrapper_attr("alphabet")
    if kind is not A2C:
        words = {"batch_size": N_STEPS * N_ENVS, "n_epochs": 2, "ent_coef": 0.01} | words
    model = kind(
        policy,
        make_vec_env(digits_env, n_envs=N_ENVS),
        n_steps=N_STEPS,
        seed=0,
        device="cpu",
        rollout_buffer_class=buffer,
        policy_kwargs={"hidden_size": 16, "n_heads": 2, "action_ids": alphabet},
        **words,
    )
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in model.policy.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3, generator=generator)
    return model


def fill(buffer: Any, rng: np.random.Generator, *, masked: bool = False) -> list[dict[str, Any]]:
    """Fill a buffer with episodes of random lengths; some began before the rollout."""
    rows: list[list[int]] = [rng.integers(1, 200, 9).tolist() for _ in range(buffer.n_envs)]
    starts = rng.random(buffer.n_envs) < 0.5
    steps = []
    for _ in range(buffer.buffer_size):
        tokens: Any = np.full((buffer.n_envs, CONTEXT), 256, np.int32)
        for place, row in zip(tokens, rows, strict=True):
            place[: len(row)] = row
        step: dict[str, Any] = {
            "obs": {"tokens": tokens, "length": np.array([[len(row)] for row in rows], np.int32)},
            "action": rng.integers(0, 11, (buffer.n_envs, 1)),
            "reward": rng.random(buffer.n_envs).astype(np.float32),
            "episode_start": starts,
            "value": torch.from_numpy(rng.random((buffer.n_envs, 1), np.float32)),
            "log_prob": torch.from_numpy(rng.random(buffer.n_envs, np.float32)),
        }
        step["obs"]["remaining"] = step["obs"]["length"]
        masks = {"action_masks": rng.random((buffer.n_envs, 11)) < 0.5} if masked else {}
        buffer.add(**step, **masks)
        steps.append(step | masks)
        starts = rng.random(buffer.n_envs) < 0.2
        for index, is_over in enumerate(starts):
            n = int(rng.integers(1, 4))  # the world may reply
            new = rng.integers(1, 200, 9 if is_over else n).tolist()
            rows[index] = new if is_over or len(rows[index]) + n > CONTEXT else rows[index] + new
            starts[index] = is_over or rows[index] == new
    return steps


def finish(buffer: Any, rng: np.random.Generator) -> None:
    last_values = torch.from_numpy(rng.random((buffer.n_envs, 1), np.float32))
    buffer.compute_returns_and_advantage(last_values, rng.random(buffer.n_envs) < 0.5)


def buffers(kind: Any, *, n_steps: int = N_STEPS, stream: int = 0, **words: Any) -> Any:
    """A buffer, filled and finished, and what went into it."""
    env = digits_env()
    space: Any = env.observation_space
    buffer = kind(
        n_steps, space, env.action_space, "cpu", gae_lambda=0.9, gamma=0.8, n_envs=N_ENVS, **words
    )
    rng = np.random.default_rng(stream)
    steps = fill(buffer, rng, masked="Maskable" in kind.__name__)
    finish(buffer, rng)
    return buffer, steps


def contexts(batch: Any) -> Iterator[tuple[int, ...]]:
    """What each step of a minibatch has seen."""
    observations = batch.observations
    for row, place in zip(observations[ROWS].tolist(), observations[PLACES].tolist(), strict=True):
        yield tuple(observations[FRAGMENTS][row, : place + 1].tolist())


def rows_of(batch: Any, seen: Any) -> list[tuple[Any, ...]]:
    """Each step of a minibatch as one value: its context and its columns."""
    columns = [getattr(batch, name).flatten().tolist() for name in COLUMNS]
    return list(zip(seen, *columns, strict=True))


def reference_contexts(batch: Any) -> Iterator[tuple[int, ...]]:
    observations = batch.observations
    for ids, length in zip(observations["tokens"], observations["length"], strict=True):
        yield tuple(ids[: int(length)].tolist())


PAIRS = [
    (TrajectoryBuffer, DictRolloutBuffer),
    (MaskableTrajectoryBuffer, MaskableDictRolloutBuffer),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("seed", range(3))
def test_returns_and_advantages_are_those_of_stable_baselines3_bit_by_bit(
    ours: Any, theirs: Any, seed: int
) -> None:
    buffer, reference = (buffers(kind, stream=seed)[0] for kind in (ours, theirs))
    for name in ("returns", "advantages", "values", "log_probs", "rewards", "actions"):
        assert np.array_equal(getattr(buffer, name), getattr(reference, name)), name


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("batch_size", [None, 1, 7, 16, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_each_epoch_holds_every_step_once_with_its_context(
    ours: Any, theirs: Any, batch_size: int | None, seed: int
) -> None:
    (buffer, _), (reference, _) = (buffers(kind, stream=seed) for kind in (ours, theirs))
    expected = [row for b in reference.get() for row in rows_of(b, reference_contexts(b))]
    for _ in range(2):
        found = [row for b in buffer.get(batch_size) for row in rows_of(b, contexts(b))]
        assert sorted(found) == sorted(expected)


def test_masks_stay_with_their_steps() -> None:
    buffer, steps = buffers(MaskableTrajectoryBuffer)
    expected = {
        (tuple(step["obs"]["tokens"][row, : step["obs"]["length"][row, 0]].tolist())): step[
            "action_masks"
        ][row].tolist()
        for step in steps
        for row in range(N_ENVS)
    }
    for batch in buffer.get(8):
        for context, mask in zip(contexts(batch), batch.action_masks.bool().tolist(), strict=True):
            assert mask == expected[context]


def test_a_fragment_is_read_once() -> None:
    buffer, steps = buffers(TrajectoryBuffer)
    n_fragments = N_ENVS + sum(int(step["episode_start"].sum()) for step in steps[1:])
    (batch,) = buffer.get()
    assert len(batch.observations[FRAGMENTS]) == n_fragments
    assert len(buffer._store.ids) < sum(len(context) for context in contexts(batch)) / 2


def test_minibatches_have_about_the_size_that_was_asked_for() -> None:
    buffer, _ = buffers(TrajectoryBuffer, n_steps=400)
    sizes = [len(batch.advantages) for batch in buffer.get(100)]
    assert len(sizes) == 400 * N_ENVS // 100
    assert max(abs(size - 100) for size in sizes) <= CONTEXT


@pytest.mark.parametrize("seed", range(5))
def test_no_minibatch_holds_a_single_step(seed: int) -> None:
    buffer, _ = buffers(TrajectoryBuffer, stream=seed)
    assert min(len(batch.advantages) for batch in buffer.get(1)) > 1


def order_of(buffer: Any) -> list[float]:
    """The values of an epoch's steps, which are all different, in the epoch's order."""
    return [value for batch in buffer.get(8) for value in batch.old_values.tolist()]


def test_the_order_is_new_in_each_epoch_and_the_same_for_the_same_seed() -> None:
    first, same, other = (buffers(TrajectoryBuffer, seed=seed)[0] for seed in (1, 1, 2))
    orders = [order_of(first), order_of(first)]
    assert orders == [order_of(same), order_of(same)]
    assert orders[0] != orders[1]
    assert orders[0] != order_of(other)


def test_the_order_follows_the_seed_of_the_algorithm() -> None:
    orders = []
    for seed in (5, 5, 6):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            orders.append(order_of(buffers(TrajectoryBuffer)[0]))
            drawn = torch.rand(1)
            torch.manual_seed(seed)
            assert torch.equal(drawn, torch.rand(1)), "the buffer drew from torch's generator"
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        (PPO, TrajectoryBuffer, DictRolloutBuffer),
        (A2C, TrajectoryBuffer, DictRolloutBuffer),
        (MaskablePPO, MaskableTrajectoryBuffer, MaskableDictRolloutBuffer),
    ],
)
def test_gradients_are_those_of_reading_each_context_by_itself(
    kind: Any, ours: Any, theirs: Any
) -> None:
    changes = []
    for buffer in (ours, theirs):
        model = algorithm(kind, buffer, max_grad_norm=1e9, vf_coef=0.3)
        # plain steps of size 1, so that a change is a gradient
        model.policy.optimizer = torch.optim.SGD(model.policy.parameters(), lr=1.0)
        model._update_learning_rate = lambda optimizer: None
        model.n_epochs = 1
        before = model.policy.parameters_to_vector()
        model.learn(N_STEPS * N_ENVS)
        changes.append(model.policy.parameters_to_vector() - before)
    assert np.abs(changes[0]).max() > 1e-3
    np.testing.assert_allclose(changes[0], changes[1], rtol=1e-3, atol=2e-6)


def test_small_minibatches_train_too() -> None:
    model = algorithm(PPO, TrajectoryBuffer, batch_size=10)
    before = model.policy.parameters_to_vector()
    model.learn(2 * N_STEPS * N_ENVS)
    after = model.policy.parameters_to_vector()
    assert np.isfinite(after).all()
    assert not np.array_equal(before, after)


def test_another_policy_says_that_it_reads_no_trajectories() -> None:
    model = PPO(
        "MultiInputPolicy",
        digits_env(),
        n_steps=8,
        batch_size=8,
        rollout_buffer_class=TrajectoryBuffer,
        device="cpu",
    )
    with pytest.raises(LmgymError, match="choose TokenActorCriticPolicy, or leave"):
        model.learn(8)


def test_rows_that_shrink_within_an_episode_are_refused() -> None:
    space: Any = digits_env().observation_space
    buffer = TrajectoryBuffer(3, space, digits_env().action_space, "cpu")
    tokens = np.zeros((1, CONTEXT), np.int32)
    words: dict[str, Any] = {
        "action": np.zeros((1, 1), np.int64),
        "reward": np.zeros(1),
        "episode_start": np.zeros(1),
        "value": torch.zeros(1),
        "log_prob": torch.zeros(1),
    }
    buffer.add(obs={"tokens": tokens, "length": np.array([[4]])}, **words)
    buffer.add(obs={"tokens": tokens, "length": np.array([[5]])}, **words)
    with pytest.raises(LmgymError, match="row 0 has 5 ids after 5 in the same episode"):
        buffer.add(obs={"tokens": tokens, "length": np.array([[5]])}, **words)


@pytest.mark.parametrize("new", [[1, 2, 4, 5], [1, 2]], ids=["longer", "shorter"])
def test_an_environment_that_was_reset_between_rollouts_is_noticed(new: list[int]) -> None:
    space: Any = digits_env().observation_space
    buffer = TrajectoryBuffer(3, space, digits_env().action_space, "cpu", n_envs=2)
    words: dict[str, Any] = {
        "action": np.zeros((2, 1), np.int64),
        "reward": np.zeros(2),
        "value": torch.zeros(2),
        "log_prob": torch.zeros(2),
    }

    def add(starts: list[int], *rows: list[int]) -> None:
        tokens = np.stack([np.pad(row, (0, CONTEXT - len(row))) for row in rows])
        lengths = np.array([[len(row)] for row in rows])
        seen = {"tokens": tokens, "length": lengths}
        buffer.add(obs=seen, episode_start=np.array(starts), **words)

    add([0, 0], [1, 2, 3], [7, 8, 9])
    add([1, 0], new, [7, 8, 9, 1])  # an episode that starts may hold anything
    buffer.reset()
    add([0, 0], [1, 2, 3], [7, 8, 9])
    with pytest.raises(LmgymError, match="the environment was reset since the last rollout"):
        add([0, 0], new, [7, 8, 9, 1])


def test_an_evaluation_on_the_training_environment_is_noticed_and_can_be_mended() -> None:
    model = algorithm(PPO, TrajectoryBuffer)
    model.learn(N_STEPS * N_ENVS)
    model.get_env().reset()
    with pytest.raises(LmgymError, match=r"set algorithm\._last_obs = None before learn"):
        model.learn(N_STEPS * N_ENVS, reset_num_timesteps=False)
    model._last_obs = None
    model.learn(N_STEPS * N_ENVS, reset_num_timesteps=False)
    assert model.num_timesteps >= 2 * N_STEPS * N_ENVS


def test_an_unfinished_rollout_is_not_trained_on() -> None:
    space: Any = digits_env().observation_space
    buffer = TrajectoryBuffer(3, space, digits_env().action_space, "cpu")
    with pytest.raises(LmgymError, match="not complete"):
        next(iter(buffer.get()))
