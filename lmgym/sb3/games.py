"""Self-play with Stable-Baselines3: a seat of a PettingZoo game as an environment of gymnasium.

Stable-Baselines3 knows one agent. `SeatEnv` lets it hold one seat and has the others played; in an
`OpponentPool` they are frozen copies of the learner, which `SelfPlay`, a callback, puts there. They
serve any turn-taking (AEC) environment with an `action_mask` in its observations, as those of this
package and of `pettingzoo.classic` have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, Union, runtime_checkable

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from lmgym.errors import LmgymError
from lmgym.games.players import Player, find_player
from lmgym.multi_agent import GameAECEnv

__all__ = ["Opponent", "OpponentPool", "PolicyOpponent", "Rival", "SeatEnv", "SelfPlay"]

Mask = NDArray[np.bool_]

_DEALS = 1000
"""Games that others may end before the learner has moved, one after the other."""
_Layer: TypeAlias = "tuple[NDArray[np.float32], NDArray[np.float32]] | Callable[[Any], Any]"
_ACTIVATIONS: dict[type[nn.Module], Callable[[Any], Any]] = {
    nn.Tanh: np.tanh,
    nn.ReLU: lambda x: np.maximum(x, 0),
}


@runtime_checkable
class Rival(Protocol):
    """Plays a seat from what that seat observes."""

    def choose(self, observation: Any, mask: Mask, rng: np.random.Generator) -> int:
        """An action that the mask allows."""
        ...


Opponent: TypeAlias = Union[str, Player, Rival, BaseAlgorithm, "OpponentPool"]
"""Who plays the other seats: "random", which every game has; a player of this package or its name,
in this package's games; a rival; an algorithm with an actor, as it stands; or a pool."""


class SeatEnv(gym.Env[Any, Any]):
    """A seat of a game, for learners that know one agent.

    A step is a move of the seat and what the others do until its next one. Episodes differ in the
    seat, unless one is given, and, with a pool, in the opponent.

    Args:
        game: an AEC environment of PettingZoo with discrete actions, whose observations have the
            keys `observation` and `action_mask`.
        opponent: who plays the other seats.
        seat: the name or the number of the learner's seat; by default drawn for each episode.

    Attributes:
        agent: the seat of this episode.

    Example:
        >>> from lmgym.envs.nim import nim_v0
        >>> env = SeatEnv(nim_v0.env(), opponent="best", seat=0)
        >>> observation, info = env.reset(seed=0)
        >>> observation.shape, info["seat"], int(env.action_masks().sum())
        ((25,), 'player_0', 14)
        >>> env.step(env.action_masks().argmax())[1:3]
        (0.0, False)
    """

    def __init__(
        self, game: AECEnv, opponent: Opponent = "random", *, seat: str | int | None = None
    ) -> None:
        self.game = game
        self.opponent = opponent
        self._names: list[str] = list(game.possible_agents)
        self.seat = _seat_name(self._names, seat)
        _check_spaces(game, self.seat)
        self.agent: str = self.seat or self._names[0]
        seen: Any = game.observation_space(self.agent)
        self.observation_space = seen["observation"]
        self.action_space = game.action_space(self.agent)
        self.metadata = dict(game.metadata)
        self.render_mode = getattr(game, "render_mode", None)
        self._fixed = None if isinstance(opponent, OpponentPool) else _rival(opponent, game)
        self._seen: Any = None
        self._won = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a game and let the others move first where it is their turn.

        Args:
            seed: of all that is drawn.
            options: of the game's own `reset`.
        """
        super().reset(seed=seed)
        rng = self.np_random
        self.agent = self.seat or self._names[int(rng.integers(len(self._names)))]
        opponent = self.opponent
        self._rival = (
            opponent.draw(rng) if isinstance(opponent, OpponentPool) else _found(self._fixed)
        )
        self._won = 0.0
        for _ in range(_DEALS):  # an opponent may end the game before the learner has moved
            self.game.reset(seed=int(rng.integers(2**31)), options=options)
            self._let_others_move()
            if not self._is_over:
                return self._observe(), {"seat": self.agent}
        raise LmgymError(
            f"{_DEALS} games in a row were over before {self.agent} could move; choose another"
            " seat, opponent or deal"
        )

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make a move, and let the others move until it is the learner's turn again."""
        game, agent = self.game, self.agent
        game.step(int(action))
        self._let_others_move()
        reward = float(game._cumulative_rewards[agent])
        self._won += reward
        info = {"seat": agent, **game.infos.get(agent, {})}
        if self._is_over:
            info["is_success"] = self._won > 0
        terminated, truncated = (
            bool(ends.get(agent, True)) for ends in (game.terminations, game.truncations)
        )
        return self._observe(), reward, terminated, truncated and not terminated, info

    def action_masks(self) -> Mask:
        """True for what is allowed, shape (A,), in the convention of sb3-contrib."""
        mask = np.asarray(self._seen["action_mask"], np.bool_)
        return mask if mask.any() else np.ones_like(mask)  # over: nobody will look at it

    def render(self) -> Any:
        """What the game shows."""
        return self.game.render()

    def close(self) -> None:
        """Close the game."""
        self.game.close()

    @property
    def _is_over(self) -> bool:
        game, agent = self.game, self.agent
        return bool(game.terminations.get(agent, True) or game.truncations.get(agent, False))

    def _let_others_move(self) -> None:
        """Play the other seats until it is the learner's turn, or its game is over."""
        game = self.game
        while not self._is_over and game.agent_selection != self.agent:
            other = game.agent_selection
            if game.terminations[other] or game.truncations[other]:
                game.step(None)
                continue
            seen: Any = game.observe(other)
            mask = np.asarray(seen["action_mask"], np.bool_)
            game.step(self._rival.choose(seen["observation"], mask, self.np_random))

    def _observe(self) -> Any:
        self._seen = self.game.observe(self.agent)
        return self._seen["observation"]


