"""Cards of worlds: a task's docstring as Markdown, with facts filled in from the registry."""

from __future__ import annotations

import ast
import inspect
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from itertools import pairwise
from typing import Any

from lmgym.errors import LmgymError
from lmgym.factory import ENV_ARGUMENTS, VECTOR_ARGUMENTS, make_env, make_task
from lmgym.goals import GoalTask
from lmgym.registry import WorldSpec, find_world
from lmgym.task import Task

__all__ = ["HEADINGS", "card", "field_docs"]

HEADINGS = (
    "Description",
    "Action space",
    "Observation space",
    "Reward",
    "Start",
    "Episode end",
    "Info",
    "Arguments",
    "Data and licence",
    "Baselines",
    "Versions",
)
"""What every card says, in this order."""

_COMMON = (ENV_ARGUMENTS, VECTOR_ARGUMENTS)
_HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):(?: +(\S.*))?$", re.MULTILINE)


def card(world: str) -> str:
    """The card of a world in Markdown.

    Args:
        world: its id, or "module:id" where importing the module registers it.

    Raises:
        LmgymError: where the docstring of the task lacks a heading or the text below it.

    Example:
        >>> card("lmgym/Copy-v0").splitlines()[0]
        '# lmgym/Copy-v0'
    """
    spec = find_world(world)
    summary, sections = _read(spec)
    facts = _facts(spec)
    parts = [f"# {spec.id}", summary, _at_a_glance(spec)]
    for heading, text in sections.items():
        for place, fact in facts.items():
            text = text.replace(place, fact)
        parts += [f"## {heading}", text]
    return "\n\n".join(parts) + "\n"


def field_docs(cls: type[Any]) -> dict[str, str]:
    """The docstrings under the fields of a dataclass, its bases included; none without a source.

    Example:
        >>> from lmgym.envs.copy_text.task import CopyArgs
        >>> field_docs(CopyArgs)
        {'length': 'Letters of the text, 1 to 64.'}
    """
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            source = inspect.getsource(base)
        except OSError:  # e.g. typed in at a prompt
            continue
        definition = ast.parse(textwrap.dedent(source)).body[0]
        assert isinstance(definition, ast.ClassDef)
        docs |= _docs_below(definition.body)
    return docs


def _docs_below(body: Sequence[ast.stmt]) -> dict[str, str]:
    docs: dict[str, str] = {}
    for statement, below in pairwise(body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docs[statement.target.id] = " ".join(str(below.value.value).split())
    return docs


def _read(spec: WorldSpec) -> tuple[str, dict[str, str]]:
    """The docstring's first paragraph, and the text below each heading."""
    text = inspect.getdoc(spec.task_class) or ""
    found = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in found[1:]] + [len(text)][: len(found)]
    sections = {
        heading[1]: inspect.cleandoc(f"{heading[2] or ''}\n{text[heading.end() : end]}").strip()
        for heading, end in zip(found, ends, strict=True)
    }
    missing = [heading for heading in HEADINGS if not sections.get(heading)]
    if missing:
        raise LmgymError(
            f"the card of {spec.id} lacks {', '.join(map(repr, missing))}: write 'Heading:' and a"
            f" text in the docstring of {spec.task_class.__name__}; needed are"
            f" {', '.join(HEADINGS)}"
        )
    return text[: found[0].start()].strip(), sections


def _facts(spec: WorldSpec) -> dict[str, str]:
    """What stands in the places that a docstring leaves open."""
    envs = {level: make_env(spec.id, level=level) for level in spec.levels}
    actions = [(level, f"`{env.action_space}`") for level, env in envs.items()]
    observations = [(level, f"`{env.observation_space}`") for level, env in envs.items()]
    baselines = _table(("policy", "success"), spec.baselines.items())
    return {
        **spec.task_class.card_facts(),
        "{action_space}": _table(("level", "space"), actions) + _alphabets(spec),
        "{observation_space}": _table(("level", "space"), observations),
        "{arguments}": _arguments(spec),
        "{baselines}": baselines if spec.baselines else "None measured yet.",
    }


def _alphabets(spec: WorldSpec) -> str:
    """What `alphabet=` and `mask=` can be, where the world names any."""
    named = spec.task_class.alphabets.items()
    known = ", ".join(f'`"{name}"` ({len(text)} characters)' for name, text in named)
    said = "With `alphabet=` fewer actions, with `mask=` a mask of them"
    return f"\n\n{said}: {known}." if known else ""


def _at_a_glance(spec: WorldSpec) -> str:
    task = make_task(spec.id)
    rows = [
        ("Make", f'`gym.make("{spec.address}")`'),
        *([("Needs", f"`pip install 'lmgym[{spec.requires}]'`")] if spec.requires else []),
        ("Levels", ", ".join(spec.levels)),
        ("Splits", ", ".join(task.splits)),
        ("Gold answers", "yes" if spec.has_gold else "no"),
        *(_goal_sizes(task) if isinstance(task, GoalTask) else []),
        *(_text_sizes(task) if set(spec.levels) != {"goal"} else []),
    ]
    return _table(("", ""), rows)


def _text_sizes(task: Task[Any]) -> list[tuple[str, str]]:
    return [
        ("Tokens of the context", f"{task.context}, with the embedded tokenizer"),
        ("Tokens the agent may write", f"{task.max_tokens}, with the embedded tokenizer"),
        ("Messages the agent may write", str(task.max_turns)),
    ]


def _goal_sizes(task: GoalTask[Any]) -> list[tuple[str, str]]:
    schema = task.schema
    n_goals = math.prod(schema.sizes.tolist())
    return [
        ("Facts of a goal", f"{len(schema.facts)}, {n_goals:,} combinations of their values"),
        ("Values of the facts", ", ".join(f"{f.key}: {len(f.values)}" for f in schema.facts)),
        ("Commands", str(len(task.commands))),
        ("Features of a state", str(task.n_features)),
        ("Commands of an episode", str(task.horizon)),
    ]


def _arguments(spec: WorldSpec) -> str:
    args = spec.task_class.Args
    docs = field_docs(args)
    rows = [
        (f"`{field.name}`", _default(field.default), docs.get(field.name, ""))
        for field in fields(args)
    ]
    every, batch = (", ".join(f"`{name}`" for name in names) for names in _COMMON)
    common = f"Those of every world: {every}. Of its batches also: `num_envs`, {batch}."
    table = _table(("argument", "default", "meaning"), rows) + "\n\n" if rows else ""
    return table + common


def _default(value: object) -> str:
    return "required" if value is MISSING else f"`{value!r}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
