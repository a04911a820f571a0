"""`ReaderLearner`: self-play of a policy that reads, with a critic that reads along.

An actor and a critic share the network. The critic says before each move how likely Pro is to win;
the policy gradient (Williams 1992) takes what became of a move above that. As who wins depends on
the document most of all, this tells luck from play much sooner than the mean return of a seat does,
and what the critic has to understand is what the actor needs as well. Documents are read once a
game and not once a move. All that is learned from is who has won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lmgym.games.game import Game
from lmgym.games.reader import ReaderPolicy, Seen
from lmgym.games.reader_network import draw_weights
from lmgym.games.run import Turn

__all__ = ["ReaderLearner", "ReaderLearnerArgs"]


@dataclass(frozen=True)
class ReaderLearnerArgs:
    """Arguments of the update."""

    lr: float = 3e-3
    """Learning rate of Adam at the start; it falls to a twentieth in a line."""
    entropy: float = 0.03
    """Weight of the entropy bonus, where a game is won or lost by 1."""
    critic: float = 1.0
    """Weight of the critic's cross-entropy."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""


class ReaderLearner:
    """The update: games of a policy with itself in, new weights out.

    Args:
        game: of two players, zero-sum, who win or lose.
        policy: is trained in place.
        generator: draws the critic's weights, and moves.
        args: see `ReaderLearnerArgs`.
    """

    def __init__(
        self,
        game: Game[Any],
        policy: ReaderPolicy,
        generator: torch.Generator,
        args: ReaderLearnerArgs | None = None,
    ) -> None:
        self.game, self.policy, self.generator = game, policy, generator
        self.args = args or ReaderLearnerArgs()
        width = policy.network.width
        with torch.device("meta"):  # makes no draw from the global generator
            layers = (nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
            self.critic = nn.Sequential(*layers)
        self.critic.to_empty(device="cpu")
        draw_weights(self.critic, generator)
        self._weights = [*policy.parameters(), *self.critic.parameters()]
        self._optimizer = torch.optim.Adam(self._weights, self.args.lr)

    def step(self, starts: Sequence[Any], share: float) -> dict[str, float]:
        """Play from some starts and learn; returns what to log.

        Args:
            starts: of the games.
            share: of the budget that is spent.
        """
        args = self.args
        logprobs, entropies, values, ends = self._play(starts)
        won = torch.tensor([self.game.returns(end)[1] > 0 for end in ends], dtype=torch.float32)
        signs = torch.tensor([1.0 if ply % 2 else -1.0 for ply in range(len(logprobs))])[:, None]
        advantages = 2 * signs * (won - values.detach().sigmoid())  # (plies, B)
        told = won.expand_as(values)
        misjudged = nn.functional.binary_cross_entropy_with_logits(values, told)
        gain = (advantages * logprobs).mean() + args.entropy * entropies.mean()
        self._optimizer.param_groups[0]["lr"] = args.lr * (1 - 0.95 * share)
        self._optimizer.zero_grad()
        torch.autograd.backward(args.critic * misjudged - gain)
        nn.utils.clip_grad_norm_(self._weights, args.max_grad_norm)
        self._optimizer.step()
        return {
            "entropy": float(entropies.detach().mean()),
            "critic_loss": float(misjudged.detach()),
            "return/1": float(2 * won.mean() - 1),
        }

    def _play(self, starts: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor, list[Any]]:
        """Log-probabilities of moves, entropies and the critic's log-odds, (plies, B); the ends."""
        game, policy, states = self.game, self.policy, list(starts)
        reading = None
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for ply in range(game.max_moves):
            seen = Seen.of([Turn(game, state, ply % 2) for state in states])
            reading = policy.read(seen) if reading is None else reading
            thoughts = policy.think(reading, seen)
            logprobs = policy.scores(thoughts, seen).log_softmax(1)  # (B, n_actions)
            chances = logprobs.detach().exp()
            actions = torch.multinomial(chances, 1, generator=self.generator)
            finite = logprobs.masked_fill(~seen.is_allowed, 0.0)
            entropies = -(finite.exp() * finite).sum(1)
            values = self.critic(thoughts[:, 0])[:, 0]
            found.append((logprobs.gather(1, actions)[:, 0], entropies, values))
            pairs = zip(states, actions[:, 0].tolist(), strict=True)
            states = [game.play(state, action) for state, action in pairs]
        logprobs, entropies, values = (torch.stack(part) for part in zip(*found, strict=True))
        return logprobs, entropies, values, states
