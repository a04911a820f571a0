"""Packed rows: the same log-probabilities and gradients as separate rows, on fewer ids."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from lmgym.policies.adapters import reference_policy, with_adapter
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.packing import can_pack, pack_rows
from lmgym.rendering import ByteRenderer

SIZES: dict[str, Any] = {
    "vocab_size": 262,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, {}),
    "mistral": (MistralConfig, {"sliding_window": None}),
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {"head_dim": 8}),
}


def random_policy(config: Any, **options: Any) -> LanguagePolicy:
    maker: Any = AutoModelForCausalLM  # untyped
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LanguagePolicy(maker.from_config(config, **options), ByteRenderer())


def policy_of(name: str, attention: str = "sdpa") -> LanguagePolicy:
    kind, more = CONFIGS[name]
    return random_policy(kind(**SIZES | more), attn_implementation=attention)


def rows() -> tuple[Tensor, Tensor, Tensor]:
    """Two groups that share a prompt each, a row alone, a row of two turns, and one unscored."""
    texts = [
        ([1, 2, 3, 4, 5], [[6, 7, 257], [8, 257], [6, 9, 9, 257]]),
        ([1, 2, 3, 9], [[5, 5, 257], [257]]),
        ([7, 7], [[3, 257]]),
    ]
    listed = [(p + a, [0] * len(p) + [1] * len(a)) for p, answers in texts for a in answers]
    listed.append(([1, 2, 3, 9, 5, 257, 40, 41, 8, 257], [0, 0, 0, 0, 1, 1, 0, 0, 1, 1]))
    listed.append(([1, 2, 3], [0, 0, 0]))
    width = max(len(ids) for ids, _ in listed)
    ids = torch.tensor([row + [256] * (width - len(row)) for row, _ in listed])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in listed])
    scored = torch.tensor([m + [0] * (width - len(m)) for _, m in listed], dtype=torch.float32)
    return ids, mask, scored


def gradients(policy: LanguagePolicy, logprobs: Tensor, scored: Tensor) -> list[Tensor]:
    weights = torch.rand(len(scored), 1, generator=torch.Generator().manual_seed(3))
    trained = [p for p in policy.model.parameters() if p.requires_grad]
    return list(torch.autograd.grad((logprobs * scored[:, 1:] * weights).sum(), trained))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CONFIGS)
def test_packed_rows_equal_separate_ones(name: str, attention: str) -> None:
    policy = policy_of(name, attention)
    ids, mask, scored = rows()
    packed = policy.packed_logprobs(ids, mask, scored, temperature=0.7)
    assert packed is not None
    plain = policy.token_logprobs(ids, mask, temperature=0.7)
    torch.testing.assert_close(packed, plain * scored[:, 1:], atol=1e-5, rtol=0)
    assert int((packed != 0).sum()) == int(scored.sum())
    for got, wanted in zip(
        gradients(policy, packed, scored), gradients(policy, plain, scored), strict=True
    ):
        torch.testing.assert_close(
            got, wanted, atol=1e-6 * float(wanted.abs().max()) + 1e-7, rtol=1e-4
        )


def test_with_an_adapter_it_is_that_of_the_adapter_and_the_reference_that_without() -> None:
    policy = with_adapter(policy_of("llama"), rank=2, seed=1)
    reference = reference_policy(policy)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(2))
    ids, mask, scored = rows()
    for one in (policy, reference):
        packed = one.packed_logprobs(ids, mask, scored)
        assert packed is not None
        plain = one.token_logprobs(ids, mask) * scored[:, 1:]
        torch.testing.assert_close(packed, plain, atol=1e-5, rtol=0)
        assert packed.requires_grad == (one is policy)


def test_recomputed_layers_change_nothing() -> None:
    policy = policy_of("llama")
    ids, mask, scored = rows()
    plain = policy.packed_logprobs(ids, mask, scored)
    policy.recompute_layers()
    again = policy.packed_logprobs(ids, mask, scored)
    assert plain is not None
    assert again is not None
    torch.testing.assert_close(again, plain)
    for got, wanted in zip(
        gradients(policy, again, scored), gradients(policy, plain, scored), strict=True
    ):
        torch.testing.assert_close(got, wanted)


def test_a_shared_prompt_is_read_once_and_last_ids_not_at_all() -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5, 6, a, 257] for a in (7, 8, 9, 10)])
    scored = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1]] * 4)
    pack = pack_rows(ids, torch.ones_like(ids), scored, 256)
    assert pack is not None
    assert pack.ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
    assert pack.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6, 6, 6, 6]]
    assert pack.parts.tolist() == [[0, 0, 0, 0, 0, 0, 1, 2, 3, 4]]


def test_rows_without_a_common_beginning_are_left_as_they_are() -> None:
    ids = torch.arange(24).reshape(3, 8)
    scored = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]] * 3)
    assert pack_rows(ids, torch.ones_like(ids), scored, 256) is None
    assert pack_rows(ids, torch.ones_like(ids), torch.zeros_like(ids), 256) is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gpt2", {"n_layer": 1, "n_embd": 16, "n_head": 2}),
        ("mistral", {"sliding_window": 4}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}),
    ],
)
def test_models_that_see_places_otherwise_are_not_packed(name: str, options: Any) -> None:
    sizes = {"vocab_size": 262} if name == "gpt2" else SIZES
    policy = random_policy(AutoConfig.for_model(name, **sizes | options))
    assert not can_pack(policy.model)
    ids, mask, scored = rows()
    assert policy.packed_logprobs(ids, mask, scored) is None


@pytest.mark.parametrize(
    ("n_shared", "n_new", "is_packed"),
    [(8, 4, True), (200, 100, True), (1000, 32, True), (100, 100, False)],
)
def test_a_group_is_split_where_attention_would_cost_more(
    n_shared: int, n_new: int, is_packed: bool
) -> None:
    """Rows that cost little more than the best split; none where that saves less than a fifth."""
    width, reach = n_shared + n_new, 368.0
    ids = torch.full((16, width), 7)
    ids[:, n_shared:] = torch.arange(16)[:, None] + 10
    scored = torch.zeros(16, width)
    scored[:, n_shared:] = 1

    def cost(rows: int) -> float:
        ids_a_row = n_shared + (16 // rows) * (n_new - 1)
        return rows * ids_a_row * (1 + ids_a_row / reach)

    pack = pack_rows(ids, torch.ones_like(ids), scored, 256, reach)
    least = min(cost(rows) for rows in (1, 2, 4, 8, 16))
    assert (pack is not None) == is_packed == (least <= 0.8 * 16 * width * (1 + width / reach))
    if pack is not None:
        assert pack.ids.numel() * (1 + pack.ids.shape[1] / reach) <= 1.1 * least
