"""`ProcessPlayer`: a program in the sandbox as a player of games."""

from __future__ import annotations

import numpy as np

from lmgym.games.run import Turn

from .process_agent import ProcessAgent

__all__ = ["ProcessPlayer"]


class ProcessPlayer:
    """Lets a program play: it reads the rules and the page, and what is allowed, in words.

    A program is told of a new game when it is to move in one for the first time, and of its seed,
    which it may draw from: so its moves can follow from the match. A player sits in one seat of a
    game, not in both.

    Args:
        agent: the program; it is started when it is first to move, if nobody did so before.
        name: what it is called in records.
        track: what the program is told that is played for.
        env: what the program is told that is played; by default the name of the game.

    Example:
        >>> from lmgym.games.matches import play_match
        >>> agent = ProcessAgent(["python", "-c", "print('hello')"], ".", trusted=True)
        >>> with ProcessPlayer(agent, name="greeter") as player:
        ...     record = play_match("lmgym/Nim-v0", [player, "random"], deal=0, seed=0)
        >>> record.returns, record.forfeit.cause
        ((-1.0, 1.0), 'protocol')
    """

    def __init__(
        self, agent: ProcessAgent, *, name: str = "", track: str = "", env: str = ""
    ) -> None:
        self.agent = agent
        self.name = name
        self._track, self._env = track, env
        self._rng: np.random.Generator | None = None
        self._n_games = 0

    def act(self, turn: Turn, rng: np.random.Generator) -> int | str:
        """A move.

        Raises:
            PlayerFailure: where the program makes none.
        """
        game, state = turn.game, turn.state
        if not self.agent.is_started:
            self.agent.start(self._track, self._env or game.name)
        if rng is not self._rng:  # each match has generators of its own
            self._rng = rng
            seed = int(rng.integers(2**31))
            self._n_games += 1
            self.agent.reset(self._n_games - 1, turn.seat, seed)
        messages = [
            {"role": "system", "content": game.rules(turn.seat)},
            {"role": "user", "content": turn.text},
        ]
        legal = game.legal(state)
        action = self.agent.act(messages, [game.say(state, each) for each in legal])
        return action if isinstance(action, str) else int(legal[action])

    def close(self) -> None:
        """End the program."""
        self.agent.close()

    def __enter__(self) -> ProcessPlayer:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the program."""
        self.close()
