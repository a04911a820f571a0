"""A person labels pairs in the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.preferences.terminal import TerminalAnnotator

ASKED = PreferenceDataset.of(
    PreferencePair.of(f"{i}+1=", f"right {i}", f"wrong {i}", probability=0.5) for i in range(4)
)


class Person:
    """Types some keys; "right" and "wrong" are the key of the answer that says so."""

    def __init__(self, *keys: str) -> None:
        self.keys = iter(keys)
        self.screen = io.StringIO()
        self.console = Console(file=self.screen, width=100)

    def read(self, prompt: str) -> str:
        del prompt
        key = next(self.keys, None)
        if key is None:
            raise EOFError
        if key in ("right", "wrong"):
            shown = self.screen.getvalue().splitlines()
            answers = [line for line in shown if line.startswith(("right", "wrong"))][-2:]
            return "1" if answers[0].startswith(key) else "2"
        return key


@pytest.fixture
def sit(tmp_path: Path) -> Callable[..., tuple[PreferenceDataset, str]]:
    def sit(
        *keys: str, asked: Iterable[PreferencePair] = ASKED, seed: int = 0
    ) -> tuple[PreferenceDataset, str]:
        person = Person(*keys)
        annotator = TerminalAnnotator(
            tmp_path / "labels.jsonl",
            np.random.default_rng(seed),
            console=person.console,
            read=person.read,
        )
        data = annotator.annotate(list(asked))
        if data:
            assert data == PreferenceDataset.from_jsonl(tmp_path / "labels.jsonl")
        return data, person.screen.getvalue()

    return sit


Sit = Callable[..., tuple[PreferenceDataset, str]]


def chosen(data: PreferenceDataset) -> list[str]:
    return [pair.chosen for pair in data]


def test_the_answer_that_was_named_is_the_chosen_one(sit: Sit) -> None:
    data, screen = sit("right", "wrong", "0", "right")
    assert chosen(data)[:2] == ["right 0", "wrong 1"]
    assert [pair.probability for pair in data] == [1.0, 1.0, 0.5, 1.0]
    assert "0+1=" in screen
    assert "[1/4]" in screen


def test_which_answer_comes_first_differs(sit: Sit) -> None:
    screens = [sit(seed=seed)[1] for seed in range(9)]
    firsts = {screen.index("right 0") < screen.index("wrong 0") for screen in screens}
    assert firsts == {True, False}


def test_quitting_keeps_what_was_answered_and_going_on_asks_the_rest(sit: Sit) -> None:
    assert chosen(sit("right", "wrong", "q")[0]) == ["right 0", "wrong 1"]
    data, screen = sit("right", "right")
    assert chosen(data) == ["right 0", "wrong 1", "right 2", "right 3"]
    assert "2 of 4 have an answer already" in screen
    assert "0+1=" not in screen
    assert sit()[0] == data


def test_the_end_of_the_input_is_quitting(sit: Sit) -> None:
    assert chosen(sit("right")[0]) == ["right 0"]


def test_every_answer_is_written_at_once(tmp_path: Path) -> None:
    person = Person("right")
    file = tmp_path / "labels.jsonl"
    seen: list[int] = []

    def read(prompt: str) -> str:
        seen.append(len(file.read_text().splitlines()) if file.exists() else 0)
        return person.read(prompt)

    rng = np.random.default_rng(0)
    TerminalAnnotator(file, rng, console=person.console, read=read).annotate(ASKED)
    assert seen == [0, 1]


def test_what_is_skipped_is_asked_the_next_time(sit: Sit) -> None:
    assert chosen(sit("s", "right", "q")[0]) == ["right 1"]
    assert chosen(sit("right", "q")[0]) == ["right 1", "right 0"]


def test_undo_takes_the_last_answer_back_and_asks_again(sit: Sit) -> None:
    data, screen = sit("u", "wrong", "s", "u", "right", "q")
    assert "nothing to undo" in screen
    assert chosen(data) == ["right 0"]


def test_undoing_the_only_answer_leaves_an_empty_file(sit: Sit, tmp_path: Path) -> None:
    assert len(sit("right", "u", "q")[0]) == 0
    assert (tmp_path / "labels.jsonl").read_text() == ""
    assert len(sit("right", "q")[0]) == 1


def test_other_keys_are_asked_again(sit: Sit) -> None:
    data, screen = sit("x", "", "right", "q")
    assert chosen(data) == ["right 0"]
    assert screen.count("q: quit") == 3


def test_labels_that_the_pairs_have_are_not_looked_at(sit: Sit) -> None:
    sure = PreferencePair.of("1+1=", "right", "wrong", probability=1.0, margin=3.0)
    (pair,) = sit("wrong", asked=[sure])[0]
    assert (pair.chosen, pair.probability, pair.margin) == ("wrong", 1.0, None)


def test_a_comparison_across_prompts_shows_both(sit: Sit) -> None:
    pair = PreferencePair.of("first?", "right", "wrong", rejected_prompt="second?")
    _, screen = sit("q", asked=[pair])
    assert "first?" in screen
    assert "second?" in screen


def test_a_text_cannot_paint_the_terminal(sit: Sit) -> None:
    _, screen = sit("q", asked=[PreferencePair.of("p", "\x1b[2J", "[bold]x")])
    assert "\x1b" not in screen
    assert "\\x1b[2J" in screen
    assert "[bold]x" in screen


def test_a_file_that_cannot_be_written_is_an_error_before_the_first_question(
    tmp_path: Path,
) -> None:
    with pytest.raises(LmgymError, match=r"does not name a \.jsonl file"):
        TerminalAnnotator(tmp_path / "labels.json", np.random.default_rng(0))
