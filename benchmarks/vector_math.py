"""`lmgym/Math-v0` in batches from end to end, beside `SyncVectorEnv` over single environments.

Problems are drawn, answers verified, rewards paid and infos told, all with default arguments, and
once more with the compiled step. The ids are random, one in sixteen the end of the text. Episodes
go on from one repetition to the next, so that the blocks in which problems are drawn ahead fall on
all of them; ours takes more steps a repetition than the reference, which draws one problem at a
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from loops import EnvLoop, ids_of, make_sync, make_vec
from measuring import Claim, Costs, MeasuringArgs, claimed, in_turn, numbers, ratios, show_costs

WORLD, END_SHARE = "lmgym/Math-v0", 1 / 16
KINDS = (("next_step", False), ("next_step", True), ("same_step", False))
"""Modes, and whether the step is compiled."""
BARS = {64: 5.0, 256: 9.0}
"""How many times as fast as the reference the batch should be, by rows."""


@dataclass(frozen=True)
class VectorMathArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Measurements of each kind, taken in turn."""
    rows: str = "64,256"
    """Batch sizes, separated by commas."""
    steps: int = 4000
    """Steps of our batch in a repetition."""
    reference_steps: int = 500
    """Steps of the reference in a repetition."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if min(self.steps, self.reference_steps) < 1:
            raise LmgymError("--steps and --reference-steps count; each must be 1 or more")


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options(
        {"vector-math": VectorMathArgs}, argv, "bench vector-math", __doc__ or ""
    )
    costs = {rows: measure(rows, args) for rows in numbers("--rows", args.rows)}
    named = {f"N = {rows}": kinds for rows, kinds in costs.items()}
    show_costs(named, "ns a step")
    return claimed(claims(costs), args, nanoseconds=named)


def measure(rows: int, args: VectorMathArgs) -> Costs:
    """Nanoseconds an environment step, of ours and of the reference in both modes."""
    actions = ids_of(args.steps, rows, END_SHARE, args.seed)
    kinds = {}
    for mode, compiled in KINDS:
        ours = make_vec(WORLD, rows, autoreset_mode=mode, compiled=compiled)
        kinds[_name(mode, compiled)] = EnvLoop(ours, actions, args.seed)
    for mode in dict(KINDS):
        sync = make_sync(WORLD, rows, mode)
        kinds[f"sync, {mode}"] = EnvLoop(sync, actions[: args.reference_steps], args.seed)
    return in_turn(kinds, args.repetitions)


def claims(costs: Mapping[int, Costs]) -> Iterable[Claim]:
    """Ours against the reference in the same mode."""
    for rows, kinds in costs.items():
        for mode, compiled in KINDS:
            name = _name(mode, compiled)
            times = ratios(kinds[f"sync, {mode}"], kinds[name])
            yield Claim(f"N = {rows}, {name}", times, least=BARS.get(rows))


def _name(mode: str, compiled: bool) -> str:
    return f"{mode}, compiled" if compiled else mode


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
