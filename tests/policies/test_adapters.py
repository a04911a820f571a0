"""Adapters of low rank: what they train, what is saved of them, and the model beneath."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies import adapters
from lmgym.policies.adapters import (
    frozen_copy,
    reference_policy,
    restore_weights,
    with_adapter,
)
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.llama import supports
from lmgym.policies.loading import load_policy, load_renderer
from lmgym.rendering import ByteRenderer

peft = pytest.importorskip("peft")

BuildModel = Callable[..., Any]

PROMPTS = [[259, 65, 257, 260], [259, 66, 66, 66, 257, 260]]
IDS = torch.randint(0, 256, (3, 11), generator=torch.Generator().manual_seed(0))
MASK = torch.ones_like(IDS)


@pytest.fixture
def base(policy: LanguagePolicy, tmp_path: Path) -> Path:
    policy.save(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def fresh(base: Path) -> LanguagePolicy:
    """A policy with a new adapter, on a model that lies in a directory."""
    return with_adapter(load_policy(base), rank=3, seed=1)


@pytest.fixture
def adapted(fresh: LanguagePolicy) -> LanguagePolicy:
    """One whose adapter says something."""
    return trained(fresh)


def trained(policy: LanguagePolicy) -> LanguagePolicy:
    """Give the weights of an adapter values of their own."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy


def scores(policy: LanguagePolicy) -> Tensor:
    return policy.token_logprobs(IDS, MASK).detach()


def adapter_weights(policy: LanguagePolicy) -> dict[str, Tensor]:
    named = policy.model.named_parameters()
    return {name: w.detach().clone() for name, w in named if w.requires_grad}


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained(policy: LanguagePolicy) -> None:
    before, n_before = scores(policy), policy.n_parameters
    same = with_adapter(policy, rank=2)
    assert same is policy
    assert torch.equal(scores(policy), before)
    trainable = adapter_weights(policy)
    assert all("lora_" in name for name in trainable)
    assert policy.n_trainable == sum(w.numel() for w in trainable.values())
    assert policy.n_parameters == n_before + policy.n_trainable
    assert policy.n_base_parameters == n_before
    layers = {name.split(".lora_")[0].rpartition(".")[2] for name in trainable}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_initial_weights_follow_from_the_seed_and_move_no_global_generator(
    build_model: BuildModel, llama_config: Callable[..., Any]
) -> None:
    def new(seed: int) -> dict[str, Tensor]:
        policy = LanguagePolicy(build_model(llama_config()), ByteRenderer())
        return adapter_weights(with_adapter(policy, rank=2, seed=seed))

    before = torch.get_rng_state()
    first, again, other = new(7), new(7), new(8)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if "lora_A" in name)


def test_the_adapter_of_a_model_in_bf16_is_in_fp32(policy: LanguagePolicy) -> None:
    policy.model.to(torch.bfloat16)
    with_adapter(policy, rank=2)
    assert {w.dtype for w in adapter_weights(policy).values()} == {torch.float32}
    frozen = [w for w in policy.model.parameters() if not w.requires_grad]
    assert {w.dtype for w in frozen} == {torch.bfloat16}


def test_alpha_scales_what_is_added(policy: LanguagePolicy) -> None:
    with_adapter(policy, rank=2, alpha=6)
    layer = policy.model.get_base_model().model.layers[0].mlp.up_proj
    assert layer.scaling == {"default": 3.0}


