"""Games as PettingZoo environments: players in turn (AEC), or at once (parallel).

Actions are numbers with a mask, or messages; both play the same game. What PettingZoo's wrappers
add one call each for, order and legality, is checked here: a wrong move changes nothing, its
player is told why in `infos` and may try once more, and the second one forfeits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv

from lmgym.errors import LmgymError, unknown
from lmgym.games.deals import N_DEALS, SPLITS, draw_deal, start_of
from lmgym.games.game import Game
from lmgym.games.run import GameRun
from lmgym.spaces import UnicodeText

__all__ = ["GameAECEnv", "GameParallelEnv", "make_aec", "make_parallel"]

Observation = dict[str, Any]
Actions = Literal["discrete", "text"]

_ENV_WORDS = ("actions", "split", "render_mode")


class GameSpaces:
    """What players see and do.

    Args:
        game: the rules.
        actions: "discrete", numbers with a mask, or "text", messages.
    """

    def __init__(self, game: Game[Any], actions: Actions) -> None:
        if actions not in ("discrete", "text"):
            raise unknown("actions", actions, ("discrete", "text"))
        self.game = game
        self.is_discrete = actions == "discrete"
        self.action_spaces = {player: self._action_space() for player in game.players}
        self.observation_spaces = {player: self._observation_space() for player in game.players}

    def observe(self, run: GameRun[Any], seat: int) -> Observation:
        """What a player sees: numbers, words, and, with discrete actions, what is allowed."""
        game, state = self.game, run.state
        seen: Observation = {
            "observation": game.features(state, seat),
            "text": game.observe(state, seat),
        }
        if self.is_discrete:
            seen["action_mask"] = self.mask(game.legal(state) if seat == run.mover else ())
        return seen

    def mask(self, allowed: Sequence[int]) -> NDArray[np.int8]:
        """A 1 for each action that is allowed, shape (n_actions,)."""
        mask = bytearray(self.game.n_actions)
        for action in allowed:
            mask[action] = 1
        return np.frombuffer(mask, np.int8)

    def _action_space(self) -> spaces.Space[Any]:
        if self.is_discrete:
            return spaces.Discrete(self.game.n_actions)
        return UnicodeText(self.game.max_message)

    def _observation_space(self) -> spaces.Dict:
        keys: dict[str, spaces.Space[Any]] = {
            "observation": spaces.Box(0.0, 1.0, (self.game.n_features,), np.float32),
            "text": UnicodeText(self.game.max_text),
        }
        if self.is_discrete:
            keys["action_mask"] = spaces.Box(0, 1, (self.game.n_actions,), np.int8)
        return spaces.Dict(keys)


class _GameEnv:
    """What both kinds of environments have in common."""

    def __init__(
        self,
        game: Game[Any],
        *,
        actions: Actions = "discrete",
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "ansi", "human"):
            raise unknown("render_mode", render_mode, ("ansi", "human", "None"))
        self.game = game
        self.render_mode = render_mode
        self.split = _check_split(split)
        self.view = GameSpaces(game, actions)
        self.metadata = {
            "render_modes": ["ansi", "human"],
            "name": f"{game.name}_v0",
            "is_parallelizable": game.is_simultaneous,
            "render_fps": 4,
        }
        self.possible_agents = list(game.players)
        self.action_spaces = self.view.action_spaces
        self.observation_spaces = self.view.observation_spaces
        self.agents: list[str] = []
        self._rng = np.random.default_rng()

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What a player may do at any time."""
        return self.action_spaces[agent]

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """What a player may see."""
        return self.observation_spaces[agent]

    def render(self) -> str | None:
        """What an onlooker sees."""
        if self.render_mode is None:
            return None
        self._check_started()
        return _shown(self.run)

    def close(self) -> None:
        """Nothing is held outside of this process."""

    def _begin(self, seed: int | None, options: Mapping[str, Any] | None) -> None:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.deal = _deal(self._rng, options, self.split)
        self.run = GameRun(self.game, start_of(self.game, self.deal))
        self.agents = self.possible_agents.copy()

    def _of_its_kind(self, action: Any) -> Any:
        """An action, or None for a message in place of a number, and a number in place of one."""
        return action if isinstance(action, str) != self.view.is_discrete else None

    def _check_started(self) -> None:
        if not hasattr(self, "run"):
            raise LmgymError("no game is going on; call reset() first")


