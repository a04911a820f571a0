"""Token steps a second of `gym.make("lmgym/Math-v0")`, beside an environment that does nothing.

Both are made by `gymnasium.make` with its default wrappers and take the same actions: random ids,
one in sixteen of them the end of the text. Resets are part of the time. The two are measured in
turn, so that whatever else the machine does falls on both; the ratio is taken pair by pair.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError
from lmgym.rendering import ByteRenderer
from lmgym.training.records import versions
from measuring import spread

OURS, REFERENCE = "lmgym/Math-v0", "benchmark/Nothing-v0"
BAR = 200_000
"""Steps a second of CPU time that a median run should reach on one core."""


@dataclass(frozen=True)
class EnvStepsArgs:
    """Arguments of the benchmark."""

    steps: int = 100_000
    """Steps a repetition."""
    repetitions: int = 9
    """Measurements of each environment."""
    context: int = 128
    """Positions of the token buffer."""
    seed: int = 0
    """Seed of the actions."""
    out: str | None = None
    """Write the results to this .json file as well."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Steps a second of one run."""

    cpu: float
    wall: float


class NothingEnv(gym.Env[Any, Any]):
    """Takes the ids of the embedded tokenizer and looks at none but the end of the text."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.int32)
    action_space = gym.spaces.Discrete(ByteRenderer.vocab_size)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start again."""
        super().reset(seed=seed)
        return np.zeros(1, np.int32), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """End at the end of the text."""
        return np.zeros(1, np.int32), 0.0, action == ByteRenderer.end_id, False, {}


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options({"env-steps": EnvStepsArgs}, argv, "bench env-steps", __doc__ or "")
    if min(args.steps, args.repetitions) < 1:
        raise LmgymError("--steps and --repetitions count; each must be 1 or more")
    if args.out is not None:
        check_file(args.out)
    rates = measure(args)
    summary = summarize(rates)
    _print(summary)
    if args.out is not None:
        runs = {name: list(map(asdict, measured)) for name, measured in rates.items()}
        facts = {"arguments": asdict(args), "versions": versions(), "machine": platform.machine()}
        write_json(args.out, {**facts, "summary": summary, "runs": runs})
    return 0 if summary[OURS]["median"] >= BAR else 1


def measure(args: EnvStepsArgs) -> dict[str, list[Rate]]:
    """The rates of both environments, measured in turn; a first pair is thrown away."""
    if REFERENCE not in gym.registry:
        gym.register(REFERENCE, lambda **_: NothingEnv())
    envs = {REFERENCE: gym.make(REFERENCE), OURS: gym.make(OURS, context=args.context)}
    actions = random_ids(args.steps, args.seed)
    rates: dict[str, list[Rate]] = {name: [] for name in envs}
    for _ in range(args.repetitions + 1):
        for name, env in envs.items():
            rates[name].append(rate_of(env, actions))
    return {name: measured[1:] for name, measured in rates.items()}


def random_ids(n: int, seed: int) -> list[int]:
    """Ids drawn uniformly, one in sixteen replaced by the end of the text."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(ByteRenderer.vocab_size, size=n)
    ids[rng.random(n) < 1 / 16] = ByteRenderer.end_id
    drawn: list[int] = ids.tolist()
    return drawn


def rate_of(env: gym.Env[Any, Any], actions: Sequence[int]) -> Rate:
    """Steps a second over the actions, resets included."""
    env.reset(seed=0)
    wall, cpu = time.perf_counter(), time.process_time()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Rate(len(actions) / cpu, len(actions) / wall)


def summarize(rates: Mapping[str, Sequence[Rate]]) -> dict[str, dict[str, float]]:
    """Spreads of the rates, and of their ratio pair by pair."""
    pairs = zip(rates[OURS], rates[REFERENCE], strict=True)
    return {
        **{name: spread([rate.cpu for rate in measured]) for name, measured in rates.items()},
        f"{OURS}, wall clock": spread([rate.wall for rate in rates[OURS]]),
        "ratio": spread([ours.cpu / reference.cpu for ours, reference in pairs]),
    }


def _print(summary: Mapping[str, Mapping[str, float]]) -> None:
    table = Table("steps a second of CPU time", "min", "median", "max", box=SIMPLE_HEAD)
    for name, values in summary.items():
        form = "{:.3f}" if name == "ratio" else "{:,.0f}"
        table.add_row(name, *(form.format(values[key]) for key in ("min", "median", "max")))
    Console().print(table)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
