"""`LinearPolicy` and `MLPPolicy`: policies on what a game tells in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.games.policies import GamePolicy, legal_mask
from lmgym.games.run import Turn

__all__ = ["LinearPolicy", "MLPPolicy"]


class _Describing(Protocol):
    """A game that tells features of actions."""

    def action_features(self, state: Any) -> NDArray[np.float64]:
        """Of the mover's actions, shape (n_actions, n_features)."""
        ...


class LinearPolicy(GamePolicy):
    """A weight for each feature of an action, for each seat; the game has `action_features`.

    Args:
        n_features: of an action.
        n_seats: players of the game.
    """

    kind = "linear"
    optimizer: ClassVar[Literal["sgd", "adam"]] = "sgd"
    lr = 3.0

    def __init__(self, n_features: int, n_seats: int = 2) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_seats, n_features))

    @classmethod
    def for_game(cls, game: Game[Any], generator: torch.Generator) -> Self:
        """No weights: everything that is allowed is equally likely."""
        del generator
        describing: Any = game
        if not hasattr(describing, "action_features"):
            raise LmgymError(f"{game.name} tells no features of actions; take the policy mlp")
        some = describing.action_features(game.start(np.random.default_rng(0)))
        return cls(some.shape[1], len(game.players))

    @property
    def arguments(self) -> dict[str, Any]:
        """Its size."""
        n_seats, n_features = self.weights.shape
        return {"n_features": n_features, "n_seats": n_seats}

    def prepare(self, turns: Sequence[Turn]) -> Callable[[], Tensor]:
        """What weighs the features of some turns."""
        tables = [cast(_Describing, turn.game).action_features(turn.state) for turn in turns]
        features = torch.from_numpy(np.stack(tables)).to(self.weights)  # (B, actions, features)
        seats = torch.tensor([turn.seat for turn in turns], device=features.device)
        is_ruled_out = ~legal_mask(turns).to(features.device)

        def logits() -> Tensor:
            found = torch.einsum("baf,bf->ba", features, self.weights[seats])
            return found.masked_fill(is_ruled_out, -torch.inf)

        return logits

    def forward(self, turns: Sequence[Turn]) -> Tensor:
        """Sums of weighted features, shape (B, n_actions)."""
        return self.prepare(turns)()


class MLPPolicy(GamePolicy):
    """Two hidden layers on `game.features`; at the start all actions are equally likely.

    Args:
        n_features: that a player sees.
        n_actions: of the game.
        width: of the hidden layers.
    """

    kind = "mlp"
    lr = 3e-3

    def __init__(self, n_features: int, n_actions: int, width: int = 128) -> None:
        super().__init__()
        self.first = _linear(n_features, width)
        self.second = _linear(width, width)
        self.last = _linear(width, n_actions)

    @classmethod
    def for_game(cls, game: Game[Any], generator: torch.Generator) -> Self:
        """Random weights (He et al. 2015), but for the last layer's, which are 0."""
        made = cls(game.n_features, game.n_actions)
        for layer in (made.first, made.second):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
        return made

    @property
    def arguments(self) -> dict[str, Any]:
        """Its sizes."""
        sizes = self.first.in_features, self.last.out_features, self.last.in_features
        return dict(zip(("n_features", "n_actions", "width"), sizes, strict=True))

    def prepare(self, turns: Sequence[Turn]) -> Callable[[], Tensor]:
        """What puts the features of some turns through the layers."""
        seen = np.stack([turn.game.features(turn.state, turn.seat) for turn in turns])
        features = torch.from_numpy(seen).to(self.first.weight)
        is_ruled_out = ~legal_mask(turns).to(features.device)

        def logits() -> Tensor:
            hidden = self.second(self.first(features).relu()).relu()
            found: Tensor = self.last(hidden)
            return found.masked_fill(is_ruled_out, -torch.inf)

        return logits

    def forward(self, turns: Sequence[Turn]) -> Tensor:
        """What the last layer says, shape (B, n_actions)."""
        return self.prepare(turns)()


def _linear(n_in: int, n_out: int) -> nn.Linear:
    """A layer of zeros, made without a draw from the global generator."""
    layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
