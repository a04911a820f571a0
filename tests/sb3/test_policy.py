"""Actor-critic policies over language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import obs_as_tensor

from lmgym.errors import LmgymError
from lmgym.policies.loading import load_policy
from lmgym.sb3 import MaskableTokenActorCriticPolicy, TokenActorCriticPolicy, as_sb3

TINY = {"hidden_size": 16, "n_layers": 2, "n_heads": 2, "value_hidden": 8}

SHAPE: dict[str, Any] = {
    "vocab_size": 262,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
"""Of a model of transformers."""


def build(env: gym.Env[Any, Any], kind: Any = TokenActorCriticPolicy, **words: Any) -> Any:
    """A policy for an environment."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = kind(env.observation_space, env.action_space, lambda _: 1e-3, **(TINY | words))
        for parameter in policy.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)  # weights with opinions
    return policy


def observations_of(rows: list[list[int]], context: int = 64) -> dict[str, torch.Tensor]:
    """Padded observations of rows of ids."""
    tokens: Any = np.full((len(rows), context), 256, np.int32)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    lengths = np.array([[len(ids)] for ids in rows], np.int32)
    return {"tokens": torch.from_numpy(tokens), "length": torch.from_numpy(lengths)}


@pytest.fixture
def env() -> gym.Env[Any, Any]:
    return gym.make("lmgym/Math-v0", context=64)


@pytest.fixture
def digits() -> gym.Env[Any, Any]:
    return gym.make("lmgym/Math-v0", context=64, alphabet="digits")


def test_an_exact_copy_of_a_checkpoint_acts_as_it_writes(env: gym.Env[Any, Any]) -> None:
    teacher = load_policy("embedded")
    policy = TokenActorCriticPolicy(
        env.observation_space, env.action_space, lambda _: 1e-3, model=teacher
    )
    rows = [[259, 50, 43, 51, 257, 260], [259, 49, 257, 260, 52, 53]]
    with torch.no_grad():
        logits = policy.get_distribution(observations_of(rows)).distribution.logits
        expected = teacher.model(torch.tensor(rows)).logits[:, -1].log_softmax(-1)
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-5)


def test_the_copy_of_a_checkpoint_is_its_own(env: gym.Env[Any, Any]) -> None:
    teacher = load_policy("embedded")
    before = teacher.model.lm_head.weight.clone()
    policy = TokenActorCriticPolicy(
        env.observation_space, env.action_space, lambda _: 1e-3, model=teacher
    )
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    assert torch.equal(teacher.model.lm_head.weight, before)


def test_an_alphabet_takes_the_rows_of_its_ids(
    env: gym.Env[Any, Any], digits: gym.Env[Any, Any]
) -> None:
    alphabet = digits.get_wrapper_attr("alphabet")
    whole, small = build(env), build(digits, action_ids=alphabet)
    small.load_state_dict(whole.state_dict() | {"action_ids": small.action_ids})
    observation = observations_of([[259, 50, 43], [259, 51]])
    with torch.no_grad():
        all_logits = whole.get_distribution(observation).distribution.logits
        logits = small.get_distribution(observation).distribution.logits
    expected = all_logits[:, alphabet.tolist()].log_softmax(1)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("kind", [TokenActorCriticPolicy, MaskableTokenActorCriticPolicy])
def test_sampled_logprobs_are_those_that_are_trained(
    digits: gym.Env[Any, Any], kind: Any, use_cache: bool
) -> None:
    alphabet = digits.get_wrapper_attr("alphabet")
    policy = build(digits, kind, action_ids=alphabet, use_cache=use_cache)
    vec_env = make_vec_env(lambda: digits_env(), n_envs=3, seed=0)
    vec_env.reset()
    observation: Any = vec_env.reset()
    policy.set_training_mode(False)
    for _ in range(12):
        tensors: Any = obs_as_tensor(observation, torch.device("cpu"))
        with torch.no_grad():
            actions, values, logprobs = policy(tensors)
            same_values = policy.predict_values(tensors)
        trained_values, trained, entropy = policy.evaluate_actions(tensors, actions)
        torch.testing.assert_close(logprobs, trained, rtol=0, atol=1e-5)
        torch.testing.assert_close(values, trained_values, rtol=0, atol=1e-5)
        torch.testing.assert_close(same_values, trained_values, rtol=0, atol=1e-5)
        assert entropy.shape == (3,)
        observation, _, _, _ = vec_env.step(actions.numpy())


