"""What rewards cost in batches of `lmgym/Math-v0` by what they are given for, and how often asked.

The batches differ in nothing but `reward=`. Costs are CPU time above that of `reward=None`, a
sub-environment step, taken in turn and subtracted round by round. The ids are random, one in
sixteen the end of the text; all other arguments are the defaults. Besides rules there are sources
of every level that do nothing but count the units they are shown, so that their line is the price
of showing them. Ids are shown at every step, each time with all that came before; they have no bar.

Calls are counted at every level of reward and in every autoreset mode: the most in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import AutoresetMode

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.rewards import Reward, RewardBatch, RewardLevel
from lmgym.transcript import Transcript
from loops import EnvLoop, ids_of, make_vec
from measuring import Claim, Costs, MeasuringArgs, claimed, in_turn, numbers, show_costs

WORLD, END_SHARE = "lmgym/Math-v0", 1 / 16
NONE = "none"
RULES = ("verifier", "verifier + 0.2*pattern:[0-9]+ - 0.001*length")
BAR = 5.0
"""Microseconds a sub-environment step that a rule reward may cost."""


@dataclass(frozen=True)
class RewardScheduleArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    rows: str = "64,256"
    """Batch sizes, separated by commas."""
    steps: int = 500
    """Steps of a repetition."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if self.steps < 1:
            raise LmgymError(f"--steps {self.steps} is out of range; give 1 or more")


class Reader:
    """Pays 1 for each unit, and counts how often it is asked."""

    is_causal = True

    def __init__(self, level: RewardLevel) -> None:
        """Nobody has asked."""
        self.level = level
        self.n_calls = 0

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """Ones."""
        self.n_calls += 1
        outcome = np.ones(len(transcripts))
        if self.level is RewardLevel.OUTCOME:
            return RewardBatch(outcome)
        return RewardBatch(outcome, [np.ones(t.n_units(self.level)) for t in transcripts])


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options(
        {"reward-schedule": RewardScheduleArgs}, argv, "bench reward-schedule", __doc__ or ""
    )
    rows = numbers("--rows", args.rows)
    costs = {f"N = {n}": measure(n, args) for n in rows}
    show_costs(costs, "ns a step")
    calls = {mode.name.lower(): most_calls(mode, rows[0], args) for mode in AutoresetMode}
    return claimed([*cost_claims(costs), *call_claims(calls)], args, nanoseconds=costs)


def measure(rows: int, args: RewardScheduleArgs) -> Costs:
    """Nanoseconds an environment step under each reward."""
    actions = ids_of(args.steps, rows, END_SHARE, args.seed)
    rewards: dict[str, Reward] = {NONE: None, **{rule: rule for rule in RULES}}
    rewards |= {_read(level): Reader(level) for level in RewardLevel}
    envs = {name: make_vec(WORLD, rows, reward=reward) for name, reward in rewards.items()}
    kinds = {name: EnvLoop(env, actions, args.seed) for name, env in envs.items()}
    return in_turn(kinds, args.repetitions)


def most_calls(mode: AutoresetMode, rows: int, args: RewardScheduleArgs) -> list[float]:
    """The most calls of a source in one step, whatever its level; one number a repetition."""
    return [
        float(max(_most_calls(level, mode, rows, args, args.seed + i) for level in RewardLevel))
        for i in range(args.repetitions)
    ]


def _most_calls(
    level: RewardLevel, mode: AutoresetMode, rows: int, args: RewardScheduleArgs, seed: int
) -> int:
    source = Reader(level)
    env = make_vec(WORLD, rows, reward=source, autoreset_mode=mode.name.lower())
    env.reset(seed=seed)
    counts = [0]
    for ids in ids_of(min(args.steps, 100), rows, END_SHARE, seed):
        n_before = source.n_calls
        over = env.step(ids)[2]
        counts.append(source.n_calls - n_before)
        if mode is AutoresetMode.DISABLED and over.any():
            env.reset(options={"reset_mask": over})
    return max(counts)


def cost_claims(costs: Mapping[str, Costs]) -> Iterable[Claim]:
    """What each reward costs above none."""
    without_bar = (_read(RewardLevel.TOKEN),)
    for place, kinds in costs.items():
        for name, values in kinds.items():
            if name != NONE:
                above = [(a - b) / 1e3 for a, b in zip(values, kinds[NONE], strict=True)]
                bar = None if name in without_bar else BAR
                yield Claim(f"{place}, {name}", above, "\u00b5s", most=bar)


def call_claims(calls: Mapping[str, Sequence[float]]) -> Iterable[Claim]:
    """How often a source is asked in a step."""
    for mode, most in calls.items():
        yield Claim(f"calls in one step, {mode}", most, "calls", most=1)


def _read(level: RewardLevel) -> str:
    return f"read at level {level!s}"


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
