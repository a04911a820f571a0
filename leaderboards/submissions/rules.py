"""Rules for the values in a stranger's JSON: what is wrong with a value, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from .tables import told
from .texts import is_unicode

__all__ = [
    "Rule",
    "an_object",
    "any_of",
    "anything",
    "broken_rules",
    "flag",
    "ids",
    "list_of",
    "number",
    "one_of",
    "or_none",
    "same_as",
    "size",
    "text",
    "version",
]

Rule = Callable[[Any], str]
"""What is wrong with a value; empty where nothing is."""

MOST_IDS = 2**19
"""Ids of a vocabulary."""


def broken_rules(
    values: Mapping[str, Any],
    rules: Mapping[str, Rule],
    place: str,
    why_not: Callable[[str], str] = lambda name: "; take it out",
) -> list[str]:
    """What is wrong with an object of which each key has a rule; others are refused.

    Args:
        values: what stands there.
        rules: by key.
        place: what each problem begins with.
        why_not: what to say of a key without a rule.

    Example:
        >>> broken_rules({"layers": 1e9, "auto_map": {}}, {"layers": size(64)}, "config.json: ")
        ['config.json: layers is 1000000000.0; a whole number from 1 to 64 is allowed', \
"config.json: 'auto_map' is not allowed; take it out"]
    """
    problems = []
    for name, value in values.items():
        if name not in rules:
            problems.append(f"{place}{name[:60]!a} is not allowed{why_not(name)}")
        elif problem := rules[name](value):
            problems.append(f"{place}{name} is {told(value)}; {problem}")
    return problems


def size(most: int, least: int = 1) -> Rule:
    """A whole number within bounds."""

    def rule(value: Any) -> str:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        is_right = is_whole and least <= value <= most
        return "" if is_right else f"a whole number from {least} to {most} is allowed"

    return rule


def number(least: float, most: float) -> Rule:
    """A number within bounds."""

    def rule(value: Any) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_right = is_number and math.isfinite(value) and least <= value <= most
        return "" if is_right else f"a number from {least:g} to {most:g} is allowed"

    return rule


def flag(value: Any) -> str:
    """True or false."""
    return "" if isinstance(value, bool) else "true and false are allowed"


def anything(value: Any) -> str:
    """Whatever it is: something else looks at it."""
    del value
    return ""


def an_object(value: Any) -> str:
    """Any object."""
    return "" if isinstance(value, dict) else "an object is allowed"


def text(most: int, least: int = 0) -> Rule:
    """A text within bounds of its length."""

    def rule(value: Any) -> str:
        is_right = isinstance(value, str) and least <= len(value) <= most
        if is_right and not is_unicode(value):
            return "half of a surrogate pair is no character"
        return "" if is_right else f"a text of {least} to {most} characters is allowed"

    return rule


def one_of(*allowed: Any) -> Rule:
    """One of some plain values."""

    def rule(value: Any) -> str:
        is_right = any(type(value) is type(known) and value == known for known in allowed)
        return "" if is_right else f"allowed: {', '.join(map(str, allowed))}"

    return rule


def same_as(wanted: Any) -> Rule:
    """One value."""
    return lambda value: "" if value == wanted else f"{wanted} is allowed"


def or_none(rule: Rule) -> Rule:
    """Null, or what another rule allows."""
    return lambda value: "" if value is None else rule(value)


def any_of(*rules: Rule) -> Rule:
    """What one of some rules allows."""

    def check(value: Any) -> str:
        problems = [rule(value) for rule in rules]
        return "" if "" in problems else " or ".join(problems)

    return check


def list_of(rule: Rule, most: int) -> Rule:
    """A list of so many values at most."""

    def check(value: Any) -> str:
        if not isinstance(value, list) or len(value) > most:
            return f"a list of {most} at most is allowed"
        return next(filter(None, map(rule, value)), "")

    return check


def ids(value: Any) -> str:
    """Null, an id, or a few of them."""
    return or_none(any_of(size(MOST_IDS, 0), list_of(size(MOST_IDS, 0), 16)))(value)


def version(value: Any) -> str:
    """A version of a library."""
    is_right = isinstance(value, str) and re.fullmatch(r"[\w.+-]{1,40}", value)
    return "" if is_right else "a version is allowed"