def digits_env() -> gym.Env[Any, Any]:
    """A small world whose episodes are short."""
    return gym.make("lmgym/Math-v0", context=64, alphabet="digits", max_tokens=4)


def test_a_checkpoint_brings_its_critic_where_the_sizes_agree(
    env: gym.Env[Any, Any], tmp_path: Path
) -> None:
    first = build(env)
    first.language_policy.save(tmp_path)
    parts = {n: t for n, t in first.state_dict().items() if n.startswith("critic.")}
    save_file(parts, tmp_path / "critic.safetensors")

    def critic(**words: Any) -> dict[str, torch.Tensor]:
        policy = TokenActorCriticPolicy(
            env.observation_space, env.action_space, lambda _: 1e-3, model=tmp_path, **words
        )
        return {n: t for n, t in policy.state_dict().items() if n.startswith("critic.")}

    again = critic(value_hidden=TINY["value_hidden"])
    assert parts.keys() == again.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in parts.items())
    assert critic(value_hidden=5)["critic.0.weight"].shape == (5, 16)


def test_entropy_is_that_of_the_distribution(env: gym.Env[Any, Any]) -> None:
    policy = build(env)
    observation = observations_of([[259, 50, 43], [259, 51]])
    entropy = policy.evaluate_actions(observation, torch.tensor([1, 2]))[2]
    expected = policy.get_distribution(observation).entropy()
    torch.testing.assert_close(entropy, expected)


def test_actions_are_drawn_as_often_as_they_are_likely(digits: gym.Env[Any, Any]) -> None:
    policy = build(digits, action_ids=digits.get_wrapper_attr("alphabet"))
    observation = observations_of([[259, 50, 43]] * 5_000)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        actions = policy(observation)[0]
        expected = policy.get_distribution(observations_of([[259, 50, 43]])).distribution.probs[0]
    shares = torch.bincount(actions, minlength=len(expected)) / len(actions)
    assert (shares - expected).abs().max() < 0.03  # four standard deviations


def test_the_likeliest_action_is_taken_where_asked(env: gym.Env[Any, Any]) -> None:
    policy = build(env)
    observation = observations_of([[259, 50, 43], [259, 51]])
    with torch.no_grad():
        actions = policy(observation, deterministic=True)[0]
        expected = policy.get_distribution(observation).distribution.logits.argmax(1)
    assert torch.equal(actions, expected)
    numpy_observation = {name: tensor.numpy() for name, tensor in observation.items()}
    predicted, _ = policy.predict(numpy_observation, deterministic=True)
    assert predicted.tolist() == expected.tolist()


def test_masked_actions_are_never_drawn_and_take_no_probability(env: gym.Env[Any, Any]) -> None:
    policy = build(env, MaskableTokenActorCriticPolicy)
    observation = observations_of([[259, 50, 43]] * 200)
    masks = np.zeros((200, 262), np.bool_)
    masks[:, [5, 261]] = True
    with torch.no_grad():
        actions, _, logprobs = policy(observation, action_masks=masks)
        distribution = policy.get_distribution(observation, masks).distribution
    assert set(actions.tolist()) == {5, 261}
    torch.testing.assert_close(logprobs, distribution.log_prob(actions))
    _, trained, entropy = policy.evaluate_actions(observation, actions, torch.as_tensor(masks))
    torch.testing.assert_close(trained, logprobs, rtol=0, atol=1e-5)
    torch.testing.assert_close(entropy, distribution.entropy())


