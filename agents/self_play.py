"""Self-play: a policy gradient for games, with itself, its average or its past as opponents.

REINFORCE (Williams 1992) over many games at once. The baseline is a moving average of returns for
each seat, as in SPIRAL's role-conditioned advantage estimation (Liu et al. 2025): in most games one
seat wins more often than the other however well both play. In games of imperfect information plain
self-play goes round in circles; an entropy bonus and a falling step tame the last policy, and the
average over all of them comes closer to an equilibrium still. Exploitability tells how close.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from lmgym.games.policies import GamePolicy
from lmgym.selfplay.arenas import Played, make_arena
from lmgym.selfplay.opponents import OpponentKind, make_opponents
from lmgym.selfplay.session import Range, SelfPlaySession, SessionArgs

__all__ = ["SelfPlayArgs", "SelfPlayLearner", "train"]


@dataclass(frozen=True)
class SelfPlayArgs(SessionArgs):
    """Arguments of self-play."""

    opponents: OpponentKind = "current"
    """Whom to play with: current, the policy itself in all seats; average, of the policies so far;
    pool, earlier policies, all equally likely; league, half itself and half earlier policies, more
    often those that are hard to beat."""
    batch_size: int = 256
    """Games that are played at once, for one update."""
    lr: float | None = None
    """Learning rate at the start; by default what suits the kind of policy."""
    lr_end: float = 0.05
    """What it falls to in a line, as a share of the start; 1 keeps it as it is."""
    entropy: float = 0.05
    """Weight of the entropy bonus at the start, where the most that can be won is 1."""
    entropy_end: float = 0.2
    """What it falls to in a line, as a share of the start; 1 keeps it as it is."""
    baseline: float = 0.95
    """What the baselines keep of themselves at an update."""
    max_grad_norm: float = 10.0
    """Gradients are clipped to this norm."""

    ranges: ClassVar[dict[str, Range]] = SessionArgs.ranges | {
        "batch_size": (1, math.inf),
        "lr": (0, math.inf),
        "lr_end": (0, 1),
        "entropy": (0, math.inf),
        "entropy_end": (0, 1),
        "baseline": (0, 1),
        "max_grad_norm": (1e-9, math.inf),
    }


def train(args: SelfPlayArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    """Train a policy of all seats of a game; returns the run folder."""
    with SelfPlaySession("self-play", args, env, world_args) as session:
        n_seats, rng = len(session.game.players), session.rng
        arena = make_arena(session.game, session.exam.tree)
        learner = SelfPlayLearner(session.policy, args, n_seats)
        opponents = make_opponents(args.opponents, n_seats, session.average)
        for share in session.batches():
            opponents.keep(list(session.kept.values()))
            pairing = opponents.draw(rng, args.batch_size)
            played = arena.play(session.policy, pairing, rng)
            opponents.tell(pairing, played.shares_won())
            metrics = learner.step(played, share)
            session.average.add(session.policy)
            session.log(metrics, args.batch_size)
    return session.run.path


class SelfPlayLearner:
    """The update: games in, new weights out.

    Args:
        policy: is trained in place.
        args: see `SelfPlayArgs`.
        n_seats: of the game.

    Attributes:
        baselines: mean returns of each seat.
    """

    def __init__(self, policy: GamePolicy, args: SelfPlayArgs, n_seats: int) -> None:
        self.policy, self.args = policy, args
        self.baselines = np.zeros(n_seats)
        self.lr = policy.lr if args.lr is None else args.lr
        kind = torch.optim.SGD if policy.optimizer == "sgd" else torch.optim.Adam
        self._optimizer: torch.optim.Optimizer = kind(policy.parameters(), self.lr)

    def step(self, played: Played, share: float) -> dict[str, float]:
        """Learn from a batch of games; returns what to log.

        Args:
            played: games, with the moves of the policy.
            share: of the budget that is spent.
        """
        args = self.args
        above = (played.returns - self.baselines)[played.games, played.seats]
        advantages = torch.from_numpy(above).to(played.logprobs)
        gain = (advantages * played.logprobs).sum() / played.is_own.sum()
        bonus = played.entropies.sum() / played.is_own.sum()
        weight = _falling(args.entropy, args.entropy_end, share)
        self._ascend(gain + weight * bonus, _falling(self.lr, args.lr_end, share))
        means = played.means()
        self.baselines += (1 - args.baseline) * (means - self.baselines)
        seats = {f"return/{seat}": float(mean) for seat, mean in enumerate(means)}
        return {"entropy": float(played.entropies.detach().mean()), **seats}

    def _ascend(self, objective: torch.Tensor, lr: float) -> None:
        """One optimiser step; a table may have grown since the last one."""
        known = {id(p) for group in self._optimizer.param_groups for p in group["params"]}
        new = [p for p in self.policy.parameters() if id(p) not in known]
        if new:
            self._optimizer.add_param_group({"params": new})
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.zero_grad()
        torch.autograd.backward(-objective)
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.args.max_grad_norm)
        self._optimizer.step()


def _falling(start: float, end: float, share: float) -> float:
    """A value that falls in a line to a share of itself."""
    return start * (1 - (1 - end) * share)
