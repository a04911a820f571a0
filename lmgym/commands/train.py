"""`lmgym train`: a learner, a world and the options of both; `--resume DIR` goes on with a run."""

from __future__ import annotations

import importlib
import inspect
import json
import shlex
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lmgym.commands.arguments import parse_options, split_names
from lmgym.commands.worlds import (
    DEFAULT_WORLD,
    find_text_world,
    find_world_here,
    world_arguments,
)
from lmgym.errors import LmgymError, unknown
from lmgym.registry import AGENTS, RESUMABLE, WORLDS, load
from lmgym.training.records import plain_value
from lmgym.training.resuming import RunFinished, StoredRun, cannot_resume
from lmgym.training.runs import STATE_FILE

__all__ = ["train"]

_DEFAULT_AGENT = "grpo"
_INTERRUPTED = 130
_RECORD = "lmgym.json"
_OF_RESUMING = ("resume", "checkpoint_every")
"""Arguments that only learners that write checkpoints offer."""


def train(argv: Sequence[str]) -> int:
    """Train; without arguments the main job, `grpo lmgym/Math-v0`."""
    names, options = split_names(argv, 2, "train [AGENT] [ENV] [--options]")
    folder = _value_of("--resume", options)
    if folder is not None:
        return _resume(StoredRun.read(folder), names, options)
    agent, env = _agent_and_env(names)
    args_class = load(AGENTS[agent])
    run = importlib.import_module(args_class.__module__).train
    if "env" not in inspect.signature(run).parameters:
        return _train_without_world(agent, args_class, run, names, options)
    if env is None:
        env = args_class.default_world
    spec = find_world_here(env)
    args_class = getattr(inspect.getmodule(run), "arguments_for", lambda _: args_class)(spec)
    if getattr(args_class, "level", None) != "goal":
        find_text_world(env, f"train {agent}")
    groups = {agent: args_class, spec.id: spec.task_class.Args}
    description = f"Train {agent} on {spec.id}.{_choices()}"
    hidden = () if agent in RESUMABLE else _OF_RESUMING
    args, world_args = parse_options(groups, options, f"train {agent} {env}", description, hidden)
    folder = run(args, env, world_arguments(world_args))
    return _report(folder, env, world_args)


def _resume(stored: StoredRun, names: Sequence[str], options: Sequence[str]) -> int:
    """Go on with a run as its record says, but for what is given besides and may change."""
    agent, env = stored.agent, stored.env
    if agent not in RESUMABLE:
        raise cannot_resume(agent)
    if names:
        given = _agent_and_env(names)
        stored.check_same("agent", agent, given[0])
        stored.check_same("env", env, given[1] or env)
    spec = find_world_here(env)
    args_class, world_class = load(AGENTS[agent]), spec.task_class.Args
    args: Any = stored.arguments(args_class)
    world_args: Any = stored.world_arguments(world_class)
    groups = {agent: args_class, spec.id: world_class}
    words = parse_options(groups, options, f"train {agent} {env}", "Go on with a run.")
    named = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in options}
    for before, now in zip((args, world_args), words, strict=True):
        _check_unchanged(stored, named, before, now, args_class.may_change)
    free = {f.name for f in fields(args)} & named & {*args_class.may_change}
    args = replace(args, **{name: getattr(words[0], name) for name in free})
    args = replace(args, resume=str(stored.path), out=words[0].out)
    run = importlib.import_module(args_class.__module__).train
    try:
        folder = run(args, env, world_arguments(world_args))
    except RunFinished as told:
        print(told)
        return 0
    return _report(folder, env, world_args)


def _check_unchanged(
    stored: StoredRun, named: Collection[str], before: Any, now: Any, free: Sequence[str]
) -> None:
    """Raise where an option that may not change was given another value than the run has."""
    for field in fields(before):
        is_given = field.name in named or f"no_{field.name}" in named
        if is_given and field.name not in (*free, "resume", "out"):
            old, new = (plain_value(getattr(args, field.name)) for args in (before, now))
            stored.check_same(field.name, old, new, free)


def _value_of(option: str, options: Sequence[str]) -> str | None:
    """What an option was given, where it was: known before its learner is."""
    for place, word in enumerate(options):
        name, has_value, value = word.partition("=")
        if name == option and (has_value or place + 1 < len(options)):
            return value if has_value else options[place + 1]
    return None


def _train_without_world(
    agent: str, args_class: type[Any], run: Any, names: Sequence[str], options: Sequence[str]
) -> int:
    """Run a recipe that chooses its worlds itself."""
    if len(names) > 1:
        raise LmgymError(f"{agent} chooses its worlds itself; leave out {names[1]!r}")
    description = f"Train {agent}, which chooses its worlds itself.{_choices()}"
    (args,) = parse_options({agent: args_class}, options, f"train {agent}", description)
    print(f"written to {run(args)}")
    return 0


def _agent_and_env(names: Sequence[str]) -> tuple[str, str | None]:
    """The agent and the world of a command line; None for the agent's own."""
    agent: str
    env: str | None
    if len(names) == 2:
        agent, env = names
    elif not names or names[0] in AGENTS:
        agent, env = names[0] if names else _DEFAULT_AGENT, None
    elif "/" in names[0] or ":" in names[0]:
        agent, env = _DEFAULT_AGENT, names[0]
    else:
        raise unknown("agent or environment", names[0], [*AGENTS, *WORLDS])
    if agent not in AGENTS:
        raise unknown("agent", agent, AGENTS, "usage: lmgym train [AGENT] [ENV] [--options]")
    return agent, env


def _choices() -> str:
    return (
        f"\n\nAgents: {', '.join(AGENTS)}\nWorlds: {', '.join(WORLDS)}, MODULE:ID for your own\n"
        f"Without names: {_DEFAULT_AGENT} {DEFAULT_WORLD}"
    )


def _options(world_args: Any) -> str:
    """The options that say how a world differs from its default."""
    given = [(field, getattr(world_args, field.name)) for field in fields(world_args)]
    return "".join(_option(f.name, value) for f, value in given if value != f.default)


def _option(name: str, value: Any) -> str:
    stem = name.replace("_", "-")
    if isinstance(value, bool):
        return f" --{stem}" if value else f" --no-{stem}"
    return f" --{stem} {shlex.quote(str(value))}"


def _report(folder: Path, env: str, world_args: Any) -> int:
    """Say what to do next; the exit code tells whether training came to its end."""
    record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    if record["status"] == "interrupted":
        if (folder / STATE_FILE).is_file():
            print(f"go on: lmgym train --resume {shlex.quote(str(folder))}")
        return _INTERRUPTED
    best = folder / "best"
    if (best / "config.json").is_file():
        print(f"watch it: lmgym play {env}{_options(world_args)} --model {best}")
    elif (best / "policy.json").is_file():  # a policy of a game
        print(f"play against it: lmgym play {env}{_options(world_args)} --opponent policy:{best}")
    else:  # no language model
        print(f"load it: {record['algorithm']}.load({str(best / 'sb3.zip')!r}, env=...)")
    return 0
