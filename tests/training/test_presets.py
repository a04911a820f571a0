"""What follows from the size of a model, and how arguments override it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.policies.adapters import with_adapter
from lmgym.policies.loading import load_policy
from lmgym.policies.merging import adapter_rank
from lmgym.training.arguments import LearnerArgs
from lmgym.training.presets import (
    Preset,
    default_batch_size,
    default_learning_rate,
    default_limits,
    describe,
    prepare_policy,
    preset,
)


@dataclass(frozen=True)
class GroupArgs(LearnerArgs):
    """Arguments of a learner that leaves batches to the preset."""

    groups: int | None = None
    group_size: int | None = None
    micro_tokens: int | None = 77


@pytest.mark.parametrize(
    ("size", "rate"),
    [(1, 5e-4), (200_000, 5e-4), (200_001, 1e-4), (5_000_000, 1e-4), (50_000_000, 1e-5),
     (135_000_000, 1e-6)],
)  # fmt: skip
def test_the_rate_falls_with_size_and_is_ten_times_as_high_for_adapters(
    size: int, rate: float
) -> None:
    assert default_learning_rate(size) == rate
    assert preset(size, uses_lora=True).lr == pytest.approx(10 * rate)


def test_small_models_are_trained_as_a_whole_in_large_batches() -> None:
    assert preset(111_296) == Preset(
        lr=5e-4,
        lora_rank=0,
        gradient_checkpointing="off",
        autocast="none",
        micro_tokens=16_384,
        groups=64,
        group_size=4,
        max_tokens=None,
        batch_size=512,
        validation_limit=256,
        test_limit=512,
        test_samples=4,
    )


def test_memory_is_saved_from_a_billion_parameters_on() -> None:
    below, above = preset(1_000_000_000), preset(1_000_000_001)
    assert (below.lora_rank, below.gradient_checkpointing) == (0, "off")
    assert (above.lora_rank, above.gradient_checkpointing) == (16, "on")
    assert above.lr == pytest.approx(10 * below.lr)
    assert preset(7_000_000_000, uses_lora=False).lora_rank == 0


def test_evaluations_shrink_above_ten_million_parameters() -> None:
    assert default_limits(10_000_000) == (256, 512, 4)
    assert default_limits(10_000_001) == (32, 50, 1)
    assert (default_batch_size(10_000_000), default_batch_size(10_000_001)) == (512, 16)


def test_a_model_has_parameters() -> None:
    with pytest.raises(LmgymError, match="given 0"):
        default_learning_rate(0)


def test_a_small_policy_is_left_as_it_is() -> None:
    policy = new_policy(16, 1, seed=0)
    settings = prepare_policy(policy, LearnerArgs())
    assert (adapter_rank(policy.model), policy.autocast) == (0, None)
    assert policy.n_trainable == policy.n_parameters
    assert (settings.lr, settings.lora_rank, settings.max_tokens) == (5e-4, 0, None)


def test_arguments_override_the_preset() -> None:
    pytest.importorskip("peft")
    policy = new_policy(16, 1, seed=0)
    args = GroupArgs(lora_rank=3, lr=0.1, autocast="bf16", gradient_checkpointing="on", groups=2)
    settings = prepare_policy(policy, args)
    assert settings == replace(
        args, group_size=4, validation_limit=256, test_limit=512, test_samples=4
    )
    assert (adapter_rank(policy.model), policy.autocast) == (3, torch.bfloat16)


def test_an_adapter_makes_the_rate_higher_and_follows_the_seed() -> None:
    pytest.importorskip("peft")
    policies = [new_policy(16, 1, seed=0) for _ in range(3)]
    rates = [
        prepare_policy(policy, LearnerArgs(lora_rank=2, seed=seed)).lr
        for policy, seed in zip(policies, (1, 1, 2), strict=True)
    ]
    assert rates == [pytest.approx(5e-3)] * 3
    first, again, other = (
        next(p for name, p in policy.model.named_parameters() if "lora_A" in name)
        for policy in policies
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_adapter_that_is_there_is_trained_on() -> None:
    pytest.importorskip("peft")
    policy = new_policy(16, 1, seed=0)
    prepare_policy(policy, LearnerArgs(lora_rank=2))
    model = policy.model
    settings = prepare_policy(policy, LearnerArgs())
    assert policy.model is model
    assert settings.lora_rank == 2
    assert settings.lr == pytest.approx(5e-3)
    for rank in (0, 4):
        with pytest.raises(LmgymError, match="has an adapter of rank 2"):
            prepare_policy(policy, LearnerArgs(lora_rank=rank))


def test_an_adapter_does_not_count_in_the_size_that_decides() -> None:
    pytest.importorskip("peft")
    policy = with_adapter(load_policy("embedded"), rank=64)
    assert policy.n_parameters > 200_000 > policy.n_base_parameters
    assert prepare_policy(policy, LearnerArgs()).lr == pytest.approx(5e-3)


def test_what_holds_is_said_in_one_line() -> None:
    policy = new_policy(16, 1, seed=0)
    settings = prepare_policy(policy, GroupArgs(gradient_checkpointing="on"))
    assert describe(settings, 1_543_000_000) == (
        "preset for 1.54 B parameters: learning rate 0.0005, all weights, gradient checkpointing,"
        " 64 x 4 answers a batch, 77 ids a forward pass"
    )
