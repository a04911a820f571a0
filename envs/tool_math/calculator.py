"""The calculator: an expression in, its exact value out."""

from __future__ import annotations

from lmgym.errors import LmgymError
from lmgym.tools import Parameter, Tool, ToolSchema
from lmgym.verification.arithmetic import evaluate

__all__ = ["CALCULATOR"]

_MAX_DIGITS = 80
_SCHEMA = ToolSchema(
    "calculator",
    "Computes an arithmetic expression exactly.",
    (Parameter("expression", "Numbers, + - * / % ** and parentheses, such as (12+34)*5."),),
    mark="=",
)


def _calculate(expression: str) -> str:
    """The value as an integer or as a fraction a/b.

    Raises:
        LmgymError: for what cannot be read or computed, and for results that are too long.
    """
    try:
        value = str(evaluate(expression))
    except LmgymError as error:
        raise LmgymError(f"{error}; give an expression such as (12+34)*5") from None
    if len(value) > _MAX_DIGITS:
        raise LmgymError(
            f"the result has {len(value)} characters; at most {_MAX_DIGITS} are shown, give a"
            " smaller expression"
        )
    return value


CALCULATOR = Tool(_SCHEMA, _calculate)
