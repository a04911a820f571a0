"""Stable-Baselines3 over batches: cost of the adapter, and of rollouts and training with a cache.

Three comparisons, each of two things measured in turn on one core, in CPU time:

- a step through `as_sb3` beside the bare step of the batch that it makes; the difference is the
  adapter;
- `PPO.collect_rollouts` with a policy that keeps keys and values from step to step, beside the
  same policy reading its whole context at each step;
- `PPO.train` from a `TrajectoryBuffer`, beside the same policy and algorithm with the
  `DictRolloutBuffer` of Stable-Baselines3.

Fresh weights hardly ever end a text, so episodes fill the context; the world is `lmgym/Copy-v0`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer

from lmgym.commands.arguments import parse_options
from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError, unknown
from lmgym.rendering import ByteRenderer
from lmgym.sb3 import TokenActorCriticPolicy, TrajectoryBuffer, as_sb3
from lmgym.training.records import cpu_name, versions

WORLD, BATCHES = "lmgym/Copy-v0", (64, 256, 1024, 4096)
MODELS = {
    "0.1M": {"hidden_size": 64, "n_layers": 2, "n_heads": 4},
    "1.3M": {"hidden_size": 160, "n_layers": 4, "n_heads": 4},
}
"""The shape of the embedded policy, and a model ten times as large."""

ADAPTER, COLLECT, TRAIN = "adapter", "collect", "train"
BARS = {ADAPTER: 50.0, COLLECT: 10.0, TRAIN: 5.0}
"""Nanoseconds that the adapter may add to a step of 256 environments or more; the ratios that
rollouts and training must reach."""

Spread = dict[str, float]


@dataclass(frozen=True)
class SB3RolloutsArgs:
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Measurements of each side."""
    models: str = "0.1M,1.3M"
    """Sizes of the policy."""
    num_envs: int = 256
    """Rows of the batch while rollouts are collected."""
    train_envs: int = 16
    """Rows of the batch that is trained on."""
    context: int = 64
    """Positions of the token buffer; the episodes fill them."""
    batch_size: int = 256
    """Steps of a minibatch."""
    adapter_steps: int = 100_000
    """Environment steps a repetition of the adapter; 0 leaves it out."""
    seed: int = 0
    """Seed of weights, problems and actions."""
    out: str | None = None
    """Write the results to this .json file as well."""


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    (args,) = parse_options(
        {"sb3-rollouts": SB3RolloutsArgs}, argv, "bench sb3-rollouts", __doc__ or ""
    )
    _check(args)
    if args.out is not None:
        check_file(args.out)
    torch.set_num_threads(1)
    runs = measure(args)
    summary = {name: _summary(run) for name, run in runs.items()}
    _print(summary)
    if args.out is not None:
        facts = {"arguments": asdict(args), "versions": versions(), "machine": cpu_name()}
        write_json(args.out, {**facts, "summary": summary, "runs": runs})
    return 0 if all(map(_reaches, summary, summary.values())) else 1


def measure(args: SB3RolloutsArgs) -> dict[str, dict[str, list[float]]]:
    """Seconds of CPU time an environment step, of ours and of the reference, by comparison."""
    runs: dict[str, dict[str, list[float]]] = {}
    for rows in BATCHES if args.adapter_steps else ():
        runs[f"{ADAPTER}, N={rows}"] = adapter_run(args, rows)
    for name in args.models.split(","):
        runs[f"{COLLECT}, {name}"] = collect_run(args, MODELS[name])
        runs[f"{TRAIN}, {name}"] = train_run(args, MODELS[name])
    return runs


