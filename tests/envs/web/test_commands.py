"""Commands as text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.web.commands import (
    LONGEST,
    Command,
    CommandError,
    Target,
    parse_command,
    quoted,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
TARGETS = st.one_of(
    st.integers(0, 10**6).map(lambda n: Target(bid=str(n))),
    st.builds(Target, role=st.from_regex("[a-z]{1,20}", fullmatch=True), name=TEXTS),
)
COMMANDS = st.one_of(
    st.builds(Command, st.sampled_from(["click", "clear", "check", "uncheck"]), TARGETS),
    st.builds(Command, st.sampled_from(["fill", "select_option", "press"]), TARGETS, TEXTS),
    st.builds(Command, st.just("goto"), st.none(), TEXTS),
    st.sampled_from([Command("go_back"), Command("go_forward"), Command("noop")]),
)
SAVE = Command("click", Target(role="button", name="Save"))
MILLION = 10**6


@given(COMMANDS)
def test_what_is_written_is_read_back(command: Command) -> None:
    assert parse_command(str(command)) == command


@given(st.text(max_size=200))
def test_any_text_is_a_command_or_is_told_to_be_none(text: str) -> None:
    why = ""
    try:
        parse_command(text)
    except CommandError as error:
        why = str(error)
    assert len(why) < 500


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("click('23')", Command("click", Target(bid="23"))),
        ('click("23")', Command("click", Target(bid="23"))),
        ("click(23)", Command("click", Target(bid="23"))),
        ("fill('7', 'it\\'s')", Command("fill", Target(bid="7"), "it's")),
        ("fill('7', \"it's\")", Command("fill", Target(bid="7"), "it's")),
        ("fill('7', 'a\\nb\\tc\\\\d')", Command("fill", Target(bid="7"), "a\nb\tc\\d")),
        ("fill('7', 'a\\d')", Command("fill", Target(bid="7"), "a\\d")),
        ("fill('7', '')", Command("fill", Target(bid="7"), "")),
        ("  click ( button   'Save' ) ", SAVE),
        ("press('3','Enter')", Command("press", Target(bid="3"), "Enter")),
        ("goto('/cart?a=1')", Command("goto", value="/cart?a=1")),
        ("noop( )", Command("noop")),
    ],
)
def test_spellings_that_are_read(text: str, command: Command) -> None:
    assert parse_command(text) == command


@pytest.mark.parametrize(
    "message",
    [
        "I should save.\n\nclick(button 'Save')",
        "```\nclick(button 'Save')\n```",
        "```python\nclick(button 'Save')\n```\n\n",
        "`click(button 'Save')`",
        "click('1')\nNo:\r\nclick(button 'Save')\r\n",
        "(" * MILLION + "\nclick(button 'Save')",
    ],
)
def test_thoughts_and_fences_may_stand_before_the_command(message: str) -> None:
    assert parse_command(message) == SAVE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no command; write one call, such as click"),
        (" \n```\n", "is no command"),
        ("Let us click the button", "verbs: click, fill"),
        ("submit('3')", "verbs: click, fill"),
        ("Click('3')", "verbs: click, fill"),
        ("click '3'", "write one call"),
        ("click()", r"click takes 1 arguments \(element\), given were 0"),
        ("click('3', 'x')", r"click takes 1 arguments \(element\), given were 2"),
        ("fill('3')", r"fill takes 2 arguments \(element, text\), given were 1"),
        ("go_back('3')", r"go_back takes 0 arguments \(\), given were 1"),
        ("click('3'", "texts stand in quotes"),
        ("click('3", "texts stand in quotes"),
        ("click(Save)", "an element is '12' or a role and a name"),
        ("click('3',)", "texts stand in quotes"),
        ("fill('3' 'x')", "texts stand in quotes"),
        ("fill('3', button 'x')", "only the element of fill has a role"),
        ("goto(link '/x')", "only the element of goto has a role"),
        ("click('3') now", "something follows the command"),
        ("click('3'); click('4')", "something follows the command"),
        ("click('Save')", r"give the number in brackets before it, or its role and name"),
        ("click('-1')", "is no element"),
        ("click('')", "is no element"),
        ("click(12345678901)", "cannot be read"),
        (f"click({'a' * 21} 'x')", "cannot be read"),
        (f"fill('3', '{'x' * (LONGEST + 1)}')", "a text of 1,001 characters is too long"),
    ],
)
def test_what_is_no_command_is_told_with_what_is(text: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        parse_command(text)


@pytest.mark.parametrize("text", ["x" * LONGEST, "'" * LONGEST, "\\" * LONGEST, "🙂" * LONGEST])
def test_the_longest_texts_are_read_whatever_they_hold(text: str) -> None:
    command = Command("fill", Target(bid="3"), text)
    assert parse_command(str(command)) == command


@pytest.mark.parametrize(
    "text",
    [
        "a" * MILLION,
        "(" * MILLION,
        "'" * MILLION,
        '"' * MILLION,
        "\\" * MILLION,
        " " * MILLION + "x",
        "click(" * (MILLION // 6),
        "click(" + " " * MILLION,
        "click(" + "a" * MILLION,
        "click('" + "\\'" * (MILLION // 2),
        "fill(" + "'1'," * (MILLION // 4),
        "\n" * MILLION,
        "`" * MILLION,
    ],
    ids=lambda text: f"{text[:8]!r}...",
)
def test_a_megabyte_that_is_no_command_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(CommandError):
        parse_command(text)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("length", [100, 1_000, 7_900])
@pytest.mark.parametrize("piece", ["a", "(", "'", '"', "\\", " ", "'1',", "link ", "\\'"])
def test_a_line_is_read_in_linear_time(piece: str, length: int) -> None:
    line = "click(" + piece * (length // len(piece))
    started = time.process_time()
    with pytest.raises(CommandError):
        parse_command(line)
    assert time.process_time() - started < 0.2


def test_a_cut_line_is_not_taken_for_a_command() -> None:
    with pytest.raises(CommandError):
        parse_command("never click('3')" + " " * 3_990)


def test_half_characters_become_question_marks() -> None:
    assert parse_command("fill('3', 'a\ud800')").value == "a?"


def test_long_elements_are_cut_short_where_they_are_shown() -> None:
    assert Target(role="link", name="x" * 200).shown == f"link '{'x' * 60}…'"
    assert Target(bid="12").shown == "'12'"


@given(TEXTS)
def test_quoted_texts_have_no_line_break_and_no_bare_quote(text: str) -> None:
    inside = quoted(text)[1:-1]
    assert "\n" not in inside
    assert inside.replace("\\\\", "").replace("\\'", "").count("'") == 0
