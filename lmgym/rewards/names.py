"""Rewards from text: `NAME`, `NAME:ARGUMENT`, and weighted sums of these.

    verifier + 0.2*format:boxed - 0.001*length

The operators have a space on both sides, a weight stands before its source with a `*`. An argument
reaches to the next operator; one that holds an operator itself is quoted, with either kind of
quotes: `format:"[0-9]+ + [0-9]+"`. Arguments may hold colons, slashes and anything else.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lmgym.errors import LmgymError, unknown
from lmgym.registry import REWARD_ARGUMENTS, REWARDS, load
from lmgym.rewards.source import Reward, RewardLevel, RewardSource

__all__ = ["Term", "as_source", "parse_reward", "read_reward"]

NOTHING = "none"
"""The name of the reward that pays nothing."""

_OPERATOR = re.compile(r"\s+([-+])\s+")
_WEIGHT = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*\*\s*")
_NAME = re.compile(r"[^\s:*]+")
_QUOTED = {
    quote: re.compile(rf":{quote}(.*?){quote}(?=\s*$|\s+[-+]\s)", re.DOTALL) for quote in "'\""
}
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a reward: `weight * name:argument`."""

    name: str
    argument: str | None = None
    weight: float | None = None
    """None where the text gives none."""


def read_reward(reward: Reward) -> RewardSource | None:
    """The source that `reward` stands for; None for the reward that pays nothing.

    Example:
        >>> read_reward("verifier + 0.2*format:[0-9]+").level
        <RewardLevel.OUTCOME: 'outcome'>
    """
    if reward is None:
        return None
    if isinstance(reward, str):
        return _named(reward)
    if isinstance(reward, type):
        raise LmgymError(f"reward={reward.__name__} is a class; pass an instance of it")
    if isinstance(reward, RewardSource):
        return _with_level(reward)
    if callable(reward):
        return _of_function(reward)
    raise LmgymError(
        f"reward={reward!r} is no reward; allowed are a name ({', '.join(_forms())}), a sum of"
        " names, a function f(prompts, completions, **columns) -> list[float], a RewardSource, or"
        " None"
    )


def as_source(reward: Reward) -> RewardSource:
    """The source that `reward` stands for, where there must be one."""
    source = read_reward(reward)
    if source is None:
        raise LmgymError(f"reward={reward!r} pays nothing, and a source is needed here")
    return source


def parse_reward(text: str) -> list[Term]:
    """The terms of a reward.

    Raises:
        LmgymError: where the text is no sum of rewards.

    Example:
        >>> for term in parse_reward("rm:models/a - 0.001*length"):
        ...     print(term)
        Term(name='rm', argument='models/a', weight=None)
        Term(name='length', argument=None, weight=-0.001)
    """
    terms, place, sign = [], len(text) - len(text.lstrip()), ""
    while True:
        term, place = _term(text, place, sign)
        terms.append(term)
        operator = _OPERATOR.match(text, place)
        if operator is None:
            if text[place:].strip():
                raise _malformed(text, f"{text[place:].strip()!r} follows a source")
            return terms
        sign, place = operator[1], operator.end()


def _term(text: str, place: int, sign: str) -> tuple[Term, int]:
    """The term that starts at a place, and where it ends."""
    found = _WEIGHT.match(text, place)
    weight = None if found is None else float(found[1])
    place = place if found is None else found.end()
    if sign == "-":
        weight = -1.0 if weight is None else -weight
    name = _NAME.match(text, place)
    if name is None:
        rest = text[place:]
        raise _malformed(text, f"no source at {rest!r}" if rest else "it ends without a source")
    argument, end = _argument(text, name.end())
    return Term(name[0], argument, weight), end


def _argument(text: str, place: int) -> tuple[str | None, int]:
    if text[place : place + 1] != ":":
        return None, place
    quote = text[place + 1 : place + 2]
    if quote in _QUOTED:
        found = _QUOTED[quote].match(text, place)
        if found is None:
            raise _malformed(text, f"the quotes at {text[place + 1 :]!r} are not closed")
        return found[1], found.end()
    operator = _OPERATOR.search(text, place)
    end = len(text.rstrip()) if operator is None else operator.start()
    return text[place + 1 : end], end


