"""Every architecture samples what its plain forward computes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.cached import CachedDecoder
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.llama import LlamaDecoder, supports
from lmgym.policies.sampling import Drawing, generate
from lmgym.rendering import ByteRenderer

BuildModel = Callable[..., Any]

IDS: dict[str, Any] = {"pad_token_id": 256, "bos_token_id": None, "eos_token_id": 257}
SIZES: dict[str, Any] = IDS | {
    "vocab_size": 262,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
}
GROUPED = SIZES | {"num_key_value_heads": 2}
SCALED = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}

FAST: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "llama, grouped queries": ("LlamaConfig", GROUPED),
    "llama, tied": ("LlamaConfig", GROUPED | {"tie_word_embeddings": True}),
    "llama, wide heads": ("LlamaConfig", GROUPED | {"head_dim": 16}),
    "llama, linear rope": ("LlamaConfig", SIZES | {"rope_parameters": SCALED}),
    "llama, llama3 rope": ("LlamaConfig", SIZES | {"rope_parameters": LLAMA3}),
}
SLOW: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, dynamic rope": ("LlamaConfig", SIZES | {"rope_parameters": DYNAMIC}),
    "llama, biases": ("LlamaConfig", SIZES | {"attention_bias": True}),
    "qwen2": ("Qwen2Config", GROUPED),
    "qwen3": ("Qwen3Config", GROUPED | {"head_dim": 8}),
    "gemma": ("GemmaConfig", GROUPED | {"head_dim": 8}),
    "gemma 3": ("Gemma3TextConfig", GROUPED | {"head_dim": 8, "sliding_window": 8}),
    "mistral, window of 8": ("MistralConfig", GROUPED | {"sliding_window": 8}),
    "gpt2": ("GPT2Config", IDS | {"vocab_size": 262, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "gemma 2": ("Gemma2Config", GROUPED | {"head_dim": 8, "sliding_window": 8}),
    "gpt-neox": ("GPTNeoXConfig", SIZES),
    "phi 3": ("Phi3Config", GROUPED | {"sliding_window": 8}),
    "olmo 2": ("Olmo2Config", GROUPED),
    "mixtral": ("MixtralConfig", GROUPED | {"num_local_experts": 4, "sliding_window": None}),
    # Positions are in the attention scores.
    "falcon, alibi": ("FalconConfig", SIZES | {"alibi": True, "ffn_hidden_size": 64}),
    # No position ids: prompts of different lengths are not read together.
    "bloom": ("BloomConfig", IDS | {"vocab_size": 262, "hidden_size": 32, "n_head": 4}),
    # A recurrent state in place of a cache of keys.
    "mamba": ("MambaConfig", IDS | {"vocab_size": 262, "hidden_size": 32, "num_hidden_layers": 2}),
    "mamba 2": (
        "Mamba2Config",
        IDS
        | {"vocab_size": 262, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
        | {"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    ),
    # Both in one layer.
    "falcon h1": (
        "FalconH1Config",
        GROUPED
        | {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8}
        | {"mamba_n_groups": 1, "mamba_d_state": 8},
    ),
    # No cache at all.
    "gpt": ("OpenAIGPTConfig", {"vocab_size": 262, "n_embd": 32, "n_layer": 2, "n_head": 4}),
}
RAGGED = [[65, 66, 67, 68, 69], [70], [71] * 12, list(range(40)), [72, 73, 74, 75, 76]]


class ManyEnds(ByteRenderer):
    """Half of the ids end a turn, so that rows end early and at different steps."""

    end_ids = frozenset(range(0, 12))


def build(name: str, build_model: BuildModel) -> Any:
    kind, options = (FAST | SLOW)[name]
    if not hasattr(transformers, kind):
        pytest.skip(f"this version of transformers has no {kind}")
    return build_model(getattr(transformers, kind)(**options))


@pytest.fixture(params=[*FAST, *SLOW])
def any_policy(request: pytest.FixtureRequest, build_model: BuildModel) -> LanguagePolicy:
    return LanguagePolicy(build(request.param, build_model), ManyEnds())


def full_logprobs(model: Any, prompt: list[int], ids: list[int], temperature: float) -> Tensor:
    """Log-probabilities of `ids` after `prompt` by one plain forward."""
    whole = torch.tensor([prompt + ids])
    with torch.no_grad():
        logits = model(whole).logits[0, len(prompt) - 1 : -1].float()
    logprobs: Tensor = (logits / temperature).log_softmax(-1)
    return logprobs.gather(1, whole[0, len(prompt) :, None])[:, 0]


def test_logprobs_equal_a_full_forward(any_policy: LanguagePolicy) -> None:
    generator = torch.Generator().manual_seed(5)
    samples = any_policy.sample(
        RAGGED, 2, max_tokens=[30, 20, 30, 7, 90], temperature=1.4, generator=generator
    )
    assert len({len(ids) for ids in samples.ids}) > 3
    for row, (ids, logprobs) in enumerate(zip(samples.ids, samples.logprobs, strict=True)):
        expected = full_logprobs(any_policy.model, RAGGED[row // 2], ids, 1.4)
        torch.testing.assert_close(torch.tensor(logprobs), expected, atol=1e-5, rtol=1e-5)


def test_greedy_equals_generate(any_policy: LanguagePolicy) -> None:
    samples = any_policy.sample(RAGGED, max_tokens=25, greedy=True)
    for prompt, ids in zip(RAGGED, samples.ids, strict=True):
        expected = any_policy.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=25,
            do_sample=False,
            eos_token_id=sorted(any_policy.renderer.end_ids),
            pad_token_id=256,
        )
        assert ids == expected[0, len(prompt) :].tolist()


def test_a_group_equals_separate_prompts(any_policy: LanguagePolicy) -> None:
    grouped = any_policy.sample(RAGGED, 3, max_tokens=20, greedy=True)
    separate = [any_policy.sample([p], max_tokens=20, greedy=True).ids[0] for p in RAGGED]
    assert grouped.ids == [ids for ids in separate for _ in range(3)]


@pytest.mark.parametrize("name", FAST)
def test_llama_takes_the_fast_path(name: str, build_model: BuildModel) -> None:
    assert supports(build(name, build_model))


@pytest.mark.parametrize("name", SLOW)
def test_others_do_not(name: str, build_model: BuildModel) -> None:
    assert not supports(build(name, build_model))


@pytest.mark.parametrize("name", FAST)
def test_both_paths_draw_the_same(name: str, build_model: BuildModel) -> None:
    model = build(name, build_model)
    fast, cached = (
        generate(
            decoder,
            RAGGED * 2,
            [30] * 10,
            frozenset({3, 4, 5}),
            Drawing(generator=torch.Generator().manual_seed(2)),
        )
        for decoder in (LlamaDecoder(model, 256), CachedDecoder(model, 256))
    )
    assert fast[0] == cached[0]


def test_llama_without_fused_weights_draws_the_same(
    build_model: BuildModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = LanguagePolicy(build("llama, grouped queries", build_model), ManyEnds())
    fused = policy.sample(RAGGED, 2, max_tokens=20, greedy=True)
    monkeypatch.setattr("lmgym.policies.llama_layers._FUSE_BELOW", 0)
    separate = policy.sample(RAGGED, 2, max_tokens=20, greedy=True)
    assert separate.ids == fused.ids
    torch.testing.assert_close(separate.logprobs, fused.logprobs, atol=1e-5, rtol=1e-5)


def test_llama_in_bfloat16_is_as_exact_as_its_forward(build_model: BuildModel) -> None:
    model = build("llama, grouped queries", build_model)
    half = copy.deepcopy(model).to(torch.bfloat16)
    model.load_state_dict({name: w.float() for name, w in half.state_dict().items()})
    samples = LanguagePolicy(half, ManyEnds()).sample(
        RAGGED, 4, max_tokens=20, generator=torch.Generator().manual_seed(0)
    )
    ours, theirs = [], []
    for row, (ids, logprobs) in enumerate(zip(samples.ids, samples.logprobs, strict=True)):
        exact = full_logprobs(model, RAGGED[row // 4], ids, 1.0)
        ours.append((torch.tensor(logprobs) - exact).abs())
        theirs.append((full_logprobs(half, RAGGED[row // 4], ids, 1.0) - exact).abs())
    assert float(torch.cat(ours).mean()) < 1.5 * float(torch.cat(theirs).mean())


def test_the_llama_cache_grows_past_its_first_block(build_model: BuildModel) -> None:
    policy = LanguagePolicy(build("llama, grouped queries", build_model), ByteRenderer())
    generator = torch.Generator().manual_seed(1)
    samples = policy.sample([[65] * 9, [66]], max_tokens=200, generator=generator)
    assert max(map(len, samples.ids)) == 200
    for prompt, ids, logprobs in zip([[65] * 9, [66]], samples.ids, samples.logprobs, strict=True):
        expected = full_logprobs(policy.model, prompt, ids, 1.0)
        torch.testing.assert_close(torch.tensor(logprobs), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["llama, grouped queries", "llama, llama3 rope"])
def test_rows_that_share_a_prompt_draw_what_a_full_forward_computes(
    name: str, build_model: BuildModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = LanguagePolicy(build(name, build_model), ManyEnds())

    def drawn() -> Any:
        generator = torch.Generator().manual_seed(3)
        budgets = [30, 20, 30, 7, 60]
        return policy.sample(RAGGED, 6, max_tokens=budgets, generator=generator)

    copied = drawn()
    monkeypatch.setattr("lmgym.policies.llama_caches._WORTH_SHARING", 1)
    shared = drawn()
    assert shared.ids == copied.ids
    for row, (ids, logprobs) in enumerate(zip(shared.ids, shared.logprobs, strict=True)):
        expected = full_logprobs(policy.model, RAGGED[row // 6], ids, 1.0)
        torch.testing.assert_close(torch.tensor(logprobs), expected, atol=1e-5, rtol=1e-5)


def test_prompts_are_shared_where_that_spares_much() -> None:
    from lmgym.agents.embedded import new_policy
    from lmgym.policies.llama_caches import is_worth_sharing
    from lmgym.policies.llama_layers import LlamaLayers

    llama = LlamaLayers(new_policy(32, 1, seed=0).model)  # 32 numbers a key
    rows = torch.arange(4).repeat_interleave(16)
    assert is_worth_sharing([1000] * 4, rows, llama)
    assert not is_worth_sharing([1000] * 4, rows.flip(0), llama)  # rows of a prompt lie apart
    assert not is_worth_sharing([1000] * 4, torch.arange(4), llama)  # nothing to share
    assert not is_worth_sharing([20] * 4, rows, llama)


def test_sees_new_weights_in_the_next_call(build_model: BuildModel) -> None:
    policy = LanguagePolicy(build("llama", build_model), ManyEnds())
    before = policy.sample(RAGGED, max_tokens=20, greedy=True)
    other = build_model(transformers.LlamaConfig(**SIZES), seed=1)
    policy.model.load_state_dict(other.state_dict())
    after = policy.sample(RAGGED, max_tokens=20, greedy=True)
    assert (
        after.ids
        == LanguagePolicy(other, ManyEnds()).sample(RAGGED, max_tokens=20, greedy=True).ids
    )
    assert after.ids != before.ids


def test_a_cache_that_cannot_select_rows_is_filled_for_each_row(
    build_model: BuildModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = LanguagePolicy(build("qwen2", build_model), ManyEnds())
    expected = policy.sample(RAGGED, 3, max_tokens=20, greedy=True)
    monkeypatch.setattr("lmgym.policies.cached._selects_rows", lambda cache: False)
    assert policy.sample(RAGGED, 3, max_tokens=20, greedy=True).ids == expected.ids


def test_a_model_that_hides_its_cache_is_an_error(build_model: BuildModel) -> None:
    model = build("qwen2", build_model)
    forward = model.forward

    def without_cache(input_ids: Any, past_key_values: Any = None, **inputs: Any) -> Any:
        return forward(input_ids, use_cache=False)

    model.forward = without_cache
    with pytest.raises(LmgymError, match="returns none"):
        LanguagePolicy(model, ManyEnds()).sample([[1]], max_tokens=3, greedy=True)
