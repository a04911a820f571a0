"""Log-probabilities with a gradient, and what they hold in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies import scoring
from lmgym.policies.adapters import with_adapter
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer

BuildModel = Callable[..., Any]

V = 262
_CLOSE = 3e-6
IDS = torch.randint(0, V, (5, 9), generator=torch.Generator().manual_seed(0))
MASK = torch.ones_like(IDS)
MASK[1, 6:] = 0
MASK[3, :2] = 0


@pytest.fixture(params=["llama", "qwen2", "gpt2", "mamba", "bloom", "gemma2"])
def any_policy(request: pytest.FixtureRequest, build_model: BuildModel) -> LanguagePolicy:
    """Small models, of which the last one bends its logits."""
    import transformers

    ids: dict[str, Any] = {"pad_token_id": 256, "bos_token_id": None, "eos_token_id": 257}
    sizes = ids | {"vocab_size": V, "hidden_size": 16, "num_hidden_layers": 2}
    wide = sizes | {"intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    kinds = {
        "llama": (transformers.LlamaConfig, wide),
        "qwen2": (transformers.Qwen2Config, wide),
        "gpt2": (transformers.GPT2Config, ids | {"vocab_size": V, "n_embd": 16, "n_head": 2}),
        "mamba": (transformers.MambaConfig, sizes),
        "bloom": (transformers.BloomConfig, ids | {"vocab_size": V, "hidden_size": 16}),
        "gemma2": (
            transformers.Gemma2Config,
            wide | {"head_dim": 8, "final_logit_softcapping": 2.0},
        ),
    }
    kind, options = kinds[request.param]
    return LanguagePolicy(build_model(kind(**options)), ByteRenderer())


def scored(policy: LanguagePolicy, first: int = 3) -> list[Tensor]:
    """Log-probabilities and the gradient of a weighted sum of them."""
    logprobs = policy.token_logprobs(IDS, MASK, 0.8, first=first)
    weights = torch.linspace(-1, 1, logprobs.numel()).reshape(logprobs.shape)
    trained = [p for p in policy.model.parameters() if p.requires_grad]
    loss = (logprobs * weights).sum()
    return [logprobs, *torch.autograd.grad(loss, trained, materialize_grads=True)]


def assert_close(found: list[Tensor], expected: list[Tensor], share: float) -> None:
    """Equal up to a share of the largest number of each tensor."""
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        torch.testing.assert_close(one, other, atol=share * scale, rtol=0)


def wide_rows_kept(policy: LanguagePolicy, dtype: torch.dtype) -> int:
    """How many rows as wide as the vocabulary are kept for the gradient."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        is_weight = any(tensor.data_ptr() == p.data_ptr() for p in policy.model.parameters())
        if tensor.dtype is dtype and tensor.shape[-1:] == (V,) and not is_weight:
            kept[tensor.data_ptr()] = tensor.numel() // V
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        policy.token_logprobs(IDS, MASK).sum()
    return sum(kept.values())


