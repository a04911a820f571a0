"""Numbers in text: what is read, what is right, and what can never happen."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.verification import last_number, parse_gold, parse_number, verify_number

READ = {
    "42": "42",
    "-7": "-7",
    "+7": "7",
    "\u22127": "-7",
    "007": "7",
    "3.14": "3.14",
    ".5": "0.5",
    "5.": "5",
    "5.0": "5",
    "1,234": "1234",
    "1,234,567.5": "1234567.5",
    "12,34": None,
    "1,2345": None,
    "3/4": "3/4",
    "-6/8": "-3/4",
    "1/0": None,
    "1/2/3": None,
    "$5": "5",
    "-$5.25": "-5.25",
    "12kg": None,  # a unit is not part of a number; an answer may have one
    "2x3": None,
    "1e5": "100000",
    "2.5E-3": "1/400",
    "1e1000": None,
    "\\frac{1}{2}": "1/2",
    "-\\dfrac{3}{4}": "-3/4",
    "\\tfrac{-3}{4}": "-3/4",
    "\\frac{1}{0}": None,
    "": None,
    ".": None,
    "-": None,
    "one": None,
    "\u0664\u0662": None,
    "9" * 400: "9" * 400,
    "9" * 401: None,
}
ANSWERS = {
    "The answer is 42.": "42",
    "5 + 7 = 12": "12",
    "12 apples, 3 pears": "3",
    "It costs $1,200.50!": "1200.5",
    "x=-3": "-3",
    "x = -3": "-3",
    "It is 5-3": "3",
    "(2)-3": "3",
    "f(x)-3": "3",
    "minus -3": "-3",
    "**18**": "18",
    "18 (eighteen)": "18",
    "1, 2, 3": "3",
    "on 2024/01/02 it was 7 or 1/2/3": "7",
    "3 of 4, so 3/4": "3/4",
    "42\n": "42",
    "no number": None,
    "": None,
    "\\boxed{42} and 7": "42",
    "7 and \\boxed{ 42 }": "42",
    "\\boxed{1} then \\boxed{2}": "2",
    "\\boxed{\\frac{1}{2}}": "1/2",
    "\\boxed{x = 5}": "5",
    "\\boxed{1,234}": "1234",
    "\\boxed{50\\%}": "50",
    "\\boxed{\\text{about } 9}": "9",
    "\\boxed{} 5": None,
    "\\boxed{none} 5": None,
    "\\boxed{1} \\boxed{2": "1",
    "\\boxed{ \\boxed{3} }": "3",
    "} \\boxed{4}": "4",
    "{ \\boxed{4}": "4",
    "\\boxed{4": "4",
    "\\boxed 4": "4",
    "\\frac{1}{2} of it": "1/2",
    "\\frac{1}{2} of 8 is 4": "4",
    "\\frac{1}{2} or 1.2.3": "1/2",
    "#### 18": "18",
}
GOLDS = {
    "18": "18",
    "#### 1,234": "1234",
    "Some steps: 3 + 4 = 7.\n#### 7": "7",
    "so \\boxed{\\frac{3}{4}}": "3/4",
    "$ 5": "5",
    "1 / 2": "1/2",
    "-0.5": "-0.5",
}


BOXES = {
    # a box must hold one number and nothing else
    "2\\sqrt{5}": None,
    "10^{5}": None,
    "\\frac{3}{4} + 1": None,
    "\\frac{1}{2}x": None,
    "5x": None,
    "5pi": None,
    "5\\pi": None,
    "5 or 6": None,
    "5, 6": None,
    "0.\\overline{3}": None,
    "12:30": None,
    "(5)": None,
    "\\frac{1}{0}": None,
    "1e9999": None,
    # spacing, signs and spellings of LaTeX
    "-\\,5": "-5",
    "- 5": "-5",
    "\u22125": "-5",
    "1{,}000": "1000",
    "1\\,000": "1000",
    "1\u202f000": "1000",
    "\\frac12": "1/2",
    "\\dfrac{1}{2}": "1/2",
    "-\\frac{1}{2}": "-1/2",
    "2\\frac{1}{2}": "5/2",
    "-2 1/2": "-5/2",
    "1e-3": "1/1000",
    # names, currencies and units
    "x=5": "5",
    "\\$18": "18",
    "18\\text{ km}": "18",
    "18 square feet": "18",
    "18 dollars.": "18",
    "50\\%": "50",
}
"""Contents of a box, and the number they are."""


def number(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


@pytest.mark.parametrize("text", READ)
def test_numbers_are_read_exactly(text: str) -> None:
    assert parse_number(text) == number(READ[text])


@pytest.mark.parametrize("response", ANSWERS)
def test_the_last_box_or_the_last_number_is_the_answer(response: str) -> None:
    assert last_number(response) == number(ANSWERS[response])


@pytest.mark.parametrize("content", BOXES)
def test_a_box_is_one_number_or_no_answer(content: str) -> None:
    assert last_number(f"7 and \\boxed{{{content}}}") == number(BOXES[content])


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("about 1e-3", "1/1000"),
        ("it took 2 1/2", "5/2"),
        ("from 3/2", "3/2"),
        ("in 2024 3/2", "3/2"),
        ("12\u2009000.", "12000"),
        ("so -\\frac{3}{4}.", "-3/4"),
        ("42kg", "42"),
    ],
)
def test_spellings_outside_a_box(response: str, answer: str) -> None:
    assert last_number(response) == Fraction(answer)


@pytest.mark.parametrize("gold", GOLDS)
def test_golds_are_read(gold: str) -> None:
    assert parse_gold(gold) == number(GOLDS[gold])


@pytest.mark.parametrize(
    "gold",
    [
        "",
        "####",
        "x",
        "1/0",
        "3 1/2",
        "1 2",
        "4 or 5",
        "#### about",
        "2x",
        "3i",
        "5pi",
        "5 apples",
        "12kg",
    ],
)
def test_golds_that_are_no_number_are_refused(gold: str) -> None:
    with pytest.raises(LmgymError, match=r"is not a number; allowed are integers, decimals,"):
        parse_gold(gold)


def test_equality_is_exact() -> None:
    assert verify_number("0.1", Fraction(1, 10))
    assert not verify_number("0.33333333333333333", Fraction(1, 3))
    assert not verify_number(str(10**30 + 1), Fraction(10**30))


def test_no_answer_is_wrong() -> None:
    assert not verify_number("", Fraction(0))


@given(st.fractions())
def test_a_number_equals_itself(value: Fraction) -> None:
    assert verify_number(str(value), value)
    assert verify_number(f"So it is \\boxed{{{value}}}, not 3.", value)
    assert parse_gold(str(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_decimals_and_thousands_are_read(value: object) -> None:
    assert parse_number(f"{value:,f}") == Fraction(str(value))


@given(st.text(), st.fractions())
def test_no_text_raises(text: str, gold: Fraction) -> None:
    assert verify_number(text, gold) in (True, False)


@given(st.text(alphabet="0123456789.,/-+$\\{}boxedfrac \n"), st.fractions())
def test_no_text_of_numerals_and_boxes_raises(text: str, gold: Fraction) -> None:
    assert verify_number(text, gold) in (True, False)
    assert parse_number(text) is None or isinstance(parse_number(text), Fraction)


@pytest.mark.parametrize(
    "piece",
    [
        "9",
        "9,",
        "1,234",
        "-",
        "9/",
        ".",
        "1.",
        "a",
        "1a",
        "1 ",
        "$",
        "\\boxed{",
        "\\boxed{1",
        "\\boxed{1}",
        "{",
        "}",
        "\\frac{",
        "\\frac{1}{",
        "\\frac{1}{2}",
        "\\frac{" + "1" * 400,
        "####",
    ],
)
def test_a_megabyte_of_anything_is_read_in_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    for end in ("!", "1}"):
        assert verify_number(text + end, Fraction(5, 7)) is False
