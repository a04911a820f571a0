"""Generated families: right by construction, at every level, alone and in mixtures."""

from __future__ import annotations

import math
import re
from collections import Counter
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.addresses import split_of
from lmgym.envs.math_problems.families import FAMILIES, FOUR, MAX_DIFFICULTY, Problem, problem_at
from lmgym.envs.math_problems.families.countdown import reaches
from lmgym.envs.math_problems.families.word_problems import NAMES, SCENES
from lmgym.envs.math_problems.mixtures import MIXTURES, Component, parse_mixture
from lmgym.envs.math_problems.task import MathTask
from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_task
from lmgym.task import Verdict
from lmgym.testing import run_check
from lmgym.verification import evaluate

RNG = np.random.default_rng
LEVELS = range(1, MAX_DIFFICULTY + 2)  # with the one that is held out
NEW = [name for name in FAMILIES if name not in FOUR]
DIGESTS = {
    "division": "000301e63d12",
    "long_multiplication": "c9349e691778",
    "expressions": "5175b164024b",
    "countdown": "127f09704cef",
    "linear_equations": "8900c06f8476",
    "fractions": "845ae317d3ec",
    "gcd": "82a758766f85",
    "word_problems": "629b9ad322c5",
}
"""Of the first problems of each new family; one that changes calls for a new version."""


def task_of(problems: str, **arguments: Any) -> MathTask:
    task = make_task("lmgym/Math-v0", problems=problems, **arguments)
    assert isinstance(task, MathTask)
    return task


def some(family: str, n: int = 40) -> list[tuple[int, Problem]]:
    return [(level, problem_at(family, level, 9, i)) for level in LEVELS for i in range(n)]


def value_of_equation(problem: Problem) -> bool:
    """Whether both sides agree at the answer."""
    sides = problem.question.removeprefix("Solve for x: ").split("=")
    x = f"({problem.answer})"
    texts = [re.sub(r"(?<=\d)x", "*x", side).replace("x", x) for side in sides]
    return evaluate(texts[0]) == evaluate(texts[1])


def told_result(question: str) -> int:
    """The result of a word problem, read sentence by sentence."""
    for scene in SCENES:
        number, name = "(\\d+)", f"(?:{'|'.join(NAMES)})"
        if not (start := re.match(as_pattern(scene.start, name, number), question)):
            continue
        total, rest = int(start[1]), question[start.end() :].strip()
        while not re.fullmatch(as_pattern(scene.question, name, number), rest):
            for sign, sentence in scene.events.items():
                if found := re.match(as_pattern(sentence, name, number), rest):
                    result = evaluate(f"{total}{sign}{found[1]}")
                    assert result.denominator == 1
                    total, rest = int(result), rest[found.end() :].strip()
                    break
            else:
                raise AssertionError(f"nothing tells {rest!r}")
        return total
    raise AssertionError(f"no scene begins {question!r}")


def as_pattern(sentence: str, name: str, number: str) -> str:
    escaped = re.escape(sentence).replace("\\{name\\}", name)
    return escaped.replace("\\{n\\}", number).replace("\\{k\\}", number)


def is_right(family: str, problem: Problem) -> bool:
    """Whether the answer is the one that the text of the question asks for."""
    if family == "linear_equations":
        return value_of_equation(problem)
    if family == "gcd":
        return math.gcd(*map(int, re.findall(r"\d+", problem.question))) == problem.answer
    if family == "word_problems":
        return told_result(problem.question) == problem.answer
    if family == "countdown":
        target, *numbers = map(int, re.findall(r"\d+", problem.question))
        is_told = target == problem.answer and tuple(numbers) == problem.numbers
        return is_told and target not in numbers
    return evaluate(problem.question.removesuffix("=")) == problem.answer


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_what_the_question_asks_for(family: str) -> None:
    wrong = [problem for _, problem in some(family) if not is_right(family, problem)]
    assert not wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_every_step_of_a_solution_is_right(family: str) -> None:
    for _, problem in some(family, 15):
        *steps, last = FAMILIES[family].solution(problem).split("\n")
        assert last == FAMILIES[family].gold(problem)
        assert steps
        for step in steps:
            if "x" not in step:
                left, right = step.split("=")
                quotient, _, rest = right.partition(" r ")
                below = left.partition("/")[2] if rest else "1"
                assert evaluate(left) == evaluate(quotient) + evaluate(f"{rest or 0}/{below}"), step


