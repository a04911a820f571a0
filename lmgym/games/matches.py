"""Matches: games between players, each with a seed of its own and a record of every move.

A match follows from the game, the deal, the seed and the players: a player draws from a generator
of its own, so neither the other's draws nor the order of the matches matter. Whatever a player does
wrong ends its game by the game's forfeit and stands in the record. What the game or its judge does
wrong is raised: it is a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lmgym.errors import LmgymError, unknown
from lmgym.games.deals import N_DEALS, SPLITS, draw_deal, start_of
from lmgym.games.game import Game
from lmgym.games.players import Player, PlayerFailure, find_player
from lmgym.games.records import MOST_CHARACTERS, N_SEEDS, Forfeit, MatchRecord, RecordedMove
from lmgym.games.run import GameRun, Turn
from lmgym.games.worlds import GameWorld, as_game_world
from lmgym.training.records import plain_value

__all__ = [
    "Fixture",
    "ask",
    "fixtures",
    "play_match",
    "play_matches",
    "player_name",
    "player_rng",
]

AnyGame: TypeAlias = GameWorld | Game[Any] | str

_MOST_REASON = 300
_MOST_WORDS = 5000
"""Characters of a program's failure, the last of what it wrote among them."""
_MOST_NAME = 200


class Fixture(NamedTuple):
    """A match that is to be played.

    Attributes:
        deal: the number of the start.
        seed: of the players' draws.
        sides: which player sits in each seat, 0 or 1.
    """

    deal: int
    seed: int
    sides: tuple[int, int]


def fixtures(
    n_games: int, seed: int, *, split: str = "test", swap_seats: bool = True
) -> list[Fixture]:
    """The matches of two players; fewer games are the first of more.

    Args:
        n_games: how many; an even number where seats are swapped.
        seed: draws deals, and the matches' seeds.
        split: where deals are drawn from.
        swap_seats: whether each deal is played twice, once in either seating; else the first player
            has the first seat throughout.

    Example:
        >>> [fixture.sides for fixture in fixtures(4, seed=0)]
        [(0, 1), (1, 0), (0, 1), (1, 0)]
    """
    if n_games < 1 or (swap_seats and n_games % 2):
        even = " even, as each deal is played in either seating," if swap_seats else ""
        raise LmgymError(f"{n_games} games: the number must be{even} above 0")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if seed < 0:
        raise LmgymError(f"seed={seed} is out of range; 0 or more is needed")
    rng = np.random.default_rng(seed)
    found: list[Fixture] = []
    seatings = ((0, 1), (1, 0)) if swap_seats else ((0, 1),)
    while len(found) < n_games:
        deal = draw_deal(rng, split)
        found += [Fixture(deal, int(rng.integers(2**31)), sides) for sides in seatings]
    return found


def play_match(
    game: AnyGame,
    players: Sequence[str | Player],
    deal: int,
    seed: int,
    *,
    names: Sequence[str] | None = None,
    sides: Sequence[int] | None = None,
    raise_errors: bool = False,
) -> MatchRecord:
    """Play one game.

    Args:
        game: a world's id, a `GameWorld`, or the rules.
        players: who sits in each seat, by name or as objects.
        deal: the number of the start.
        seed: of the players' draws.
        names: what the players are called in the record; by default their names, or types.
        sides: who sits in each seat, where the same players meet again.
        raise_errors: raise what a player raises, to find its defects; a `PlayerFailure` forfeits
            all the same.

    Example:
        >>> record = play_match("lmgym/Nim-v0", ["best", "random"], deal=3, seed=0)
        >>> record.players, record.returns
        (('best', 'random'), (1.0, -1.0))
    """
    world = as_game_world(game)
    rules = world.game
    n_seats = len(rules.players)
    if len(players) != n_seats:
        raise LmgymError(f"{rules.name} has {n_seats} players; {len(players)} were given")
    if not 0 <= deal < N_DEALS or not 0 <= seed < N_SEEDS:
        raise LmgymError(
            f"deal={deal}, seed={seed}: deals are 0 to {N_DEALS - 1}, seeds 0 to {N_SEEDS - 1}"
        )
    found = [find_player(player, rules) for player in players]
    match = _Match(rules, found, deal, seed, raise_errors)
    match.play()
    shown = [player_name(player) for player in players] if names is None else names
    return MatchRecord(
        env=world.env,
        args=world.args,
        deal=deal,
        seed=seed,
        players=tuple(str(plain_value(name[:_MOST_NAME])) for name in shown),
        sides=tuple(range(n_seats) if sides is None else sides),
        moves=match.moves(),
        returns=match.run.returns,
        facts={} if match.forfeit else plain_value(match.run.facts()),
        forfeit=match.forfeit,
    )