@pytest.mark.parametrize("change", ["optimizer", "load_state_dict", "vector", "data"])
def test_changed_weights_are_noticed(env: gym.Env[Any, Any], change: str) -> None:
    policy, other = build(env), build(env)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    rows = [[259, 50, 43], [259, 51, 52, 53]]
    with torch.no_grad():
        policy(observations_of(rows))
        policy(observations_of([[*row, 7] for row in rows]))
    if change == "optimizer":
        longer = observations_of([[*row, 7] for row in rows])
        loss = policy.evaluate_actions(longer, torch.tensor([1, 2]))[1].sum()
        loss.backward()
        policy.optimizer.step()
    elif change == "load_state_dict":
        policy.load_state_dict(other.state_dict())
    elif change == "vector":
        policy.load_from_vector(other.parameters_to_vector())
    else:
        policy.train()
        for parameter, new in zip(policy.parameters(), other.parameters(), strict=True):
            parameter.data = new.data
    observation = observations_of([[*row, 7, 8] for row in rows])
    with torch.no_grad():
        _, values, logprobs = policy(observation, deterministic=True)
        actions = policy(observation, deterministic=True)[0]
    expected_values, expected, _ = policy.evaluate_actions(observation, actions)
    torch.testing.assert_close(logprobs, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(values, expected_values, rtol=0, atol=1e-5)


def test_batches_of_other_sizes_in_between_change_nothing(env: gym.Env[Any, Any]) -> None:
    policy, fresh = build(env), build(env)
    rows = [[259, 50, 43], [259, 51, 52, 53]]
    with torch.no_grad():
        for length in range(4):
            longer = observations_of([row + [7] * length for row in rows])
            values = policy.predict_values(longer)
            policy.predict_values(observations_of(rows[:1]))
            policy.predict_values(observations_of(rows * 3))
            policy.predict_values(observations_of(rows * 5))
            expected = fresh.evaluate_actions(longer, torch.tensor([0, 0]))[0]
            torch.testing.assert_close(values, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("detach", [True, False])
def test_the_critic_moves_the_language_model_only_where_asked(
    env: gym.Env[Any, Any], detach: bool
) -> None:
    policy = build(env, detach_value=detach)
    values, _, _ = policy.evaluate_actions(observations_of([[259, 50]]), torch.tensor([1]))
    values.sum().backward()
    touched = any(p.grad is not None for p in policy.language_model.parameters())
    assert touched is not detach
    assert policy.critic[0].weight.grad is not None


def test_dropout_does_not_tell_sampling_from_training(env: gym.Env[Any, Any]) -> None:
    policy = build(env)
    policy.set_training_mode(True)
    assert not policy.language_model.training
    assert policy.critic.training


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_algorithms_train_it(digits: gym.Env[Any, Any], algorithm: Any) -> None:
    words: Any = {"policy_kwargs": TINY | {"action_ids": digits.get_wrapper_attr("alphabet")}}
    if algorithm is PPO:
        words |= {"batch_size": 16, "n_epochs": 1}
    model: Any = algorithm(
        TokenActorCriticPolicy, digits, n_steps=16, seed=0, device="cpu", **words
    )
    before = model.policy.language_model.model.embed_tokens.weight.clone()
    model.learn(32)
    assert not torch.equal(before, model.policy.language_model.model.embed_tokens.weight)


def test_maskable_ppo_trains_it(digits: gym.Env[Any, Any]) -> None:
    words = TINY | {"action_ids": digits.get_wrapper_attr("alphabet")}
    model = MaskablePPO(
        MaskableTokenActorCriticPolicy,
        digits,
        n_steps=16,
        batch_size=16,
        n_epochs=1,
        policy_kwargs=words,
        device="cpu",
    )
    before = model.policy.parameters_to_vector()
    model.learn(32)
    assert not np.array_equal(before, model.policy.parameters_to_vector())


def test_the_same_seed_makes_the_same_parameters(digits: gym.Env[Any, Any]) -> None:
    words = TINY | {"action_ids": digits.get_wrapper_attr("alphabet")}
    vectors = []
    for _ in range(2):
        model = PPO(
            TokenActorCriticPolicy,
            make_vec_env(digits_env, n_envs=2),
            n_steps=8,
            batch_size=8,
            policy_kwargs=words,
            seed=3,
            device="cpu",
        )
        vectors.append(model.learn(32).policy.parameters_to_vector())
    assert np.array_equal(vectors[0], vectors[1])


def test_a_saved_algorithm_comes_back_as_it_was(digits: gym.Env[Any, Any], tmp_path: Path) -> None:
    words = TINY | {"action_ids": digits.get_wrapper_attr("alphabet")}
    model = PPO(TokenActorCriticPolicy, digits, policy_kwargs=words, seed=0, device="cpu")
    model.save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model", device="cpu")
    assert np.array_equal(model.policy.parameters_to_vector(), loaded.policy.parameters_to_vector())
    model.policy.save(str(tmp_path / "policy"))
    policy = TokenActorCriticPolicy.load(str(tmp_path / "policy"), device="cpu")
    assert np.array_equal(model.policy.parameters_to_vector(), policy.parameters_to_vector())


def test_the_actor_is_saved_as_a_language_policy(env: gym.Env[Any, Any], tmp_path: Path) -> None:
    policy = build(env)
    policy.language_policy.save(tmp_path / "actor")
    loaded = load_policy(tmp_path / "actor")
    ids = torch.tensor([[259, 50, 43]])
    assert torch.equal(loaded.model(ids).logits, policy.language_model(ids).logits)


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({"level": "chunk"}, {}, 'level="token"'),
        ({"level": "message"}, {}, 'level="token"'),
        ({"alphabet": "digits"}, {}, "action_ids"),
        ({}, {"action_ids": [1, 2]}, "262 actions"),
        ({"alphabet": "digits"}, {"action_ids": list(range(260, 271))}, "0 to 261"),
        ({}, {"hidden_size": 20, "n_heads": 4}, "even parts"),
        ({}, {"use_sde": True}, "use_sde"),
        ({}, {"model": 7}, "no language model"),
        ({"context": 8192}, {"model": "embedded"}, "context=4096 or less"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], words: dict[str, Any], message: str
) -> None:
    env = gym.make("lmgym/Math-v0", **changes)
    with pytest.raises(LmgymError, match=message):
        build(env, **words)


def test_capped_logits_are_refused(env: gym.Env[Any, Any]) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=30.0)
    with pytest.raises(LmgymError, match="capped"):
        build(env, model=Gemma2ForCausalLM(config))


