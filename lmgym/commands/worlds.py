"""`lmgym envs`, `lmgym card`, and how every command finds a world and its arguments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from lmgym.cards import card
from lmgym.commands.arguments import parse_options, split_names
from lmgym.errors import LmgymError
from lmgym.families import WorldFamily
from lmgym.registry import FAMILIES, WORLDS, WorldSpec, find_world

__all__ = [
    "DEFAULT_WORLD",
    "env_of",
    "find_text_world",
    "find_world_here",
    "list_worlds",
    "show_card",
    "world_arguments",
]

DEFAULT_WORLD = "lmgym/Math-v0"
"""The world of the main job, where a command line names none."""


def env_of(options: Sequence[str]) -> str | None:
    """The world that --env names, which has to be known before one knows which options there are.

    Example:
        >>> env_of(["--seed", "1", "--env=lmgym/Nim-v0"])
        'lmgym/Nim-v0'
    """
    for place, word in enumerate(options):
        name, has_value, value = word.partition("=")
        if name == "--env":
            following = options[place + 1 : place + 2]
            return value if has_value else next(iter(following), None)
    return None


def find_world_here(world: str) -> WorldSpec:
    """The spec of a world; a MODULE:ID may lie in the current directory."""
    here = str(Path.cwd())
    if ":" in world and here not in sys.path:
        sys.path.append(here)  # last, so that a file here hides no module of a library
    return find_world(world)


def find_text_world(world: str, command: str) -> WorldSpec:
    """The spec of a world whose episodes are text, as most commands need it.

    Raises:
        LmgymError: for a world that takes commands of its own only; it says how to use that.
    """
    spec = find_world_here(world)
    if set(spec.levels) == {"goal"}:
        raise LmgymError(
            f"lmgym {command} reads and writes messages, and {spec.id} takes commands instead; make"
            f" its environment with gymnasium.make({spec.address!r}), train on it with lmgym train"
            f" her {world}, and see lmgym card {world}"
        )
    return spec


def world_arguments(args: Any) -> dict[str, Any]:
    """A world's arguments as `make_task` takes them."""
    return {field.name: getattr(args, field.name) for field in fields(args)}


def list_worlds(argv: Sequence[str]) -> int:
    """Print a table of the worlds."""
    split_names(argv, 0, "envs")
    parse_options({}, argv, "envs", "List the worlds with their levels and arguments.")
    console = Console()
    table = Table(box=SIMPLE_HEAD)
    table.add_column("world", no_wrap=True)
    table.add_column("what to do")
    table.add_column("levels", no_wrap=True)
    table.add_column("arguments", no_wrap=True)
    for spec in WORLDS.values():
        cells = (spec.id, spec.summary, "\n".join(spec.levels), _arguments_of(spec))
        table.add_row(*map(Text, cells))
    for family in FAMILIES.values():
        table.add_row(*map(Text, _family_cells(family)))
    console.print(table)
    console.print(Text("lmgym card WORLD tells more; lmgym play WORLD lets you try it"))
    return 0


def show_card(argv: Sequence[str]) -> int:
    """Print a world's card: set out for a terminal, Markdown for everything else."""
    names, options = split_names(argv, 1, "card ENV")
    parse_options({}, options, "card ENV", f"Show a world's card. Worlds: {', '.join(WORLDS)}.")
    if not names:
        raise LmgymError(f"name a world: lmgym card ENV; known: {', '.join(WORLDS)}")
    find_world_here(names[0])
    text = card(names[0])
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        print(text, end="")
    return 0


def _family_cells(family: WorldFamily) -> tuple[str, str, str, str]:
    """One line for all worlds of a family."""
    spec = find_world(family.ids[0])
    names = f"one of {len(family.members)} tasks, such as {family.members[0]}; it needs"
    summary = f"{family.summary.format('<task>')} <task> is {names} lmgym[{family.requires}]"
    id_ = family.id.format("<task>")
    return id_, summary, "\n".join(spec.levels), _arguments_of(spec)


def _arguments_of(spec: WorldSpec) -> str:
    lines = []
    for field in fields(spec.task_class.Args):
        is_given = field.default is MISSING or field.default is None
        lines.append(field.name if is_given else f"{field.name}={field.default!r}")
    return "\n".join(lines)
