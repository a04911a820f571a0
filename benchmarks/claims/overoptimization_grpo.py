"""Over-optimisation by GRPO: the gold reward rises and falls while the reward model pays more.

The embedded policy imitates the cheers of `lmgym/Preference-v0` for a thousand updates, once. Each
seed then has 200 pairs of its answers compared with a quarter of the labels flipped, fits a linear
reward model of hashed n-grams alone and one of 8 bootstrap members whose variance is taken off 8
times (Coste et al., 2024), and trains by GRPO against `rm:DIR` four times: against the single
model, with a KL penalty, against the ensemble, and with both. Gold, proxy and KL to the start are
logged at each update (Gao et al., 2022). Best-of-N against the same single models stands beside
them.

Variance sees only what members disagree about. With the answer's length as a feature, 400 pairs of
Bradley-Terry noise and a variance taken off 4 times, all members agree that longer is better: in
seeds 0 to 2 the ensemble's gold ended 0.33 (-0.54 to 0.40) above the single model's. The set-up was
then chosen on seeds 100 and 101: by best-of-N among 13 ways to fit the models, with length and
without, and by GRPO with two of them. With 96 principal components, a penalty of 0.3 and 4
variances, stopped after 40 updates, the ensemble was worse in one seed and no better in the other;
with all n-grams, a penalty of 10000 and 8 variances, as here, gold ended 6.3 and 5.8 higher. Beta
was chosen on seed 100 of the older set-up, out of 0.05, 0.2 and 0.5. Seeds 3 to 5 were run first
and 6 to 8 added to them.
"""

from __future__ import annotations

import json
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
from lmgym.errors import LmgymError
from lmgym.factory import make_source, make_task
from lmgym.overoptimization import Curve, collect_best_of_n, mean_curve, run_curve
from lmgym.policies.loading import load_policy
from lmgym.preferences.annotators import FlipAnnotator
from lmgym.preferences.collection import collect_pairs
from lmgym.reward_models import FitArgs, fit_reward_model
from lmgym.rollouts import RolloutCollector
from lmgym.training.runs import RECORD_FILE
from lmgym.training.study_figure import draw_study
from measuring import Claim, MeasuringArgs, claimed

WORLD = "lmgym/Preference-v0"
PAIRS, FLIPS, MEMBERS, COEFFICIENT, BETA = 200, 0.25, 8, 8.0, 0.5
MODEL: Mapping[str, Any] = {"length": False, "components": None, "regularisation": 1e4}
"""How every reward model is fitted."""
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

    repetitions: int = 6
    """Seeds."""
    seed: int = 3
    """The first."""
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
    averaged = [mean_curve(found) for found in curves.values()]
    if args.plot is not None:
        title = f"GRPO and best-of-N against reward models of {WORLD}, {len(seeds)} seeds"
        draw_study(averaged, Path(args.plot), title=title)
    return claimed(claims_of(curves), args, curves=[curve.as_dict() for curve in averaged])


def starting_policy(runs: Path) -> Path:
    """The embedded policy after imitation; made where it is not there."""
    out = runs / "start"
    if not is_done(out, IMITATION):
        learner = SFTArgs(out=str(out), updates=IMITATION, lr=3e-3, batch_size=64, **_quiet())
        imitate(learner, WORLD, {})
    return out / "last"


def reward_model(runs: Path, start: Path, seed: int, members: int) -> Path:
    """A model of what annotators prefer among the answers of the starting policy."""
    out = runs / f"rm-{members}-{seed}"
    if not out.is_dir():
        collector = RolloutCollector(load_policy(str(start)), make_task(WORLD), None)
        generator = torch.Generator().manual_seed(seed)
        rng, annotator = np.random.default_rng(seed), FlipAnnotator(FLIPS)
        pairs = collect_pairs(collector, generator, PAIRS, rng, annotator=annotator)
        how = FitArgs(members=members, reduce="uwo", coefficient=COEFFICIENT, seed=seed, **MODEL)
        fit_reward_model(pairs, how).save(out)
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
    if not is_done(run, args.updates):
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


def is_done(run: Path, updates: int) -> bool:
    """Whether a run folder holds a finished run of so many updates.

    Raises:
        LmgymError: where it holds another one.
    """
    if not run.exists():
        return False
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    if (record["status"], record["args"]["updates"]) == ("finished", updates):
        return True
    raise LmgymError(
        f"{str(run)!r} holds a run of {record['args']['updates']} updates that is"
        f" {record['status']}; {updates} finished ones are needed: remove it, or give other --runs"
    )


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
    beside = zip(curves[ENSEMBLE], single, strict=True)
    nearer = [gold_above(curve, other) for curve, other in beside]
    claims.append(Claim(f"{ENSEMBLE}: gold at its end above GRPO's at that KL", nearer, "gold"))
    for name in SETTINGS:
        kept = [float(smoothed(c)[-1] - smoothed(c)[0]) for c in curves[name]]
        claims.append(Claim(f"{name}: gold at the end above the start's", kept, "gold"))
    return claims


def gold_above(curve: Curve, other: Curve) -> float:
    """A curve's last gold reward less that of another at the first point as far from the start.

    Where the other does not come as far, its last point counts.
    """
    is_there = means(other.kl) >= means(curve.kl)[-1]
    place = int(is_there.argmax()) if is_there.any() else -1
    return float(smoothed(curve)[-1] - smoothed(other)[place])


def smoothed(curve: Curve) -> NDArray[np.float64]:
    """Gold rewards as means over a few updates."""
    assert curve.gold is not None
    return means(curve.gold)


def means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a few updates each, shape (P - SMOOTHED + 1,)."""
    return np.convolve(values, np.full(SMOOTHED, 1 / SMOOTHED), "valid")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