def test_scaled_logits_are_refused(env: gym.Env[Any, Any]) -> None:
    from transformers import GraniteConfig, GraniteForCausalLM

    model = GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=8.0))
    with pytest.raises(LmgymError, match="scaled"):
        build(env, model=model)
    build(env, model=GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=1.0)))


def test_models_of_other_families_act_and_train(env: gym.Env[Any, Any]) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=262, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    policy = build(env, model=GPT2LMHeadModel(config))
    policy.set_training_mode(False)
    for rows in ([[259, 50, 43], [259, 51]], [[259, 50, 43, 7], [259, 51, 9]]):
        observation = observations_of(rows)
        with torch.no_grad():
            actions, values, logprobs = policy(observation)
        trained_values, trained, _ = policy.evaluate_actions(observation, actions)
        torch.testing.assert_close(logprobs, trained, rtol=0, atol=1e-5)
        torch.testing.assert_close(values, trained_values, rtol=0, atol=1e-5)


def test_rollouts_with_the_cache_are_those_without() -> None:
    rollouts = []
    for use_cache in (True, False):
        batch: Any = gym.make_vec(
            "lmgym/Math-v0", num_envs=4, autoreset_mode="same_step", alphabet="digits", max_tokens=5
        )
        words = TINY | {"action_ids": batch.alphabet, "use_cache": use_cache}
        ppo = PPO(
            TokenActorCriticPolicy,
            as_sb3(batch),
            n_steps=24,
            batch_size=96,
            n_epochs=1,
            policy_kwargs=words,
            seed=0,
            device="cpu",
        )
        ppo.learn(2 * 96)  # weights change between the two
        rollouts.append(ppo.rollout_buffer)
    ours, theirs = rollouts
    assert np.array_equal(ours.actions, theirs.actions)
    np.testing.assert_allclose(ours.log_probs, theirs.log_probs, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.values, theirs.values, rtol=0, atol=1e-5)


def test_a_policy_without_a_tokenizer_says_how_to_get_one(env: gym.Env[Any, Any]) -> None:
    policy = build(env, model=load_policy("embedded").model)
    with pytest.raises(LmgymError, match="tokenizer"):
        _ = policy.language_policy
