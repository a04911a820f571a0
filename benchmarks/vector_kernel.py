"""Steps of the arrays behind batched environments, beside `SyncVectorEnv` over single ones.

Ours is the kernel alone: ids are written, rows whose turn ended start again at one prompt, and the
observations are copied. The reference is `gymnasium.make_vec(..., vectorization_mode="sync")` over
`lmgym/Copy-v0`, every row fixed to the same problem by a wrapper around its `reset`, so that none
draws problems. It does what an environment does besides (verdicts, rewards, infos); the line of the
whole batched environment, which draws its problems too, shows what that costs us. All of them take
the same actions, one in 32 the end of the text, with a budget that the context alone limits, and
start again in the step that ended an episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file
from loops import COPY, EnvLoop, FixedProblem, KernelLoop, copies, ids_of, make_sync, make_vec
from measuring import Claim, Costs, MeasuringArgs, claimed, in_turn, numbers, ratios, show_costs

OURS, VIEWS, COMPILED = "kernel", "kernel, views", "kernel, compiled"
WHOLE, SYNC, LIMIT = "whole environment", "SyncVectorEnv", "copying observations"
BARS = {64: 10.0, 256: 25.0}
"""How many times as fast as the reference the kernel should be, by rows."""

END_SHARE, MOST_SYNC = 1 / 32, 256
Places = dict[tuple[int, int], Costs]
"""Costs by rows and context."""


@dataclass(frozen=True)
class VectorKernelArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    rows: str = "64,256"
    """Batch sizes, separated by commas."""
    contexts: str = "64,512"
    """Contexts, separated by commas."""
    env_steps: int = 50_000
    """About how many environment steps a measurement takes."""
    plot: str | None = None
    """Measure the sweeps as well, and draw cost against batch size and context into this .png."""
    sweep_rows: str = "16,32,64,128,256,512,1024,2048,4096"
    """Batch sizes of the drawing, at the first context."""
    sweep_contexts: str = "64,128,256,512,1024,2048"
    """Contexts of the drawing, at the last batch size."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write, draw; 1 where a bar is missed."""
    (args,) = parse_options(
        {"vector-kernel": VectorKernelArgs}, argv, "bench vector-kernel", __doc__ or ""
    )
    rows, contexts = numbers("--rows", args.rows), numbers("--contexts", args.contexts)
    by_rows = [(n, contexts[0]) for n in numbers("--sweep-rows", args.sweep_rows)]
    by_context = [(rows[-1], c) for c in numbers("--sweep-contexts", args.sweep_contexts)]
    if args.plot is not None:
        check_file(args.plot, ".png")
    places = [(n, context) for context in contexts for n in rows]
    drawn = [*by_rows, *by_context] if args.plot is not None else []
    costs = {place: measure(*place, args) for place in dict.fromkeys([*places, *drawn])}
    named = {f"N = {n}, context {c}": kinds for (n, c), kinds in costs.items()}
    show_costs(named, "ns a step")
    if args.plot is not None:
        draw({p: costs[p] for p in by_rows}, {p: costs[p] for p in by_context}, args.plot)
    return claimed(claims({place: costs[place] for place in places}), args, nanoseconds=named)


def measure(rows: int, context: int, args: VectorKernelArgs) -> Costs:
    """Nanoseconds an environment step of each kind."""
    steps = max(1, args.env_steps // rows)
    actions = ids_of(steps, rows, END_SHARE, args.seed)
    sizes: dict[str, Any] = {"context": context, "max_tokens": context}
    kernel = KernelLoop(rows, context, actions)
    kinds: dict[str, Callable[[], float]] = {
        OURS: kernel,
        VIEWS: KernelLoop(rows, context, actions, copy=False),
        COMPILED: KernelLoop(rows, context, actions, compiled=True),
        WHOLE: EnvLoop(make_vec(COPY, rows, autoreset_mode="same_step", **sizes), actions),
        LIMIT: partial(copies, kernel, steps),
    }
    if rows <= MOST_SYNC:
        sync = make_sync(COPY, rows, "same_step", wrappers=[FixedProblem], **sizes)
        kinds[SYNC] = EnvLoop(sync, actions[: max(1, steps // 4)])
    return in_turn(kinds, args.repetitions)


def claims(costs: Places) -> Iterable[Claim]:
    """The kernel, and the whole environment, against the reference."""
    for (rows, context), kinds in costs.items():
        if SYNC in kinds:
            place = f"N = {rows}, context {context}"
            yield Claim(f"kernel, {place}", ratios(kinds[SYNC], kinds[OURS]), least=BARS.get(rows))
            yield Claim(f"whole environment, {place}", ratios(kinds[SYNC], kinds[WHOLE]))


def draw(by_rows: Places, by_context: Places, path: str) -> None:
    """Cost of an environment step against the batch size, and against the context."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, {rows: kinds for (rows, _), kinds in by_rows.items()})
    _draw(right, {context: kinds for (_, context), kinds in by_context.items()})
    (_, context), (rows, _) = next(iter(by_rows)), next(iter(by_context))
    left.set(xlabel="environments N", title=f"Context {context}")
    left.set(ylabel="nanoseconds of CPU time an environment step")
    right.set(xlabel="context", title=f"N = {rows}")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def _draw(axes: Any, costs: dict[int, Costs]) -> None:
    """A line for each kind, with the range of its measurements."""
    for name in (SYNC, WHOLE, OURS, VIEWS, COMPILED, LIMIT):
        measured = {size: kinds[name] for size, kinds in costs.items() if name in kinds}
        sizes, values = list(measured), list(measured.values())
        style = "--" if name == LIMIT else "-"
        axes.plot(sizes, list(map(median, values)), style, marker="o", markersize=4, label=name)
        axes.fill_between(sizes, list(map(min, values)), list(map(max, values)), alpha=0.2)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(costs), list(map(str, costs)))
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
