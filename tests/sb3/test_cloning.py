"""Behaviour cloning of language models."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import VecEnv

from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.sb3 import (
    MaskableTokenActorCriticPolicy,
    TokenActorCriticPolicy,
    TokenFeatures,
    as_sb3,
    clone_behaviour,
)
from lmgym.sb3.cloning import _Lessons

SMALL: dict[str, Any] = {"rounds": 4, "steps": 16, "epochs": 3, "lr": 5e-3}


def make_env(**words: Any) -> VecEnv:
    """Sixteen rows of small additions."""
    given: dict[str, Any] = {"num_envs": 16, "alphabet": "digits"} | words
    return as_sb3(gym.make_vec("lmgym/Math-v0", autoreset_mode="same_step", **given))


def make_student(kind: Any, env: VecEnv, *, reads_tokens: bool) -> Any:
    """An algorithm with a fresh policy."""
    words: dict[str, Any] = {"n_steps": 8, "seed": 0, "device": "cpu"}
    if kind is not A2C:
        words["batch_size"] = 32
    if not reads_tokens:
        extractor = {"features_extractor_class": TokenFeatures}
        return kind("MultiInputPolicy", env, policy_kwargs=extractor, **words)
    policy: Any = MaskableTokenActorCriticPolicy if kind is MaskablePPO else TokenActorCriticPolicy
    sizes = {"hidden_size": 32, "action_ids": env.get_attr("alphabet")[0]}
    return kind(policy, env, policy_kwargs=sizes, **words)


@pytest.mark.learning
@pytest.mark.parametrize("reads_tokens", [True, False], ids=["language", "features"])
@pytest.mark.parametrize("kind", [PPO, A2C, MaskablePPO])
def test_a_student_comes_nearer_to_its_teacher(kind: Any, reads_tokens: bool) -> None:
    env = make_env()
    student = make_student(kind, env, reads_tokens=reads_tokens)
    told: list[tuple[int, float]] = []
    cloning = clone_behaviour(
        student, "embedded", env, progress=lambda *news: told.append(news), **SMALL
    )
    assert cloning.losses[-1] < 0.8 * cloning.losses[0]
    assert told == [(256 * (n + 1), loss) for n, loss in enumerate(cloning.losses)]
    assert cloning.n_tokens == 4 * 16 * 16
    student.learn(8 * 16)  # goes on from where it is


def test_a_copy_of_the_teacher_has_nothing_to_learn() -> None:
    env, teacher = make_env(), load_policy("embedded")
    kwargs = {"model": teacher, "action_ids": env.get_attr("alphabet")[0]}
    student = PPO(TokenActorCriticPolicy, env, policy_kwargs=kwargs, device="cpu")
    cloning = clone_behaviour(student, teacher, env, rounds=1, steps=8, epochs=1, lr=0.0)
    assert abs(cloning.losses[0]) < 1e-5


def test_the_teacher_is_not_changed() -> None:
    env, teacher = make_env(), load_policy("embedded")
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    student = make_student(PPO, env, reads_tokens=True)
    clone_behaviour(student, teacher, env, rounds=1, steps=8)
    for name, tensor in teacher.model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_loss_is_the_divergence_over_what_may_be_written() -> None:
    env, teacher = make_env(mask="digits", alphabet=None), load_policy("embedded")
    student = make_student(MaskablePPO, env, reads_tokens=False)
    policy = student.policy
    with torch.no_grad():
        policy.action_net.weight.zero_()
        policy.action_net.bias.zero_()
    cloning = clone_behaviour(student, teacher, env, rounds=1, steps=1, epochs=1, lr=0.0, seed=4)
    env.seed(4)
    observation: Any = env.reset()
    allowed = [*range(48, 58), 257]
    expected = []
    for tokens, length in zip(observation["tokens"], observation["length"], strict=True):
        ids = torch.as_tensor(tokens[: int(length[0])])[None].long()
        logprobs = teacher.model(ids).logits[0, -1, allowed].detach().log_softmax(0)
        expected.append(float((logprobs.exp() * (logprobs + np.log(11))).sum()))
    assert cloning.losses[0] == pytest.approx(np.mean(expected), abs=1e-5)


def three(completions: list[str]) -> list[float]:
    """The same for everything."""
    return [3.0] * len(completions)


@pytest.mark.parametrize("reads_tokens", [True, False])
def test_the_critic_learns_the_returns_of_finished_episodes(reads_tokens: bool) -> None:
    env = make_env(reward=three, max_tokens=2)
    student = make_student(PPO, env, reads_tokens=reads_tokens)
    words: Any = {
        "rounds": 5,
        "steps": 16,
        "epochs": 6,
        "lr": 1e-2,
        "gamma": 1.0,
        "value_weight": 1.0,
    }
    cloning = clone_behaviour(student, "embedded", env, **words)
    assert cloning.value_losses[0] > 1
    assert cloning.value_losses[-1] < 0.1
    observation: Any = env.reset()
    tensors = student.policy.obs_to_tensor(observation)[0]
    values = student.policy.predict_values(tensors)
    assert (values - 3).abs().max() < 1


def test_a_critic_is_left_alone_where_asked() -> None:
    env = make_env(max_tokens=2)
    student = make_student(PPO, env, reads_tokens=True)
    before = student.policy.critic[0].weight.clone()
    clone_behaviour(student, "embedded", env, rounds=1, steps=8, value_weight=0.0)
    assert torch.equal(student.policy.critic[0].weight, before)


def test_returns_are_known_only_where_the_episode_was_finished() -> None:
    env = make_env(num_envs=3)
    lessons = _Lessons(4, env, 1.0, 0)
    ends = {1: [True, False, False], 3: [True, False, False], 2: [False, False, True]}
    for step in range(4):
        dones = np.array(ends.get(step, [False] * 3))
        lessons.note(step, torch.zeros(3, 11), np.zeros((3, 1)), dones)
    assert lessons.is_known.tolist() == [[1, 0, 1], [1, 0, 1], [1, 0, 1], [1, 0, 0]]


def test_the_same_seed_clones_the_same() -> None:
    vectors = []
    for _ in range(2):
        env = make_env()
        student = make_student(PPO, env, reads_tokens=False)
        clone_behaviour(student, "embedded", env, rounds=2, steps=8, seed=5)
        vectors.append(student.policy.parameters_to_vector())
    assert np.array_equal(vectors[0], vectors[1])


def test_a_policy_alone_is_taken_and_so_is_a_batched_environment() -> None:
    batch: Any = gym.make_vec(
        "lmgym/Math-v0", num_envs=4, autoreset_mode="same_step", alphabet="digits"
    )
    student = make_student(PPO, as_sb3(batch), reads_tokens=False).policy
    assert clone_behaviour(student, "embedded", batch, rounds=1, steps=4).n_tokens == 16


def test_values_alone_cannot_be_compared_with_a_teacher() -> None:
    env = make_env()
    student = DQN("MultiInputPolicy", env, device="cpu", buffer_size=100)
    with pytest.raises(LmgymError, match="choose PPO, A2C or MaskablePPO"):
        clone_behaviour(student, "embedded", env)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"alphabet": None}, "student's action space is Discrete.11., the environment's Discrete"),
        ({"context": 64}, "student's observation space is .* made with the same arguments"),
        ({"alphabet": "chars:abcdefghij"}, "make both with the same alphabet"),
    ],
)
@pytest.mark.parametrize("reads_tokens", [True, False])
def test_a_student_of_another_environment_is_refused(
    words: dict[str, Any], said: str, reads_tokens: bool
) -> None:
    student = make_student(PPO, make_env(), reads_tokens=reads_tokens)
    with pytest.raises(LmgymError, match=said):
        clone_behaviour(student, "embedded", make_env(**words), rounds=1, steps=2)


@pytest.mark.parametrize("name", ["rounds", "steps", "epochs", "batch_size"])
def test_sizes_start_at_one(name: str) -> None:
    env = make_env()
    words: dict[str, Any] = {name: 0}
    with pytest.raises(LmgymError, match=f"{name}=0: give 1 or more"):
        clone_behaviour(make_student(PPO, env, reads_tokens=False), "embedded", env, **words)


def test_chunks_are_refused() -> None:
    env = make_env(level="chunk")
    student = PPO("MultiInputPolicy", env, n_steps=8, batch_size=32, device="cpu")
    with pytest.raises(LmgymError, match='level="token"'):
        clone_behaviour(student, "embedded", env)


def test_a_teacher_over_other_ids_is_refused() -> None:
    from lmgym.rendering import ByteRenderer

    class Other(ByteRenderer):
        """A tokenizer with more ids."""

        vocab_size = 300
        name = "other"

    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    teacher = LanguagePolicy(LlamaForCausalLM(config), Other())
    env = make_env()
    with pytest.raises(LmgymError, match="teacher knows 300 ids, the environment has 262"):
        clone_behaviour(make_student(PPO, env, reads_tokens=False), teacher, env)
