"""Command lines from dataclasses: names first, then options, with one wording of mistakes.

tyro makes the help and reads the values. What a person gets wrong is found here first, so that
every command says it in the same way: what was given, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
import io
import re
import types
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import Field, dataclass, field, fields, make_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from lmgym.cards import field_docs
from lmgym.errors import LmgymError, unknown

__all__ = ["parse_options", "split_names"]

_HELP = ("-h", "--help")
_KINDS: dict[type, str] = {int: "a whole number", float: "a number", str: "a text"}
_SHOWN_OPTIONS = 8
_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone)


def split_names(argv: Sequence[str], at_most: int, usage: str) -> tuple[list[str], list[str]]:
    """The names that a command line begins with, and the options behind them.

    Example:
        >>> split_names(["grpo", "lmgym/Math-v0", "--seed", "1"], 2, "train [AGENT] [ENV]")
        (['grpo', 'lmgym/Math-v0'], ['--seed', '1'])
    """
    n_names = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    if n_names > at_most:
        raise LmgymError(f"unexpected {argv[at_most]!r}; usage: lmgym {usage}")
    return list(argv[:n_names]), list(argv[n_names:])


def parse_options(
    groups: Mapping[str, type[Any]],
    argv: Sequence[str],
    command: str,
    description: str,
    hidden: Collection[str] = (),
) -> list[Any]:
    """One instance of each dataclass, filled in from the options of a command line.

    Args:
        groups: dataclasses by the heading of their options in the help text.
        argv: options and their values.
        command: what was typed before them, as "train grpo".
        description: stands above the options in the help text.
        hidden: fields that are not offered, besides those that a class calls unused.

    Raises:
        LmgymError: for an option or a value that does not exist, and where two dataclasses have a
            field of the same name.
        SystemExit: with code 0 once the help text is printed.
    """
    prog = f"lmgym {command}".rstrip()
    offered = {heading: _fields(cls, hidden) for heading, cls in groups.items()}
    _check(argv, _options(groups, offered), prog)
    shown = make_dataclass(
        "Options",
        [
            (
                f"group_{index}",
                Annotated[_shown(cls, offered[heading]), tyro.conf.arg(name=heading)],
            )
            for index, (heading, cls) in enumerate(groups.items())
        ],
    )
    values = _read(shown, argv, prog, description)
    return [
        cls(**{f.name: getattr(getattr(values, f"group_{i}"), f.name) for f in offered[heading]})
        for i, (heading, cls) in enumerate(groups.items())
    ]


@dataclass(frozen=True, slots=True)
class _Option:
    """An option that exists.

    Attributes:
        heading: of the group it belongs to.
        kinds: types of its value, None left out; empty for a switch.
    """

    heading: str
    kinds: tuple[Any, ...]


def _fields(cls: type[Any], hidden: Collection[str]) -> list[Field[Any]]:
    """The fields that a command line offers: all but the hidden and those a class calls unused."""
    left_out = {*getattr(cls, "unused", ()), *hidden}
    return [f for f in fields(cls) if f.name not in left_out]


def _options(
    groups: Mapping[str, type[Any]], offered: Mapping[str, Sequence[Field[Any]]]
) -> dict[str, _Option]:
    """The options by name, as "--max-tokens"; no two groups may share one."""
    found: dict[str, _Option] = {}
    for heading, cls in groups.items():
        hints = get_type_hints(cls)
        for f in offered[heading]:
            stem = f.name.replace("_", "-")
            kinds = _kinds(hints[f.name])
            is_switch = kinds == (bool,)
            names = [f"--{stem}", f"--no-{stem}"] if is_switch else [f"--{stem}"]
            for name in names:
                if name in found:
                    raise LmgymError(
                        f"{heading} and {found[name].heading} both have an argument {f.name!r}, so"
                        f" {name} would be ambiguous; rename one of them"
                    )
                found[name] = _Option(heading, () if is_switch else kinds)
    return found


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types that a hint allows besides None."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for kind in get_args(hint) if kind is not types.NoneType)
    return (hint,)


def _check(argv: Sequence[str], options: Mapping[str, _Option], prog: str) -> None:
    """Raise for the first mistake in a command line; what isn't simple is left to tyro."""
    words = list(argv)
    while words:
        word = words.pop(0)
        if word in _HELP:
            return
        if not word.startswith("-"):
            raise LmgymError(
                f"unexpected {word!r}; names come first and options after them: see {prog} --help"
            )
        given, has_value, value = word.partition("=")
        option = options.get(given.replace("_", "-"))
        if option is None:
            near = difflib.get_close_matches(given, options, n=_SHOWN_OPTIONS, cutoff=0.0)
            raise unknown("option", given, near, f"{prog} --help lists all of them")
        if has_value:
            words.insert(0, value)
        _check_value(given, option, words, has_value != "")