class PolicyOpponent:
    """A policy of PPO, A2C or MaskablePPO as an opponent, which draws its moves.

    Args:
        policy: of an algorithm.
        is_frozen: whether to keep a copy, which later training leaves alone.
    """

    def __init__(self, policy: Any, *, is_frozen: bool = True) -> None:
        if not hasattr(policy, "action_net"):
            raise LmgymError(
                f"{type(policy).__name__} has no actor to draw moves from; take the policy of PPO,"
                " A2C or MaskablePPO"
            )
        self.policy = _frozen(policy) if is_frozen else policy
        self._layers = _numpy_layers(policy) if is_frozen else None

    def choose(self, observation: Any, mask: Mask, rng: np.random.Generator) -> int:
        """An action that the mask allows, drawn as the policy draws."""
        scores = np.where(mask, self.logits(observation), -np.inf)
        return int(np.argmax(scores + rng.gumbel(size=len(scores))))

    def logits(self, observation: Any) -> NDArray[np.float32]:
        """Of all actions, shape (A,)."""
        if self._layers is not None:
            return _forward(self._layers, observation)
        policy: Any = self.policy
        with torch.no_grad():  # what `get_distribution` computes, without a distribution
            tensor, _ = policy.obs_to_tensor(observation)
            features = policy.extract_features(tensor, policy.pi_features_extractor)
            found = policy.action_net(policy.mlp_extractor.forward_actor(features))[0]
        logits: NDArray[np.float32] = found.cpu().numpy()
        return logits


class OpponentPool:
    """Frozen copies of a learner, of which one is drawn for each episode.

    Args:
        size: how many copies are kept, the latest.
        latest: share of episodes against the latest copy; the others are against any of them. 1 is
            self-play against the present self, 0 against all past ones alike.
        every: steps of the learner between copies.

    Example:
        >>> pool = OpponentPool(size=2)
        >>> len(pool), type(pool.draw(np.random.default_rng(0))).__name__
        (0, '_RandomRival')
    """

    def __init__(self, size: int = 10, latest: float = 0.5, every: int = 5_000) -> None:
        if size < 1 or every < 1 or not 0 <= latest <= 1:
            raise LmgymError(
                f"size={size}, latest={latest}, every={every}: a pool keeps 1 or more, latest is a"
                " share from 0 to 1, and there is a step or more between copies"
            )
        self.size = size
        self.latest = latest
        self.every = every
        self.members: list[PolicyOpponent] = []
        self._copied = -math.inf

    def __len__(self) -> int:
        """How many copies there are."""
        return len(self.members)

    def see(self, policy: Any, steps: int) -> None:
        """Freeze a copy, where one is due after so many steps of the learner."""
        if steps < self._copied or steps >= self._copied + self.every:
            self.add(policy)
            self._copied = steps

    def add(self, policy: Any) -> None:
        """Freeze a copy of a policy; the oldest one gives way."""
        self.members = [*self.members, PolicyOpponent(policy)][-self.size :]

    def draw(self, rng: np.random.Generator) -> Rival:
        """An opponent; random legal moves as long as there is no copy."""
        if not self.members:
            return _RandomRival()
        if rng.random() < self.latest:
            return self.members[-1]
        return self.members[int(rng.integers(len(self.members)))]


