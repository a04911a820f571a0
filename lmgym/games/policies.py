"""`GamePolicy`: what plays a game and can learn; `GamePolicyPlayer`: one that is done learning.

A policy reads turns and gives a number for each action, from which probabilities follow. On disk it
is a directory: `policy.json` names its kind and its arguments, `model.safetensors` holds weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lmgym.commands.files import write_json
from lmgym.errors import LmgymError, unknown
from lmgym.games.deals import start_of
from lmgym.games.game import Game
from lmgym.games.run import Turn
from lmgym.registry import load
from lmgym.reward_models.storage import read_json, read_tensors, write_tensors

__all__ = [
    "POLICIES",
    "GamePolicy",
    "GamePolicyPlayer",
    "legal_mask",
    "load_game_policy",
    "make_game_policy",
]

POLICIES: dict[str, str] = {
    "tabular": "lmgym.games.tabular:TabularPolicy",
    "linear": "lmgym.games.networks:LinearPolicy",
    "mlp": "lmgym.games.networks:MLPPolicy",
    "reader": "lmgym.games.reader:ReaderPolicy",
}
"""Kinds of policies by name: where to find their classes."""

POLICY_FILE, WEIGHTS_FILE = "policy.json", "model.safetensors"


class GamePolicy(nn.Module, ABC):
    """A policy of all seats of a game.

    A constructor takes plain keyword arguments, which `arguments` gives back and which a file of
    JSON can hold; it draws nothing. `for_game` chooses them for a game and draws the weights.

    Attributes:
        kind: its name among `POLICIES`.
        optimizer: what suits its weights.
        lr: a learning rate that suits them.
    """

    kind: ClassVar[str]
    optimizer: ClassVar[Literal["sgd", "adam"]] = "adam"
    lr: ClassVar[float] = 1e-3

    @classmethod
    @abstractmethod
    def for_game(cls, game: Game[Any], generator: torch.Generator) -> Self:
        """A new policy for a game."""

    @property
    @abstractmethod
    def arguments(self) -> Mapping[str, Any]:
        """What the constructor takes to make one of the same shape, as plain values."""

    @abstractmethod
    def forward(self, turns: Sequence[Turn]) -> Tensor:
        """Logits of all actions, shape (B, n_actions); -inf for those that are not allowed."""

    def prepare(self, turns: Sequence[Turn]) -> Callable[[], Tensor]:
        """What gives the logits of some turns again and again, as the weights change.

        Policies that read in two steps, of which the first has no weights, take it only once.
        """
        return lambda: self(turns)

    @torch.no_grad()
    def probabilities(self, turns: Sequence[Turn]) -> NDArray[np.float64]:
        """Of all actions, shape (B, n_actions); the rows add up to 1."""
        found: NDArray[np.float64] = self(turns).double().softmax(1).cpu().numpy()
        return found

    def save(self, directory: str | Path) -> None:
        """Write the policy; its files are replaced, the description last."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: values.cpu().numpy() for name, values in self.state_dict().items()}
        write_tensors(folder / WEIGHTS_FILE, weights)
        write_json(folder / POLICY_FILE, {"kind": self.kind, "arguments": dict(self.arguments)})


class GamePolicyPlayer:
    """A policy as a player.

    Args:
        policy: itself, or the directory that it was saved in.
        is_greedy: take the likeliest move, in place of drawing one.
    """

    def __init__(self, policy: GamePolicy | str | Path, is_greedy: bool = False) -> None:
        found = policy if isinstance(policy, GamePolicy) else load_game_policy(policy)
        self.policy, self.is_greedy = found.eval(), is_greedy

    def check(self, game: Game[Any]) -> None:
        """Raise where the policy cannot play a game: it was made for another one."""
        state = start_of(game, 0)
        seat = game.mover(state)
        assert seat is not None, "the game is over before it has begun"
        try:
            (chances,) = self.policy.probabilities([Turn(game, state, seat)])
            fits = len(chances) == game.n_actions
        except (AttributeError, IndexError, LmgymError, RuntimeError):  # other features, or sizes
            fits = False
        if not fits:
            raise LmgymError(
                f"the {self.policy.kind} policy does not fit {game.name}, or these arguments of it:"
                " it was made for another game; train one with lmgym train self-play"
            )

    def act(self, turn: Turn, rng: np.random.Generator) -> int:
        """A move."""
        (chances,) = self.policy.probabilities([turn])
        return int(chances.argmax() if self.is_greedy else rng.choice(len(chances), p=chances))


def make_game_policy(name: str, game: Game[Any], generator: torch.Generator) -> GamePolicy:
    """A policy for a game: a new one of a kind, or one from a directory.

    Args:
        name: a kind, or a directory; "auto" takes a table where deals can be listed, else what is
            linear in a game's features of actions, else a small network.
        game: that it is to play.
        generator: draws new weights.
    """
    if name == "auto":
        name = _suitable(game)
    if name in POLICIES:
        made: GamePolicy = load(POLICIES[name]).for_game(game, generator)
        return made
    if not (Path(name) / POLICY_FILE).is_file():
        raise unknown("policy", name, ["auto", *POLICIES], "or the directory of a saved one")
    return load_game_policy(name)


def load_game_policy(directory: str | Path) -> GamePolicy:
    """A policy from the directory that it was saved in; a run's folder stands for its best."""
    folder = Path(directory)
    if not (folder / POLICY_FILE).is_file() and (folder / "best" / POLICY_FILE).is_file():
        folder = folder / "best"
    described = read_json(folder / POLICY_FILE)
    kind, arguments = described.get("kind"), described.get("arguments")
    if kind not in POLICIES or not isinstance(arguments, dict):
        raise unknown("kind of policy", kind, POLICIES, f"see {folder / POLICY_FILE}")
    weights = {name: torch.tensor(v) for name, v in read_tensors(folder / WEIGHTS_FILE).items()}
    try:
        policy: GamePolicy = load(POLICIES[kind])(**arguments)
        policy.load_state_dict(weights)
    except (TypeError, RuntimeError) as error:
        raise LmgymError(f"{folder} does not hold a {kind} policy: {error}") from None
    return policy


def legal_mask(turns: Sequence[Turn]) -> Tensor:
    """Which actions are allowed, shape (B, n_actions)."""
    allowed = np.zeros((len(turns), turns[0].game.n_actions), np.bool_)
    for row, turn in enumerate(turns):
        allowed[row, turn.game.legal(turn.state)] = True
    return torch.from_numpy(allowed)


def _suitable(game: Game[Any]) -> str:
    if game.deals() is not None:
        return "tabular"
    return "linear" if hasattr(game, "action_features") else "mlp"