def _check_value(name: str, option: _Option, words: list[str], is_attached: bool) -> None:
    """Take the option's values off `words`."""
    if not option.kinds:
        if is_attached:
            raise LmgymError(f"{name} takes no value; given {words[0]!r}")
        return
    is_missing = not words or (words[0].startswith("--") and not is_attached)
    if is_missing:
        raise LmgymError(f"{name} needs a value, {_allowed(option.kinds)}")
    value = words.pop(0)
    if len(option.kinds) == 1 and get_origin(option.kinds[0]) is Literal:
        choices = get_args(option.kinds[0])
        if value not in map(str, choices):
            raise unknown(name, value, map(str, choices))
    elif all(kind in _KINDS for kind in option.kinds):
        if not any(_is_of(value, kind) for kind in option.kinds):
            raise LmgymError(f"{name} {value!r} is not {_allowed(option.kinds)}")
    else:
        while words and not words[0].startswith("-"):
            words.pop(0)


def _allowed(kinds: Sequence[Any]) -> str:
    choices = [str(choice) for kind in kinds for choice in get_args(kind)]
    return " or ".join([_KINDS[kind] for kind in kinds if kind in _KINDS] + choices) or "as in help"


def _is_of(value: str, kind: type) -> bool:
    try:
        kind(value)
    except ValueError:
        return False
    return True


def _shown(cls: type[Any], offered: Sequence[Field[Any]]) -> type[Any]:
    """The dataclass as tyro shows it: with its help, and no default where the default is None."""
    docs = field_docs(cls)
    hints = get_type_hints(cls, include_extras=True)
    columns = [
        (
            f.name,
            Annotated[
                hints[f.name],
                tyro.conf.arg(
                    help=docs.get(f.name), help_behavior_hint="" if f.default is None else None
                ),
            ],
            _default(f),
        )
        for f in offered
    ]
    shown = make_dataclass(cls.__name__, columns, kw_only=True)
    shown.__doc__ = (cls.__doc__ or "").partition("\n")[0]
    return shown


def _default(given: Field[Any]) -> Any:
    """A field with the same default."""
    parts: dict[str, Any] = {"default": given.default, "default_factory": given.default_factory}
    return field(**parts)


def _read(shown: type[Any], argv: Sequence[str], prog: str, description: str) -> Any:
    """What tyro reads from a command line; its complaints become one sentence."""
    complaints = io.StringIO()
    try:
        with redirect_stderr(complaints):
            return tyro.cli(
                shown, prog=prog, description=description, args=list(argv), config=_STYLE
            )
    except SystemExit as exit_:
        if not exit_.code:
            raise
        raise LmgymError(f"{_plain(complaints.getvalue())}; see {prog} --help") from None


def _plain(box: str) -> str:
    """The first paragraph of what tyro says in a box of lines."""
    lines = [line.strip("│| ") for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()[1:]]
    end = next((i for i, line in enumerate(lines) if set(line) <= set("─╰╯-+")), len(lines))
    return " ".join(lines[:end]).rstrip(".") or "the options cannot be read"
