"""The batched environments as a `VecEnv`."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

from lmgym.errors import LmgymError
from lmgym.rewards import RewardLevel
from lmgym.sb3 import TokenActorCriticPolicy, TokenFeatures, as_sb3, check_algorithm
from lmgym.testing.reward_checks import ProbeReward

from ..conftest import worlds_of_texts

N = 5


def batch(world: str = "lmgym/Math-v0", **words: Any) -> Any:
    """A batched environment that fits."""
    given: dict[str, Any] = {"num_envs": N, "autoreset_mode": "same_step"} | words
    return gym.make_vec(world, **given)


def singles(world: str = "lmgym/Math-v0", **words: Any) -> VecEnv:
    """The same environments one by one."""
    return DummyVecEnv([lambda: gym.make(world, **words)] * N)


def drawn(rng: np.random.Generator, space: Any) -> Any:
    """Actions of all rows; ends of texts are frequent."""
    if isinstance(space, gym.spaces.Discrete):
        actions = rng.integers(space.n, size=N)
        end = 257 if space.n == 262 else space.n - 1
        return np.where(rng.random(N) < 0.2, end, actions)
    actions = rng.integers(0, 256, (N, len(space.nvec)))
    actions[rng.random(actions.shape) < 0.1] = 257
    return actions


SHORT = {"lmgym/Web-v0": {"max_turns": 3}}
"""Arguments by which the episodes of long worlds end in time."""
OF_EACH_KIND = ("lmgym/Math-v0", "lmgym/GuessNumber-v0", "lmgym/Web-v0")
"""Worlds of one turn, of several, and of contexts that start again: they meet everything."""
WORDS: dict[str, dict[str, Any]] = {
    "token": {},
    "chunk": {"level": "chunk"},
    "truncated": {"max_episode_steps": 4},
    "paid by ids": {"reward": ProbeReward(RewardLevel.TOKEN, misses=7)},
    "chunks paid by steps": {"level": "chunk", "reward": ProbeReward(RewardLevel.STEP, misses=7)},
}


@pytest.mark.parametrize(
    ("kind", "world"),
    [
        (kind, world)
        for kind in WORDS
        for world in worlds_of_texts(in_full=True)
        if world in OF_EACH_KIND or kind in ("token", "chunk")
    ],
)
def test_steps_are_those_of_single_environments(world: str, kind: str) -> None:
    words = WORDS[kind]
    words = SHORT.get(world, {}) | words
    ours, theirs = as_sb3(batch(world, **words)), singles(world, **words)
    for vec_env in (ours, theirs):
        vec_env.seed(3)
    assert_same(ours.reset(), theirs.reset())
    assert [info["task_id"] for info in ours.reset_infos] == [
        info["task_id"] for info in theirs.reset_infos
    ]
    rng = np.random.default_rng(0)
    n_ends = 0
    for _ in range(100):
        actions = drawn(rng, ours.action_space)
        observation, rewards, dones, infos = ours.step(actions)
        expected, expected_rewards, expected_dones, expected_infos = theirs.step(actions)
        assert_same(observation, expected)
        assert np.array_equal(rewards, expected_rewards)
        assert np.array_equal(dones, expected_dones)
        assert rewards.dtype == np.float32
        for row in dones.nonzero()[0].tolist():
            n_ends += 1
            assert_same(
                infos[row].pop("terminal_observation"),
                expected_infos[row].pop("terminal_observation"),
            )
            for name in ("response_ids", "role_ids", "loss_mask"):
                expected_infos[row].pop(name, None)
            assert infos[row] == expected_infos[row]
            assert ours.reset_infos[row] == theirs.reset_infos[row]
        for row in (~dones).nonzero()[0].tolist():
            told = expected_infos[row]
            assert ("text" in infos[row]) == ("text" in told)
            assert infos[row].get("text") == told.get("text")
            assert not infos[row].get("TimeLimit.truncated", False)
    assert n_ends > N  # some rows ended more than once


def assert_same(ours: Any, theirs: Any) -> None:
    """Two observations are equal, their types included."""
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
        assert ours[name].dtype == theirs[name].dtype


def test_rows_of_which_there_is_nothing_to_tell_share_an_info() -> None:
    vec_env = as_sb3(batch())
    vec_env.reset()
    actions = np.full(N, 49)
    actions[2] = 257
    _, _, dones, infos = vec_env.step(actions)
    assert dones.tolist() == [False, False, True, False, False]
    assert all(infos[row] is infos[0] for row in (1, 3, 4))
    assert infos[0] == {}
    assert infos[2]["verdict"] == "incorrect"


@pytest.mark.parametrize(
    "write",
    [
        lambda info: info.__setitem__("a", 1),
        lambda info: info.update(a=1),
        lambda info: info.setdefault("a", 1),
    ],
)
def test_a_shared_info_refuses_to_be_written_to(write: Any) -> None:
    vec_env = as_sb3(batch())
    vec_env.reset()
    info = vec_env.step(np.full(N, 49))[3][0]
    with pytest.raises(LmgymError, match="copy it"):
        write(info)
    assert info == {}
    own = copy.copy(info) | {"a": 1}
    assert own == {"a": 1}


def test_infos_of_a_step_stay_as_they_were() -> None:
    vec_env = as_sb3(batch())
    vec_env.reset()
    ends, letters = np.full(N, 257), np.full(N, 49)
    infos = vec_env.step(ends)[3]
    before = [info["terminal_observation"]["tokens"].copy() for info in infos]
    for _ in range(3):
        vec_env.step(letters)
    for info, tokens in zip(infos, before, strict=True):
        assert np.array_equal(info["terminal_observation"]["tokens"], tokens)


def test_the_monitor_counts_episodes() -> None:
    vec_env = VecMonitor(as_sb3(batch()))
    vec_env.reset()
    vec_env.step(np.full(N, 49))
    infos = vec_env.step(np.full(N, 257))[3]
    assert [info["episode"]["l"] for info in infos] == [2] * N
    assert {info["episode"]["r"] for info in infos} <= {0.0, 1.0}


def test_seeds_hold_for_one_reset() -> None:
    vec_env = as_sb3(batch())
    assert vec_env.seed(7) == [7, 8, 9, 10, 11]
    first = vec_env.get_attr("task_id") if vec_env.reset() else []
    vec_env.reset()
    second = vec_env.get_attr("task_id")
    vec_env.seed(7)
    vec_env.reset()
    assert vec_env.get_attr("task_id") == first != second
    assert vec_env.seed() == [None] * N


def test_options_hold_for_one_reset() -> None:
    vec_env = as_sb3(batch())
    vec_env.set_options({"task_id": "addition/2/0/0"})
    vec_env.reset()
    assert set(vec_env.get_attr("task_id")) == {"addition/2/0/0"}
    vec_env.reset()
    assert set(vec_env.get_attr("task_id")) != {"addition/2/0/0"}


def test_each_row_takes_its_own_options() -> None:
    vec_env = as_sb3(batch())
    mixed: list[dict[str, Any]] = [{"task_id": f"addition/2/0/{row}"} for row in range(N)]
    mixed[1] = {"split": "test"}
    mixed[2]["prefix_ids"] = [52]
    vec_env.set_options(mixed)
    observation: Any = vec_env.reset()
    task_ids = vec_env.get_attr("task_id")
    assert [task_ids[row] for row in (0, 2, 3, 4)] == [
        f"addition/2/0/{row}" for row in (0, 2, 3, 4)
    ]
    assert observation["remaining"][2] == observation["remaining"][0] - 1


def test_an_unknown_option_is_named() -> None:
    vec_env = as_sb3(batch())
    vec_env.set_options({"taskid": "addition/2/0/0"})
    with pytest.raises(LmgymError, match="taskid"):
        vec_env.reset()


@pytest.mark.parametrize("words", [{}, {"alphabet": "digits"}, {"mask": "digits"}])
def test_masks_reach_sb3_contrib(words: dict[str, Any]) -> None:
    vec_env, expected = VecMonitor(as_sb3(batch(**words))), singles(**words)
    vec_env.reset()
    assert is_masking_supported(vec_env)
    masks = get_action_masks(vec_env)
    assert np.array_equal(masks, get_action_masks(expected))
    assert np.array_equal(vec_env.env_method("action_masks", indices=[1, 3]), masks[[1, 3]])


def test_attributes_are_one_a_row() -> None:
    vec_env = as_sb3(batch(alphabet="digits"))
    vec_env.reset()
    alphabets = vec_env.get_attr("alphabet", indices=[0, 2])
    assert len(alphabets) == 2
    assert alphabets[0].tolist() == [*map(ord, "0123456789"), 257]
    assert vec_env.get_attr("task_id", 1) == [vec_env.get_attr("task_id")[1]]
    assert not vec_env.has_attr("colour")
    vec_env.set_attr("colour", "red")
    assert vec_env.get_attr("colour") == ["red"] * N
    with pytest.raises(LmgymError, match="whole batch"):
        vec_env.set_attr("colour", "blue", indices=[1])


def test_methods_return_what_belongs_to_each_row() -> None:
    vec_env = as_sb3(batch(render_mode="ansi"))
    vec_env.reset()
    transcripts = vec_env.env_method("transcript", indices=[4])
    assert [transcript.task_id for transcript in transcripts] == [vec_env.get_attr("task_id")[4]]
    assert len(vec_env.env_method("render")) == N
    with pytest.raises(LmgymError, match=r"'fork' is no method of a row.*action_masks, render"):
        vec_env.env_method("fork", [], [])


def test_no_row_is_wrapped() -> None:
    assert as_sb3(batch()).env_is_wrapped(gym.wrappers.TimeLimit) == [False] * N


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (lambda: batch(autoreset_mode="next_step"), "autoreset_mode='same_step'"),
        (lambda: batch(autoreset_mode="disabled"), "autoreset_mode='same_step'"),
        (lambda: batch(copy=False), "copy=True"),
        (lambda: batch(level="message"), "level='token'"),
        (lambda: gym.make_vec("lmgym/Math-v0", 2, "sync"), "without vectorization_mode"),
        (lambda: gym.make_vec("CartPole-v1", 2, "sync"), "no batched environment of lmgym"),
        (lambda: gym.make("lmgym/Math-v0"), "gym.make_vec"),
        (lambda: gym.wrappers.vector.RecordEpisodeStatistics(batch()), "VecMonitor"),
        (lambda: as_sb3(batch()), "VecEnv already"),
    ],
)
def test_what_does_not_fit_is_refused(env: Any, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        as_sb3(env())


@pytest.mark.parametrize(
    "actions", [np.zeros(N - 1, int), np.zeros((N, 1), int), np.zeros(N), np.full(N, 262)]
)
def test_actions_of_another_shape_type_or_range_are_refused(actions: Any) -> None:
    vec_env = as_sb3(batch())
    vec_env.reset()
    with pytest.raises(LmgymError, match=r"shape \(5,\)|allowed are 0 to 261"):
        vec_env.step(actions)


def test_a_step_before_the_first_reset_is_refused() -> None:
    with pytest.raises(LmgymError, match="call reset"):
        as_sb3(batch()).step(np.zeros(N, int))


@pytest.mark.parametrize(
    ("algorithm", "words", "message"),
    [
        (DQN, {"level": "chunk"}, "DQN takes one choice a step.*level='token'"),
        (SAC, {}, "SAC acts in continuous spaces.*choose PPO"),
        (PPO, {"level": "message"}, "level='token'"),
    ],
)
def test_an_algorithm_that_cannot_take_the_actions_is_named(
    algorithm: Any, words: dict[str, Any], message: str
) -> None:
    for env in (gym.make("lmgym/Math-v0", **words), batch(**words)):
        with pytest.raises(LmgymError, match=message):
            check_algorithm(algorithm, env)


@pytest.mark.parametrize("level", ["token", "chunk"])
@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN, MaskablePPO])
def test_what_passes_the_check_is_trained(algorithm: Any, level: str) -> None:
    class Derived(algorithm):  # type: ignore[misc]
        """Judged by what it is derived from."""

    env = as_sb3(batch(level=level, alphabet="digits", max_tokens=4))
    if algorithm is DQN and level == "chunk":
        with pytest.raises(LmgymError, match="DQN takes"):
            check_algorithm(Derived, env)
        return
    check_algorithm(Derived, env)
    words: dict[str, Any] = {"policy_kwargs": {"features_extractor_class": TokenFeatures}}
    if algorithm is DQN:
        words |= {"learning_starts": 10, "buffer_size": 100}
    else:
        words |= {"n_steps": 8}
    if algorithm in (PPO, MaskablePPO):
        words |= {"batch_size": 40, "n_epochs": 1}
    model = Derived("MultiInputPolicy", env, device="cpu", seed=0, **words)
    before = model.policy.parameters_to_vector()
    model.learn(80)
    assert not np.array_equal(before, model.policy.parameters_to_vector())


def test_an_unknown_algorithm_is_not_judged() -> None:
    class Mine:
        """Somebody's own."""

    check_algorithm(Mine, batch())


