"""Boxes of answers: one number and its spellings, or no answer."""

from __future__ import annotations

from fractions import Fraction

import pytest

from lmgym.verification import last_number

NOT_ONE_NUMBER = {
    "2\\sqrt{5}": "a product with a root",
    "\\sqrt{4}": "a root is not computed",
    "10^{5}": "powers are not computed",
    "10^5": "powers are not computed",
    "2\\times 10^5": "nor are products",
    "\\frac{3}{4} + 1": "a sum",
    "3-2": "a difference",
    "1/2/3": "two divisions",
    "\\frac{1}{2}x": "a term with a variable",
    "5x": "a term with a variable",
    "5 x": "spaces mean nothing between factors",
    "5ab": "two variables",
    "5\\text{x}": "a variable in upright letters",
    "3\\mathrm{i}": "an imaginary number",
    "5pi": "a multiple of pi",
    "5 pi": "a multiple of pi",
    "5\\pi": "a multiple of pi",
    "5 sin x": "a multiple of a function",
    "5 squared": "25",
    "5!": "120",
    "5 million": "5000000",
    "2\\text{ million}": "2000000",
    "2 dozen": "24",
    "5 hundredths": "5/100",
    "3\\text{ fourths}": "3/4",
    "5 or 6": "two numbers",
    "5 or six": "two numbers, one in letters",
    "3\\text{ or }4": "two numbers, never 34",
    "5\\mathrm{e}3": "letters between digits never vanish",
    "1$2": "a dollar sign between digits never vanishes",
    "1%2": "nor does a percent sign",
    "5, 6": "a list",
    "1 2": "two digits apart",
    "5 plus x": "a sum in words",
    "5 mod 7": "an expression",
    "12:30": "a time",
    "3:4": "a ratio",
    "[5, 6]": "an interval",
    "0.\\overline{3}": "a repeating decimal",
    "0.333\\ldots": "a decimal cut off",
    "\\approx 5": "not exact",
    "x>5": "an inequality",
    "x=y=5": "a chain of equations",
    "\\text{not } 5": "leading words may say anything",
    "\\pm 5": "two numbers",
    "--5": "two signs",
    "\\frac{1}{0}": "no number at all",
    "2 3/2": "an improper fraction makes no mixed number",
    "2\\frac{-1}{2}": "nor does a negative one",
    "1e9999": "an exponent too large to compute",
    "1e401": "one more than the cap",
    "9" * 401: "too many digits",
    "\u0665": "digits of another script",
    "5\u00b2": "a power in one character",
    "1,00": "a comma that separates no thousands",
    "1, 000": "a list",
    "": "nothing",
}
"""Contents of a box that are no answer, and why."""

BOXED = {
    # content: (value, reason)
    "-\\,5": ("-5", "a thin space after the sign"),
    "- 5": ("-5", "a space after the sign"),
    "\u22125": ("-5", "a typographic minus"),
    "+5": ("5", "a plus sign"),
    "\\!5": ("5", "negative space"),
    "\\ 5\\;": ("5", "spaces around"),
    "5.": ("5", "a full stop"),
    "1{,}000": ("1000", "LaTeX's comma"),
    "1\\,000\\,000": ("1000000", "thousands by thin spaces"),
    "12~000": ("12000", "thousands by a tie"),
    "1\u202f000": ("1000", "a narrow no-break space"),
    "5 300": ("5300", "a box holds one number, and LaTeX prints no space"),
    "\\frac12": ("1/2", "a fraction without braces"),
    "\\frac 12": ("1/2", "a fraction without braces, spaced"),
    "\\dfrac{1}{2}": ("1/2", "display style"),
    "\\tfrac{1}{2}": ("1/2", "text style"),
    "\\frac{ 1 }{ 2 }": ("1/2", "spaces in the braces"),
    "\\frac{1,000}{3}": ("1000/3", "thousands in the numerator"),
    "-\\frac{1}{2}": ("-1/2", "a sign before the fraction"),
    "- \\frac{1}{2}": ("-1/2", "a sign apart from the fraction"),
    "\\frac{-1}{2}": ("-1/2", "a sign in the numerator"),
    "1 / 2": ("1/2", "a spaced slash"),
    "2\\frac{1}{2}": ("5/2", "a mixed number"),
    "-2\\dfrac{1}{2}": ("-5/2", "a negative mixed number"),
    "-0\\frac12": ("-1/2", "the sign counts though the whole is 0"),
    "2 1/2": ("5/2", "a mixed number with a slash"),
    "5 123/400": ("2123/400", "a numerator is no group of thousands"),
    "1e-3": ("1/1000", "an exponent"),
    "1e400": (f"{10**400}", "the largest exponent"),
    "(5)": ("5", "parentheses around one number"),
    "\\left(\\frac{1}{2}\\right)": ("1/2", "sized parentheses"),
    "\\text{5}": ("5", "upright digits"),
    "\\mathbf{5}": ("5", "bold digits"),
    "\\textbf{5 apples}": ("5", "a bold phrase"),
    "x=5": ("5", "a name"),
    "x_1 = -5": ("-5", "a name with an index"),
    "\\text{total cost} = 5": ("5", "a name in words"),
    "\\$18": ("18", "a currency"),
    "-\\$18": ("-18", "a sign before a currency"),
    "$18$": ("18", "mathematics within mathematics"),
    "\u20ac18": ("18", "another currency"),
    "50%": ("50", "a percent sign is a unit"),
    "50\\%": ("50", "an escaped percent sign"),
    "90^\\circ": ("90", "degrees"),
    "18\\text{ km}": ("18", "a unit"),
    "18\\text{ cm}^2": ("18", "a square unit"),
    "18\\,\\mathrm{m}": ("18", "a unit of one upright letter"),
    "\\frac{1}{2}\\text{ cup}": ("1/2", "a unit behind a fraction"),
    "18 square feet": ("18", "a unit of two words"),
    "18 dollars.": ("18", "a unit and a full stop"),
    "18km": ("18", "a unit without a space"),
}
"""Contents of a box, the number they are, and why."""


@pytest.mark.parametrize("content", NOT_ONE_NUMBER)
def test_a_box_without_one_number_is_no_answer(content: str) -> None:
    assert last_number(f"7 and \\boxed{{{content}}}") is None, NOT_ONE_NUMBER[content]


@pytest.mark.parametrize("content", BOXED)
def test_a_box_is_one_number(content: str) -> None:
    value, reason = BOXED[content]
    assert last_number(f"7 and \\boxed{{{content}}}") == Fraction(value), reason
