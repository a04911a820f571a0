"""What a language policy does in a game, exactly: the probability of each legal message."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.games.collecting import opening
from lmgym.games.game import Game
from lmgym.games.run import Turn

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["MessagePolicy", "information_sets"]

_ROWS = 256
"""Messages that are scored at a time."""


def information_sets(
    game: Game[Any], deals: Iterable[tuple[float, Any]] | None = None, *, most: int = 1_000
) -> list[Any] | None:
    """A state for all that a player may know when it moves; None where there are too many.

    Args:
        game: the rules.
        deals: starts with their probabilities; by default all there are.
        most: how many states are looked at.

    Example:
        >>> from lmgym.envs.kuhn_poker.rules import KuhnPoker
        >>> len(information_sets(KuhnPoker()))
        12
    """
    listed = game.deals() if deals is None else deals
    if listed is None:
        return None
    found: dict[Hashable, Any] = {}
    waiting = [state for _, state in listed]
    seen = set(waiting)
    while waiting:
        state = waiting.pop()
        seat = game.mover(state)
        if seat is None:
            continue
        if len(seen) > most:
            return None
        found.setdefault((seat, game.knowledge(state, seat)), state)
        after = {game.play(state, action) for action in game.legal(state)} - seen
        seen |= after
        waiting += after
    return list(found.values())


class MessagePolicy:
    """A language policy as `lmgym.search.exact` takes policies.

    Of the messages that make a legal move only the one is scored that `Game.say` writes, and their
    probabilities are taken to sum to 1; `coverage` is what they do sum to.

    Args:
        policy: writes the moves.
        game: the rules.
        guide: whether a system message tells the rules.

    Example:
        >>> from lmgym.envs.kuhn_poker.rules import KuhnPoker
        >>> from lmgym.policies.loading import load_policy
        >>> from lmgym.search.exact import exploitability
        >>> policy = MessagePolicy(load_policy(), KuhnPoker())
        >>> 0 < exploitability(policy.game, policy) < 2, 0 <= policy.coverage <= 1
        (True, True)
    """

    def __init__(self, policy: LanguagePolicy, game: Game[Any], *, guide: bool = False) -> None:
        self.policy = policy
        self.game = game
        self.guide = guide
        self._known: dict[Hashable, NDArray[np.float64]] = {}

    def __call__(self, state: Any) -> NDArray[np.float64]:
        """The probabilities of the mover's legal actions, shape (actions,)."""
        key = self._key(state)
        if key not in self._known:
            self.read([state])
        found = self._known[key]
        total = found.sum()
        return found / total if total > 0 else np.full(len(found), 1 / len(found))

    @property
    def coverage(self) -> float:
        """The probability of a legal message, on average over what was asked for so far."""
        if not self._known:
            raise LmgymError("no state has been looked at; call read(states) before")
        return float(np.mean([found.sum() for found in self._known.values()]))

    def read(self, states: Sequence[Any]) -> None:
        """Score the messages of many states at once."""
        new = {self._key(state): state for state in states}
        chosen = [(key, state) for key, state in new.items() if key not in self._known]
        rows = [self._row(s, action) for _, s in chosen for action in self.game.legal(s)]
        logprobs = self._scores(rows)
        start = 0
        for key, state in chosen:
            end = start + len(self.game.legal(state))
            self._known[key] = np.exp(logprobs[start:end])
            start = end

    def _key(self, state: Any) -> Hashable:
        seat = self.game.mover(state)
        assert seat is not None, "the game is over"
        return seat, self.game.knowledge(state, seat)

    def _row(self, state: Any, action: int) -> tuple[list[int], int]:
        """The ids of a move and what it answers, and how many of them the move has."""
        game, renderer = self.game, self.policy.renderer
        seat = game.mover(state)
        assert seat is not None
        prompt, _ = renderer.open(opening(Turn(game, state, seat), guide=self.guide))
        said = [*renderer.encode(game.say(state, action)), renderer.end_id]
        return [*prompt, *said], len(said)

    def _scores(self, rows: Sequence[tuple[list[int], int]]) -> NDArray[np.float64]:
        """The log-probability of each message, shape (N,)."""
        import torch

        found = np.zeros(len(rows))
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            width = max(len(ids) for ids, _ in some)
            padding = [[self.policy.renderer.pad_id] * (width - len(ids)) for ids, _ in some]
            ids = torch.tensor([row + pad for (row, _), pad in zip(some, padding, strict=True)])
            lengths = torch.tensor([len(row) for row, _ in some])
            said = torch.tensor([n for _, n in some])
            places = torch.arange(1, width)
            with torch.no_grad():
                logprobs = self.policy.token_logprobs(ids, torch.arange(width) < lengths[:, None])
            is_said = (places >= (lengths - said)[:, None]) & (places < lengths[:, None])
            total = (logprobs.cpu() * is_said).sum(1)
            found[start : start + _ROWS] = total.double().numpy()
        return found