def play_matches(
    game: AnyGame,
    a: str | Player,
    b: str | Player,
    n_games: int,
    seed: int,
    *,
    split: str = "test",
    swap_seats: bool = True,
    names: Sequence[str] | None = None,
    raise_errors: bool = False,
    on_progress: Callable[[list[MatchRecord]], None] | None = None,
) -> list[MatchRecord]:
    """Let two players meet again and again; `fixtures` says in which deals.

    Args:
        game: as for `play_match`.
        a: a player, by name or as an object.
        b: the other one.
        n_games: how many games.
        seed: draws deals and the matches' seeds.
        split: where deals are drawn from.
        swap_seats: whether each deal is played in either seating.
        names: what both are called in the records.
        raise_errors: raise what a player raises.
        on_progress: is called after each game with the records so far.

    Raises:
        LmgymError: before the first game, where a player by name cannot play the game.
    """
    world = as_game_world(game)
    planned = fixtures(n_games, seed, split=split, swap_seats=swap_seats)
    if len(world.game.players) != 2:
        raise LmgymError(f"{world.game.name} has {len(world.game.players)} players, and not two")
    shown = [player_name(a), player_name(b)] if names is None else names
    found = [find_player(player, world.game) for player in (a, b)]
    records: list[MatchRecord] = []
    for deal, match_seed, sides in planned:
        seated, called = [found[i] for i in sides], [shown[i] for i in sides]
        words: dict[str, Any] = {"names": called, "sides": sides, "raise_errors": raise_errors}
        records.append(play_match(world, seated, deal, match_seed, **words))
        if on_progress is not None:
            on_progress(records)
    return records


def ask(
    player: Player, turn: Turn, rng: np.random.Generator, *, raise_errors: bool = False
) -> int | str | Forfeit:
    """A player's move, or why there is none.

    Args:
        player: who is asked.
        turn: what it is asked.
        rng: what it draws from.
        raise_errors: raise what the player raises; a `PlayerFailure` forfeits all the same.
    """
    try:
        said = player.act(turn, rng)
    except PlayerFailure as failure:  # to raise it would find no defect of ours
        return Forfeit(turn.seat, failure.cause, str(plain_value(str(failure)[:_MOST_WORDS])))
    except Exception as error:  # whatever a player raises costs it the game
        if raise_errors:
            raise
        return Forfeit(turn.seat, "error", _told(error))
    move = _plain_move(said)
    if move is not None:
        return move
    reason = f"the player returned {_what(said)}, which is no move"
    if raise_errors:
        raise LmgymError(f"{reason}; act returns a number or a message")
    return Forfeit(turn.seat, "no move", reason)


def player_rng(seed: int, deal: int, seat: int) -> np.random.Generator:
    """What the player of a seat draws from in a match."""
    return np.random.default_rng((seed, deal, seat))


def player_name(player: str | Player) -> str:
    """What a player is called: its name here, its `name`, or its type."""
    if isinstance(player, str):
        return player
    name = getattr(player, "name", None)
    return name if isinstance(name, str) and name else type(player).__name__


class _Match:
    """A game between players.

    Attributes:
        run: the game.
        forfeit: why it was not finished.
    """

    def __init__(
        self, game: Game[Any], players: Sequence[Player], deal: int, seed: int, raise_errors: bool
    ) -> None:
        self.run = GameRun(game, start_of(game, deal))
        self.forfeit: Forfeit | None = None
        self._players = players
        self._raise_errors = raise_errors
        self._rngs = [player_rng(seed, deal, seat) for seat in range(len(players))]
        self._lengths: list[int] = []

    def play(self) -> None:
        """Play to the end."""
        run = self.run
        while run.mover is not None:
            turn = run.turn()
            player, rng = self._players[turn.seat], self._rngs[turn.seat]
            said = ask(player, turn, rng, raise_errors=self._raise_errors)
            if isinstance(said, Forfeit):
                self.forfeit = said
                run.forfeit(said.seat, said.reason)
                return
            run.act(said)
            length = len(said) if isinstance(said, str) else 0
            self._lengths.append(length if length > run.game.max_message else 0)
        if run.forfeited is not None:
            self.forfeit = Forfeit(run.forfeited, "illegal", run.complaint)

    def moves(self) -> tuple[RecordedMove, ...]:
        """All that was tried."""
        pairs = zip(self.run.moves, self._lengths, strict=True)
        return tuple(RecordedMove(*move, length) for move, length in pairs)


def _plain_move(said: Any) -> int | str | None:
    """A number or a message of Python's own types; None for anything else."""
    if isinstance(said, str):
        return str(said) if len(said) <= MOST_CHARACTERS else None
    if isinstance(said, bool) or not isinstance(said, int | np.integer):
        return None
    return int(said) if -(2**63) < said < 2**63 else None


def _what(said: Any) -> str:
    if isinstance(said, str):
        return f"a message of {len(said)} characters"
    is_large = isinstance(said, int) and not isinstance(said, bool)
    return "too large a number" if is_large else "None" if said is None else type(said).__name__


def _told(error: Exception) -> str:
    """An exception's type and its first line, without anybody's home folder."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - exceptions of players may fail to tell what they are
        text = "(it cannot be shown)"
    first = next(iter(text.splitlines()), "")
    said = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return str(plain_value(said[:_MOST_REASON]))
