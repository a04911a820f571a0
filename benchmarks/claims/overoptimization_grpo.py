"""Over-optimisation by GRPO: the gold reward rises and falls while the reward model pays more.

The embedded policy imitates the cheers of `lmgym/Preference-v0` for a thousand updates, once. Each
seed then has 400 pairs of its answers compared with Bradley-Terry noise, fits a reward model alone
and one of 8 bootstrap members whose variance is taken off 4 times (Coste et al., 2024), and trains
by GRPO against `rm:DIR` four times: against the single model, with a KL penalty, against the
ensemble, and with both. Gold, proxy and KL to the start are logged at each update (Gao et al.,
2022). Best-of-N against the same single models stands beside them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmgym.agents.grpo import GRPOArgs
from lmgym.agents.grpo import train as train_by_grpo
from lmgym.agents.sft import SFTArgs
from lmgym.agents.sft import train as imitate
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from lmgym.factory import make_source, make_task
from lmgym.overoptimization import Curve, collect_best_of_n, mean_curve, run_curve
from lmgym.policies.loading import load_policy
from lmgym.preferences.collection import collect_pairs
from lmgym.reward_models import FitArgs, fit_reward_model
from lmgym.rollouts import RolloutCollector
from lmgym.training.study_figure import draw_study
from measuring import Claim, MeasuringArgs, claimed

WORLD = "lmgym/Preference-v0"
PAIRS, MEMBERS, COEFFICIENT, BETA = 400, 8, 4.0, 0.5
IMITATION, LEARNING_RATE, GROUPS, GROUP_SIZE = 1000, 1.5e-4, 32, 8
PROMPTS, SAMPLES = 6, 512
"""Of best-of-N, in each seed."""
SMOOTHED = 5
"""Updates whose mean is the gold reward at a point of a run."""
UNLIMITED = 1e6
"""Seconds."""

SINGLE, PENALTY, ENSEMBLE, BOTH = "GRPO", "with KL penalty", "with ensemble", "with both"
SETTINGS: Mapping[str, tuple[int, float]] = {
    SINGLE: (1, 0.0),
    PENALTY: (1, BETA),
    ENSEMBLE: (MEMBERS, 0.0),
    BOTH: (MEMBERS, BETA),
}
"""Members of the reward model, and the weight of the KL penalty."""


@dataclass(frozen=True)
class GRPOStudyArgs(MeasuringArgs):
    """What to measure; a repetition is a seed."""

    repetitions: int = 3
    """Seeds."""
    updates: int = 60
    """Updates of each run."""
    runs: str = "runs/overoptimization_grpo"
    """Folder of the policies, models and runs; finished ones are kept and not run again."""
    plot: str | None = None
    """Draw the means over seeds into this .png file."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write, draw; 1 where a bar is missed."""
    (args,) = parse_options(
        {"overoptimization": GRPOStudyArgs},
        argv,
        "bench claims/overoptimization-grpo",
        __doc__ or "",
    )
    if args.plot is not None:
        check_file(args.plot, ".png")
    torch.set_num_threads(1)
    start = starting_policy(Path(args.runs))
    seeds = [args.seed + i for i in range(args.repetitions)]
    curves: dict[str, list[Curve]] = {name: [] for name in (*SETTINGS, "best of N")}
    for seed in seeds:
        models = {n: reward_model(Path(args.runs), start, seed, n) for n in (1, MEMBERS)}
        curves["best of N"].append(best_of_n(start, models[1], seed))
        for name in SETTINGS:
            curves[name].append(learn(args, start, models, name, seed))
    means = [mean_curve(found) for found in curves.values()]
    if args.plot is not None:
        title = f"GRPO and best-of-N against reward models of {WORLD}, {len(seeds)} seeds"
        draw_study(means, Path(args.plot), title=title)
    return claimed(claims_of(curves), args, curves=[curve.as_dict() for curve in means])


