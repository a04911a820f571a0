"""The math world: generated families and problems from files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.math_problems.families import FOUR, MAX_DIFFICULTY, problem_at, problems_in
from lmgym.envs.math_problems.problem_files import load_problems
from lmgym.envs.math_problems.task import MathTask
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.task import Opening, Task, Verdict
from lmgym.testing import CHECKS, run_check

SPLITS = ("train", "validation", "test")
CALCULATE = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "%": lambda a, b: a % b,
}
RNG = np.random.default_rng


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(question: str, answer: str = "#### 1") -> dict[str, str]:
    return {"question": question, "answer": answer}


def draw_from_every_split(task: Task[Any]) -> list[Opening[Any]]:
    return [task.reset(RNG(0), split=split) for split in SPLITS]


@pytest.mark.parametrize("family", FOUR)
@given(st.integers(1, MAX_DIFFICULTY), st.integers(0, 10**6), st.integers(0, 10**6))
def test_answers_are_right(family: str, difficulty: int, seed: int, index: int) -> None:
    problem = problem_at(family, difficulty, seed, index)
    question = problem.question.removesuffix("=")
    operator = next(sign for sign in CALCULATE if sign in question)
    first, second = map(int, question.split(operator))
    assert problem.answer == CALCULATE[operator](first, second)
    assert len(str(first)) <= difficulty


@pytest.mark.parametrize("family", FOUR)
@pytest.mark.parametrize("difficulty", [1, 2, MAX_DIFFICULTY])
def test_every_family_has_problems_in_every_split(family: str, difficulty: int) -> None:
    task = make_task("lmgym/Math-v0", problems=family, difficulty=difficulty)
    found = {split: len(task.task_ids(split, 50)) for split in SPLITS}
    assert min(found.values()) >= (5 if difficulty == 1 else 50), found


@pytest.mark.parametrize("family", ["addition", "subtraction", "multiplication"])
def test_a_problem_and_its_mirror_are_in_one_split(family: str) -> None:
    owner: dict[frozenset[str], str] = {}
    for split in SPLITS:
        numbered = problems_in(split, family, 1, 0)
        for _ in range(300):
            question = next(numbered)[1].question.removesuffix("=")
            operator = next(sign for sign in CALCULATE if sign in question)
            pair = frozenset(question.split(operator))
            assert owner.setdefault(pair, split) == split


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("105", "correct"),
        ("It is \\boxed{105}.", "correct"),
        ("45", "incorrect"),
        ("", "incorrect"),
    ],
)
def test_the_answer_decides(text: str, verdict: str) -> None:
    task = make_task("lmgym/Math-v0")
    opening = task.reset(RNG(0), task_id="addition/2/0/0")
    assert opening.messages[0].content == "45+60="
    assert task.reply(opening.state, text, RNG(0)).verdict == Verdict(verdict)


def test_an_instruction_follows_each_question() -> None:
    task = make_task("lmgym/Math-v0", instruction=" Be brief.")
    opening = task.reset(RNG(0), task_id="addition/2/0/0")
    assert opening.messages[0].content == "45+60= Be brief."
    columns = {"question": "45+60=", "answer": "105", "family": "addition", "level": 2}
    assert opening.columns == columns


def test_a_file_is_split_by_its_questions(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", [row(f"What is {i} + 1?", f"{i + 1}") for i in range(99)])
    splits = load_problems(path)
    assert sum(map(len, splits.values())) == 99
    assert min(map(len, splits.values())) > 3
    assert splits["train"][0].address.startswith("some/")


def test_a_world_of_a_file_keeps_its_promises(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", [row(f"{i} + 1?", f"#### {i + 1}") for i in range(99)])
    for check in CHECKS:
        if check not in ("growth", "card"):
            run_check(check, "lmgym/Math-v0", problems=str(path), instruction="", max_tokens=64)


def test_questions_of_a_file_ask_for_a_box(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", [row(f"{i}?") for i in range(99)])
    opening = make_task("lmgym/Math-v0", problems=str(path)).reset(RNG(0))
    assert opening.messages[0].content.endswith("put the final answer in \\boxed{}.")
    assert opening.gold == "1"


def test_a_folder_sets_validation_apart_and_repeats_no_question(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [row(f"Q {i}") for i in range(60)])
    write(tmp_path / "test.jsonl", [row("q   3"), row("other")])
    splits = load_problems(tmp_path)
    questions = {name: {r.canonical for r in rows} for name, rows in splits.items()}
    assert len(questions["train"]) + len(questions["validation"]) == 59
    assert questions["validation"]
    assert questions["test"] == {"q 3", "other"}
    assert splits["test"][0].address == "test/1"


def test_a_folder_with_validation_keeps_the_splits_apart(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [row("a"), row("b"), row("c")])
    write(tmp_path / "validation.jsonl", [row("b"), row("d"), row("e")])
    write(tmp_path / "test.jsonl", [row("c"), row("d")])
    splits = load_problems(tmp_path)
    assert {name: [r.question for r in rows] for name, rows in splits.items()} == {
        "train": ["a"],
        "validation": ["b", "e"],
        "test": ["c", "d"],
    }


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    task = make_task("lmgym/Math-v0", problems=str(write(tmp_path / "one.jsonl", [row("?")])))
    with pytest.raises(LmgymError, match=r"split .* is empty; problems per split: .*: 1"):
        draw_from_every_split(task)


def test_golds_that_are_no_numbers_are_judged_by_the_verifier(tmp_path: Path) -> None:
    rows = [("Expand (x+1)^2.", "x^2+2x+1"), ("Solve x > 3.", "(3, oo)"), ("Is 4 even?", "Yes")]
    lines = [json.dumps({"question": question, "answer": answer}) for question, answer in rows]
    file = tmp_path / "algebra.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    task = make_task("lmgym/Math-v0", problems=str(file))
    ids = [f"algebra/{row}" for row in (1, 2, 3)]
    rng = np.random.default_rng(0)
    said = {"x": "\\boxed{(1+x)^2}", "(": "So x > 3.", "Y": "yes"}
    for task_id in ids:
        state = task.reset(rng, task_id=task_id).state
        assert task.reply(state, said[state.gold[0]], rng).verdict is Verdict.CORRECT
        assert task.reply(state, "7", rng).verdict is Verdict.INCORRECT
    assert len(ids) == len(rows)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            '{"question": "a", "answer": "1"}\n{"question": "b", "answer": "?"}',
            "row 2 of .*answer '",
        ),
        ('{"question": "a"}', r"row 1 of .* lacks \['answer'\]; it has \['question'\]"),
        ("[1]", "row 1 of .* is no JSON object; it needs the columns"),
        ('{"question": "a", "answer": "1"}\n{', "row 2 of .* is not JSON: "),
        ('\n \n{"question": "a", "answer": " "}', "row 3 of .*answer .* is empty"),
        ('\ufeff\n{"question": "a", "answer": "1"}\r\n{', "row 3 of .* is not JSON: "),
        ("1" * 5000, "row 1 of .* is not JSON: "),
        ("[" * 200_000, "row 1 of .* is not JSON: "),
        ("\n\n", "holds no problems; it needs one JSON object a line"),
        ("", "holds no problems; it needs one JSON object a line"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_row(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(LmgymError, match=message) as caught:
        make_task("lmgym/Math-v0", problems=str(path))
    assert str(path) in str(caught.value)


def test_a_folder_without_problems_is_told(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match=r"holds no problems; give a \.jsonl file with the"):
        make_task("lmgym/Math-v0", problems=str(tmp_path))


def test_gsm8k_that_is_not_at_hand_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMGYM_DATA", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(LmgymError, match="GSM8K is not at hand: set LMGYM_DATA"):
        make_task("lmgym/Math-v0", problems="gsm8k")


@pytest.fixture(scope="module")
def gsm8k() -> MathTask:
    if not (Path(os.environ.get("LMGYM_DATA", "")) / "gsm8k").is_dir():
        pytest.skip("LMGYM_DATA names no folder that holds gsm8k")
    task = make_task("lmgym/Math-v0", problems="gsm8k")
    assert isinstance(task, MathTask)
    return task


@pytest.mark.data
def test_gsm8k_has_its_sizes(gsm8k: MathTask) -> None:
    sizes = {split: len(gsm8k.task_ids(split, 10_000)) for split in SPLITS}
    assert sizes["test"] == 1319
    assert sizes["train"] + sizes["validation"] == pytest.approx(7473, abs=10)
    assert sizes["validation"] == pytest.approx(747, rel=0.15)


@pytest.mark.data
def test_gsm8k_shares_no_question_between_splits(gsm8k: MathTask) -> None:
    questions = [
        gsm8k.reset(RNG(0), task_id=task_id).messages
        for split in SPLITS
        for task_id in gsm8k.task_ids(split, 10_000)
    ]
    assert len(questions) - len(set(questions)) <= 5  # the training set itself repeats a few


@pytest.mark.data
def test_every_solution_of_gsm8k_earns_the_reward(gsm8k: MathTask) -> None:
    for split in SPLITS:
        for task_id in gsm8k.task_ids(split, 10_000):
            opening = gsm8k.reset(RNG(0), task_id=task_id)
            for text in (opening.columns["answer"], gsm8k.demonstrate(opening.state)):
                assert gsm8k.reply(opening.state, text, RNG(0)).verdict is Verdict.CORRECT, task_id


@pytest.mark.data
@pytest.mark.parametrize("check", ["seeding", "levels", "gold", "garbage", "splits", "addresses"])
def test_gsm8k_keeps_its_promises(gsm8k: MathTask, check: str) -> None:
    run_check(check, "lmgym/Math-v0", problems="gsm8k", max_tokens=64)


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    rows = [json.dumps({"question": f"{i}?", "answer": str(i)}) for i in range(3)]
    file = tmp_path / "p.jsonl"
    file.write_text("\ufeff" + rows[0] + "\n\n" + rows[1] + "\r\n" + rows[2] + "\n\n", "utf-8")
    splits = load_problems(file)
    addresses = sorted(row.address for rows in splits.values() for row in rows)
    assert addresses == ["p/1", "p/3", "p/4"]


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "latin.jsonl"
    file.write_bytes('{"question": "é", "answer": "1"}'.encode("latin-1"))
    with pytest.raises(LmgymError, match=r"latin\.jsonl' is not UTF-8"):
        load_problems(file)


def test_a_small_family_is_listed_whole_and_soon() -> None:
    task = make_task("lmgym/Math-v0", difficulty=1)
    assert task.task_ids("test", 10_000_000) == task.task_ids("test", 100)
    assert len(make_task("lmgym/Math-v0").task_ids("test", 10_000_000)) == 385


def test_a_negative_problem_seed_is_refused() -> None:
    with pytest.raises(LmgymError, match="problem_seed -1 is negative"):
        make_task("lmgym/Math-v0", problem_seed=-1)
