"""Plans of tournaments: everything that their matches follow from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lmgym import __version__
from lmgym.errors import LmgymError, unknown
from lmgym.games.deals import SPLITS
from lmgym.games.strict_json import Row, check_text
from lmgym.games.worlds import Plain
from lmgym.training.records import plain_value

from .schedules import Schedule, make_schedule

__all__ = ["MOST_NAME", "PlannedPlayer", "TournamentPlan"]

SCHEMA = 1
"""Of the fields below."""

MOST_NAME = 200
"""Characters of a player's name."""

_MOST_TEXT = 10_000
_MOST = 2**53


class PlannedPlayer(NamedTuple):
    """Who takes part.

    Attributes:
        name: in the records.
        player: what it is, as "mcts:50"; of one that is no player by name, any description.
        digest: of the files that it is read from, so that others in their place are noticed.
    """

    name: str
    player: str
    digest: str = ""


@dataclass(frozen=True)
class TournamentPlan:
    """All that decides which matches are played. The order of the players doesn't matter.

    Attributes:
        env: the game's world, as `lmgym.registry.find_world` takes it.
        args: the game's arguments.
        players: at least two, whose names differ; they are kept in alphabetical order.
        schedule: "round-robin", "swiss" or "active".
        games: of two players each time that they are paired; even, as each deal is played in either
            seating.
        rounds: of a schedule that has some; by default what suits the number of players.
        seed: of deals, matches and schedules.
        split: where deals are drawn from.
        version: of this package.

    Raises:
        LmgymError: where no tournament can be made of it.

    Example:
        >>> players = [PlannedPlayer(name, "random") for name in ("ann", "bob", "cy")]
        >>> plan = TournamentPlan("lmgym/Nim-v0", players=players, games=4)
        >>> plan.names, plan.n_matches
        (('ann', 'bob', 'cy'), 12)
    """

    env: str
    args: Mapping[str, Plain] = field(default_factory=dict)
    players: Sequence[PlannedPlayer] = ()
    schedule: str = "round-robin"
    games: int = 20
    rounds: int | None = None
    seed: int = 0
    split: str = "test"
    version: str = __version__

    def __post_init__(self) -> None:
        """Raise where no tournament can be made of it."""
        players = [PlannedPlayer(*(str(plain_value(text)) for text in p)) for p in self.players]
        object.__setattr__(self, "players", tuple(sorted(players)))
        object.__setattr__(self, "args", plain_value(self.args))
        _check_names(self.names)
        if self.games < 2 or self.games % 2:
            raise LmgymError(
                f"{self.games} games a pair: the number must be even and above 0, as each deal is"
                " played in either seating"
            )
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if not 0 <= self.seed < _MOST:
            raise LmgymError(f"seed={self.seed} is out of range; 0 to {_MOST - 1} is allowed")
        self.make_schedule()

    @property
    def names(self) -> tuple[str, ...]:
        """The players' names."""
        return tuple(player.name for player in self.players)

    @property
    def n_matches(self) -> int:
        """How many matches there will have been in the end."""
        return self.games * self.make_schedule().n_pairings

    def make_schedule(self) -> Schedule:
        """Says who meets whom; players are numbers in the order of the names."""
        return make_schedule(self.schedule, len(self.names), self.rounds, self.games, self.seed)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "env": self.env,
            "args": dict(self.args),
            "schedule": self.schedule,
            "games": self.games,
            "rounds": self.rounds,
            "seed": self.seed,
            "split": self.split,
            "players": {p.name: {"player": p.player, "digest": p.digest} for p in self.players},
        }

    @classmethod
    def from_dict(cls, values: Any) -> TournamentPlan:
        """The plan of plain values.

        Raises:
            LmgymError: where they are none; it says which field holds what.
        """
        row = Row(values, "the plan")
        schema = row.whole("schema", _MOST)
        if schema != SCHEMA:
            raise LmgymError(f"the plan has schema {schema}, and this version reads {SCHEMA}")
        plan = cls(
            env=row.text("env", _MOST_TEXT),
            args=row.mapping("args"),
            players=[_player(*item) for item in row.mapping("players").items()],
            schedule=row.text("schedule", _MOST_TEXT),
            games=row.whole("games", _MOST),
            rounds=row.take("rounds", lambda value: value),
            seed=row.whole("seed", _MOST),
            split=row.text("split", _MOST_TEXT),
            version=row.text("version", _MOST_TEXT),
        )
        row.check_empty()
        return plan

    def differences(self, other: TournamentPlan) -> Iterator[tuple[str, Any, Any]]:
        """What isn't the same in both: the field, and both values."""
        ours, theirs = self.as_dict(), other.as_dict()
        for name in ours:
            if isinstance(ours[name], dict) and ours[name].keys() == theirs[name].keys():
                for key, value in ours[name].items():
                    if value != theirs[name][key]:
                        yield f"{name}.{key}", value, theirs[name][key]
            elif isinstance(ours[name], dict):
                yield name, ", ".join(ours[name]), ", ".join(theirs[name])
            elif ours[name] != theirs[name]:
                yield name, ours[name], theirs[name]


def _check_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        given = f"{len(names)} given" if names else "none are given"
        raise LmgymError(f"a tournament needs two players or more; {given}")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise LmgymError(
            f"two players are called {twice!r}; give them names, as a={twice} b={twice}"
        )
    for name in names:
        if not name or len(name) > MOST_NAME:
            raise LmgymError(
                f"a player's name has {len(name)} characters; 1 to {MOST_NAME} are allowed, so"
                " give it another, as a=PLAYER"
            )


def _player(name: str, values: Any) -> PlannedPlayer:
    row = Row(values, f"the player {name[:40]!r}")
    texts = [row.take(key, lambda value: check_text(value, _MOST_TEXT)) for key in _KEYS]
    row.check_empty()
    return PlannedPlayer(name, *texts)


_KEYS = ("player", "digest")