@pytest.mark.parametrize("reasoning", [None, True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_demonstrations_are_right_and_fit_at_every_level(
    family: str, reasoning: bool | None
) -> None:
    for level in (1, 2, 5, 9):
        task = task_of(family, difficulty=level, reasoning=reasoning)
        episode = episode_of(task)
        for split in task.splits:
            for opening in task.draw_many(RNG(level), 12, split=split):
                shown = task.demonstrate(opening.state)
                assert task.reply(opening.state, shown, RNG(0)).verdict is Verdict.CORRECT
                assert len(shown.encode()) < task.max_tokens
                n_prompt = len(episode.renderer.open(opening.messages)[0])
                assert n_prompt + task.max_tokens <= task.context


@pytest.mark.parametrize("family", FAMILIES)
def test_what_room_promises_is_kept(family: str) -> None:
    kind = FAMILIES[family]
    for level, problem in some(family, 60):
        room = kind.room(level)
        texts = problem.question, kind.solution(problem), kind.gold(problem)
        assert all(len(text) <= most for text, most in zip(texts, room, strict=True)), (
            level,
            texts,
        )


def test_steps_are_the_default_of_all_but_four_families() -> None:
    for family in FAMILIES:
        task = task_of(family)
        opening = task.reset(RNG(0))
        assert (task.demonstrate(opening.state) == opening.gold) == (family in FOUR)


def test_no_question_is_at_two_levels_or_in_two_families() -> None:
    owner: dict[str, tuple[str, int]] = {}
    for family in FAMILIES:
        for level, problem in some(family, 100):
            assert owner.setdefault(problem.question, (family, level)) == (family, level)


@pytest.mark.parametrize("family", NEW)
@pytest.mark.parametrize("level", [1, 2, MAX_DIFFICULTY])
def test_every_split_has_problems(family: str, level: int) -> None:
    task = task_of(family, difficulty=level)
    found = {split: len(task.task_ids(split, 5)) for split in task.splits}
    assert min(found.values()) == 5, found


@pytest.mark.parametrize("family", NEW)
def test_addresses_name_the_same_problems_as_ever(family: str) -> None:
    digest = sha256()
    for level in LEVELS:
        for index in range(5):
            problem = problem_at(family, level, 0, index)
            digest.update(repr((*problem[:3], FAMILIES[family].solution(problem))).encode())
    assert digest.hexdigest()[:12] == DIGESTS[family]


@pytest.mark.parametrize(
    ("text", "is_reached"),
    [
        ("6*7+3", True),
        ("6*7=42\n42+3=45\n6*7+3", True),
        ("So 6 \u00d7 7 + 3 = 45.", True),
        ("**6*7+3**", True),
        ("\\boxed{6 \\times 7 + 3}, not 6+7", True),
        ("\\boxed{6*7+3 = 45}", True),
        ("3+7*6 is 45", True),
        ("-3+7*6+6", False),
        ("6*7=42\n42+3=45", False),
        ("6*7+3 or 6+7", False),
        ("45", False),
        ("40+5", False),
        ("6*7+3+3-3", False),
        ("06*7+03", True),
        ("6*7+3/0", False),
        ("6*7+(3", False),
        ("6*7+3**1", False),
        ("6*7.0+3", False),
        ("\\boxed{45}", False),
        ("", False),
        ("+", False),
    ],
)
def test_countdown_reads_the_last_expression(text: str, is_reached: bool) -> None:
    assert reaches(text, 45, (3, 6, 7)) is is_reached


def test_a_number_of_countdown_is_used_as_often_as_it_is_given() -> None:
    assert reaches("3*3", 9, (3, 3, 5))
    assert not reaches("3*3", 9, (3, 5))
    assert reaches("1/(1-5/6)", 6, (1, 1, 5, 6))  # fractions on the way


def test_a_mixture_is_read_with_levels_and_weights() -> None:
    assert parse_mixture("addition/2*3, modular/1", 5) == (
        Component("addition", 2, 3.0),
        Component("modular", 1, 1.0),
    )
    assert parse_mixture("gcd/2-3*.5", 1) == (Component("gcd", 2, 0.5), Component("gcd", 3, 0.5))
    assert parse_mixture("four,addition*2", 4)[0] == Component("addition", 4, 3.0)
    assert {c.family for c in parse_mixture("all", 1)} == set(FAMILIES)
    assert all(name in FAMILIES for names in MIXTURES.values() for name in names)


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ("additon/2", "unknown family of problems 'additon'; known: addition, .*mixtures: four"),
        ("addition,nothing", "unknown family of problems 'nothing'"),
        (
            "addition/0",
            r"difficulty 0 does not exist; 'addition' has the difficulties 1 to 9 \(dig",
        ),
        ("all/10", "difficulty 10 does not exist; 'all' has the difficulties 1 to 9$"),
        ("gcd/4-2", "difficulty 4-2 does not exist"),
        ("gcd*0", r"the weight in 'gcd\*0' is no number above 0; write family, family/level"),
        ("gcd*1.2.3", r"the weight in 'gcd\*1.2.3' is no number above 0"),
        ("addition*x", r"cannot read 'addition\*x' among the problems; write family"),
        ("addition,", "cannot read '' among the problems"),
        ("addition,gsm8k", "unknown family of problems 'gsm8k'.*gsm8k, or .*, alone"),
    ],
)
def test_a_mixture_that_cannot_be_is_told(problems: str, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        task_of(problems)


def test_problems_of_a_mixture_come_by_weight() -> None:
    task = task_of("addition/1*3,word_problems/2")
    drawn = Counter(o.columns["family"] for o in task.draw_many(RNG(0), 2000))
    assert drawn["addition"] / 2000 == pytest.approx(0.75, abs=0.03)
    listed = Counter(task_id.split("/")[0] for task_id in task.task_ids("train", 40))
    assert listed == {"addition": 30, "word_problems": 10}


def test_a_family_that_is_exhausted_leaves_the_list_to_the_others() -> None:
    task = task_of("multiplication/1*100,gcd")
    listed = Counter(task_id.split("/")[0] for task_id in task.task_ids("test", 40))
    assert listed["multiplication"] + listed["gcd"] == 40
    assert listed["gcd"] >= 30


def test_columns_name_the_family_and_the_level() -> None:
    opening = task_of("four/3").reset(RNG(0), task_id="modular/3/0/4")
    assert (opening.columns["family"], opening.columns["level"]) == ("modular", 3)


def test_figures_are_the_success_of_each_family_and_level() -> None:
    task = task_of("addition/1-2")
    journeys = []
    for task_id, text in (
        ("addition/1/0/0", None),
        ("addition/1/0/1", "no"),
        ("addition/2/0/0", None),
    ):
        state = task.reset(RNG(0), task_id=task_id).state
        said = task.demonstrate(state) if text is None else text
        journeys.append([state, task.reply(state, said, RNG(0)).state])
    assert task.has_figures
    assert task.figures(journeys) == {"success addition/1": 0.5, "success addition/2": 1.0}
    assert not task_of("addition,modular").has_figures  # its families are all there is to tell


def test_extrapolation_is_one_level_up_and_held_out_there_too() -> None:
    task = task_of("addition/1-3,gcd/9")
    for opening in task.draw_many(RNG(0), 60, split="extrapolation"):
        family, level, seed, index = opening.task_id.split("/")
        assert (family, level) in {("addition", "4"), ("gcd", "10")}
        assert split_of(problem_at(family, int(level), int(seed), int(index)).canonical) == "test"
    one_higher = task_of("addition/4")
    seen = {o.messages for o in one_higher.draw_many(RNG(0), 500)}
    held_out = task_of("addition/3").task_ids("extrapolation", 50)
    assert not any(one_higher.reset(RNG(0), task_id=i).messages in seen for i in held_out)


def test_problems_from_files_have_no_extrapolation(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f'{{"question": "{i}?", "answer": "{i}"}}\n' for i in range(50)))
    task = task_of(str(path), num_problems=3)
    assert task.splits == ("train", "validation", "test")
    assert len(task.task_ids("train", 10)) == 3
    assert len(task.task_ids("test", 10)) > 3
    with pytest.raises(LmgymError, match="unknown split 'extrapolation'"):
        task.reset(RNG(0), split="extrapolation")


