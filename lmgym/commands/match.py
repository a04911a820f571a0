"""`lmgym match`: games between two players, their records, and records played again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file
from lmgym.commands.game_text import retold
from lmgym.commands.worlds import env_of, find_world_here, world_arguments
from lmgym.errors import LmgymError
from lmgym.games.matches import play_matches
from lmgym.games.players import Player, find_player
from lmgym.games.records import MatchRecord, read_records, write_records
from lmgym.games.replay import game_of, replay
from lmgym.games.standings import Standing, Tally, pairings, stand
from lmgym.games.text_players import TextPlayer
from lmgym.games.worlds import GameWorld, find_game, game_class_of, game_ids
from lmgym.registry import PLAYER_ARGUMENTS, PLAYERS
from lmgym.training.progress import TrainingDisplay, visible
from lmgym.training.uncertainty import MeanInterval

__all__ = ["MatchArgs", "match"]

_USAGE = "match A B --env ENV [--options], or lmgym match --replay FILE"


@dataclass(frozen=True)
class MatchArgs:
    """Arguments of matches."""

    env: str | None = None
    """The game's world, as lmgym/TicTacToe-v0."""
    games: int = 100
    """How many games."""
    seed: int = 0
    """Seed of deals and of the players' draws."""
    split: str = "test"
    """Where deals are drawn from: train, validation or test."""
    swap_seats: bool = True
    """Whether each deal is played twice, once in either seating; else A has the first seat."""
    temperature: float = 1.0
    """Of what language models write; 0 takes the likeliest message."""
    out: str | None = None
    """A .jsonl file for the records of all games."""
    replay: str | None = None
    """Play the records of a file again, without players, and check them, in place of a match."""
    game: int | None = None
    """Show this game alone, or, with --replay, check it alone; counted from 1 on."""
    show: bool = False
    """Print games as the players read and write them."""


def match(argv: Sequence[str]) -> int:
    """Let two players meet, or check the records of players who have met."""
    names, options = split_names(argv, 2, _USAGE)
    env = env_of(options)
    groups: dict[str, type[Any]] = {"match": MatchArgs}
    if env is not None:
        spec = find_world_here(env)
        groups[spec.id] = game_class_of(spec).Args
    args, *game_args = parse_options(groups, options, "match", _description())
    _check(args, names)
    world = None if env is None else find_game(env, world_arguments(game_args[0]))
    if args.replay is not None:
        return _replay(args, world)
    if world is None:
        games = game_ids()
        raise LmgymError(f"name the game, as --env {games[0]}; games are {', '.join(games)}")
    return _play(args, world, names)


def _description() -> str:
    players = [f"{n}:{PLAYER_ARGUMENTS[n]}" if n in PLAYER_ARGUMENTS else n for n in PLAYERS]
    return (
        "Let two players play a game: lmgym match A B --env ENV.\n\n"
        f"Players: {', '.join(players)}\n\nGames: {', '.join(game_ids())}, MODULE:ID\n\n"
        "With --env the options of the game are listed, too."
    )


def _check(args: MatchArgs, names: Sequence[str]) -> None:
    for name, least in (("games", 1), ("game", 1), ("seed", 0), ("temperature", 0)):
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise LmgymError(f"--{name} {value} is out of range; at least {least} is needed")
    if args.replay is not None and (names or args.out is not None):
        extra = f"the player {names[0]!r}" if names else f"--out {args.out}"
        raise LmgymError(f"--replay needs no players and writes nothing; leave out {extra}")
    if args.replay is None and len(names) != 2:
        raise LmgymError(f"name two players; usage: lmgym {_USAGE}")
    if args.game is not None and not (args.show or args.replay is not None):
        raise LmgymError(f"--game {args.game} chooses what --show or --replay is about; add one")
    if args.out is not None:
        check_file(args.out, ".jsonl")


def _play(args: MatchArgs, world: GameWorld, names: Sequence[str]) -> int:
    """Play the match, and tell what came of it."""
    players = [_player(name, world, args.temperature) for name in names]
    _check_game(args, args.games)
    records = _records(args, world, players, names)
    if args.out is not None:
        write_records(args.out, records)
    console = Console(highlight=False)
    _show(args, list(enumerate(records, 1)), world, console)
    _print_standing(records, console)
    if args.out is not None:
        console.print(Text(f"written to {args.out}"), soft_wrap=True)
    return 0


def _player(name: str, world: GameWorld, temperature: float) -> Player:
    player = find_player(name, world.game)
    if isinstance(player, TextPlayer):
        player.temperature = temperature
    return player


