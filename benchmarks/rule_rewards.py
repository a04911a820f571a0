"""What rewards by rule cost in a batch, beside the same batch without a reward.

Batches of `lmgym/Math-v0` at level token take the same actions, random digits and ends of the
message, so that an episode takes 9 steps on average; resets, infos and all are part of the time. A
rule is paid for at the end of an episode, and the bar is for a step of one environment. Where every
step is an episode, at level message, it is the cost of a whole payment, which has no bar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from measuring import Claim, Costs, MeasuringArgs, claimed, cpu_seconds, in_turn, show_costs

BAR = 5.0
"""Microseconds that a rule may add to a step of one environment."""
NOTHING = "none"
RULES = (
    "verifier",
    "format",
    "format:think-answer",
    "pattern:[0-9]",
    "length",
    "length:characters,limit=8,buffer=4",
    "inverted",
    "random",
    "random:normal",
    "verifier + 0.2*format:[0-9]+ - 0.001*length",
)


@dataclass(frozen=True)
class RuleRewardsArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    rows: int = 256
    """Environments of the batch."""
    steps: int = 96
    """Steps of a measurement."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if min(self.rows, self.steps) < 1:
            raise LmgymError("--rows and --steps count, and must be 1 or more")


def main(argv: Sequence[str]) -> int:
    """Measure, print, write; 1 where a rule costs more than it may."""
    name = "rule-rewards"
    (args,) = parse_options({name: RuleRewardsArgs}, argv, f"bench {name}", __doc__ or "")
    tokens, messages = token_costs(args), message_costs(args)
    show_costs({"level token": tokens, "level message": messages}, "microseconds a step")
    return claimed(
        [
            *claims_of(tokens, "a step", BAR),
            *claims_of(messages, "a step that is an episode", None),
        ],
        args,
        token_microseconds=tokens,
        message_microseconds=messages,
    )


def token_costs(args: RuleRewardsArgs) -> Costs:
    """Microseconds of a step of one environment, by reward, round by round."""
    rng = np.random.default_rng(args.seed)
    actions = list(rng.integers(0, 11, size=(args.steps, args.rows)))
    return _costs(args, actions, RULES, alphabet="digits")


def message_costs(args: RuleRewardsArgs) -> Costs:
    """The same where every step ends an episode."""
    rng = np.random.default_rng(args.seed)
    numbers = rng.integers(1, 200, size=(max(1, args.steps // 8), args.rows))
    actions = [tuple(map(str, row)) for row in numbers]
    return _costs(args, actions, (RULES[1], RULES[-1]), level="message")


def _costs(
    args: RuleRewardsArgs, actions: Sequence[Any], rules: Sequence[str], **arguments: Any
) -> Costs:
    def measure(reward: str) -> Callable[[], float]:
        env = gym.make_vec(
            "lmgym/Math-v0",
            num_envs=args.rows,
            reward=reward,
            autoreset_mode="same_step",
            **arguments,
        )
        env.reset(seed=args.seed)
        scale = 1e6 / (args.rows * len(actions))
        return lambda: scale * cpu_seconds(lambda: [env.step(action) for action in actions])

    return in_turn({reward: measure(reward) for reward in (NOTHING, *rules)}, args.repetitions)


def claims_of(costs: Costs, what: str, bar: float | None) -> list[Claim]:
    """What each rule adds, round by round."""
    return [
        Claim(
            f"`{reward}` adds to {what}",
            [paid - unpaid for paid, unpaid in zip(costs[reward], costs[NOTHING], strict=True)],
            "µs",
            most=bar,
        )
        for reward in costs
        if reward != NOTHING
    ]


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