def test_the_bootstrap_of_truncated_episodes_sees_their_ends() -> None:
    model = PPO(
        "MultiInputPolicy",
        as_sb3(batch(max_episode_steps=2, reward=lambda completions: [0.0] * len(completions))),
        n_steps=4,
        batch_size=20,
        n_epochs=1,
        device="cpu",
        gamma=0.9,
    )
    ends: list[tuple[int, float]] = []
    whole = model.policy.predict_values

    def watched(obs: Any) -> Any:
        values = whole(obs)
        if len(values) == 1:
            ends.append((int(obs["length"]), float(values)))
        return values

    model.policy.predict_values = watched  # type: ignore[method-assign]
    model.learn(4 * N)
    buffer: Any = model.rollout_buffer
    places = np.argwhere(buffer.rewards)
    lengths = buffer.observations["length"].reshape(N, 4)  # before the last action, by rows
    assert len(places) == len(ends) >= N
    for (step, row), (length, value) in zip(places, ends, strict=True):
        assert length == lengths[row, step] + 1
        assert buffer.rewards[step, row] == pytest.approx(0.9 * value)


def test_policies_are_evaluated_on_it() -> None:
    env = VecMonitor(as_sb3(batch(max_tokens=4)))
    model = PPO(
        TokenActorCriticPolicy,
        env,
        n_steps=8,
        batch_size=40,
        policy_kwargs={"model": "embedded"},
        device="cpu",
    )
    env.seed(0)
    returns, lengths = evaluate_policy(
        model, env, n_eval_episodes=20, deterministic=True, return_episode_rewards=True
    )
    assert isinstance(returns, list)
    assert isinstance(lengths, list)
    assert len(returns) == 20
    assert 0 < sum(returns) < 20  # it solves some problems and not others
    assert max(lengths) <= 4


def test_rewards_are_normalized_where_asked() -> None:
    env = VecNormalize(VecMonitor(as_sb3(batch())), norm_obs=False)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=40, n_epochs=1, device="cpu")
    model.learn(40)
    assert env.ret_rms.count > 40 - 1
    observation: Any = env.reset()
    assert observation["tokens"].dtype == np.int32
