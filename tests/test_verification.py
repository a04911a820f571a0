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
    "\\boxed{\\text{about } 9}": None,  # nor need it be: "not 9"
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
    "- 5": "-5",
    "\\$18": "18",
    "1e3": "1000",
    "12 000": "12000",
    "\\frac12": "1/2",
    "3 1/2": "7/2",
    "\\boxed{3\\frac{1}{2}}": "7/2",
    "\\boxed{1{,}000}": "1000",
}

PROSE = {
    # response: (value, reason)
    "about 1e-3": ("1/1000", "an exponent"),
    "about 1e-3.": ("1/1000", "an exponent before a full stop"),
    "it is 1e3": ("1000", "an exponent without a sign"),
    "it is 2.5E+3": ("2500", "a capital, a plus"),
    "7, not 1e999999999": ("7", "a huge exponent is no number"),
    "7, not 1e-999999999": ("7", "nor is a tiny one, or its digits"),
    "it took 2 1/2": ("5/2", "a mixed number"),
    "it is -2 1/2.": ("-5/2", "the sign is the whole mixed number's"),
    "5-2 1/2": ("5/2", "a minus behind a digit is an operator"),
    "from 3/2": ("3/2", "no whole number"),
    "in 2024 3/2": ("3/2", "an improper fraction stands alone"),
    "2. 1/2": ("1/2", "the number of a list item"),
    "2\n1/2": ("1/2", "another line"),
    "7 then 2\\frac{1}{2}": ("5/2", "a mixed number in LaTeX"),
    "so -\\frac{3}{4}.": ("-3/4", "a fraction in LaTeX"),
    "7 then \\frac12": ("1/2", "a fraction without braces"),
    "5-\\frac{1}{2}": ("1/2", "a minus behind a digit is an operator"),
    "12 000.": ("12000", "nobody writes 000 alone"),
    "it is -1 234 056.75 now": ("-1234056.75", "a later group starts with 0"),
    "in 2024 300 people": ("300", "a first group has three digits at most"),
    "in 2024 300 000 people": ("300000", "the grouping begins behind the year"),
    "in 2024\u2009300": ("300", "also with thin spaces"),
    "5 300": ("300", "two numbers, as far as one can tell"),
    "5\u2009300": ("5300", "a thin space groups"),
    "5\u00a0300.": ("5300", "a no-break space groups"),
    "5\u202f300\u202f200": ("5300200", "a narrow no-break space groups"),
    "so 12\\,000": ("12000", "LaTeX's thin space groups"),
    "so 12{,}000": ("12000", "LaTeX's comma groups"),
    "0.5 000": ("0", "decimals are no first group"),
    "10 -12 000": ("-12000", "a minus behind a space is a sign"),
    "3 - 2": ("2", "a minus apart is an operator"),
    "- 5": ("-5", "unless the response is one number"),
    "1 / 2": ("1/2", "which a fraction is, too"),
    "so 6 / 2": ("2", "in a sentence the last number counts"),
    "50 cm^2": ("50", "an exponent is not the number"),
    "it is 10^{5}": (None, "a last number that is a power is not read"),
    "2^3 = 8": ("8", "an earlier power does not matter"),
    "42kg": ("42", "a unit"),
    "\\boxed{5": ("5", "a box that is not closed"),
}
"""Responses without a complete box, their answer, and why."""


def number(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


@pytest.mark.parametrize("text", READ)
def test_numbers_are_read_exactly(text: str) -> None:
    assert parse_number(text) == number(READ[text])


@pytest.mark.parametrize("response", ANSWERS)
def test_the_last_box_or_the_last_number_is_the_answer(response: str) -> None:
    assert last_number(response) == number(ANSWERS[response])


@pytest.mark.parametrize("response", PROSE)
def test_spellings_outside_a_box(response: str) -> None:
    value, reason = PROSE[response]
    assert last_number(response) == number(value), reason


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
        "1 2",
        "4 or 5",
        "#### about",
        "2x",
        "3i",
        "5pi",
        "5 apples",
        "12kg",
        "x=5",
        "50%",
        "1$2",
        "5 300",
        "10^5",
        "1e9999",
        "2 3/2",
        "\\boxed{5x}",
        "\\boxed{5 km}",
        "\\boxed{}",
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


def spellings(value: Fraction) -> list[str]:
    """Every way a gold answer of this value may be written."""
    size, sign = abs(value), "-" if value < 0 else ""
    whole, part = divmod(size.numerator, size.denominator)
    plain = [str(value), f"{value.numerator:,}/{value.denominator}", f"{sign} {size}"]
    plain.append(f"{sign}\\frac{{{size.numerator}}}{{{size.denominator}}}")
    if part and whole < 10**9:
        plain += [f"{sign}{whole} {part}/{size.denominator}"]
        plain += [f"{sign}{whole}\\frac{{{part}}}{{{size.denominator}}}"]
    if size.denominator == 1:
        grouped = f"{value.numerator:,}"
        plain += [grouped, grouped.replace(",", "{,}"), grouped.replace(",", "\u2009")]
        plain += [grouped.replace(",", "\\,"), f"{value}e0", f"{value}0e-1", f"${value}$"]
    return [*plain, *(f"\\boxed{{{text}}}" for text in plain)]


@given(st.fractions() | st.integers().map(Fraction))
def test_every_spelling_of_a_gold_earns_the_reward(value: Fraction) -> None:
    for text in spellings(value):
        assert parse_gold(text) == value, text
        assert verify_number(text, value), text
        assert parse_gold(f"Steps: 1 + 1 = 2.\n#### {text}") == value, text


@given(st.text(alphabet="0123456789.,/-+$%e {}\\!~\u2009()=^") | st.text())
def test_a_gold_is_read_as_its_own_response_or_refused(text: str) -> None:
    try:
        gold = parse_gold(text)
    except LmgymError:
        return
    answer = text.rpartition("####")[2].strip()
    assert last_number(answer) == gold


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_decimals_and_thousands_are_read(value: object) -> None:
    assert parse_number(f"{value:,f}") == Fraction(str(value))


@given(st.text(), st.fractions())
def test_no_text_raises(text: str, gold: Fraction) -> None:
    assert verify_number(text, gold) in (True, False)


@given(st.text(alphabet="0123456789.,/-+$%^=()~\u2009\\{}boxedfracl \n"), st.fractions())
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
        " ",
        "1e",
        "1e-",
        "1e-9 ",
        "9e9",
        "123 ",
        "1 000 ",
        "123\u2009",
        "1 1/2 ",
        "1/2 ",
        "\\frac12",
        "\\frac",
        "\\,",
        "\\left",
        "~",
        "^",
        "2^",
        "\\text{",
        "\\boxed{1" + " " * 700,
        "\\boxed{" + "1 " * 350 + "}",
        "\\boxed{1" + "a " * 350 + "}",
        "\\boxed{" + "9" * 399 + "/",
    ],
)
def test_three_hundred_kilobytes_of_anything_are_read_in_time(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    for end in ("!", "1}"):
        assert verify_number(text + end, Fraction(5, 7)) is False
