"""How often one policy beats another, on the same deals in every seat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmgym.games.game import Game
from lmgym.selfplay.playing import Chooser, play_out
from lmgym.training.uncertainty import rates_interval

__all__ = ["WinRate", "facts_of", "self_play_facts", "win_rate"]


@dataclass(frozen=True)
class WinRate:
    """Of what share of games is won; a tie is half a win.

    Attributes:
        rate: the share.
        low: the lower end of its 95 % interval.
        high: the upper end.
        gain: what is won a game, on average; where stakes differ it says more than the share.
        games: that were played.
    """

    rate: float
    low: float
    high: float
    gain: float
    games: int

    def __str__(self) -> str:
        """In percent, with the interval, and what is won."""
        return f"{self.rate:.1%} [{self.low:.1%}, {self.high:.1%}], {self.gain:+.3f} a game"


def win_rate(
    game: Game[Any],
    player: Chooser,
    opponent: Chooser,
    starts: Sequence[Any],
    rng: np.random.Generator,
) -> WinRate:
    """How often a player beats another, who has all other seats; each deal is played in each seat.

    The interval takes the games of a deal together: they are alike.
    """
    n_seats = len(game.players)
    rates, gains = np.zeros((2, n_seats, len(starts)))
    for seat in range(n_seats):
        seats = np.ones((len(starts), n_seats), np.int64)
        seats[:, seat] = 0
        ends = play_out(game, starts, [player, opponent], seats, rng)
        returns = [game.returns(end) for end in ends]
        rates[seat] = [_won(won, seat) for won in returns]
        gains[seat] = [won[seat] for won in returns]
    low, high = rates_interval(rates.mean(0).tolist())
    return WinRate(float(rates.mean()), low, high, float(gains.mean()), rates.size)


def self_play_facts(
    game: Game[Any], player: Chooser, starts: Sequence[Any], rng: np.random.Generator
) -> dict[str, float]:
    """Of what share of games that a player plays with itself the game's facts are true."""
    seats = np.zeros((len(starts), len(game.players)), np.int64)
    return facts_of(game, play_out(game, starts, [player], seats, rng))


def facts_of(game: Game[Any], ends: Sequence[Any]) -> dict[str, float]:
    """Of what share of finished games the game's facts are true."""
    told = [game.facts(end) for end in ends]
    names = [name for name, value in told[0].items() if isinstance(value, bool)]
    return {name: float(np.mean([facts[name] for facts in told])) for name in names}


def _won(returns: Sequence[float], seat: int) -> float:
    """1 for a win, 1/2 for a tie, 0 for a loss against the best of the others."""
    best = max(value for i, value in enumerate(returns) if i != seat)
    return float(np.sign(returns[seat] - best) + 1) / 2
