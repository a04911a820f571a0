"""What large models need, in whole runs: adapters in a training run, and devices."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.agents.grpo import GRPOArgs, train
from lmgym.policies.adapters import with_adapter
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy

RunCli = Callable[..., tuple[int, str, str]]

PROMPTS = [[259, 65, 257, 260], [259, 66, 66, 66, 257, 260]]
_COMMANDS = [
    "train grpo lmgym/Math-v0",
    "eval lmgym/Math-v0",
    "play lmgym/Math-v0 --model embedded",
]
HAS_GPU = torch.cuda.is_available()

on_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    new_policy(16, 1, seed=0).save(tmp_path / "small")
    return tmp_path / "small"


def arguments(small: Path, out: Path, **changes: Any) -> GRPOArgs:
    given: dict[str, Any] = {
        "model": str(small),
        "out": str(out),
        "updates": 2,
        "groups": 2,
        "group_size": 2,
        "max_tokens": 6,
        "validation_limit": 4,
        "test_limit": 4,
        "test_samples": 1,
        "validate_every": 0.0,
        "reward": "pattern:[a-zA-Z]",
    }
    return GRPOArgs(**(given | changes))


@pytest.mark.slow
def test_a_run_trains_an_adapter_and_leaves_the_merged_model(small: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    words = {"lora_rank": 2, "lr": 0.05, "gradient_checkpointing": "on", "autocast": "bf16"}
    folder = train(arguments(small, tmp_path / "run", beta=0.1, **words), "lmgym/Math-v0", {})
    record = json.loads((folder / "lmgym.json").read_text())
    assert record["status"] == "finished"
    assert "LoRA of rank 2, bf16 autocast, gradient checkpointing" in record["preset"]
    before, merged, beside = (
        load_policy(p) for p in (small, folder / "last", folder / "last/adapter")
    )
    assert merged.n_parameters == before.n_parameters
    name = "model.layers.0.mlp.up_proj.weight"
    start, end = (policy.model.state_dict()[name] for policy in (before, merged))
    assert not torch.equal(start, end)
    assert torch.equal(before.model.lm_head.weight, merged.model.lm_head.weight)
    ids = torch.tensor(PROMPTS[:1])
    scores = [p.token_logprobs(ids, torch.ones_like(ids)).detach() for p in (merged, beside)]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-5)
    losses = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any(abs(row.get("reference_kl", 0.0)) > 0 for row in losses)


@pytest.mark.skipif(HAS_GPU, reason="has what the test misses")
@pytest.mark.parametrize("command", _COMMANDS)
def test_a_device_that_is_not_there_is_an_error_before_anything_is_written(
    command: str, run_cli: RunCli, tmp_path: Path
) -> None:
    code, _, error = run_cli(*command.split(), "--device", "cuda:3")
    assert code != 0
    assert "unknown device 'cuda:3'; known: cpu" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", _COMMANDS)
def test_an_unknown_dtype_is_an_error_before_anything_is_written(
    command: str, run_cli: RunCli, tmp_path: Path
) -> None:
    code, _, error = run_cli(*command.split(), "--dtype", "int7")
    assert code != 0
    assert "unknown dtype 'int7'" in error
    assert not list(tmp_path.iterdir())


def test_an_adapter_without_peft_is_an_error_before_the_model_is_loaded(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lmgym.policies.loading.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("lmgym.training.session.load_policy", None)
    code, _, error = run_cli("train", "grpo", "lmgym/Math-v0", "--lora-rank", "2")
    assert code != 0
    assert "lmgym[lora]" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("has_adapter", [False, True])
def test_a_gpu_samples_and_scores_what_the_cpu_does(
    policy: LanguagePolicy, has_adapter: bool
) -> None:
    if has_adapter:
        with_adapter(policy, rank=2)
    other = copy.copy(policy)
    other.model = copy.deepcopy(policy.model).to("cuda")
    here, there = (p.sample(PROMPTS, 3, max_tokens=12, greedy=True) for p in (policy, other))
    assert here.ids == there.ids
    torch.testing.assert_close(here.logprobs, there.logprobs, atol=1e-3, rtol=1e-3)
    ids = torch.randint(0, 256, (3, 20), generator=torch.Generator().manual_seed(0))
    scores = [p.token_logprobs(ids, torch.ones_like(ids)).detach().cpu() for p in (policy, other)]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-3, rtol=1e-3)


@pytest.mark.gpu
@on_gpu
def test_autocast_on_a_gpu_stays_near_full_precision(policy: LanguagePolicy) -> None:
    policy.model.to("cuda")
    ids = torch.randint(0, 256, (3, 20), generator=torch.Generator().manual_seed(0))
    exact = policy.token_logprobs(ids, torch.ones_like(ids)).detach()
    policy.autocast = torch.bfloat16
    rough = policy.token_logprobs(ids, torch.ones_like(ids)).detach()
    assert 0 < float((rough - exact).abs().mean()) < 0.2
    samples = policy.sample(PROMPTS, 3, max_tokens=12, generator=torch.Generator().manual_seed(0))
    assert len(samples.ids) == 6


@pytest.mark.gpu
@on_gpu
def test_grpo_takes_a_step_on_a_gpu(small: Path, tmp_path: Path) -> None:
    args = arguments(small, tmp_path / "run", device="cuda", updates=1, lr=0.05)
    folder = train(args, "lmgym/Math-v0", {})
    before, after = (load_policy(place) for place in (small, folder / "last"))
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(before.model.state_dict()[name], after.model.state_dict()[name])
