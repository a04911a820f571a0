"""`lmgym tournament run`: play a tournament, or go on with one, and print its tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.files import check_file, write_json
from lmgym.commands.worlds import env_of, find_world_here, world_arguments
from lmgym.errors import LmgymError
from lmgym.games.records import MatchRecord
from lmgym.games.worlds import find_game, game_class_of, game_ids
from lmgym.registry import PLAYER_ARGUMENTS, PLAYERS
from lmgym.training.progress import TrainingDisplay

from ..tournaments.agents import planned_players
from ..tournaments.executors import pick_executor
from ..tournaments.figure import draw_ratings
from ..tournaments.journal import STANDINGS_FILE, Journal
from ..tournaments.plan import TournamentPlan
from ..tournaments.standings import TournamentStanding, standings_of
from ..tournaments.tables import print_standing
from ..tournaments.tournament import Progress, play_tournament

__all__ = ["TournamentArgs", "run"]

_USAGE = "tournament run --env ENV --agents A B ... [--options]"


@dataclass(frozen=True)
class TournamentArgs:
    """Arguments of tournaments."""

    env: str | None = None
    """The game's world, as lmgym/Nim-v0."""
    agents: tuple[str, ...] = ()
    """The players, as random or mcts:50; NAME=PLAYER calls one NAME."""
    games: int = 20
    """Games of two players each time that they are paired: each deal in either seating."""
    schedule: Literal["round-robin", "swiss", "active"] = "round-robin"
    """Who meets whom: all, those with as many points, or those whose results tell most."""
    rounds: int | None = None
    """Rounds of swiss and active; by default what suits the number of players."""
    seed: int = 0
    """Seed of deals, of the players' draws, and of lots."""
    split: str = "test"
    """Where deals are drawn from: train, validation or test."""
    workers: int | None = None
    """Processes that play; by default as many as there are cores. 1 plays in this one."""
    executor: Literal["processes", "ray"] = "processes"
    """Where they run: on this machine, or where Ray runs, as lmgym[ray] has it."""
    out: str | None = None
    """A folder for the plan, all records and the standings; the same command goes on there."""
    plot: str | None = None
    """A .png file for a figure of the ratings."""


def run(argv: Sequence[str]) -> int:
    """Play a tournament, or go on with one."""
    _, options = split_names(argv, 0, _USAGE)
    env = env_of(options)
    groups: dict[str, type[Any]] = {"tournament": TournamentArgs}
    if env is not None:
        spec = find_world_here(env)
        groups[spec.id] = game_class_of(spec).Args
    args, *game_args = parse_options(groups, options, "tournament run", _description())
    if args.env is None:
        games = game_ids()
        raise LmgymError(f"name the game, as --env {games[0]}; games are {', '.join(games)}")
    if args.plot is not None:
        check_file(args.plot, ".png")
    world = find_game(args.env, world_arguments(game_args[0]))
    planned, players = planned_players(args.agents)
    plan = TournamentPlan(
        env=find_world_here(args.env).address,
        args=world.args,
        players=planned,
        schedule=args.schedule,
        games=args.games,
        rounds=args.rounds,
        seed=args.seed,
        split=args.split,
    )
    standing = standings_of(_play(args, plan, players), plan.names)
    _tell(args, standing, f"{world.env}, {standing.n_matches:,} games, {args.schedule}")
    return 0


def _description() -> str:
    players = [f"{n}:{PLAYER_ARGUMENTS[n]}" if n in PLAYER_ARGUMENTS else n for n in PLAYERS]
    return (
        "Let players meet, and rate them: lmgym tournament run --env ENV --agents A B ...\n\n"
        f"Players: {', '.join(players)}\n\nGames: {', '.join(game_ids())}, MODULE:ID\n\n"
        "With --env the options of the game are listed, too."
    )


def _play(args: TournamentArgs, plan: TournamentPlan, players: dict[str, str]) -> list[MatchRecord]:
    """The records; the standard error shows how far the tournament is."""
    with ExitStack() as stack:
        journal = None if args.out is None else stack.enter_context(Journal(args.out, plan))
        executor = stack.enter_context(pick_executor(args.workers, on_ray=args.executor == "ray"))
        title = f"{len(plan.names)} players, {args.env}"
        console = Console(stderr=True)
        display = stack.enter_context(
            TrainingDisplay(title, plan.n_matches, "games", console=console)
        )

        def show(progress: Progress) -> None:
            display.update(progress.done, {})

        return play_tournament(plan, players, journal, executor, show)


def _tell(args: TournamentArgs, standing: TournamentStanding, title: str) -> None:
    """Print the tables, and write what was asked for."""
    console = Console(highlight=False)
    print_standing(standing, title, console)
    if args.plot is not None:
        draw_ratings(standing, Path(args.plot), title=title)
        console.print(Text(f"drawn in {args.plot}"), soft_wrap=True)
    if args.out is not None:
        write_json(Path(args.out) / STANDINGS_FILE, standing.as_dict())
        console.print(Text(f"kept in {args.out}"), soft_wrap=True)