def test_sampling_merges_the_adapter_into_the_fast_path(adapted: LanguagePolicy) -> None:
    assert supports(adapted.model)
    samples = adapted.sample(PROMPTS, 3, max_tokens=12, generator=torch.Generator().manual_seed(0))
    for row, (ids, logprobs) in enumerate(zip(samples.ids, samples.logprobs, strict=True)):
        whole = torch.tensor([PROMPTS[row // 3] + ids])
        with torch.no_grad():
            scored = adapted.token_logprobs(whole, torch.ones_like(whole))
        theirs = scored[0, len(PROMPTS[row // 3]) - 1 :]
        torch.testing.assert_close(torch.tensor(logprobs), theirs, atol=2e-5, rtol=1e-5)


def test_a_variant_of_lora_is_not_merged_but_sampled_as_it_is(policy: LanguagePolicy) -> None:
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], use_dora=True, init_lora_weights=False)
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):  # peft's, of transformers
        policy.model = peft.PeftModel(policy.model, config).eval()
    assert not supports(policy.model)
    (ids,) = policy.sample(PROMPTS[:1], max_tokens=6, greedy=True).ids
    whole = torch.tensor([PROMPTS[0] + ids])
    with torch.no_grad():
        likeliest = policy.model(whole).logits[0, len(PROMPTS[0]) - 1 : -1].argmax(-1)
    assert likeliest.tolist() == ids
    with pytest.raises(LmgymError, match="only plain adapters"):
        policy.save(Path("nowhere"))


def test_the_reference_of_a_new_adapter_is_the_model_beneath_without_a_copy(
    policy: LanguagePolicy, fresh: LanguagePolicy
) -> None:
    reference = reference_policy(fresh)
    adapted = trained(fresh)
    now = scores(adapted)
    assert torch.equal(scores(reference), scores(policy))
    assert not torch.equal(now, scores(policy))
    assert reference.model is adapted.model
    sampled = reference.sample(PROMPTS, max_tokens=9, greedy=True)
    assert sampled.ids == policy.sample(PROMPTS, max_tokens=9, greedy=True).ids
    assert torch.equal(scores(adapted), now)
    assert adapter_weights(adapted).keys() == adapter_weights(with_adapter(policy, 3)).keys()
    with pytest.raises(LmgymError, match="save the policy instead"):
        reference.save(Path("nowhere"))


def test_an_error_while_the_adapter_is_disabled_enables_it_again(
    fresh: LanguagePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, adapted = reference_policy(fresh), trained(fresh)
    before, names = scores(adapted), adapter_weights(adapted).keys()
    with monkeypatch.context() as patch:
        patch.setattr("torch.nn.functional.silu", None)
        patch.setattr("transformers.activations.nn.functional.silu", None)
        with pytest.raises(TypeError):
            reference.token_logprobs(IDS, MASK)
    assert torch.equal(scores(adapted), before)
    assert adapter_weights(adapted).keys() == names


def test_the_reference_of_a_full_model_is_a_frozen_copy(policy: LanguagePolicy) -> None:
    before, reference = scores(policy), reference_policy(policy)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1.5)
    assert torch.equal(scores(reference), before)
    assert not torch.equal(scores(policy), before)
    assert reference.n_trainable == 0


def test_the_reference_of_a_trained_adapter_is_what_it_says_now_on_shared_weights(
    adapted: LanguagePolicy,
) -> None:
    before, reference = scores(adapted), reference_policy(adapted)
    assert torch.equal(scores(reference), before)
    trained(adapted)
    assert torch.equal(scores(reference), before)
    assert reference.n_trainable == 0
    own, theirs = adapted.model.state_dict(), reference.model.state_dict()
    apart = {name for name in own if own[name].data_ptr() != theirs[name].data_ptr()}
    assert apart == {name for name in own if "lora_" in name}
    assert adapted.n_trainable == adapted.n_parameters - adapted.n_base_parameters


def test_a_frozen_copy_keeps_what_the_adapter_says_now(adapted: LanguagePolicy) -> None:
    before, copied = scores(adapted), frozen_copy(adapted)
    trained(adapted)
    assert torch.equal(scores(copied), before)
    assert not torch.equal(scores(adapted), before)


def test_saving_writes_the_merged_model_and_the_adapter(
    adapted: LanguagePolicy, base: Path, tmp_path: Path
) -> None:
    before = scores(adapted)
    adapted.save(tmp_path / "saved")
    assert torch.equal(scores(adapted), before)  # nothing was merged in place
    merged, beside = load_policy(tmp_path / "saved"), load_policy(tmp_path / "saved" / "adapter")
    torch.testing.assert_close(scores(merged), before, atol=2e-5, rtol=1e-5)
    assert torch.equal(scores(beside), before)
    assert merged.n_parameters == load_policy(base).n_parameters
    assert beside.n_trainable == adapted.n_trainable
    assert load_renderer(tmp_path / "saved" / "adapter").name == "byte"


def test_peft_opens_the_adapter_on_the_model_that_it_names(
    adapted: LanguagePolicy, base: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    adapted.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        model = peft.PeftModel.from_pretrained(model, tmp_path / "saved" / "adapter")
    assert torch.equal(scores(LanguagePolicy(model, ByteRenderer())), scores(adapted))


def test_tied_embeddings_stay_tied_in_the_merged_model(
    build_model: BuildModel, llama_config: Callable[..., Any], tmp_path: Path
) -> None:
    model = build_model(llama_config(tie_word_embeddings=True))
    policy = trained(with_adapter(LanguagePolicy(model, ByteRenderer()), rank=2))
    policy.save(tmp_path / "saved")
    merged = load_policy(tmp_path / "saved")
    torch.testing.assert_close(scores(merged), scores(policy), atol=2e-5, rtol=1e-5)
    assert merged.model.lm_head.weight is merged.model.model.embed_tokens.weight


def test_a_saved_model_without_an_adapter_leaves_none_from_before(
    adapted: LanguagePolicy, policy: LanguagePolicy, tmp_path: Path
) -> None:
    adapted.save(tmp_path / "saved")
    policy.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "adapter").exists()


def test_weights_are_restored_from_what_was_saved(
    adapted: LanguagePolicy, policy: LanguagePolicy, tmp_path: Path
) -> None:
    for number, some in enumerate((adapted, policy)):
        before = scores(some)
        some.save(tmp_path / str(number))
        trained(some)
        assert not torch.equal(scores(some), before)
        restore_weights(some, tmp_path / str(number))
        assert torch.equal(scores(some), before)


def test_an_adapter_of_another_model_is_an_error(
    adapted: LanguagePolicy,
    build_model: BuildModel,
    llama_config: Callable[..., Any],
    base: Path,
    tmp_path: Path,
) -> None:
    adapted.save(tmp_path / "saved")
    place = tmp_path / "saved" / "adapter"
    changes = [({"intermediate_size": 96}, 0), ({"num_hidden_layers": 1}, 0), ({}, 1)]
    for (options, seed), message in zip(
        changes, ["size mismatch", "on one side", "its weights are others"], strict=True
    ):
        other = build_model(llama_config(**options), seed=seed)
        LanguagePolicy(other, ByteRenderer()).save(base)
        with pytest.raises(LmgymError, match=f"(?s)does not fit the model .*{message}"):
            load_policy(place)


def test_an_adapter_of_another_tokenizer_is_an_error(
    adapted: LanguagePolicy, tmp_path: Path
) -> None:
    adapted.save(tmp_path / "saved")
    file = tmp_path / "saved" / "adapter" / "base.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"n_ids": 300}))
    with pytest.raises(LmgymError, match="its tokenizer has 262 ids, and the adapter's 300"):
        load_policy(file.parent)


def test_an_adapter_without_its_model_names_the_merged_one(
    adapted: LanguagePolicy, base: Path, tmp_path: Path
) -> None:
    adapted.save(tmp_path / "saved")
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(LmgymError, match=r"is an adapter of .*/base, .*saved is that model with"):
        load_policy(tmp_path / "saved" / "adapter")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, r"no plain adapter of low rank \(use_dora\)"),
        ({"modules_to_save": ["lm_head"]}, r"\(modules_to_save\)"),
        ({"peft_type": "IA3"}, "no plain adapter|cannot be read"),
        ({"base_model_name_or_path": None}, "has to be a whole model"),
    ],
)
def test_other_kinds_of_adapters_are_refused(
    adapted: LanguagePolicy, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    adapted.save(tmp_path / "saved")
    file = tmp_path / "saved" / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(LmgymError, match=message):
        load_policy(file.parent)


def test_a_pickled_adapter_is_never_opened(adapted: LanguagePolicy, tmp_path: Path) -> None:
    adapted.save(tmp_path / "saved")
    weights = tmp_path / "saved" / "adapter" / "adapter_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(LmgymError, match="pickles are never opened"):
        load_policy(weights.parent)


def test_bad_requests_are_explained(
    adapted: LanguagePolicy, policy: LanguagePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LmgymError, match="has an adapter already"):
        with_adapter(adapted, 2)
    with pytest.raises(LmgymError, match="rank 33 is above the width of the model's layers, 32,"):
        with_adapter(policy, 33)
    with pytest.raises(LmgymError, match="both have to be positive"):
        with_adapter(policy, 2, alpha=0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LmgymError, match=r"lmgym\[lora\]"):
        adapters.with_adapter(policy, 2)


def test_every_architecture_takes_an_adapter(build_model: BuildModel) -> None:
    from transformers import GPT2Config

    config = GPT2Config(
        vocab_size=262, n_embd=16, n_layer=1, n_head=2, bos_token_id=None, eos_token_id=257
    )
    policy = trained(with_adapter(LanguagePolicy(build_model(config), ByteRenderer()), rank=2))
    (ids,) = policy.sample(PROMPTS[:1], max_tokens=6, greedy=True).ids
    with torch.no_grad():
        logits = policy.model(torch.tensor([PROMPTS[0] + ids])).logits[0]
    assert logits[len(PROMPTS[0]) - 1 : -1, :262].argmax(-1).tolist() == ids


def test_an_adapter_learns(fresh: LanguagePolicy) -> None:
    """A few steps on one text make it likelier, and leave the model beneath alone."""
    reference, adapted = reference_policy(fresh), trained(fresh)
    before = scores(adapted)
    beneath = scores(reference)
    parameters = [p for p in adapted.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        torch.autograd.backward(-adapted.token_logprobs(IDS, MASK).mean())
        optimizer.step()
    assert float(scores(adapted).mean()) > float(before.mean()) + 0.5
    assert torch.equal(scores(reference), beneath)
