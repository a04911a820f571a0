"""What a policy promises, whatever its model."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer

PROMPTS = [[259, 65, 257, 260], [259, 66, 66, 66, 257, 260]]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rows_of_a_group_lie_side_by_side(policy: LanguagePolicy) -> None:
    samples = policy.sample(PROMPTS, 3, max_tokens=[2, 5], generator=seeded())
    assert [len(ids) for ids in samples.ids] == [2, 2, 2, 5, 5, 5]
    assert [len(row) for row in samples.logprobs] == [2, 2, 2, 5, 5, 5]


def test_the_same_seed_gives_the_same_samples(policy: LanguagePolicy) -> None:
    first, again, other = (
        policy.sample(PROMPTS, 4, max_tokens=10, generator=seeded(s)) for s in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_sampling_leaves_the_global_generator_alone(policy: LanguagePolicy) -> None:
    before = torch.get_rng_state()
    policy.sample(PROMPTS, max_tokens=10)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_samples_differ(policy: LanguagePolicy) -> None:
    assert policy.sample(PROMPTS, max_tokens=20) != policy.sample(PROMPTS, max_tokens=20)


def test_a_group_is_drawn_from_the_next_id_distribution(policy: LanguagePolicy) -> None:
    n = 4000
    samples = policy.sample(PROMPTS[:1], n, max_tokens=1, temperature=0.7, generator=seeded())
    with torch.no_grad():
        logits = policy.model(torch.tensor(PROMPTS[:1])).logits[0, -1]
    expected = (logits / 0.7).softmax(0)
    counts = Counter(ids[0] for ids in samples.ids)
    for index in expected.topk(5).indices.tolist():
        mean = n * float(expected[index])
        assert abs(counts[index] - mean) < 5 * mean**0.5


def test_the_models_own_sampling_defaults_are_ignored(policy: LanguagePolicy) -> None:
    plain = policy.sample(PROMPTS, 4, max_tokens=10, generator=seeded())
    policy.model.generation_config.top_k = 1
    policy.model.generation_config.repetition_penalty = 9.0
    assert policy.sample(PROMPTS, 4, max_tokens=10, generator=seeded()) == plain


def test_samples_carry_the_version(policy: LanguagePolicy) -> None:
    policy.version += 3
    assert policy.sample(PROMPTS, max_tokens=1).version == 3


def test_sampling_and_scoring_agree(policy: LanguagePolicy) -> None:
    samples = policy.sample(PROMPTS, max_tokens=12, temperature=1.7, generator=seeded())
    for prompt, ids, logprobs in zip(PROMPTS, samples.ids, samples.logprobs, strict=True):
        whole = torch.tensor([prompt + ids])
        scored = policy.token_logprobs(whole, torch.ones_like(whole), 1.7)
        torch.testing.assert_close(
            scored[0, len(prompt) - 1 :], torch.tensor(logprobs), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_change_logprobs(policy: LanguagePolicy, side: str) -> None:
    row, padding = [65, 66, 67, 68, 69], [256] * 4
    ids = torch.tensor([padding + row if side == "left" else row + padding])
    mask = torch.tensor([[0] * 4 + [1] * 5 if side == "left" else [1] * 5 + [0] * 4])
    padded = policy.token_logprobs(ids, mask).detach()
    plain = policy.token_logprobs(torch.tensor([row]), torch.ones(1, 5, dtype=torch.long)).detach()
    real = slice(4, 8) if side == "left" else slice(0, 4)
    torch.testing.assert_close(padded[:, real], plain, atol=1e-5, rtol=1e-5)
    assert float(padded.abs().sum()) == pytest.approx(float(plain.abs().sum()), rel=1e-5)


def test_logprobs_have_a_gradient_and_are_fp32(policy: LanguagePolicy) -> None:
    policy.model.to(torch.bfloat16)
    ids = torch.tensor(PROMPTS[:1])
    logprobs = policy.token_logprobs(ids, torch.ones_like(ids))
    gradients = torch.autograd.grad(logprobs.sum(), list(policy.model.parameters()))
    assert logprobs.dtype == torch.float32
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_dropout_is_off(build_model: Callable[..., Any], llama_config: Callable[..., Any]) -> None:
    policy = LanguagePolicy(build_model(llama_config(attention_dropout=0.5)), ByteRenderer())
    ids = torch.tensor(PROMPTS[:1])
    expected = policy.token_logprobs(ids, torch.ones_like(ids))
    policy.model.train()
    assert torch.equal(policy.token_logprobs(ids, torch.ones_like(ids)), expected)
    policy.model.train()
    policy.sample(PROMPTS, max_tokens=1)
    assert not policy.model.training


def test_counts_its_parameters(policy: LanguagePolicy) -> None:
    assert policy.n_parameters == sum(p.numel() for p in policy.model.parameters())
    assert policy.device == torch.device("cpu")
    assert policy.context == 256


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"prompts": [[]], "max_tokens": 3}, "prompt 0 is empty"),
        ({"prompts": [[1]], "max_tokens": [3, 4]}, "2 entries for 1 prompts"),
        ({"prompts": [[1]], "max_tokens": -1}, "max_tokens at 0"),
        ({"prompts": [[1]], "n": 0, "max_tokens": 3}, "n starts at 1"),
        ({"prompts": [[1]], "max_tokens": 3, "temperature": 0.0}, "greedy=True"),
        ({"prompts": [[1] * 200], "max_tokens": 57}, "256 positions"),
        ({"prompts": [[1, 262]], "max_tokens": 3}, "the id 262"),
        ({"prompts": [[-1]], "max_tokens": 3}, "the id -1"),
    ],
)
def test_bad_requests_are_explained(
    policy: LanguagePolicy, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        policy.sample(**request_)


@pytest.mark.parametrize("width", [100, 264])
def test_a_renderer_of_another_vocabulary_is_an_error(
    build_model: Callable[..., Any], llama_config: Callable[..., Any], width: int
) -> None:
    model = build_model(llama_config(vocab_size=width, pad_token_id=1, eos_token_id=2))
    with pytest.raises(LmgymError, match=f"the model has {width} ids"):
        LanguagePolicy(model, ByteRenderer())


def test_transformers_opens_what_is_saved(policy: LanguagePolicy, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    policy.save(tmp_path / "saved")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    weights, expected = model.state_dict(), policy.model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert tokenizer("né").input_ids == list("né".encode())
    assert model.generation_config.eos_token_id == [257]


def test_saving_replaces_weights_and_keeps_other_files(
    build_model: Callable[..., Any], llama_config: Callable[..., Any], tmp_path: Path
) -> None:
    target = tmp_path / "saved"
    LanguagePolicy(build_model(llama_config(), seed=0), ByteRenderer()).save(target)
    (target / "lmgym.json").write_text("{}")
    (target / "logs").mkdir()
    with (target / "logs" / "metrics.jsonl").open("w") as log:
        second = LanguagePolicy(build_model(llama_config(num_hidden_layers=1)), ByteRenderer())
        second.save(target)
        log.write("written on")
    assert json.loads((target / "config.json").read_text())["num_hidden_layers"] == 1
    assert (target / "lmgym.json").read_text() == "{}"
    assert (target / "logs" / "metrics.jsonl").read_text() == "written on"
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_failed_save_leaves_the_directory_as_it_was(
    policy: LanguagePolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.save(tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(policy.model, "save_pretrained", full_disk)
    with pytest.raises(OSError, match="no space"):
        policy.save(tmp_path / "saved")
    assert {p.name: p.read_bytes() for p in (tmp_path / "saved").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_skipping_the_prompt_changes_no_score() -> None:
    from lmgym.agents.embedded import new_policy

    policy = new_policy(16, 1, seed=0)
    ids = torch.randint(0, 262, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.no_grad():
        whole, part = (policy.token_logprobs(ids, mask, 0.8, first=first) for first in (1, 5))
    assert torch.equal(part[:, :4], torch.zeros(3, 4))
    assert torch.allclose(part[:, 4:], whole[:, 4:], atol=1e-6)


def test_ids_beyond_the_tokenizer_are_never_drawn_nor_weighed() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from lmgym.policies.byte_tokenizer import byte_tokenizer
    from lmgym.rendering import ChatRenderer

    sizes: Any = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=320, num_hidden_layers=1, tie_word_embeddings=False, **sizes)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[262:] *= 1000
    policy = LanguagePolicy(model, ChatRenderer(byte_tokenizer()))
    generator = torch.Generator().manual_seed(0)
    drawn = policy.sample([[5, 6, 7]] * 40, max_tokens=8, generator=generator)
    assert max(max(ids) for ids in drawn.ids) < 262
    ids = torch.tensor([[5, 6, 7, *drawn.ids[0]]])
    with torch.no_grad():
        scored = policy.token_logprobs(ids, torch.ones_like(ids))[0, 2:]
    assert scored.tolist() == pytest.approx(drawn.logprobs[0], abs=1e-4)


def weights_in(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


def test_a_save_that_fails_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmgym.agents.embedded import new_policy

    target = tmp_path / "best"
    new_policy(16, 1, seed=0).save(target)
    before = weights_in(target)
    rename = os.rename

    def full(source: Path, to: Path) -> None:
        if Path(source).name == "new":
            raise OSError(28, "No space left on device")
        rename(source, to)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space"):
        new_policy(16, 1, seed=1).save(target)
    monkeypatch.undo()
    assert weights_in(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_saving_through_a_link_keeps_the_link_and_copies_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmgym.agents.embedded import new_policy

    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "log.txt").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    def refused(source: Path, to: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    new_policy(16, 1, seed=0).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "log.txt").read_text() == "kept"
    assert weights_in(tmp_path / "real")


def test_a_save_that_was_killed_between_its_moves_is_undone_by_the_next(tmp_path: Path) -> None:
    from lmgym.agents.embedded import new_policy

    target = tmp_path / "best"
    new_policy(16, 1, seed=0).save(target)
    (target / "lmgym.json").write_text("{}")
    target.rename(tmp_path / ".best.old")
    new_policy(16, 1, seed=1).save(target)
    assert weights_in(target)
    assert (target / "lmgym.json").read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
