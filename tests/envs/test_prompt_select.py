"""The world of prompt selection, and what is learned of its logs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.envs.prompt_select.generated import CHANCES, generated_log
from lmgym.envs.prompt_select.logs import LoggedQuestion, TrialLog
from lmgym.envs.prompt_select.offline import fit_chooser, logged_trials, outcomes_of
from lmgym.envs.prompt_select.task import PromptSelectTask
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.reward_models import FitArgs, fit_reward_model, make_encoder
from lmgym.task import Task, Verdict
from lmgym.testing import CHECKS, run_check

WORLD = "lmgym/PromptSelect-v0"
RNG = np.random.default_rng
OUTCOMES = [[1, 0, 0], [0, 1, 1], [0, 0, 0]]


def task_of(**arguments: Any) -> PromptSelectTask:
    task: Task[Any] = make_task(WORLD, **arguments)
    assert isinstance(task, PromptSelectTask)
    return task


def write_log(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def rows(name: str, n: int = 40) -> list[dict[str, Any]]:
    return [{"question": f"{name} {i}?", "outcomes": OUTCOMES[i % 3]} for i in range(n)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train", "test"):
        write_log(tmp_path, name, rows(name))
    return tmp_path


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("0", Verdict.CORRECT),
        ("I take prompt 2.", Verdict.CORRECT),
        ("1", Verdict.INCORRECT),
        ("4", Verdict.INCORRECT),
        ("-2", Verdict.INCORRECT),
        ("2.5", Verdict.INCORRECT),
        ("", Verdict.INCORRECT),
        ("0 or 1", Verdict.INCORRECT),
    ],
)
def test_the_last_number_of_a_message_names_the_prompt(said: str, verdict: Verdict) -> None:
    task = task_of()
    state = task.reset(RNG(0), task_id="generated/0/0").state
    assert state.outcomes == (1, 0, 1, 0)
    assert task.reply(state, said, RNG(0)).verdict is verdict


def test_the_opening_lists_the_prompts_and_asks_the_question() -> None:
    task = task_of()
    opening = task.reset(RNG(0), task_id="generated/0/0")
    system, user = opening.messages
    assert system.content.splitlines()[1:] == [
        f"{place} {text}" for place, text in enumerate(task.log.prompts)
    ]
    assert user.content == opening.columns["question"] == opening.state.text
    assert opening.gold == "0"
    assert task.choices == ("0", "1", "2", "3")


def test_every_generated_question_has_a_right_prompt_and_no_prompt_fits_all() -> None:
    task = task_of()
    outcomes = np.concatenate([outcomes_of(task, split) for split in task.splits])
    assert outcomes.shape == (1000, 4)
    assert outcomes.max(1).all()
    assert outcomes.mean(0).max() < 0.6


def test_generated_outcomes_follow_the_chances_of_their_family() -> None:
    words = {"sum": "gets", "share": "share", "order": "wins", "letters": "stand"}
    questions = [q for part in generated_log(1).splits.values() for q in part]
    for family, word in words.items():
        outcomes = np.array([q.outcomes for q in questions if word in q.text])
        assert np.abs(outcomes.mean(0) - CHANCES[family]).max() < 0.12


def test_another_seed_is_another_log() -> None:
    first, other = task_of(), task_of(log_seed=1)
    assert first.task_ids("test", 3) != other.task_ids("test", 3)
    with pytest.raises(LmgymError, match="log_seed -1 is negative"):
        task_of(log_seed=-1)


def test_the_splits_share_no_question() -> None:
    task = task_of()
    texts = [q.canonical for split in task.splits for q in task.questions(split)]
    assert len(set(texts)) == len(texts) == 1000


def test_a_folder_is_read(folder: Path) -> None:
    task = task_of(trials=str(folder))
    assert task.log.prompts == ("prompt 0", "prompt 1", "prompt 2")
    assert [q.text for q in task.questions("test")] == [f"test {i}?" for i in range(40)]
    n = {split: len(task.questions(split)) for split in task.splits}
    assert n["train"] + n["validation"] == 40
    assert 0 < n["validation"] < 12
    opening = task.reset(RNG(0), task_id=f"{folder.name}/test/2")
    assert (opening.gold, task.demonstrate(opening.state)) == (None, None)
    assert task.reply(opening.state, "0", RNG(0)).verdict is Verdict.INCORRECT


def test_a_folder_may_name_its_prompts(folder: Path) -> None:
    texts = ["Think.", "Count.", "Guess."]
    (folder / "prompts.json").write_text(json.dumps(texts), encoding="utf-8")
    task = task_of(trials=str(folder))
    assert task.log.prompts == tuple(texts)
    assert "2 Guess." in task.reset(RNG(0)).messages[0].content


@pytest.mark.parametrize("text", ["[", '["one"]', '{"a": 1}', "[1, 2, 3]"])
def test_wrong_names_of_prompts_are_refused(folder: Path, text: str) -> None:
    (folder / "prompts.json").write_text(text, encoding="utf-8")
    with pytest.raises(LmgymError, match=r"prompts.json' (is not JSON|must hold a list of 3)"):
        task_of(trials=str(folder))


def test_a_question_of_the_test_split_is_left_out_of_the_others(folder: Path) -> None:
    write_log(folder, "train", [*rows("train"), {"question": "TEST  1?", "outcomes": [1, 1, 1]}])
    task = task_of(trials=str(folder))
    assert "TEST  1?" not in [q.text for q in (*task.questions("train"), *task.questions("test"))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "why?"}, r"row 1 of .*needs a question and a list of outcomes"),
        ({"question": 1, "outcomes": [1, 0, 0]}, r"row 1 of .*needs a question"),
        ({"question": "a", "outcomes": [1, 0, 2]}, r"row 1 of .*0 and 1 are allowed"),
        ({"question": "a", "outcomes": ["1", 0]}, r"row 1 of .*0 and 1 are allowed"),
        ({"question": "a", "outcomes": [1, [2]]}, r"row 1 of .*0 and 1 are allowed"),
        ({"question": "a", "outcomes": [1, None, {}]}, r"row 1 of .*0 and 1 are allowed"),
        ({"question": " \n", "outcomes": [1, 0, 0]}, r"row 1 of .*a blank question"),
        ({"question": "a", "outcomes": [1, 0]}, r"questions with \[2, 3\] outcomes"),
        ({"question": "a", "outcomes": []}, r"questions with \[0, 3\] outcomes"),
    ],
)
def test_rows_that_are_no_trials_are_refused(
    folder: Path, row: dict[str, Any], message: str
) -> None:
    write_log(folder, "test", [row])
    with pytest.raises(LmgymError, match=message):
        task_of(trials=str(folder))


def test_missing_files_and_empty_splits_are_told(folder: Path) -> None:
    write_log(folder, "train", rows("train", 1))
    task = task_of(trials=str(folder))
    with pytest.raises(LmgymError, match=r"split .* is empty; questions per split"):
        _ = [task.reset(RNG(0), split=split) for split in task.splits]
    (folder / "test.jsonl").unlink()
    with pytest.raises(LmgymError, match=r"lacks test.jsonl; give a folder"):
        task_of(trials=str(folder))
    with pytest.raises(LmgymError, match=r"lacks train.jsonl, test.jsonl"):
        task_of(trials="no such folder")


def test_the_real_log_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMGYM_DATA", raising=False)
    with pytest.raises(LmgymError, match="Prompt-OIRL is not at hand: set LMGYM_DATA"):
        task_of(trials="prompt_oirl")


def write_arrays(data: Path, n_texts: int, outcomes: list[int]) -> None:
    for name in ("prompt_oirl", "gsm8k"):
        (data / name).mkdir(exist_ok=True)
    choices = np.array([[i // 2, i % 2] for i in range(len(outcomes))], int).reshape(-1, 2)
    for stem in ("gsm8k_training_{}_0_1_2_3_4_5", "gsm8k_test_query_{}"):
        np.save(data / "prompt_oirl" / f"{stem.format('data')}.npy", choices)
        np.save(data / "prompt_oirl" / f"{stem.format('labels')}.npy", np.array(outcomes, float))
    for name in ("train", "test"):
        write_log(data / "gsm8k", name, [{"question": f"{name} {i}"} for i in range(n_texts)])


def test_arrays_of_outcomes_are_joined_with_their_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMGYM_DATA", str(tmp_path))
    write_arrays(tmp_path, 3, [1, 0, 0, 0, 1, 1])
    log = task_of(trials="prompt_oirl").log
    assert [(q.text, q.outcomes) for q in log.splits["test"]] == [
        ("test 0", (1, 0)),
        ("test 1", (0, 0)),
        ("test 2", (1, 1)),
    ]
    assert log.splits["test"][1].address == "prompt_oirl/test/1"


@pytest.mark.parametrize(
    ("n_texts", "outcomes"), [(1, [1, 0, 0, 1]), (3, [1, 0, 1]), (3, [0, 0.5, 1, 1])]
)
def test_arrays_that_do_not_fit_the_questions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_texts: int, outcomes: list[int]
) -> None:
    monkeypatch.setenv("LMGYM_DATA", str(tmp_path))
    write_arrays(tmp_path, n_texts, outcomes)
    with pytest.raises(LmgymError, match=r"does not fit .* needs 0 or 1 once for each"):
        task_of(trials="prompt_oirl")
    (tmp_path / "gsm8k" / "train.jsonl").unlink()
    with pytest.raises(LmgymError, match=r"train.jsonl'; the log of Prompt-OIRL counts"):
        task_of(trials="prompt_oirl")


def test_empty_logs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMGYM_DATA", str(tmp_path))
    write_arrays(tmp_path, 1, [])
    for name in ("train", "test"):
        write_log(tmp_path, name, [])
    for trials in ("prompt_oirl", str(tmp_path)):
        with pytest.raises(LmgymError, match=r"has questions with \[\] outcomes"):
            task_of(trials=trials)


@pytest.mark.parametrize("check", [name for name in CHECKS if name != "growth"])
def test_a_log_of_a_folder_keeps_the_promises_of_a_world(check: str, folder: Path) -> None:
    for name in ("train", "test"):  # what demonstrations need: a right prompt for every question
        solved = [row for row in rows(name, 60) if any(row["outcomes"])]
        write_log(folder, name, solved)
    run_check(check, WORLD, trials=str(folder))


def test_a_bandit_is_chosen_for_by_what_was_logged() -> None:
    rng = RNG(0)
    kinds = rng.integers(3, size=600)
    features = np.eye(3)[kinds] + 0.1 * rng.normal(size=(600, 3))
    chances = np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9], [0.3, 0.8, 0.2]])[kinds]
    outcomes = (rng.random((600, 3)) < chances).astype(float)
    chooser = fit_chooser(features[:400], outcomes[:400], rng, members=3)
    assert (chooser.choose(features[400:]) == chances[400:].argmax(1)).mean() > 0.99
    predicted = chooser.chances(features[400:])
    assert np.abs(predicted - chances[400:]).mean() < 0.1
    assert chooser.values[chooser.penalty] == max(chooser.values.values())


def test_features_that_say_nothing_leave_the_best_prompt_of_all() -> None:
    rng = RNG(1)
    features, chances = rng.normal(size=(500, 8)), np.array([0.3, 0.6, 0.5])
    outcomes = (rng.random((500, 3)) < chances).astype(float)
    chooser = fit_chooser(features, outcomes, rng, penalties=(1e7,))
    assert (chooser.choose(rng.normal(size=(50, 8))) == 1).all()
    assert np.allclose(chooser.chances(features), outcomes.mean(0), atol=0.01)


def test_of_penalties_that_choose_as_well_the_greatest_is_taken() -> None:
    outcomes = RNG(0).integers(2, size=(40, 3)).astype(float)
    chooser = fit_chooser(np.zeros((40, 2)), outcomes, RNG(0), penalties=(10.0, 1e4, 100.0))
    assert len(set(chooser.values.values())) == 1
    assert chooser.penalty == 1e4


def test_features_of_other_questions_are_refused() -> None:
    with pytest.raises(LmgymError, match="3 questions have features and 4 outcomes"):
        fit_chooser(np.zeros((3, 2)), np.zeros((4, 2)), RNG(0))


@pytest.mark.slow
def test_the_offline_learner_beats_the_best_prompt_of_the_generated_log() -> None:
    task = task_of()
    encoder = make_encoder("hashing")

    def features(split: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        texts = [question.text for question in task.questions(split)]
        return np.asarray(encoder.encode_texts(texts), np.float64)

    seen, outcomes = outcomes_of(task, "train"), outcomes_of(task, "test")
    chosen = fit_chooser(features("train"), seen, RNG(0)).choose(features("test"))
    value = outcomes[np.arange(len(chosen)), chosen].mean()
    assert value > outcomes[:, seen.mean(0).argmax()].mean() + 0.2


@pytest.mark.slow
def test_a_reward_model_of_the_trials_knows_the_best_answers() -> None:
    task = task_of()
    args = FitArgs(
        head="mlp",
        objective="classification",
        inputs="conversation",
        components=None,
        length=False,
        regularisation=100.0,
    )
    model = fit_reward_model(logged_trials(task, "train"), args)
    trials, outcomes = logged_trials(task, "test"), outcomes_of(task, "test")
    assert [trial.label for trial in trials] == outcomes.ravel().tolist()
    scores = model.score([trial.transcript for trial in trials]).outcome.reshape(outcomes.shape)
    value = outcomes[np.arange(len(scores)), scores.argmax(1)].mean()
    assert value > _best_fixed() + 0.2


@pytest.mark.learning
def test_grpo_learns_to_choose_better_than_the_best_prompt(tmp_path: Path) -> None:
    from lmgym.agents.grpo import GRPOArgs, train

    args = GRPOArgs(
        groups=64,
        group_size=8,
        lr=2e-3,
        temperature=1.3,
        updates=20,
        validate_every=1e9,
        out=str(tmp_path / "run"),
    )
    record = json.loads((train(args, WORLD, {}) / "lmgym.json").read_text())
    assert record["after"]["greedy"] > _best_fixed() + 0.1


@pytest.mark.learning
def test_dqn_learns_to_choose_better_than_the_best_prompt(tmp_path: Path) -> None:
    from lmgym.agents.sb3_dqn import SB3DQNArgs, train

    args = SB3DQNArgs(alphabet="chars:0123", seconds=90, out=str(tmp_path / "run"), target=0.7)
    record = json.loads((train(args, WORLD, {}) / "lmgym.json").read_text())
    assert record["after"]["greedy"] > _best_fixed() + 0.1


def _best_fixed() -> float:
    task = task_of()
    best = outcomes_of(task, "train").mean(0).argmax()
    return float(outcomes_of(task, "test")[:, best].mean())


@pytest.fixture
def real_log() -> TrialLog:
    if not (Path(os.environ.get("LMGYM_DATA", "")) / "prompt_oirl").is_dir():
        pytest.skip("LMGYM_DATA names no folder that holds prompt_oirl")
    return task_of(trials="prompt_oirl").log


@pytest.mark.data
def test_the_real_log_has_the_published_outcomes(real_log: TrialLog) -> None:
    test = np.array([question.outcomes for question in real_log.splits["test"]])
    assert test.shape == (1000, 6)
    assert test.mean(0).round(3).tolist() == [0.248, 0.24, 0.246, 0.071, 0.069, 0.237]
    assert len(real_log.splits["train"]) + len(real_log.splits["validation"]) == 7473


@pytest.mark.data
def test_the_real_log_counts_the_questions_as_gsm8k_does(real_log: TrialLog) -> None:
    """The model is worse at longer questions, which nothing else about the order could show."""
    questions: list[LoggedQuestion] = [*real_log.splits["train"], *real_log.splits["test"]]
    lengths = np.array([len(question.text) for question in questions])
    right = np.array([np.mean(question.outcomes) for question in questions])
    ranks = lengths.argsort().argsort()
    assert np.corrcoef(ranks, right)[0, 1] < -0.15
    shuffled = np.random.default_rng(0).permutation(ranks)
    assert abs(np.corrcoef(shuffled, right)[0, 1]) < 0.05


@pytest.mark.data
@pytest.mark.parametrize("check", ["gymnasium", "vector", "splits", "addresses"])
def test_the_real_log_keeps_the_promises_of_a_world(check: str, real_log: TrialLog) -> None:
    del real_log
    run_check(check, WORLD, trials="prompt_oirl", level="choice")
