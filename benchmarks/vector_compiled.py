"""The compiled step of batched environments, beside copying the batch of observations.

The step is that of the kernel: ids are written, rows whose turn ended (one id in 32 ends it) start
again at one prompt, the observations are copied. A caller needs the copy in any case; what the step
costs more than it is ours. Both keep the last observations alive while the next are made, as a loop
of a learner does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lmgym.commands.arguments import parse_options
from loops import KernelLoop, copies, ids_of
from measuring import Claim, Costs, MeasuringArgs, claimed, in_turn, numbers, ratios, show_costs

STEP, COPY = "compiled step", "copying observations"
BAR, BAR_ROWS = 2.0, 1024
"""How many times a copy's cost a step may cost, from so many rows on."""


@dataclass(frozen=True)
class VectorCompiledArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 15
    """Measurements of each kind, taken in turn."""
    rows: str = "1024,4096"
    """Batch sizes, separated by commas."""
    contexts: str = "64,512"
    """Contexts, separated by commas."""
    env_steps: int = 1_000_000
    """About how many environment steps a measurement takes."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options(
        {"vector-compiled": VectorCompiledArgs}, argv, "bench vector-compiled", __doc__ or ""
    )
    rows, contexts = numbers("--rows", args.rows), numbers("--contexts", args.contexts)
    places = [(n, context) for context in contexts for n in rows]
    costs = {place: measure(*place, args) for place in places}
    named = {f"N = {n}, context {c}": kinds for (n, c), kinds in costs.items()}
    show_costs(named, "ns a step")
    return claimed(claims(costs), args, nanoseconds=named)


def measure(rows: int, context: int, args: VectorCompiledArgs) -> Costs:
    """Nanoseconds an environment step, of the step and of the copy."""
    steps = max(1, args.env_steps // rows)
    loop = KernelLoop(rows, context, ids_of(steps, rows, 1 / 32, args.seed), compiled=True)
    return in_turn({STEP: loop, COPY: partial(copies, loop, steps)}, args.repetitions)


def claims(costs: Mapping[tuple[int, int], Costs]) -> Iterable[Claim]:
    """Steps over copies."""
    for (rows, context), kinds in costs.items():
        bar = BAR if rows >= BAR_ROWS else None
        times = ratios(kinds[STEP], kinds[COPY])
        yield Claim(f"N = {rows}, context {context}", times, most=bar)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