@pytest.mark.parametrize("at_once", [V, 3 * V, 11 * V])
def test_scoring_in_blocks_changes_nothing(
    any_policy: LanguagePolicy, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    whole = scored(any_policy)
    monkeypatch.setattr(scoring, "_AT_ONCE", at_once)
    assert_close(scored(any_policy), whole, _CLOSE)


@pytest.mark.parametrize("first", [1, 8])
def test_the_first_position_is_honoured_in_blocks(
    policy: LanguagePolicy, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    whole = scored(policy, first)
    monkeypatch.setattr(scoring, "_AT_ONCE", 2 * V)
    assert_close(scored(policy, first), whole, _CLOSE)


def test_blocks_of_bfloat16_are_as_exact_as_the_whole(
    policy: LanguagePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = scored(policy)
    policy.model.to(torch.bfloat16)
    whole = scored(policy)
    monkeypatch.setattr(scoring, "_AT_ONCE", 3 * V)
    errors = [(some[0] - exact[0]).detach().abs().mean() for some in (scored(policy), whole)]
    assert errors[0] < 1.5 * errors[1]


def test_a_bent_head_is_noticed(build_model: BuildModel) -> None:
    from transformers import Gemma2Config

    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sizes |= {"vocab_size": V, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
    sizes |= {"pad_token_id": 256, "bos_token_id": None, "eos_token_id": 257}
    for cap, is_plain in ((30.0, False), (None, True)):
        model = build_model(Gemma2Config(final_logit_softcapping=cap, **sizes))
        assert scoring.Scorer(model, V)._plain_head(IDS) is is_plain


def test_the_logits_are_never_held_as_a_whole(
    policy: LanguagePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = IDS.shape[0] * (IDS.shape[1] - 1)
    assert wide_rows_kept(policy, torch.float32) == rows
    widest = 0
    forward = torch.nn.Linear.forward

    def watched(linear: torch.nn.Linear, inputs: Tensor) -> Tensor:
        nonlocal widest
        out = forward(linear, inputs)
        if out.shape[-1] == V:
            widest = max(widest, out.numel() // V)
        return out

    monkeypatch.setattr(scoring, "_AT_ONCE", 4 * V)
    assert wide_rows_kept(policy, torch.float32) == 0
    monkeypatch.setattr(torch.nn.Linear, "forward", watched)
    scored(policy, first=1)
    assert widest == 4


def test_the_peak_of_memory_falls(build_model: BuildModel, llama_config: Any) -> None:
    """Bytes of all live tensors that one pass adds, by the allocator's own account."""
    from torch.profiler import ProfilerActivity, profile

    model = build_model(llama_config(num_hidden_layers=1))
    policy = LanguagePolicy(model, ByteRenderer())
    ids = torch.randint(0, V, (16, 64), generator=torch.Generator().manual_seed(0))

    def peak() -> int:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            torch.autograd.backward(policy.token_logprobs(ids, torch.ones_like(ids)).sum())
        total = most = 0
        profiler: Any = seen.profiler  # untyped
        for event in profiler.kineto_results.events():
            if event.name() == "[memory]":
                total += event.nbytes()
                most = max(most, total)
        return most

    whole = peak()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_AT_ONCE", 32 * V)
        in_blocks = peak()
    logits = ids.numel() * V * 4
    assert whole - in_blocks > 1.5 * logits


class Counter:
    """Counts calls of the layers' activations."""

    def __init__(self, policy: LanguagePolicy) -> None:
        self.calls = 0
        for module in policy.model.modules():
            if type(module).__name__ == "LlamaMLP":
                module.register_forward_pre_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.calls += 1


@pytest.mark.parametrize("has_adapter", [False, True])
def test_layers_are_computed_again_for_the_gradient(
    policy: LanguagePolicy, has_adapter: bool
) -> None:
    if has_adapter:
        pytest.importorskip("peft")
        with_adapter(policy, rank=2)
    plain, counter = scored(policy), Counter(policy)
    policy.recompute_layers()
    assert_close(scored(policy), plain, _CLOSE)
    assert counter.calls == 4  # two layers, each of them twice
    assert not policy.model.training
    with torch.no_grad():
        policy.token_logprobs(IDS, MASK)
    assert counter.calls == 6
    policy.recompute_layers(False)
    scored(policy)
    assert counter.calls == 8


def test_recomputing_every_architecture_changes_nothing(any_policy: LanguagePolicy) -> None:
    plain = scored(any_policy)
    any_policy.recompute_layers()
    assert_close(scored(any_policy), plain, _CLOSE)


def test_recomputing_keeps_less(policy: LanguagePolicy) -> None:
    def kept() -> int:
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            policy.token_logprobs(IDS, MASK)
        return sum(sizes.values())

    plain = kept()
    policy.recompute_layers()
    assert kept() < 0.7 * plain


def test_recomputing_leaves_dropout_off(build_model: BuildModel, llama_config: Any) -> None:
    policy = LanguagePolicy(build_model(llama_config(attention_dropout=0.5)), ByteRenderer())
    plain = scored(policy)
    policy.recompute_layers()
    assert_close(scored(policy), plain, _CLOSE)


def test_a_model_without_such_layers_is_an_error(build_model: BuildModel) -> None:
    from transformers import OpenAIGPTConfig

    model = build_model(OpenAIGPTConfig(vocab_size=V, n_embd=16, n_layer=1, n_head=2))
    policy = LanguagePolicy(model, ByteRenderer())
    for module in model.modules():
        if hasattr(module, "gradient_checkpointing"):
            pytest.skip("this version of transformers has them")
    with pytest.raises(LmgymError, match="no layers that can be computed again"):
        policy.recompute_layers()


def test_autocast_scores_in_bfloat16_and_the_softmax_in_fp32(policy: LanguagePolicy) -> None:
    exact = scored(policy)
    policy.autocast = torch.bfloat16
    seen: set[torch.dtype] = set()
    hook = policy.model.lm_head.register_forward_hook(lambda *call: seen.add(call[2].dtype))
    rough = scored(policy)
    hook.remove()
    assert seen == {torch.bfloat16}
    assert all(tensor.dtype == torch.float32 for tensor in rough)
    error = (rough[0] - exact[0]).detach().abs()
    assert 0 < float(error.mean()) < 0.2
    policy.recompute_layers()
    assert_close(scored(policy), rough, _CLOSE)


def test_sampling_under_autocast_is_as_exact_as_scoring(
    any_policy: LanguagePolicy,
) -> None:
    prompts = [[65, 66, 67], [70] * 6]
    samples = any_policy.sample(
        prompts, 6, max_tokens=10, generator=torch.Generator().manual_seed(0)
    )
    whole = [prompts[row // 6] + ids for row, ids in enumerate(samples.ids)]

    def scores() -> list[Tensor]:
        with torch.no_grad():
            return [
                any_policy.token_logprobs(torch.tensor([row]), torch.ones(1, len(row)).long())[0]
                for row in whole
            ]

    exact = scores()
    any_policy.autocast = torch.bfloat16
    rough = scores()
    again = any_policy.sample(prompts, 6, max_tokens=10, generator=torch.Generator().manual_seed(0))
    ours, theirs = [], []
    for row, ids in enumerate(samples.ids):
        kept = min(len(ids), len(again.ids[row]))
        same = next((i for i in range(kept) if ids[i] != again.ids[row][i]), kept)
        start = len(prompts[row // 6]) - 1
        truth = exact[row][start : start + same]
        ours.append((torch.tensor(again.logprobs[row][:same]) - truth).abs())
        theirs.append((rough[row][start : start + same] - truth).abs())
    assert 0 < float(torch.cat(ours).mean()) < 2 * float(torch.cat(theirs).mean()) + 0.01
