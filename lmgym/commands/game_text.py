"""Games as text: moves, facts, and whole records for somebody to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from lmgym.commands.sitting import visible_lines
from lmgym.games.records import MatchRecord
from lmgym.games.replay import replay, steps
from lmgym.games.run import Turn
from lmgym.games.worlds import GameWorld
from lmgym.training.progress import visible

__all__ = ["retold", "told_facts", "told_move"]

_SHORT_PAGE = 7  # lines


def retold(record: MatchRecord, world: GameWorld, number: int) -> Iterator[Text]:
    """A game as its players read and wrote it; of long pages only what is new.

    Args:
        record: the game.
        world: its rules.
        number: how it is called.
    """
    seats = [f"{visible(name)} ({world.game.players[i]})" for i, name in enumerate(record.players)]
    yield Text(f"game {number}, deal {record.deal}: {' against '.join(seats)}", "bold")
    page = ""
    for turn, move in steps(record, world):
        yield Text(f"{seats[turn.seat]} reads:", "dim")
        seen, page = page, turn.text
        yield Text(_news(seen, page))
        yield Text(f"> {told_move(turn, move.said)}", "cyan")
    run = replay(record, world)
    if run.forfeited is None:
        yield Text(_news(page, world.game.observe(run.state, 0)))
    else:
        yield Text(f"{seats[run.forfeited]} forfeits: {visible_lines(run.complaint)}", "red")
    pairs = zip(record.players, record.returns, strict=True)
    yield Text(", ".join(f"{visible(name)} {won:+g}" for name, won in pairs), "bold")
    if record.facts:
        yield Text(told_facts(record.facts))


def told_facts(facts: Mapping[str, Any]) -> str:
    """What a game tells of its end, in words.

    Example:
        >>> told_facts({"judge_accepts": True, "is_true": False})
        'judge accepts: yes, is true: no'
    """
    told = {True: "yes", False: "no"}
    return ", ".join(
        f"{name.replace('_', ' ')}: {told[v] if isinstance(v, bool) else visible(str(v))}"
        for name, v in facts.items()
    )


def told_move(turn: Turn, said: int | str) -> str:
    """A move in words, as the game says it."""
    if isinstance(said, str):
        return visible_lines(said)
    is_legal = said in turn.game.legal(turn.state)
    return visible_lines(turn.game.say(turn.state, said)) if is_legal else f"action {said}"


def _news(seen: str, page: str) -> str:
    """A page, or what is new in it where it is long."""
    lines, before = page.split("\n"), set(seen.split("\n"))
    if len(lines) <= _SHORT_PAGE or not seen:
        return visible_lines(page)
    return visible_lines("\n".join(["...", *(line for line in lines if line not in before)]))
