"""Problems a second of CPU time of `lmgym/Math-v0`, family by family, and of the sampler.

A problem is drawn by `Task.draw_many` from the training split, with its opening, and its answer is
verified with `Task.reply_many`; demonstrations are part of it where a family shows steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.curriculum import AdaptiveSampler
from lmgym.envs.math_problems.families import FAMILIES
from lmgym.factory import make_task
from lmgym.task import Task
from measuring import Claim, Measure, MeasuringArgs, claimed, cpu_seconds, in_turn

LEVELS = (1, 2, 9)
SAMPLER = "adaptive sampler, all/1-9"
_BATCH = 64


@dataclass(frozen=True)
class ProblemRateArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    problems: int = 2_048
    """Problems of each family and level a repetition."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    options = {"problem-rate": ProblemRateArgs}
    (args,) = parse_options(options, argv, "bench problem-rate", __doc__ or "")
    n = max(_BATCH, args.problems)
    kinds: dict[str, Measure] = {}
    for family in FAMILIES:
        for level in LEVELS:
            task = make_task("lmgym/Math-v0", problems=family, difficulty=level)
            kinds[f"{family}/{level}"] = partial(_rate, task, args.seed, n)
    sampler = AdaptiveSampler(make_task("lmgym/Math-v0", problems="all/1-9"))
    kinds[SAMPLER] = partial(_sampled, sampler, args.seed, n)
    rates = in_turn(kinds, args.repetitions)
    claims = [
        Claim(name, values, "problems/s", least=None if name == SAMPLER else 2_000)
        for name, values in rates.items()
    ]
    return claimed(claims, args)


def _rate(task: Task[Any], seed: int, n: int) -> float:
    """Problems a second that are drawn, shown and verified."""
    rng = np.random.default_rng(seed)
    return n / cpu_seconds(lambda: [_verified(task, rng) for _ in range(-(-n // _BATCH))])


def _verified(task: Task[Any], rng: np.random.Generator) -> int:
    """Draw a batch and verify what the world demonstrates; how many are right."""
    states = [opening.state for opening in task.draw_many(rng, _BATCH)]
    shown = [task.demonstrate(state) or "" for state in states]
    replies = task.reply_many(states, shown, [rng] * _BATCH)
    return sum(reply.verdict == "correct" for reply in replies)


def _sampled(sampler: AdaptiveSampler, seed: int, n: int) -> float:
    """Problems a second that a sampler chooses which knows nothing yet."""
    rng = np.random.default_rng(seed)
    return n / cpu_seconds(lambda: [sampler.draw(rng, _BATCH) for _ in range(-(-n // _BATCH))])
