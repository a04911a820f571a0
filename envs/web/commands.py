r"""Commands of a web agent as text: BrowserGym's calls, and elements by role and name.

    command := verb "(" [argument {"," argument}] ")"
    argument := string | number | role string
    string := a text in single or double quotes, with \\, \', \", \n and \t inside

`click('23')` names an element by its id on the page, `click(link 'Settings')` by its role and
name, which stay the same when a page is rebuilt. A command is read with one regular expression in
linear time and is never executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lmgym.errors import LmgymError

__all__ = ["LONGEST", "Command", "CommandError", "Target", "parse_command", "quoted", "unquoted"]

LONGEST = 1_000
"""Characters that a text in a command may have."""
_LONGEST_LINE = 8 * LONGEST

_SIGNATURES: dict[str, tuple[str, ...]] = {
    "click": ("element",),
    "fill": ("element", "text"),
    "clear": ("element",),
    "select_option": ("element", "option"),
    "check": ("element",),
    "uncheck": ("element",),
    "press": ("element", "key"),
    "goto": ("path",),
    "go_back": (),
    "go_forward": (),
    "noop": (),
}
"""Verbs and what they take."""

_ARGUMENT = re.compile(
    r"""\s*(?:(?P<role>[a-z]{1,20})\s+)?
        (?:'(?P<single>(?:[^'\\\n]|\\.)*)'|"(?P<double>(?:[^"\\\n]|\\.)*)"|(?P<number>\d{1,9}))\s*""",
    re.VERBOSE,
)
_CALL = re.compile(r"\s*([a-z_]+)\s*\(")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_SHOWN = 60
_REMEMBERED = 2_048


class CommandError(LmgymError):
    """A text that is no command; the message says why, and what is."""


@dataclass(frozen=True, slots=True)
class Target:
    """An element: by its id on the page, or by role and name.

    Attributes:
        bid: its number in the document's order, as text; empty where the role and name stand.
        role: as assistive technology sees it: link, button, textbox, ...
        name: its accessible name.
    """

    bid: str = ""
    role: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As in a command."""
        return quoted(self.bid) if self.bid else f"{self.role} {quoted(self.name)}"

    @property
    def shown(self) -> str:
        """As in a command, a long one cut short."""
        return _short(self.bid) if self.bid else f"{self.role} {_short(self.name)}"


@dataclass(frozen=True, slots=True)
class Command:
    """What to do on a page.

    Attributes:
        verb: click, fill, ...
        target: the element, where the verb takes one.
        value: the text, option, key or path, where the verb takes one.

    Example:
        >>> str(Command("fill", Target(role="textbox", name="City"), "Oslo"))
        "fill(textbox 'City', 'Oslo')"
    """

    verb: str
    target: Target | None = None
    value: str | None = None

    def __str__(self) -> str:
        """The text that `parse_command` reads."""
        words = [] if self.target is None else [str(self.target)]
        words += [] if self.value is None else [quoted(self.value)]
        return f"{self.verb}({', '.join(words)})"


def quoted(text: str) -> str:
    r"""A text in single quotes, as commands and pages spell it.

    Example:
        >>> print(quoted("Ann's"))
        'Ann\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'".replace("\n", "\\n").replace("\t", "\\t")


def unquoted(raw: str) -> str:
    r"""What stands for a text between quotes, as the text: the inverse of `quoted`.

    Example:
        >>> unquoted("Ann\\'s")
        "Ann's"
    """
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), raw)


def parse_command(text: str) -> Command:
    r"""The command on the last line of a message; thoughts before it and a code fence are allowed.

    Raises:
        CommandError: for anything else; it says what was read and what is allowed.

    Example:
        >>> parse_command("I need the settings.\nclick(link 'Settings')").target.name
        'Settings'
    """
    return _parsed(_last_line(text))


@lru_cache(maxsize=_REMEMBERED)
def _parsed(line: str) -> Command:
    call = _CALL.match(line)
    if call is None or call[1] not in _SIGNATURES:
        raise CommandError(
            f"{_short(line)} is no command; write one call, such as click('12') or"
            f" fill(textbox 'Name', 'Ann'); verbs: {', '.join(_SIGNATURES)}"
        )
    verb = call[1]
    arguments = _arguments(line, call.end(), verb)
    signature = _SIGNATURES[verb]
    if len(arguments) != len(signature):
        raise CommandError(
            f"{verb} takes {len(signature)} arguments ({', '.join(signature)}), given were"
            f" {len(arguments)} in {_short(line)}"
        )
    return _command(verb, signature, arguments)


def _last_line(text: str) -> str:
    """The last line with something on it that is no code fence."""
    for line in reversed(text.split("\n")):
        kept = line.strip().strip("`").strip()
        if len(kept) > _LONGEST_LINE:
            raise CommandError(
                f"a line of {len(kept):,} characters is too long; at most {_LONGEST_LINE:,}"
            )
        if kept:
            return kept
    return ""


def _arguments(line: str, start: int, verb: str) -> list[tuple[str, str]]:
    """The (role, text) pairs between the parentheses."""
    found: list[tuple[str, str]] = []
    if re.fullmatch(r"\s*\)\s*", line[start:]):
        return found
    while True:
        match = _ARGUMENT.match(line, start)
        if match is None or line[match.end() : match.end() + 1] not in (",", ")"):
            raise CommandError(
                f"the arguments of {verb} cannot be read in {_short(line)}; texts stand in quotes,"
                " and an element is '12' or a role and a name, as link 'Settings'"
            )
        found.append((match["role"] or "", _unquoted(match)))
        start = match.end() + 1
        if line[match.end()] == ")":
            break
    if line[start:].strip():
        raise CommandError(f"something follows the command in {_short(line)}; write one call only")
    return found


def _unquoted(match: re.Match[str]) -> str:
    raw: str = next(part for part in match.group("single", "double", "number") if part is not None)
    text = unquoted(raw)
    if len(text) > LONGEST:
        raise CommandError(f"a text of {len(text):,} characters is too long; at most {LONGEST:,}")
    return text.encode("utf-8", "replace").decode("utf-8")  # no half characters


def _command(verb: str, signature: tuple[str, ...], arguments: list[tuple[str, str]]) -> Command:
    target = None
    rest = arguments
    if signature[:1] == ("element",):
        (role, text), *rest = arguments
        if not role and not text.isdecimal():
            raise CommandError(
                f"{quoted(text)[:_SHOWN]} is no element; give the number in brackets before it, or"
                f" its role and name, as {verb}(button 'Save')"
            )
        target = Target(role=role, name=text) if role else Target(bid=text)
    if any(role for role, _ in rest):
        raise CommandError(f"only the element of {verb} has a role; the rest is a text in quotes")
    return Command(verb, target, rest[0][1] if rest else None)


def _short(line: str) -> str:
    return quoted(line if len(line) <= _SHOWN else line[:_SHOWN] + "…")