def adapter_run(args: SB3RolloutsArgs, rows: int) -> dict[str, list[float]]:
    """Steps through the adapter, and the part of them that the batch takes."""
    batch = _batch(args, rows)
    vec_env = as_sb3(batch)
    watch, clock = _Watch(batch), _clock()
    vec_env.seed(args.seed)
    vec_env.reset()
    actions = _actions(max(1, args.adapter_steps // rows), rows, args.seed)
    run: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(args.repetitions + 1):
        watch.seconds = total = 0.0
        for action in actions:
            start = time.thread_time()
            step = vec_env.step(action)
            total += time.thread_time() - start - clock
            made = watch.step, step[0]  # freeing what the batch made is no work of the adapter
            start = time.thread_time()
            del step  # and of what the adapter made it is
            total += time.thread_time() - start - clock / 2
            del made, watch.step
        run["ours"].append(total / actions.size)
        run["reference"].append(watch.seconds / actions.size)
    return {name: seconds[1:] for name, seconds in run.items()}


def collect_run(args: SB3RolloutsArgs, model: Mapping[str, int]) -> dict[str, list[float]]:
    """Rollouts with the cache and without."""
    steps = args.context
    sides = {
        side: _ready(_algorithm(args, model, args.num_envs, steps, use_cache=side == "ours"))
        for side in ("ours", "reference")
    }

    def collect(ppo: PPO) -> None:
        ppo.policy.set_training_mode(True)  # as `train` does: the cache is of old weights
        callback: Any = ppo._init_callback(None)
        assert ppo.env is not None
        ppo.collect_rollouts(ppo.env, callback, ppo.rollout_buffer, steps)

    return _in_turn(args, sides, collect, steps * args.num_envs)


def train_run(args: SB3RolloutsArgs, model: Mapping[str, int]) -> dict[str, list[float]]:
    """An epoch of training on trajectories and on contexts."""
    steps = args.context
    buffers = {"ours": TrajectoryBuffer, "reference": DictRolloutBuffer}
    sides = {}
    for side, buffer in buffers.items():
        ppo = _ready(_algorithm(args, model, args.train_envs, steps, buffer=buffer))
        callback: Any = ppo._init_callback(None)
        assert ppo.env is not None
        ppo.collect_rollouts(ppo.env, callback, ppo.rollout_buffer, steps)
        sides[side] = ppo
    return _in_turn(args, sides, PPO.train, steps * args.train_envs)


def _in_turn(
    args: SB3RolloutsArgs, sides: Mapping[str, PPO], work: Callable[[PPO], Any], steps: int
) -> dict[str, list[float]]:
    """Seconds a step of each side, measured in turn; a first pair is thrown away."""
    run: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(args.repetitions + 1):
        for side, ppo in sides.items():
            start = time.process_time()
            work(ppo)
            run[side].append((time.process_time() - start) / steps)
    return {side: seconds[1:] for side, seconds in run.items()}


def _algorithm(
    args: SB3RolloutsArgs,
    model: Mapping[str, int],
    rows: int,
    steps: int,
    *,
    use_cache: bool = True,
    buffer: Any = TrajectoryBuffer,
) -> PPO:
    return PPO(
        TokenActorCriticPolicy,
        as_sb3(_batch(args, rows)),
        learning_rate=1e-5,
        n_steps=steps,
        batch_size=args.batch_size,
        n_epochs=1,
        seed=args.seed,
        device="cpu",
        rollout_buffer_class=buffer,
        policy_kwargs={**model, "use_cache": use_cache},
    )


def _ready(ppo: PPO) -> PPO:
    """An algorithm as `learn` has it before its first rollout."""
    ppo._setup_learn(1, None)
    return ppo


def _batch(args: SB3RolloutsArgs, rows: int) -> Any:
    prompt = 16  # about what a problem of this world takes
    return gym.make_vec(
        WORLD,
        rows,
        autoreset_mode="same_step",
        context=args.context,
        max_tokens=args.context - prompt,
    )


def _actions(steps: int, rows: int, seed: int) -> Any:
    """Bytes drawn uniformly, one in 32 replaced by the end of a text."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(256, size=(steps, rows))  # a byte each
    actions[rng.random(actions.shape) < 1 / 32] = ByteRenderer.end_id
    return actions


class _Watch:
    """Counts the seconds that a batch spends in its steps, and keeps the last of them."""

    def __init__(self, batch: Any) -> None:
        self.seconds = 0.0
        self.step: Any = None
        self._step_rows = batch.step_rows
        batch.step_rows = self

    def __call__(self, actions: Any) -> Any:
        start = time.thread_time()
        self.step = self._step_rows(actions)
        self.seconds += time.thread_time() - start
        return self.step


def _clock(reads: int = 10_000) -> float:
    """Seconds that the two watches of a step take of each other's time: two reads of the clock."""
    start = time.thread_time()
    for _ in range(reads):
        time.thread_time()
    return 2 * (time.thread_time() - start) / reads


def _summary(run: Mapping[str, Sequence[float]]) -> dict[str, Spread]:
    """Spreads of both sides in nanoseconds a step, of their differences and of their ratios."""
    pairs = list(zip(run["ours"], run["reference"], strict=True))
    return {
        "ours": _spread([1e9 * seconds for seconds in run["ours"]]),
        "reference": _spread([1e9 * seconds for seconds in run["reference"]]),
        "difference": _spread([1e9 * (ours - reference) for ours, reference in pairs]),
        "ratio": _spread([reference / ours for ours, reference in pairs]),
    }


def _spread(values: Sequence[float]) -> Spread:
    return {"min": min(values), "median": median(values), "max": max(values)}


def _reaches(name: str, summary: Mapping[str, Spread]) -> bool:
    """Whether a comparison reaches its bar; the adapter has none for small batches."""
    kind = name.partition(",")[0]
    if kind == ADAPTER:
        is_small = int(name.partition("=")[2]) < 256
        return is_small or summary["difference"]["median"] <= BARS[kind]
    return summary["ratio"]["median"] >= BARS[kind]


def _print(summary: Mapping[str, Mapping[str, Spread]]) -> None:
    table = Table("CPU time a step", "ours", "reference", "figure", "bar", box=SIMPLE_HEAD)
    for name, spreads in summary.items():
        is_adapter = name.startswith(ADAPTER)
        values = spreads["difference" if is_adapter else "ratio"]
        form = (
            "+{median:.0f} ns ({min:.0f} to {max:.0f})"
            if is_adapter
            else ("{median:.1f} x ({min:.1f} to {max:.1f})")
        )
        bar = BARS[name.partition(",")[0]]
        table.add_row(
            name,
            *(f"{spreads[side]['median'] / 1000:,.2f} us" for side in ("ours", "reference")),
            form.format(**values),
            f"<= {bar:.0f} ns, N >= 256" if is_adapter else f">= {bar:.0f} x",
        )
    Console().print(table)


def _check(args: SB3RolloutsArgs) -> None:
    if min(args.repetitions, args.num_envs, args.train_envs) < 1 or args.adapter_steps < 0:
        raise LmgymError(
            "--repetitions, --num-envs and --train-envs count; each must be 1 or more, and"
            " --adapter-steps 0 or more"
        )
    for name in args.models.split(","):
        if name not in MODELS:
            raise unknown("size", name, MODELS, "give some of them, with commas between")


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