def _malformed(text: str, why: str) -> LmgymError:
    return LmgymError(
        f"reward={text!r}: {why}; write NAME, NAME:ARGUMENT, or a sum as"
        " 'verifier + 0.2*format:boxed', with spaces around + and -"
    )


def _named(text: str) -> RewardSource | None:
    terms = parse_reward(text)
    for term in terms:
        _check_name(term, text)
    terms = [term for term in terms if term.name != NOTHING]
    if not terms:
        return None
    sources = [_source(term.name, term.argument) for term in terms]
    if len(terms) == 1 and terms[0].weight is None:
        return sources[0]
    from lmgym.rewards.combinators import WeightedSum

    weights = [1.0 if term.weight is None else term.weight for term in terms]
    return WeightedSum(dict(zip(_labels(terms), zip(weights, sources, strict=True), strict=True)))


def _labels(terms: list[Term]) -> list[str]:
    """Names of the terms: as short as tells them apart, and numbered where nothing does."""
    short = [term.name for term in terms]
    names = [
        term.name
        if short.count(term.name) == 1 or term.argument is None
        else f"{term.name}:{term.argument}"
        for term in terms
    ]
    return [
        name if names.count(name) == 1 else f"{name} {names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]


def _check_name(term: Term, text: str) -> None:
    if term.name == NOTHING and term.argument is not None:
        raise LmgymError(f"reward {NOTHING!r} takes no argument, and was given {term.argument!r}")
    if term.name not in REWARDS and term.name != NOTHING:
        hint = "or a function or RewardSource"
        if re.match(r"[-+]\w", term.name):
            hint += f"; a first term with a sign is written {term.name[0]}1*{term.name[1:]}"
        if _OPERATOR.search(text) or re.search(r"\w[-+]\w", term.name):
            hint += "; sums have spaces around + and -, arguments with such are quoted"
        raise unknown("reward", term.name, _forms(), hint)


def _source(name: str, argument: str | None) -> RewardSource:
    """The source of a registered name."""
    if argument is None and name in REWARD_ARGUMENTS:
        raise _missing(name, REWARD_ARGUMENTS[name])
    make: Callable[..., RewardSource] = load(REWARDS[name])
    parameters = [p for p in inspect.signature(make).parameters.values() if p.kind in _BY_PLACE]
    if argument is None:
        if parameters and parameters[0].default is inspect.Parameter.empty:
            raise _missing(name, parameters[0].name.upper())
        return make()
    if not parameters:
        raise LmgymError(f"reward {name!r} takes no argument, and was given {argument!r}")
    if not argument:
        raise LmgymError(f"reward '{name}:' has an empty argument; write one, or {name!r} alone")
    return make(argument)


def _missing(name: str, argument: str) -> LmgymError:
    return LmgymError(f"reward {name!r} needs an argument; write {name}:{argument}")


def _with_level(source: RewardSource) -> RewardSource:
    if not isinstance(source.level, RewardLevel):
        levels = ", ".join(f"RewardLevel.{level.name}" for level in RewardLevel)
        raise LmgymError(
            f"{type(source).__name__}.level is {source.level!r}, no RewardLevel; give one of"
            f" {levels}"
        )
    return source


def _of_function(function: Callable[..., Any]) -> RewardSource:
    from lmgym.rewards.asynchronous import AsyncReward, is_asynchronous
    from lmgym.rewards.rules import FunctionReward

    return AsyncReward(function) if is_asynchronous(function) else FunctionReward(function)


def _forms() -> list[str]:
    """The known names, with the arguments that they need."""
    needed = REWARD_ARGUMENTS
    return [f"{n}:{needed[n]}" if n in needed else n for n in (*REWARDS, NOTHING)]