def _records(
    args: MatchArgs, world: GameWorld, players: Sequence[Player], names: Sequence[str]
) -> list[MatchRecord]:
    """Play, while the standard error shows how far it is; what is interrupted is kept."""
    kept: list[MatchRecord] = []
    won = 0.0

    def note(records: list[MatchRecord]) -> None:
        nonlocal won
        kept.append(records[-1])
        won += records[-1].returns[records[-1].sides.index(0)]
        display.update(len(kept), {"reward": won / len(kept)})

    first, second = players
    title = f"{names[0]} against {names[1]}"
    words: dict[str, Any] = {"split": args.split, "swap_seats": args.swap_seats, "names": names}
    with TrainingDisplay(title, args.games, "games", console=Console(stderr=True)) as display:
        try:
            return play_matches(
                world, first, second, args.games, args.seed, on_progress=note, **words
            )
        except KeyboardInterrupt:
            if args.out is not None:
                write_records(args.out, kept)
            raise


def _replay(args: MatchArgs, world: GameWorld | None) -> int:
    """Play records again, and tell whether the games go as they say."""
    assert args.replay is not None
    listed = list(read_records(args.replay))
    _check_game(args, len(listed))
    if args.game is not None:
        listed = listed[args.game - 1 : args.game]
    wrong = [told for told in (_difference(*entry, world) for entry in listed) if told]
    if wrong:
        raise LmgymError(f"{len(wrong)} of {len(listed)} games go otherwise: {wrong[0]}")
    console = Console(highlight=False)
    _show(args, listed, world, console)
    games = "1 game goes" if len(listed) == 1 else f"{len(listed)} games go"
    console.print(f"{games} as the records say")
    if args.game is None:
        for records in pairings(record for _, record in listed if len(record.players) == 2):
            _print_standing(records, console)
    return 0


def _difference(line: int, record: MatchRecord, world: GameWorld | None) -> str:
    """What is wrong in a record; empty where nothing is."""
    try:
        replay(record, world)
    except LmgymError as error:
        return f"line {line}: {error}"
    return ""


def _check_game(args: MatchArgs, n_games: int) -> None:
    if args.game is not None and args.game > n_games:
        raise LmgymError(f"--game {args.game} does not exist; there are {n_games} games")


def _show(
    args: MatchArgs,
    numbered: Sequence[tuple[int, MatchRecord]],
    world: GameWorld | None,
    console: Console,
) -> None:
    """Print the games that were asked for."""
    for number, record in numbered if args.show else ():
        if args.game in (None, number):
            for text in retold(record, world or game_of(record), number):
                console.print(text, soft_wrap=True)
            console.print()


def _print_standing(records: Sequence[MatchRecord], console: Console) -> None:
    """A line for each seat of the first player, and for both; its own forfeits come first."""
    standing = stand(records, np.random.default_rng(0))
    first, second = (visible(name) for name in standing.names)
    title = f"{first} against {second}, {visible(records[0].env)}"
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for column in ("games", "won", "drawn", "lost", "forfeits", "mean return, 95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for seat, tally in enumerate(standing.seats):
        if tally.n_games:
            _add_row(table, f"seat {seat}", tally)
    _add_row(table, "both", standing.total)
    if standing.finished.n_games < standing.total.n_games:
        _add_row(table, "no forfeits", standing.finished)
    console.print(table)
    _print_rest(records, standing, console)


def _add_row(table: Table, name: str, tally: Tally) -> None:
    counts = (tally.n_games, tally.wins, tally.draws, tally.losses)
    forfeits = f"{tally.own_forfeits} : {tally.other_forfeits}"
    returns = "" if tally.returns is None else _interval(tally.returns, "+.3f")
    table.add_row(name, *(f"{count:,}" for count in counts), forfeits, returns)


def _print_rest(records: Sequence[MatchRecord], standing: Standing, console: Console) -> None:
    """How often the judge was right, and why the first game was forfeited."""
    if standing.judge_accuracy is not None:
        console.print(f"judge right: {_interval(standing.judge_accuracy, '.1%')}")
    forfeited = [(n, r) for n, r in enumerate(records, 1) if r.forfeit is not None]
    for number, record in forfeited[:1]:
        assert record.forfeit is not None
        who = visible(record.players[record.forfeit.seat])
        why = visible(record.forfeit.reason)
        told = f"first forfeit: game {number}, {who}, {record.forfeit.cause}: {why}"
        console.print(Text(told), soft_wrap=True)


def _interval(value: MeanInterval, form: str) -> str:
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"
