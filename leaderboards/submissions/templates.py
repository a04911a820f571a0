"""Chat templates of strangers: programs in Jinja, checked before and bounded while they run.

Jinja's sandbox, in which transformers renders templates, keeps them from our objects, but not from
running for ever or filling the memory: `'a' * 10**10`, three loops over `range(100000)` in one
another, a text that is joined to itself forty times. Here a template may use a list of forms,
filters and methods, none of which multiplies; and what it does use is counted, so that a rendering
costs at most a number of steps that grows with the conversation. What is rendered is the same as by
transformers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from lmgym.errors import LmgymError

from .template_forms import bounded_tree, check_tree
from .texts import is_unicode

__all__ = ["BoundedTemplate", "check_template"]

_MOST_LETTERS = 2**14
_LEAST_BUDGET, _BUDGET_PER_LETTER = 2**20, 100
_BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_left: ContextVar[list[int]] = ContextVar("steps that are left to a rendering")


def check_template(source: str, place: str) -> list[str]:
    """What is wrong with a template, none of which is run."""
    try:
        BoundedTemplate(source)
    except LmgymError as error:
        return [f"{place} {error}"]
    return []


class BoundedTemplate:
    """A template that renders conversations as transformers does, within a number of steps.

    Args:
        source: in Jinja.

    Raises:
        LmgymError: for what is no Jinja, and for forms, filters and functions that are refused.

    Example:
        >>> template = BoundedTemplate("{% for m in messages %}<{{ m.role }}>{% endfor %}")
        >>> template.render(messages=[{"role": "user", "content": "?"}])
        '<user>'
        >>> BoundedTemplate("{{ 'a' * 10 ** 10 }}")
        Traceback (most recent call last):
        lmgym.errors.LmgymError: uses Mul, which chat templates of submissions may not
    """

    def __init__(self, source: str) -> None:
        if len(source) > _MOST_LETTERS:
            raise LmgymError(f"has {len(source)} characters; {_MOST_LETTERS} are allowed")
        environment = _environment()
        try:
            tree = environment.parse(source)
            check_tree(tree)
            code = environment.compile(bounded_tree(tree))
            made = environment.make_globals(None)
            self._template = environment.template_class.from_code(environment, code, made)
        except (TemplateError, RecursionError, SyntaxError, MemoryError) as error:
            raise LmgymError(f"is no template that can be read: {str(error)[:200]!a}") from None

    def render(self, **values: Any) -> str:
        """The text of a conversation.

        Raises:
            TemplateError: where the template refuses it, or comes upon something unexpected.
            LmgymError: where it takes too many steps, or writes what is no text.
        """
        size = _size_of(values)
        token = _left.set([_LEAST_BUDGET + _BUDGET_PER_LETTER * size])
        try:
            return _whole(self._template.render(**values))
        except (TemplateError, LmgymError):
            raise
        except _BROKEN as error:
            raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from None
        finally:
            _left.reset(token)


def _whole(text: str) -> str:
    """The text, if tokenizers can read it."""
    if not is_unicode(text):
        raise LmgymError("the chat template writes half of a surrogate pair, which is no character")
    return text


def _size_of(value: Any) -> int:
    """Roughly how many characters some plain values have."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size_of(name) + _size_of(inner) for name, inner in value.items())
    if isinstance(value, Sequence):
        return sum(map(_size_of, value))
    return 1


def _environment() -> ImmutableSandboxedEnvironment:
    """As that of transformers (`chat_template_utils`), but for functions that tell the time."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    made.filters |= {
        "tojson": _tojson,
        "bounded": _bounded,
        "shown": _shown,
        "summed": _summed,
        "number": _number,
        "counted": _counted,
    }
    made.globals = {"raise_exception": _raise, "namespace": _NamespaceOfTexts}
    return made


class _Generation(Extension):
    """The tag around what a model writes, which matters only to those who mask by it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _NamespaceOfTexts(Namespace):
    """A namespace that holds no other one, so that nothing contains itself."""

    def __init__(self, **values: Any) -> None:
        for value in values.values():
            _bounded(value)
        super().__init__(**values)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _bounded(value))


def _spend(steps: int) -> None:
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise LmgymError(
            "the chat template takes too many steps: it multiplies a text, or loops for too long"
        )


def _bounded(value: Any) -> Any:
    """The same value, paid for by its length."""
    if isinstance(value, Namespace):
        raise TemplateRuntimeError("a namespace is used as if it were a text")
    _spend(1 + (len(value) if isinstance(value, str | list | tuple | dict) else 0))
    return value


def _shown(value: Any) -> Any:
    """A value as the text that stands for it."""
    if isinstance(value, Undefined):
        return value
    return _bounded(str(_bounded(value)))


def _summed(value: Any) -> Any:
    """A sum of texts or numbers; lists would grow without growing in length."""
    if not isinstance(value, str | int | float):
        raise TemplateRuntimeError("adds what is neither texts nor numbers")
    return _bounded(value)


def _number(value: Any) -> int | float:
    if not isinstance(value, int | float):
        raise TemplateRuntimeError("calculates with what is no number")
    return value


def _counted(values: Iterable[Any], cost: int) -> Iterator[Any]:
    """What a loop goes through; each round is paid for by the length of its body."""
    _spend(1)
    if isinstance(values, Undefined | Namespace):
        return iter(values)
    return _paid(values, cost)


def _paid(values: Iterable[Any], cost: int) -> Iterator[Any]:
    for value in values:
        _spend(cost)
        yield value


def _tojson(value: Any, indent: int | None = None, ensure_ascii: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: Any) -> None:
    raise TemplateError(str(message))