def starting_policy(runs: Path) -> Path:
    """The embedded policy after imitation; made where it is not there."""
    out = runs / "start"
    if not (out / "last").is_dir():
        learner = SFTArgs(out=str(out), updates=IMITATION, lr=3e-3, batch_size=64, **_quiet())
        imitate(learner, WORLD, {})
    return out / "last"


def reward_model(runs: Path, start: Path, seed: int, members: int) -> Path:
    """A model of what annotators prefer among the answers of the starting policy."""
    out = runs / f"rm-{members}-{seed}"
    if not out.is_dir():
        collector = RolloutCollector(load_policy(str(start)), make_task(WORLD), None)
        generator = torch.Generator().manual_seed(seed)
        pairs = collect_pairs(collector, generator, PAIRS, np.random.default_rng(seed))
        args = FitArgs(members=members, reduce="uwo", coefficient=COEFFICIENT, seed=seed)
        fit_reward_model(pairs, args).save(out)
    return out


def best_of_n(start: Path, model: Path, seed: int) -> Curve:
    """Best-of-N of the starting policy against a model."""
    source = make_source(f"rm:{model}")
    collector = RolloutCollector(load_policy(str(start)), make_task(WORLD), source)
    generator = torch.Generator().manual_seed(seed)
    return collect_best_of_n(collector, generator, n_prompts=PROMPTS, samples=SAMPLES)


def learn(
    args: GRPOStudyArgs, start: Path, models: Mapping[int, Path], name: str, seed: int
) -> Curve:
    """The curve of one run."""
    members, beta = SETTINGS[name]
    run = Path(args.runs) / f"{name.replace(' ', '-')}-{seed}"
    if not (run / "last").is_dir():
        learner = GRPOArgs(
            model=str(start),
            reward=f"rm:{models[members]}",
            out=str(run),
            seed=seed,
            updates=args.updates,
            lr=LEARNING_RATE,
            groups=GROUPS,
            group_size=GROUP_SIZE,
            beta=beta,
            log_kl=True,
            **_quiet(),
        )
        train_by_grpo(learner, WORLD, {})
    return run_curve(run, name)


def _quiet() -> dict[str, Any]:
    """The updates are what is limited, and only the logs are looked at."""
    few = {"test_limit": 16, "test_samples": 1, "validation_limit": 16}
    return {**few, "validate_every": UNLIMITED, "seconds": UNLIMITED, "target": 2.0}


def claims_of(curves: Mapping[str, Sequence[Curve]]) -> list[Claim]:
    """What the seeds show; a unit of gold is about its standard deviation at the start."""
    single = curves[SINGLE]
    ends = [smoothed(curve)[-1] for curve in single]
    peaks = [smoothed(curve).max() for curve in single]
    paid = [float(curve.proxy[-1] - curve.proxy[0]) for curve in single]
    fallen = [float(peak - end) for peak, end in zip(peaks, ends, strict=True)]
    claims = [
        Claim("GRPO: proxy at the end above the start's", paid, "proxy", least=1.0),
        Claim("GRPO: gold at its peak above the end's", fallen, "gold", least=1.0),
    ]
    for name in (PENALTY, ENSEMBLE, BOTH):
        gains = [float(smoothed(c)[-1] - end) for c, end in zip(curves[name], ends, strict=True)]
        claims.append(Claim(f"{name}: gold at the end above GRPO's", gains, "gold", least=0.5))
    for name in SETTINGS:
        kept = [float(smoothed(c)[-1] - smoothed(c)[0]) for c in curves[name]]
        claims.append(Claim(f"{name}: gold at the end above the start's", kept, "gold"))
    return claims


def smoothed(curve: Curve) -> NDArray[np.float64]:
    """Gold rewards as means over a few updates."""
    assert curve.gold is not None
    return np.convolve(curve.gold, np.full(SMOOTHED, 1 / SMOOTHED), "valid")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
