"""The environment's share of the time of a rollout, with a policy of 1.3 million parameters.

The policy is a Llama of fresh weights that keeps keys and values from step to step; its part is
reading the new ids and drawing the next. The world is `lmgym/Math-v0`. Fresh weights hardly ever
end a text, so one id in 32 is replaced by its end. Three environments take turns, each with a
cache of its own: ours through the adapter that the rollouts of Stable-Baselines3 go through, ours
as Gymnasium's, which puts all infos into arrays, and `SyncVectorEnv` over single environments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from transformers import LlamaConfig, LlamaForCausalLM

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.policies.row_cache import RowDecoder
from lmgym.rendering import ByteRenderer
from lmgym.sb3 import as_sb3
from loops import make_sync, make_vec
from measuring import Claim, Costs, MeasuringArgs, claimed, cpu_seconds, numbers, show_costs

WORLD, MODE, END_SHARE = "lmgym/Math-v0", "same_step", 1 / 32
SB3, OURS, SYNC = "ours, rollouts of SB3", "ours, Gymnasium", "SyncVectorEnv"
BAR = 3.0
"""Percent of a step that may be the environment's."""


@dataclass(frozen=True)
class EnvShareArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Measurements of each kind, taken in turn."""
    rows: str = "64,256"
    """Batch sizes, separated by commas."""
    context: int = 64
    """Positions of the token buffer; half of them are the agent's budget."""
    steps: int = 100
    """Steps of a repetition."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if self.steps < 1:
            raise LmgymError("--steps counts; it must be 1 or more")


class Rollout:
    """A policy acts in a batched environment, from where the last time ended.

    Args:
        env: takes the ids.
        model: an `AutoModelForCausalLM`.
        args: of the benchmark.
    """

    def __init__(self, env: Any, model: Any, args: EnvShareArgs) -> None:
        """Reset."""
        self.observation: Any
        self.env, self.model, self.steps = env, model, args.steps
        self.decoder = RowDecoder(model, ByteRenderer.pad_id)
        self.generator = torch.Generator().manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        if isinstance(env, VecEnv):
            env.seed(args.seed)
            self.observation = env.reset()
        else:
            self.observation, _ = env.reset(seed=args.seed)

    def measure(self) -> dict[str, float]:
        """Microseconds of CPU time a row that a step takes of the policy and of the environment."""
        seconds = {"policy": 0.0, "environment": 0.0}
        for _ in range(self.steps):
            seconds["policy"] += cpu_seconds(self._draw)
            seconds["environment"] += cpu_seconds(self._step)
        n = self.steps * self.env.num_envs
        return {part: spent * 1e6 / n for part, spent in seconds.items()}

    @torch.inference_mode()
    def _draw(self) -> None:
        tokens, lengths = map(torch.from_numpy, map(self.observation.get, ("tokens", "length")))
        hidden = self.decoder.read(tokens, lengths[:, 0])  # (N, C)
        chances = self.model.lm_head(hidden).softmax(-1)  # (N, V)
        self.ids = torch.multinomial(chances, 1, generator=self.generator)[:, 0].numpy()
        self.ids[self.rng.random(len(self.ids)) < END_SHARE] = ByteRenderer.end_id

    def _step(self) -> None:
        self.observation, *_ = self.env.step(self.ids)


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where the bar is missed."""
    (args,) = parse_options({"env-share": EnvShareArgs}, argv, "bench env-share", __doc__ or "")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    costs = {rows: measure(rows, args) for rows in numbers("--rows", args.rows)}
    torch.set_num_threads(threads)
    named = {f"N = {rows}": kinds for rows, kinds in costs.items()}
    show_costs(named, "us a token")
    return claimed(claims(costs), args, microseconds=named)


def measure(rows: int, args: EnvShareArgs) -> Costs:
    """Microseconds a token of each part, measured in turn; a first round is thrown away."""
    model = fresh_model(args.seed)
    sizes: dict[str, Any] = {"context": args.context, "max_tokens": args.context // 2}
    envs = {
        SB3: as_sb3(make_vec(WORLD, rows, autoreset_mode=MODE, **sizes)),
        OURS: make_vec(WORLD, rows, autoreset_mode=MODE, **sizes),
        SYNC: make_sync(WORLD, rows, MODE, **sizes),
    }
    rollouts = {name: Rollout(env, model, args) for name, env in envs.items()}
    costs: Costs = {}
    for _ in range(args.repetitions + 1):
        for name, rollout in rollouts.items():
            for part, cost in rollout.measure().items():
                costs.setdefault(f"{name}, {part}", []).append(cost)
    return {name: values[1:] for name, values in costs.items()}


def fresh_model(seed: int) -> Any:
    """A Llama of 1.3 million parameters; torch's own random state stays as it was."""
    config = LlamaConfig(
        vocab_size=ByteRenderer.vocab_size,
        hidden_size=128,
        intermediate_size=448,
        num_hidden_layers=5,
        num_attention_heads=4,
        max_position_embeddings=4096,
    )
    with torch.random.fork_rng():
        model: Any = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, 0.0, config.initializer_range, generator=generator)
    return model.eval()


def claims(costs: Mapping[int, Costs]) -> Iterable[Claim]:
    """What percentage of a step is the environment's."""
    for rows, kinds in costs.items():
        for name, bar in ((SB3, BAR), (OURS, None), (SYNC, None)):
            pairs = zip(kinds[f"{name}, policy"], kinds[f"{name}, environment"], strict=True)
            shares = [100 * env / (env + policy) for policy, env in pairs]
            yield Claim(f"{name}, N = {rows}", shares, unit="%", most=bar)


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
