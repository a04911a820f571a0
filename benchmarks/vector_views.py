"""Steps that hand out views, at a short and at a long context.

Nothing is copied, so a step should cost about the same whatever the context is. Two pairs of lines
are held to that: the kernel, whose rows start again where one id in 32 ended them, and the whole
environment over `lmgym/Copy-v0` between the ends of episodes, from a reset (not timed) to the step
before the budget is spent. With ends of episodes the environment costs about the same as well, but
that is mostly verification; the line has no bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from loops import COPY, EnvLoop, KernelLoop, ids_of, make_vec
from measuring import Claim, Costs, MeasuringArgs, claimed, cpu_seconds, in_turn, ratios, show_costs

KERNEL, BETWEEN, ENDS = "kernel", "environment between ends", "environment"
BAR, END_SHARE = 1.4, 1 / 32
_ROOM = 16
"""Positions that the prompt and the last id of a budget need, or more."""


@dataclass(frozen=True)
class VectorViewsArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    rows: int = 4096
    """Environments of the batch."""
    short: int = 64
    """The context that is compared with."""
    long: int = 512
    """The context that should not cost more."""
    steps: int = 480
    """About how many steps a measurement takes."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if min(self.rows, self.steps) < 1 or min(self.short, self.long) <= _ROOM:
            raise LmgymError(
                f"--rows and --steps count, and must be 1 or more; --short and --long must be above"
                f" {_ROOM}"
            )


class BetweenEnds:
    """An environment in which no episode ends while time is taken.

    Args:
        env: whose budget is what `_ROOM` leaves of the context.
        context: of the environment.
        steps: about how many are timed.
        seed: of problems and actions.
    """

    def __init__(self, env: Any, context: int, steps: int, seed: int) -> None:
        """Draw the actions of one episode."""
        self.env, self.rows = env, int(env.num_envs)
        self.actions = ids_of(min(steps, context - _ROOM - 1), self.rows, 0.0, seed)
        self.times = max(1, steps // len(self.actions))

    def __call__(self) -> float:
        """Nanoseconds of CPU time an environment step."""
        seconds = 0.0
        for _ in range(self.times):
            self.env.reset(seed=0)
            seconds += cpu_seconds(self._play)
        return seconds * 1e9 / (self.times * len(self.actions) * self.rows)

    def _play(self) -> None:
        for ids in self.actions:
            self.env.step(ids)


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options(
        {"vector-views": VectorViewsArgs}, argv, "bench vector-views", __doc__ or ""
    )
    costs = measure(args)
    show_costs({f"N = {args.rows}": costs}, "ns a step")
    return claimed(claims(costs, args), args, nanoseconds=costs)


def measure(args: VectorViewsArgs) -> Costs:
    """Nanoseconds an environment step, by kind and context, all measured in turn."""
    kinds: dict[str, Callable[[], float]] = {}
    for is_compiled in (False, True):
        for context in (args.short, args.long):
            for kind, measure_kind in _kinds(context, is_compiled, args).items():
                kinds[name_of(kind, is_compiled, context)] = measure_kind
    return in_turn(kinds, args.repetitions)


def _kinds(context: int, is_compiled: bool, args: VectorViewsArgs) -> dict[str, Any]:
    common = {"copy": False, "compiled": is_compiled}
    options = {**common, "context": context, "max_tokens": context - _ROOM}
    ids = ids_of(args.steps, args.rows, END_SHARE, args.seed)
    ending = make_vec(COPY, args.rows, autoreset_mode="same_step", **options)
    unending = make_vec(COPY, args.rows, **options)
    return {
        KERNEL: KernelLoop(args.rows, context, ids, **common),
        BETWEEN: BetweenEnds(unending, context, args.steps, args.seed),
        ENDS: EnvLoop(ending, ids[: max(1, args.steps // 8)], args.seed),
    }


def name_of(kind: str, is_compiled: bool, context: int) -> str:
    """The name of a line."""
    return f"{kind}, {'compiled' if is_compiled else 'NumPy'}, context {context}"


def claims(costs: Mapping[str, Sequence[float]], args: VectorViewsArgs) -> Iterable[Claim]:
    """The long context over the short one."""
    for kind in (KERNEL, BETWEEN, ENDS):
        for is_compiled in (False, True):
            long, short = (
                costs[name_of(kind, is_compiled, context)] for context in (args.long, args.short)
            )
            what = f"{kind}, {'compiled' if is_compiled else 'NumPy'}"
            yield Claim(what, ratios(long, short), most=None if kind == ENDS else BAR)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
