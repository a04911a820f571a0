"""Formats, and patterns that are counted."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.rewards import FormatReward, PatternReward
from lmgym.transcript import Transcript


def paid(source: FormatReward | PatternReward, *texts: str) -> list[float]:
    outcome: list[float] = source.score(
        [Transcript.from_strings("?", t) for t in texts]
    ).outcome.tolist()
    return outcome


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{2}",
        r"So it is \boxed{\frac{1}{2}}, I think.",
        "First\nthen \\boxed{ x }\n",
        r"\boxed{\sqrt{\frac{1}{2}}}",
        r"\boxed{} no, \boxed{3}",
        r"\boxed{\boxed{1}}",
    ],
)
def test_a_complete_box_is_a_format(text: str) -> None:
    assert paid(FormatReward(), text) == [1.0]


@pytest.mark.parametrize(
    "text", ["", "2", r"\boxed{", r"\boxed{}", r"\boxed{  }", "boxed{2}", r"\boxed{{2}"]
)
def test_no_box_is_none(text: str) -> None:
    assert paid(FormatReward("boxed"), text) == [0.0]


@pytest.mark.parametrize(
    ("text", "is_format"),
    [
        ("<think>so</think><answer>2</answer>", True),
        ("\n<think>a < b\nor</think>\n\n<answer>2</answer>\n", True),
        ("<think></think><answer></answer>", True),
        ("<think>so</think>2", False),
        ("<answer>2</answer><think>so</think>", False),
        ("Hm <think>so</think><answer>2</answer>", False),
        ("<think>so</think><answer>2</answer> Hm", False),
        ("<think>a</think><think>b</think><answer>2</answer>", False),
        ("<think>a<answer>1</answer></think><answer>2</answer>", False),
        ("<think>so</think><answer>2", False),
    ],
)
def test_thoughts_and_an_answer_are_a_format(text: str, is_format: bool) -> None:
    assert paid(FormatReward("think-answer"), text) == [float(is_format)]


def test_an_expression_must_match_the_whole_message() -> None:
    assert paid(FormatReward("[0-9]+"), "12", "12 ", "a12", "", "12\n") == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_the_dot_of_a_format_matches_line_breaks() -> None:
    assert paid(FormatReward("a.b"), "a\nb") == [1.0]


def test_an_expression_that_is_a_name_is_written_in_brackets() -> None:
    assert paid(FormatReward("(boxed)"), "boxed", r"\boxed{2}") == [1.0, 0.0]


@given(st.text(alphabet="<>/thinkaswerd{}\\boxed 1\n", max_size=60))
def test_named_formats_read_any_text(text: str) -> None:
    assert set(paid(FormatReward("boxed"), text)) <= {0.0, 1.0}
    inside = "<think>" not in text and "</think>" not in text and "answer>" not in text
    wrapped = f"<think>{text}</think><answer>{text}</answer>"
    assert paid(FormatReward("think-answer"), wrapped) == [float(inside)]


@given(st.text(alphabet=st.characters(exclude_characters="{}"), min_size=1).filter(str.strip))
def test_whatever_stands_in_a_box_is_boxed(text: str) -> None:
    assert paid(FormatReward("boxed"), f"so \\boxed{{{text}}}.") == [1.0]


@pytest.mark.parametrize("form", ["boxed", "think-answer"])
@pytest.mark.parametrize(
    "unit", ["\\boxed{", "<think>", "<think>a</think>", "{", "<", "\\boxed{a{b}"]
)
def test_named_formats_take_no_time_on_hostile_texts(form: str, unit: str) -> None:
    start = time.process_time()
    paid(FormatReward(form), unit * 3000)
    assert time.process_time() - start < 1


def test_a_pattern_is_counted_up_to_its_cap() -> None:
    texts = ("", "wait", "wait wait", "wait " * 50)
    assert paid(PatternReward("wait"), *texts) == [0.0, 1.0, 2.0, 10.0]
    assert paid(PatternReward("wait", cap=1), *texts) == [0.0, 1.0, 1.0, 1.0]


def test_a_pattern_with_groups_counts_matches() -> None:
    assert paid(PatternReward("(a)(b)?"), "ab a") == [2.0]


@pytest.mark.parametrize("source", [FormatReward, PatternReward])
def test_a_broken_expression_is_told(source: type[FormatReward]) -> None:
    with pytest.raises(LmgymError, match=r"'\(a' is no regular expression: .* position 0; mend it"):
        source("(a")


def test_a_cap_below_one_is_told() -> None:
    with pytest.raises(LmgymError, match="cap=0 pays nothing; give the most"):
        PatternReward("a", cap=0)


@pytest.mark.parametrize("form", [" boxed", "boxd", "Boxed", "think_answer", "think answer", "box"])
def test_a_word_like_a_name_is_no_expression(form: str) -> None:
    with pytest.raises(LmgymError, match=rf"format '{form}'; known: .*; for an expression write"):
        FormatReward(form)
    assert paid(FormatReward(f"({form})"), form) == [1.0]


@pytest.mark.parametrize("form", ["yes", "answer", "[0-9]+", "boxed.*", ""])
def test_other_words_are_expressions(form: str) -> None:
    FormatReward(form)
