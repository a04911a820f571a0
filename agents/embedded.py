"""The embedded policy: a small Llama that knows the worlds' formats and solves some problems.

Supervised learning on the worlds' own demonstrations, a mixture of worlds, until the greedy
answers to the default problems of `lmgym/Math-v0` reach a given share on validation. It leaves
room above for reinforcement learning, and enough success for it to start from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lmgym.evaluation import evaluate
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer, Renderer
from lmgym.rollouts import RolloutCollector, demonstrations
from lmgym.task import Task

from .sft import supervised_step

__all__ = ["EmbeddedArgs", "new_policy", "train"]

_MATH, _COPY, _GUESS = "lmgym/Math-v0", "lmgym/Copy-v0", "lmgym/GuessNumber-v0"
_FAMILIES = ("addition", "subtraction", "multiplication", "modular")


@dataclass(frozen=True)
class EmbeddedArgs:
    """Arguments of the recipe."""

    out: str = "runs/embedded"
    """Folder for the policy and its card."""
    hidden_size: int = 64
    """Width of the model."""
    n_layers: int = 2
    """Layers of the model."""
    default_share: float = 0.4
    """Share of the default problems in the mixture while the policy solves fewer than `hold_at` of
    them; all other worlds share the rest."""
    batch_size: int = 64
    """Demonstrations a batch."""
    lr: float = 3e-3
    """Learning rate of AdamW."""
    hold_at: float = 0.3
    """Greedy accuracy on the validation problems of the default world at which they are taken out
    of the mixture, so that the other worlds catch up and there is room left above."""
    min_steps: int = 5000
    """Batches before training may end; it ends when the default accuracy is at `hold_at` or just
    above."""
    max_steps: int = 20_000
    """Batches after which the training ends in any case."""
    seed: int = 2
    """Seed of weights, problems and batches."""


def train(args: EmbeddedArgs) -> Path:
    """Train the policy and write it with its card; returns the folder."""
    torch.set_num_threads(1)  # one thread is reproducible
    rng = np.random.default_rng(args.seed)
    policy = new_policy(args.hidden_size, args.n_layers, args.seed)
    optimizer = torch.optim.AdamW(policy.model.parameters(), args.lr, betas=(0.9, 0.95))
    worlds = _worlds()
    tasks = list(worlds.values())
    default = RolloutCollector(policy, tasks[0], None)
    start = time.perf_counter()
    reached, step = 0.0, 0
    while step < args.max_steps:
        is_default = reached < args.hold_at and rng.random() < args.default_share
        task = tasks[0 if is_default else int(rng.integers(1, len(tasks)))]
        n = max(8, args.batch_size // task.max_turns)
        loss = supervised_step(policy, optimizer, demonstrations(task, policy.renderer, rng, n))
        step += 1
        if step % 25 == 0:
            reached = evaluate(default, None, split="validation", samples=0).greedy
            print(f"step {step}  loss {loss:.3f}  greedy {reached:.3f}", flush=True)
            if step >= args.min_steps and args.hold_at <= reached <= args.hold_at + 0.07:
                break
    seconds = time.perf_counter() - start
    policy.save(args.out)
    card = _card(args, policy, worlds, step, seconds)
    (Path(args.out) / "README.md").write_text(card, encoding="utf-8")
    return Path(args.out)


def new_policy(
    hidden_size: int, n_layers: int, seed: int, renderer: Renderer | None = None
) -> LanguagePolicy:
    """A Llama with random weights, normal with a deviation of 0.02; by default over bytes."""
    renderer = renderer or ByteRenderer()
    config = LlamaConfig(
        vocab_size=renderer.vocab_size,
        hidden_size=hidden_size,
        intermediate_size=hidden_size * 5 // 2,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=renderer.end_id,
        pad_token_id=renderer.pad_id,
    )
    with torch.random.fork_rng(devices=[]):  # the constructor draws weights that are replaced
        model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.02, generator=generator)
    return LanguagePolicy(model, renderer)


def _worlds() -> dict[str, Task[Any]]:
    """The mixture, the default problems first."""
    levels = [("addition", 2), *((family, d) for d in (1, 2) for family in _FAMILIES)]
    worlds: dict[str, Task[Any]] = {
        f"{_MATH}, {family}, difficulty {digits}": make_task(
            _MATH, problems=family, difficulty=digits
        )
        for family, digits in levels
    }
    return worlds | {_COPY: make_task(_COPY), _GUESS: make_task(_GUESS)}


def _card(
    args: EmbeddedArgs,
    policy: LanguagePolicy,
    worlds: dict[str, Task[Any]],
    steps: int,
    seconds: float,
) -> str:
    """The policy's card, with its accuracy on each world's test split."""
    generator = torch.Generator().manual_seed(args.seed)
    rows = list(_accuracies(policy, worlds, generator))
    return "\n".join(
        [
            "# The embedded policy",
            "",
            f"A Llama of {policy.n_parameters:,} parameters over bytes ({args.n_layers} layers of"
            f" width {args.hidden_size}), trained by supervised learning on demonstrations that"
            " the worlds of this package generate. It knows the formats of the worlds and solves"
            " some of their problems: a starting point for reinforcement learning.",
            "",
            f"- Data: demonstrations of the train splits of the worlds below, {steps:,} batches of"
            f" {args.batch_size} (fewer in worlds of several turns). The first world's share was"
            f" {args.default_share:.0%}, and nothing while the policy solved {args.hold_at:.0%} of"
            " its validation problems. No problem of a validation or test split was trained on.",
            f"- Command: `lmgym train embedded` (seed {args.seed}, one thread).",
            f"- Duration: {seconds:.0f} s on one CPU core.",
            "- Licence: MIT, as the package.",
            "",
            "Test split, greedy and sampled at temperature 1 (four samples a problem), with 95 %"
            " intervals:",
            "",
            "| world | problems | greedy | pass@1 |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _accuracies(
    policy: LanguagePolicy, worlds: dict[str, Task[Any]], generator: torch.Generator
) -> Iterator[str]:
    for name, task in worlds.items():
        result = evaluate(RolloutCollector(policy, task, None), generator, split="test")
        assert result.pass_at_1 is not None
        assert result.pass_at_1_interval is not None
        cells = [
            name,
            str(result.n),
            _cell(result.greedy, result.greedy_interval),
            _cell(result.pass_at_1, result.pass_at_1_interval),
        ]
        yield f"| {' | '.join(cells)} |"


def _cell(value: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{value:.3f} [{max(0.0, low):.3f}, {min(1.0, high):.3f}]"