@pytest.mark.parametrize("problems", ["addition", "all/1-2"])
def test_the_training_split_can_be_cut_to_its_first_problems(problems: str) -> None:
    whole, cut = task_of(problems), task_of(problems, num_problems=2)
    first = whole.task_ids("train", 2)
    assert cut.task_ids("train", 100) == first
    assert {o.task_id for o in cut.draw_many(RNG(0), 50)} == set(first)
    assert cut.task_ids("test", 20) == whole.task_ids("test", 20)
    one, other = RNG(3), RNG(3)
    assert list(cut.draw_many(one, 9, split="test")) == list(
        whole.draw_many(other, 9, split="test")
    )


def test_no_problems_are_too_few() -> None:
    with pytest.raises(LmgymError, match="num_problems 0 is no number of problems; use 1 or more"):
        task_of("addition", num_problems=0)


def test_longer_instructions_get_more_room() -> None:
    short, long = task_of("addition"), task_of("addition", instruction="?" * 500)
    assert (short.context, short.max_tokens) == (128, 16)
    assert long.context >= 500 + 16


@pytest.mark.parametrize("check", ["gold", "garbage", "splits", "addresses"])
def test_a_mixture_keeps_its_promises(check: str) -> None:
    problems = "four/1-2,countdown/1*2,word_problems"
    run_check(check, "lmgym/Math-v0", problems=problems, reasoning=True, num_problems=50)


def test_a_folder_may_have_the_form_of_a_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "7"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        rows = [f'{{"question": "{name} {i}?", "answer": "{i}"}}\n' for i in range(40)]
        (folder / f"{name}.jsonl").write_text("".join(rows))
    monkeypatch.chdir(tmp_path)
    assert len(task_of("data/7").task_ids("test", 100)) == 40
    with pytest.raises(LmgymError, match="unknown family of problems 'data'"):
        task_of("data/8")


def test_blocks_of_a_mixture_are_what_single_draws_give() -> None:
    task = task_of("all/1-3")
    for split in task.splits:
        one, other = RNG(5), RNG(5)
        block = list(task.draw_many(one, 30, split=split))
        assert block == [task.reset(other, split=split) for _ in range(30)]
        assert one.random() == other.random()


def test_answers_are_numbers_but_for_countdown() -> None:
    for family in FAMILIES:
        opening = task_of(family).reset(RNG(1))
        assert opening.gold is not None
        if family == "countdown":
            assert evaluate(opening.gold) == opening.state.problem.answer
        else:
            assert Fraction(opening.gold) == opening.state.problem.answer