class SelfPlay(BaseCallback):
    """Puts copies of the learner into the pool of its environments.

    Args:
        pool: which the environments draw their opponents from.
    """

    def __init__(self, pool: OpponentPool) -> None:
        super().__init__()
        self.pool = pool

    def _on_training_start(self) -> None:
        """Raise where the environments would never see the copies."""
        if any(opponent is not self.pool for opponent in self.training_env.get_attr("opponent")):
            raise LmgymError(
                "the environments have another opponent than this callback's pool; make them as"
                " SeatEnv(game, opponent=pool), in a DummyVecEnv: processes of their own see"
                " copies of the pool"
            )

    def _on_rollout_start(self) -> None:
        self.pool.see(self.model.policy, self.num_timesteps)

    def _on_step(self) -> bool:
        return True


class _RandomRival:
    """Everything that is allowed, equally likely."""

    def choose(self, observation: Any, mask: Mask, rng: np.random.Generator) -> int:
        del observation
        allowed = np.flatnonzero(mask)
        return int(allowed[rng.integers(len(allowed))])


class _PlayerRival:
    """A player of this package, which looks at the game itself."""

    def __init__(self, player: Player, env: GameAECEnv) -> None:
        self.player, self.env = player, env

    def choose(self, observation: Any, mask: Mask, rng: np.random.Generator) -> Any:
        del observation, mask
        return self.player.act(self.env.run.turn(), rng)


def _rival(opponent: Opponent, game: AECEnv) -> Rival:
    """An opponent that does not change between episodes."""
    if isinstance(opponent, BaseAlgorithm):
        return PolicyOpponent(opponent.policy, is_frozen=False)
    if opponent == "random":
        return _RandomRival()
    if isinstance(opponent, Rival):
        return opponent
    inner = game.unwrapped
    if isinstance(inner, GameAECEnv) and not isinstance(opponent, OpponentPool):
        return _PlayerRival(find_player(opponent, inner.game), inner)
    raise LmgymError(
        f"opponent={opponent!r:.80} cannot play {game}; give 'random', an OpponentPool, an"
        " algorithm, or what has choose(observation, mask, rng)"
    )


def _found(rival: Rival | None) -> Rival:
    assert rival is not None
    return rival


def _frozen(policy: Any) -> Any:
    """A policy of the same weights, which nothing trains."""
    with torch.random.fork_rng(devices=[]):  # the constructor draws weights that are replaced
        frozen = type(policy)(**policy._get_constructor_parameters())
    frozen.load_state_dict(policy.state_dict())
    frozen.set_training_mode(False)
    return frozen.to(policy.device)


def _numpy_layers(policy: Any) -> list[_Layer] | None:
    """The layers of a plain "MlpPolicy": one observation is faster without torch."""
    is_flat = type(policy.pi_features_extractor) is FlattenExtractor
    if not is_flat or not isinstance(policy.observation_space, spaces.Box):
        return None
    layers: list[_Layer] = []
    for module in (*policy.mlp_extractor.policy_net, policy.action_net):
        if type(module) in _ACTIVATIONS:
            layers.append(_ACTIVATIONS[type(module)])
        elif type(module) is nn.Linear:
            weight, bias = (t.detach().cpu().numpy().copy() for t in (module.weight, module.bias))
            layers.append((weight.T, bias))
        else:
            return None
    return layers


def _forward(layers: Sequence[_Layer], observation: Any) -> NDArray[np.float32]:
    x = np.asarray(observation, np.float32).reshape(-1)
    for layer in layers:
        x = x @ layer[0] + layer[1] if isinstance(layer, tuple) else layer(x)
    return x


def _seat_name(names: list[str], seat: str | int | None) -> str | None:
    if isinstance(seat, int) and not isinstance(seat, bool) and 0 <= seat < len(names):
        return names[seat]
    if seat is None or seat in names:
        return seat
    raise LmgymError(
        f"seat={seat!r} does not exist; seats are {', '.join(names)}, or 0 to {len(names) - 1}"
    )


def _check_spaces(game: AECEnv, seat: str | None) -> None:
    """Raise where the learner's spaces are no discrete actions with a mask, or differ by seat."""
    names = game.possible_agents
    for name in names:
        seen = game.observation_space(name)
        if not isinstance(seen, spaces.Dict) or not {"observation", "action_mask"} <= seen.keys():
            raise LmgymError(
                f"{name} of {game} observes {seen!r:.80}; a seat needs the keys 'observation' and"
                " 'action_mask' (actions='discrete' in this package's games)"
            )
        first: Any = game.observation_space(names[0])
        is_alike = seen["observation"] == first["observation"] and (
            game.action_space(name) == game.action_space(names[0])
        )
        if not is_alike and seat is None:
            raise LmgymError(f"the seats of {game} differ in their spaces; give seat=")
