"""What holds for every answer: it equals itself, in any spelling, and no text raises."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.verification import Policy, Reason, verify
from lmgym.verification.grammar import parse
from lmgym.verification.values import exact

INTEGERS = st.integers(-(10**30), 10**30)
RATIONALS = st.fractions(min_value=-1000, max_value=1000, max_denominator=97)
SPELLINGS = (
    ("\\frac", "\\dfrac"),
    (" ", "  "),
    ("(", "\\left("),
    (")", "\\right)"),
    ("\\le ", "\\leq "),
    ("+", " + "),
    (",", ",\\ "),
)
PIECES = r"""
    \frac{1}{2} \sqrt{2} \pi x k n 1 3.5 1,234 + - * / ^ _ ^{-1} ^T ( ) [ ] { } \{ \} | = < \le : ;
    , \approx \equiv \pmod{7} \in \integers \pm \cup \setminus \hat{i} \vec{a} \times \overline{z}
    f( f'( \begin{cases} \end{cases} \begin{pmatrix} \end{pmatrix} & \\ if otherwise or and not to
    is minus five twenty half \text{ cm } km \% ° ' '' \choose \angle ]2,3[ \infty May 3:30 PM (B)
    yes squared
    """.split()  # noqa: SIM905 - a list of pieces
SPECIAL = (
    r"\frac{\pi}{4}+k\pi, k\in\mathbb{Z}",
    r"\begin{cases}x&x\ge0\\-x&x<0\end{cases}",
    *("1:2:3", r"x\equiv3\pmod7", r"\langle1,2\rangle", "f(x)=2x+1", "x^2+C", "x=1,y=2", "[2,5)"),
    *("5 m/s", "B", "3:30 PM", "yes", "March 5, 2020", r"2\pm\sqrt3", "(-1)^n", "|x|"),
)
"""Golds of kinds that have rules of their own."""
MATHEMATICAL = "\\{}()[]^_$+-*/=<>,.;:!%&|0123456789abcixyzsqrtfn \n"
NAMES = st.sampled_from("xyzabn")


def latex(value: Fraction) -> str:
    """A rational number in LaTeX."""
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Sums of terms with roots, powers, fractions and a variable."""
    name = draw(NAMES)
    terms = st.one_of(
        RATIONALS.map(latex),
        st.integers(2, 50).map("\\sqrt{{{}}}".format),
        st.integers(2, 9).map(f"{name}^{{{{{{}}}}}}".format),
        st.tuples(st.integers(2, 9), st.integers(2, 9)).map(lambda p: f"{p[0]}{name}^{p[1]}"),
        st.just("\\pi"),
    )
    drawn = draw(st.lists(terms, min_size=1, max_size=4))
    return "+".join(f"{{{term}}}" if term.startswith("-") else term for term in drawn)


@st.composite
def answers(draw: st.DrawFn) -> str:
    """Golds of many kinds."""
    a, b = sorted(draw(st.lists(RATIONALS, min_size=2, max_size=2, unique=True)))
    forms = [
        str(draw(INTEGERS)),
        latex(a),
        draw(expressions()),
        f"({latex(a)}, {latex(b)})",
        f"[{latex(a)}, {latex(b)})",
        f"(-\\infty, {latex(a)}) \\cup ({latex(b)}, \\infty)",
        f"\\{{{latex(a)}, {latex(b)}\\}}",
        f"\\begin{{pmatrix}} {latex(a)} & 1 \\\\ 0 & {latex(b)} \\end{{pmatrix}}",
        f"x = {latex(a)}",
        f"{latex(a)} < x \\le {latex(b)}",
        f"{latex(a)} + {draw(st.integers(2, 99))}i",
        f"{draw(st.integers(0, 99))}\\%",
        f"{draw(st.integers(1, 99))} \\text{{ cm}}",
    ]
    return draw(st.sampled_from(forms))


@given(answers())
def test_an_answer_equals_itself_alone_and_in_a_box(gold: str) -> None:
    assert verify(gold, gold).correct
    assert verify(f"Thus we find \\boxed{{{gold}}}.", gold).correct


@given(answers())
def test_spelling_changes_nothing(gold: str) -> None:
    spelled = gold
    for plain, other in SPELLINGS:
        spelled = spelled.replace(plain, other)
    assert verify(f"${spelled}$", gold).correct


@given(expressions(), expressions())
def test_equality_of_expressions_is_symmetric(first: str, second: str) -> None:
    assert verify(first, second).correct == verify(second, first).correct


@given(RATIONALS, RATIONALS)
def test_two_numbers_are_equal_where_their_values_are(first: Fraction, second: Fraction) -> None:
    for one in (str(first), latex(first)):
        assert verify(f"\\boxed{{{one}}}", latex(second)).correct == (first == second)


@given(INTEGERS)
def test_the_next_integer_is_wrong_however_large(value: int) -> None:
    assert not verify(str(value + 1), str(value)).correct
    assert not verify(f"The answer is {value}.0000000001", str(value)).correct


@given(st.one_of(st.text(), st.text(alphabet=MATHEMATICAL)), answers())
def test_no_text_makes_it_raise(response: str, gold: str) -> None:
    assert verify(response, gold).reason in set(Reason)


@given(
    st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join),
    st.sampled_from((1, 1, 300)),
    st.sampled_from(("\\boxed{%s}", "The answer is %s", "%s")),
    st.sampled_from(SPECIAL),
)
def test_no_pieces_of_mathematics_make_it_raise(
    pieces: str, times: int, form: str, gold: str
) -> None:
    assert verify(form % (f"{pieces} " * times), gold).reason in set(Reason)


@given(st.text())
def test_a_gold_is_read_or_refused_with_a_clear_error(gold: str) -> None:
    with suppress(LmgymError):
        assert verify(f"\\boxed{{{gold}}}", gold).reason is not Reason.TIMEOUT


def test_policies_let_pass_what_they_say() -> None:
    assert not verify("3.14", "\\pi").correct
    assert verify("3.14", "\\pi", Policy(tolerance=0.01)).correct
    assert not verify("5 m", "5 cm").correct
    assert verify("5 m", "5 cm", Policy(units="ignored")).correct
    assert not verify("0.5%", "0.5").correct
    assert verify("0.5%", "0.5", Policy(percent="ignored")).correct
    assert verify("2, 1", "1, 2").correct
    assert not verify("2, 1", "1, 2", Policy(ordered=True)).correct


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"tolerance": 2.0}, r"tolerance=2.0 is out of range"),
        ({"units": "any"}, r"units='any'; allowed are checked, ignored"),
        ({"percent": "none"}, r"percent='none'; allowed are hundredths, ignored"),
    ],
)
def test_a_policy_that_does_not_exist_is_an_error(policy: dict[str, object], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        Policy(**policy)  # type: ignore[arg-type]


def test_what_one_answer_costs_leaves_nothing_less_for_the_next() -> None:
    many = ",".join(f"\\sqrt{{{k}}}" for k in range(2, 64))
    turned = ",".join(f"\\sqrt{{{k}}}" for k in range(63, 1, -1))
    assert verify(turned, many).reason is Reason.TOO_BIG
    assert verify("\\sqrt{8}", "2\\sqrt{2}").correct
    for _ in range(10_000):  # outside of a verification nothing is counted
        assert exact(parse("1+2+3")) == 6
