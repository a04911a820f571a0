"""Arithmetic in text: exact, within limits, and nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.verification import evaluate
from lmgym.verification.arithmetic import MAX_DEPTH, MAX_DIGITS, MAX_LENGTH

OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def as_python_does(node: ast.expr) -> Fraction:
    """The value of an expression by Python's own grammar, with fractions."""
    if isinstance(node, ast.BinOp):
        sides = as_python_does(node.left), as_python_does(node.right)
        return Fraction(OPERATIONS[type(node.op)](*sides))
    if isinstance(node, ast.UnaryOp):
        value = as_python_does(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    assert isinstance(node, ast.Constant)
    return Fraction(str(node.value))


def expressions() -> st.SearchStrategy[str]:
    numbers = st.integers(0, 20).map(str) | st.sampled_from(["0.5", "2.25", ".75"])
    return st.recursive(
        numbers,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*/%"), inner).map("".join),
            inner.map("({})".format),
            inner.map("-{}".format),
            st.tuples(inner.map("({})".format), st.sampled_from(["**2", "**0", "**-2**2"])).map(
                "".join
            ),
        ),
        max_leaves=8,
    )


@settings(max_examples=60)
@given(expressions())
def test_values_are_those_of_pythons_grammar(text: str) -> None:
    try:
        expected = as_python_does(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        with pytest.raises(LmgymError, match="divides by zero"):
            evaluate(text)
        return
    try:
        found = evaluate(text)
    except LmgymError as error:
        assert "digits" in str(error)  # noqa: PT017 - towers of powers only
        return
    assert found == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 \u00d7 (3 \u2212 1) \u00f7 4", 1),
        ("7^2", 49),
        ("-2**2", -4),
        ("2**3**2", 512),
        ("-7 % 3", 2),
        ("1/3 + 1/7", Fraction(10, 21)),
        ("1**99999999999999999999", 1),
        (" 3. ", 3),
    ],
)
def test_signs_and_orders_are_read(text: str, value: Any) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read '': a number or '\\(' is missing at the end"),
        ("2+", "a number or '\\(' is missing at the end"),
        ("2*)", "a number or '\\(' is missing before '\\)'"),
        ("2 3", "an operator is missing before '3'"),
        ("(2", "a '\\)' is missing"),
        ("x+1", "'x' is none of numbers"),
        ("__import__('os')", "'_' is none of numbers"),
        ("1e5", "'e' is none of numbers"),
        ("\u0663", "is none of numbers"),
        ("1//2", "is missing before '/'"),
        ("5 % 0", "it divides by zero"),
        ("0**-1", "it divides by zero"),
        ("2**0.5", "the exponent 1/2 is no integer"),
        ("9**9**9", f"a power has more than {MAX_DIGITS} digits"),
        ("9**99999999999", f"a power has more than {MAX_DIGITS} digits"),
        ("0.1**999", f"a power has more than {MAX_DIGITS} digits"),
        ("9" * (MAX_DIGITS + 1), f"a number has more than {MAX_DIGITS} digits"),
        ("*".join(["9" * 300] * 2), f"a number on the way has more than {MAX_DIGITS} digits"),
        ("(" * 60 + "1" + ")" * 60, f"it is nested deeper than {MAX_DEPTH}"),
        ("-" * 60 + "1", f"it is nested deeper than {MAX_DEPTH}"),
        ("2**" * 60 + "1", f"it is nested deeper than {MAX_DEPTH}"),
        ("1+" * MAX_LENGTH, f"{2 * MAX_LENGTH} characters; at most {MAX_LENGTH} are read"),
    ],
)
def test_what_is_refused_is_told(text: str, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        evaluate(text)


@given(st.text("0123456789+-*/%.() ", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_number_or_an_error(text: str) -> None:
    try:
        assert isinstance(evaluate(text), Fraction)
    except LmgymError as error:
        assert str(error)  # noqa: PT017 - either is right
