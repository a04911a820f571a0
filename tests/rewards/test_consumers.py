"""One directory of a reward model, and all who take it by the string "rm:DIR"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from pettingzoo.test import api_test

from lmgym.agents.best_of_n import BestOfN
from lmgym.agents.grpo import GRPOArgs, GRPOLearner, train
from lmgym.factory import make_source, make_task
from lmgym.policies.loading import load_policy
from lmgym.preferences.pairs import PreferencePair
from lmgym.reward_models import FitArgs, RewardModel, fit_reward_model, load_reward_model
from lmgym.rewards.wrappers import AECRewardWrapper, Play
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.transcript import Transcript


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of people who like thanks, greatness and the letter a."""
    liked = ["thanks a lot", "great, thanks", "aaa", "a great day", "thanks", "great", "banana"]
    disliked = ["no", "zzz", "maybe not", "12", "no, no", "hm", "nothing"]
    pairs = [
        PreferencePair.of(f"how was it? ({i}, {j})", good, bad)
        for i, good in enumerate(liked)
        for j, bad in enumerate(disliked)
    ]
    place = tmp_path_factory.mktemp("rewards") / "my_rm"
    fit_reward_model(pairs, FitArgs(components=8)).save(place)
    return place


@pytest.fixture
def model(directory: Path) -> RewardModel:
    """The model itself, read from its directory by another way than the consumers'."""
    loaded = load_reward_model(directory)
    assert isinstance(loaded, RewardModel)
    return loaded


def own_scores(model: RewardModel, texts: list[str]) -> list[float]:
    """What the model says of each text by itself."""
    return [float(model.score_texts(["how was it?"], [text])[0]) for text in texts]


def test_the_model_has_opinions(model: RewardModel) -> None:
    liked, disliked = own_scores(model, ["thanks, great", "no"])
    assert liked > disliked + 1


@pytest.mark.slow
def test_ppo_of_stable_baselines3_is_paid_what_the_model_says(
    directory: Path, model: RewardModel
) -> None:
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    from lmgym.sb3.vec_env import as_sb3

    class Watch(BaseCallback):
        paid: list[float] = []
        texts: list[str] = []

        def _on_step(self) -> bool:
            for reward, is_over, info in zip(
                self.locals["rewards"], self.locals["dones"], self.locals["infos"], strict=True
            ):
                if is_over:
                    self.paid.append(float(reward))
                    self.texts.append(info["text"])
                else:
                    assert reward == 0
            return True

    env = gym.make_vec(
        "lmgym/Copy-v0",
        num_envs=4,
        autoreset_mode="same_step",
        reward=f"rm:{directory}",
        alphabet="chars:anoz ",
        max_tokens=4,
    )
    learner = PPO("MultiInputPolicy", as_sb3(env), n_steps=16, batch_size=64, device="cpu", seed=0)
    watch = Watch()
    learner.learn(128, callback=watch)
    assert len(set(watch.texts)) > 10
    np.testing.assert_allclose(watch.paid, own_scores(model, watch.texts), atol=1e-5)


@pytest.mark.slow
def test_grpo_is_paid_what_the_model_says(
    directory: Path, model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[RolloutBatch] = []
    learn = GRPOLearner.step

    def watched(self: GRPOLearner, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        batches.append(rollouts)
        return learn(self, rollouts, update)

    monkeypatch.setattr(GRPOLearner, "step", watched)
    args = GRPOArgs(
        reward=f"rm:{directory}",
        out=str(tmp_path / "run"),
        updates=3,
        groups=4,
        group_size=4,
        validation_limit=4,
        test_limit=4,
        test_samples=1,
    )
    train(args, "lmgym/Copy-v0", {})
    assert len(batches) == 3
    for batch in batches:
        texts = [transcript.completion_text for transcript in batch.transcripts]
        np.testing.assert_allclose(batch.rewards, own_scores(model, texts), atol=1e-5)
        assert batch.parts["rm"].tolist() == batch.rewards.tolist()


def test_best_of_n_keeps_what_the_model_likes_best(directory: Path, model: RewardModel) -> None:
    task, source = make_task("lmgym/Copy-v0"), make_source(f"rm:{directory}")
    sampled: list[RolloutBatch] = []

    class Watched(RolloutCollector):
        def collect(self, *given: Any, **named: Any) -> RolloutBatch:
            sampled.append(super().collect(*given, **named))
            return sampled[-1]

    collector = Watched(load_policy("embedded"), task, source, max_tokens=4)
    generator = torch.Generator().manual_seed(0)
    kept = BestOfN(collector, 6).collect(
        np.random.default_rng(0), generator, n_groups=5, temperature=3.0
    )
    (batch,) = sampled
    scores = own_scores(model, [t.completion_text for t in batch.transcripts])
    np.testing.assert_allclose(batch.rewards, scores, atol=1e-5)
    best = np.array(scores).reshape(5, 6).max(1)
    assert np.ptp(scores) > 0.1
    np.testing.assert_allclose(kept.rewards, best, atol=1e-5)
    found = own_scores(model, [t.completion_text for t in kept.transcripts])
    np.testing.assert_allclose(found, best, atol=1e-5)


def read_words(play: Play) -> Transcript:
    """What an agent of the game said, in answer to what it saw first."""
    question = bytes(play.observations[0]).rstrip(b"\0").decode()
    said = " ".join(play.info["words"][action] for action in play.actions)
    return Transcript.from_strings(question, said, verdict=play.verdict)


def test_agents_of_a_game_are_paid_what_the_model_says(
    directory: Path, model: RewardModel, make_game: Callable[[int], Any]
) -> None:
    env = AECRewardWrapper(make_game(3), f"rm:{directory}", read_words)
    rng = np.random.default_rng(0)
    for _ in range(5):
        env.reset(seed=0)
        said: dict[str, list[str]] = {agent: [] for agent in env.possible_agents}
        paid = dict.fromkeys(env.possible_agents, 0.0)
        for agent in env.agent_iter():
            _, reward, terminated, _, _ = env.last()
            paid[agent] += reward
            action = None if terminated else int(rng.integers(4))
            if action is not None:
                said[agent].append(env.infos[agent]["words"][action])
            env.step(action)
        texts = [" ".join(said[agent]) for agent in paid]
        np.testing.assert_allclose(list(paid.values()), own_scores(model, texts), atol=1e-5)


def test_the_game_with_a_reward_model_passes_pettingzoos_checks(
    directory: Path, make_game: Callable[[int], Any]
) -> None:
    api_test(AECRewardWrapper(make_game(3), f"rm:{directory}", read_words), num_cycles=12)


def test_the_preference_world_is_paid_what_the_model_says(
    directory: Path, model: RewardModel
) -> None:
    env = gym.make("lmgym/Preference-v0", level="message", reward=f"rm:{directory}")
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step("thanks a lot")
    assert terminated
    assert float(reward) == pytest.approx(own_scores(model, [info["text"]])[0], abs=1e-5)
    assert np.isfinite(info["gold_reward"])


def test_a_sum_of_rewards_takes_the_model_by_the_same_string(
    directory: Path, model: RewardModel
) -> None:
    env = gym.make("lmgym/Copy-v0", level="message", reward=f"0.5*rm:{directory} + verifier")
    env.reset(seed=0)
    _, reward, _, _, info = env.step("banana")
    expected = 0.5 * own_scores(model, [info["text"]])[0] + float(info["is_success"])
    assert float(reward) == pytest.approx(expected, abs=1e-5)
