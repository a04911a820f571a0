"""What tests of tournaments share."""

from __future__ import annotations

from typing import Any

from lmgym.games.records import MatchRecord
from lmgym.leaderboards.tournaments.plan import PlannedPlayer, TournamentPlan

NIM = "lmgym/Nim-v0"
KUHN = "lmgym/KuhnPoker-v0"


def plan_of(**changes: Any) -> TournamentPlan:
    """A small tournament of five players."""
    kinds = {"ann": "random", "bob": "best", "cy": "random", "dee": "random", "eve": "best"}
    players = [PlannedPlayer(*item) for item in kinds.items()]
    return TournamentPlan(**{"env": NIM, "players": players, "games": 4, **changes})


def lines_of(records: list[MatchRecord]) -> list[str]:
    return [record.as_line() for record in records]