class GameAECEnv(_GameEnv, AECEnv):  # type: ignore[misc]
    """A game whose players move in turn.

    Args:
        game: the rules.
        actions: "discrete" or "text".
        split: where deals are drawn from unless the options of `reset` say otherwise.
        render_mode: "ansi" returns what an onlooker sees, "human" prints it after every move.

    Attributes:
        run: the game as it is played, with every move.
        deal: the number of its start; `reset(options={"deal": deal})` starts it again.

    Example:
        >>> from lmgym.envs.nim import nim_v0
        >>> env = nim_v0.env()
        >>> env.reset(seed=0)
        >>> for agent in env.agent_iter():
        ...     observation, reward, termination, truncation, info = env.last()
        ...     is_over = termination or truncation
        ...     env.step(None if is_over else int(observation["action_mask"].argmax()))
        >>> env.run.returns
        (-1.0, 1.0)
    """

    def __init__(self, game: Game[Any], **words: Any) -> None:
        super().__init__(game, **words)
        self._seats = {player: seat for seat, player in enumerate(game.players)}

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Start a game.

        Args:
            seed: of the generator that deals.
            options: `split`, or `deal`, the number of a start.
        """
        self._begin(seed, options)
        self.rewards: dict[str, float] = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards: dict[str, float] = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self._skip_agent_selection = None
        self._select()

    def observe(self, agent: str) -> Observation:
        """What a player sees now."""
        self._check_started()
        return self.view.observe(self.run, self._seats[agent])

    def step(self, action: Any) -> None:
        """Let the selected player do something; None, once its game is over."""
        if not self.agents:
            raise LmgymError("no game is going on; call reset() first")
        agent = self.agent_selection
        if self.terminations.get(agent):
            self._was_dead_step(action)
            return
        run, before = self.run, self.run.returns
        self._cumulative_rewards[agent] = 0.0
        run.act(self._of_its_kind(action))
        if run.returns != before or any(self.rewards.values()):
            for player, now, then in zip(self.possible_agents, run.returns, before, strict=True):
                self.rewards[player] = reward = now - then
                self._cumulative_rewards[player] += reward
        info = self.infos[agent]
        if run.complaint:
            info["illegal"] = run.complaint
        elif info:
            self.infos[agent] = {}
        self._select()
        if self.render_mode == "human":
            print(self.render())

    def _select(self) -> None:
        mover = self.run.mover
        if mover is not None:
            self.agent_selection = self.possible_agents[mover]
            return
        facts = _ending(self.run)
        for agent in self.agents:
            self.terminations[agent] = True
            self.infos[agent] = {**self.infos[agent], **facts}
        self.agent_selection = self.agents[0]


class GameParallelEnv(_GameEnv, ParallelEnv):  # type: ignore[misc]
    """A game whose players move at once.

    Args:
        game: the rules, with `is_simultaneous`.
        actions: "discrete" or "text".
        split: where deals are drawn from unless the options of `reset` say otherwise.
        render_mode: "ansi" or "human", as for `GameAECEnv`.

    Attributes:
        run: the game as it is played.
        deal: the number of its start.

    Example:
        >>> from lmgym.envs.matching_pennies import matching_pennies_v0
        >>> env = matching_pennies_v0.parallel_env(rounds=1)
        >>> observations, infos = env.reset(seed=0)
        >>> env.step({"player_0": 0, "player_1": 0})[1]
        {'player_0': 1.0, 'player_1': -1.0}
    """

    def __init__(self, game: Game[Any], **words: Any) -> None:
        if not game.is_simultaneous:
            raise LmgymError(f"{game.name} is played in turn and has no parallel_env; use env()")
        super().__init__(game, **words)

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Start a game; arguments as for `GameAECEnv`."""
        self._begin(seed, options)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Let every player do something.

        A move that is not allowed cannot be tried again here, since the others have moved: it
        forfeits, and where nobody's is allowed nobody wins.
        """
        if not self.agents:
            raise LmgymError("no game is going on; call reset() first")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise LmgymError(
                f"no action of {', '.join(missing)}; give one for each of {self.agents}"
            )
        run, before = self.run, self.run.returns
        run.act_at_once([self._of_its_kind(actions[player]) for player in self.possible_agents])
        paid = [now - then for now, then in zip(run.returns, before, strict=True)]
        rewards = dict(zip(self.possible_agents, paid, strict=True))
        is_over = run.mover is None
        observations, players = self._observations(), self.agents
        infos = {player: _ending(run) if is_over else {} for player in players}
        if is_over:
            self.agents = []
        if self.render_mode == "human":
            print(self.render())
        return (
            observations,
            rewards,
            dict.fromkeys(players, is_over),
            dict.fromkeys(players, False),
            infos,
        )

    def _observations(self) -> dict[str, Observation]:
        run, legal = self.run, self._legal()
        seen = {}
        for seat, player in enumerate(self.possible_agents):
            seen[player] = self.view.observe(run, seat)
            if legal is not None:
                seen[player]["action_mask"] = legal.copy()
        return seen

    def _legal(self) -> NDArray[np.int8] | None:
        """What all may do: the same for everybody, since nobody has moved in this round."""
        if not self.view.is_discrete:
            return None
        run = self.run
        return self.view.mask(() if run.mover is None else self.game.legal(run.state))


def _deal(rng: np.random.Generator, options: Mapping[str, Any] | None, split: str) -> int:
    given = options or {}  # PettingZoo's own test gives options that nobody knows
    deal = given.get("deal")
    if deal is None:
        return draw_deal(rng, _check_split(given.get("split", split)))
    if isinstance(deal, bool) or not isinstance(deal, int) or not 0 <= deal < N_DEALS:
        raise LmgymError(f"deal={deal!r:.40} is not the number of a deal, from 0 to {N_DEALS - 1}")
    return deal


def _ending(run: GameRun[Any]) -> dict[str, Any]:
    return {"returns": run.returns, **run.facts()}


def _shown(run: GameRun[Any]) -> str:
    """The game as all players together know it, and what came of it."""
    game = run.game
    seen = list(dict.fromkeys(game.observe(run.state, seat) for seat in range(len(game.players))))
    lines = (
        seen if len(seen) == 1 else [f"{p}:\n{s}" for p, s in zip(game.players, seen, strict=True)]
    )
    if run.mover is None:
        won = ", ".join(f"{p} {r:+g}" for p, r in zip(game.players, run.returns, strict=True))
        lines.append(f"over: {won}")
    return "\n".join(lines)


def _check_split(split: str) -> str:
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    return split


def make_aec(game_class: type[Game[Any]], **words: Any) -> GameAECEnv:
    """A game's environment in turn.

    Args:
        game_class: the rules.
        words: arguments of `GameAECEnv` and of the game.
    """
    own, args = _sorted(game_class, words)
    return GameAECEnv(game_class(args), **own)


def make_parallel(game_class: type[Game[Any]], **words: Any) -> GameParallelEnv:
    """A game's environment at once; arguments as for `make_aec`."""
    own, args = _sorted(game_class, words)
    return GameParallelEnv(game_class(args), **own)


def _sorted(game_class: type[Game[Any]], words: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The arguments of the environment, and those of the game."""
    known = [field.name for field in fields(game_class.Args)]
    for name in words:
        if name not in (*known, *_ENV_WORDS):
            raise unknown(f"argument of {game_class.name}", name, [*known, *_ENV_WORDS])
    own = {name: value for name, value in words.items() if name in _ENV_WORDS}
    return own, game_class.Args(**{n: v for n, v in words.items() if n in known})
