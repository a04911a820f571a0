"""`lmgym reward curve`: proxy, gold and KL of best-of-N against a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file
from lmgym.commands.reward_data import check_seed, progress
from lmgym.commands.worlds import find_world_here, world_arguments
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.overoptimization import Curve, collect_best_of_n, run_curve, write_study
from lmgym.registry import WORLDS
from lmgym.training.progress import visible

__all__ = ["CurveArgs", "curve"]


@dataclass(frozen=True)
class CurveArgs:
    """Arguments of the curve."""

    proxy: str | None = None
    """The reward that is optimised, as rm:DIR."""
    model: str = "embedded"
    """The policy: embedded, a Hugging Face directory, a hub id, or a .gguf file."""
    limit: int = 32
    """Problems, the first of the split."""
    samples: int = 256
    """Answers to each, and the largest N."""
    split: str = "test"
    """Which problems: train, validation or test."""
    temperature: float = 1.0
    """Of the answers."""
    run: str | None = None
    """Folder of a training run against the same proxy, to draw beside it."""
    seed: int = 0
    """Seed of the answers."""
    device: str = "cpu"
    """Where the policy runs: cpu, cuda, cuda:1, ..."""
    dtype: str = "auto"
    """Type of the policy's weights: auto (float32), float32, bfloat16 or float16."""
    out: str = "curve.json"
    """The .json file for the points and the fits."""
    plot: str | None = None
    """A .png file for the figure; by default beside the other."""


def curve(argv: Sequence[str]) -> int:
    """Sample, take the best of N by the proxy, and show what it is worth."""
    names, options = split_names(argv, 1, "reward curve ENV --proxy rm:DIR [--options]")
    if not names and not {"-h", "--help"} & set(options):
        raise LmgymError(f"name a world: lmgym reward curve ENV; known: {', '.join(WORLDS)}")
    groups: dict[str, type[Any]] = {"reward curve": CurveArgs}
    if names:
        groups[names[0]] = find_world_here(names[0]).task_class.Args
    command = f"reward curve {names[0] if names else 'ENV'}"
    args, *world_args = parse_options(groups, options, command, _DESCRIPTION)
    _check(args)
    check_seed(args.seed)
    plot = args.plot or str(check_file(args.out).with_suffix(".png"))
    check_file(plot, ".png")
    curves = [_best_of_n(names[0], args, world_arguments(world_args[0]))]
    if args.run is not None:
        curves.append(run_curve(args.run))
    title = f"{visible(args.proxy)} on {visible(names[0])}"
    facts = {"env": names[0], "args": args, "world": world_args[0]}
    write_study(curves, args.out, plot=plot, title=title, facts=facts)
    console = Console()
    console.print(_table(curves[0], title))
    console.print(Text(f"written to {args.out} and {plot}"), soft_wrap=True)
    return 0


_DESCRIPTION = (
    "Draw the proxy and the gold reward of best-of-N against its distance from the policy (Gao et"
    " al. 2022). The gold reward is the world's own; worlds without one show the proxy alone."
)


def _check(args: CurveArgs) -> None:
    if args.proxy is None:
        raise LmgymError("--proxy is missing; give the reward that is optimised, as rm:DIR")
    for name, least in (("limit", 1), ("samples", 2)):
        if getattr(args, name) < least:
            raise LmgymError(
                f"--{name} {getattr(args, name)} is out of range; at least {least} is needed"
            )
    if not args.temperature > 0:
        raise LmgymError(f"--temperature {args.temperature} is out of range; it must be above 0")


def _best_of_n(env: str, args: CurveArgs, world: dict[str, object]) -> Curve:
    task = make_task(env, **world)
    task.check_split(args.split)
    from lmgym.rewards.names import as_source

    source = as_source(args.proxy)

    import torch

    from lmgym.policies.loading import load_policy
    from lmgym.rollouts import RolloutCollector
    from lmgym.training.presets import use_threads

    policy = load_policy(args.model, device=args.device, dtype=args.dtype)
    use_threads(policy.n_base_parameters)
    with progress() as tell:
        return collect_best_of_n(
            RolloutCollector(policy, task, source),
            torch.Generator().manual_seed(args.seed),
            n_prompts=args.limit,
            samples=args.samples,
            split=args.split,
            temperature=args.temperature,
            label=f"best of N, {args.proxy}",
            on_progress=lambda done, total: tell("prompts", done, total),
        )


def _table(found: Curve, title: str) -> Table:
    table = Table("N", "KL", "proxy", "gold", title=Text(title), box=SIMPLE_HEAD)
    golds = [None] * len(found.n) if found.gold is None else found.gold.tolist()
    rows = zip(found.n.tolist(), found.kl.tolist(), found.proxy.tolist(), golds, strict=True)
    for n, kl, proxy, gold in rows:
        gold_cell = "" if gold is None else f"{gold:.3f}"
        table.add_row(f"{n:,}", f"{kl:.2f}", f"{proxy:.3f}", gold_cell)
    return table
