"""`lmgym eval`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmgym
from lmgym.commands.arguments import parse_options
from lmgym.commands.evaluate import EvalArgs
from lmgym.commands.worth import Paid, Worth
from lmgym.registry import WORLDS

RunCli = Callable[..., tuple[int, str, str]]

COPY, GUESS, PREFERENCE = "lmgym/Copy-v0", "lmgym/GuessNumber-v0", "lmgym/Preference-v0"


def figures_of(path: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def test_eval_prints_intervals_and_answers_and_writes_the_file(
    run_cli: RunCli, tmp_path: Path
) -> None:
    code, out, _ = run_cli("eval", "--limit", "6", "--samples", "2", "--out", "deep/e.json")
    assert code == 0
    assert all(text in out for text in ("greedy accuracy", "pass@1 of 2", "tokens/s", "gold"))
    record = json.loads((tmp_path / "deep" / "e.json").read_text(encoding="utf-8"))
    assert record["figures"]["n"] == 6
    assert record["figures"]["samples"] == 2
    assert record["versions"]["lmgym"] == lmgym.__version__
    assert record["args"]["model"] == "embedded"
    assert len(record["answers"]) == 6
    assert {"task_id", "question", "answer", "gold", "verdict"} == set(record["answers"][0])


def test_eval_tells_gold_rewards_where_the_world_has_them(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--limit", "4", "--samples", "0", "--out", "e.json")
    assert "gold reward" not in run_cli("eval", *words)[1]
    code, out, _ = run_cli("eval", "lmgym/Preference-v0", *words)
    assert code == 0
    assert "gold reward" in out
    record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    low, high = record["figures"]["gold_reward_interval"]
    grades = [answer["gold_reward"] for answer in record["answers"]]
    assert low <= record["figures"]["gold_reward"] == sum(grades) / 4 <= high


def test_eval_without_samples_measures_the_greedy_answer_alone(run_cli: RunCli) -> None:
    out = run_cli("eval", GUESS, "--limit", "3", "--samples", "0", "--show", "0")[1]
    assert "greedy accuracy" in out
    assert "pass@1" not in out
    assert "question" not in out


def test_eval_repeats_itself_for_the_same_seed(run_cli: RunCli, tmp_path: Path) -> None:
    figures = []
    for _ in range(2):
        run_cli("eval", COPY, "--limit", "8", "--samples", "3", "--seed", "7", "--out", "e.json")
        record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
        figures.append(record["figures"])
    assert figures[0] == figures[1]


# Rewards


@pytest.mark.parametrize("world", WORLDS)
def test_no_option_has_the_name_of_a_worlds_argument(world: str) -> None:
    parse_options({"eval": EvalArgs, world: WORLDS[world].task_class.Args}, [], "eval", "")


def test_eval_tells_what_a_reward_makes_of_the_greedy_answers(
    run_cli: RunCli, tmp_path: Path
) -> None:
    words = ("--limit", "6", "--samples", "2", "--out", "e.json")
    code, out, err = run_cli("eval", PREFERENCE, *words, "--reward", "gold")
    assert code == 0, err
    assert "rewarded by" in out
    figures = figures_of(tmp_path / "e.json")
    assert figures["reward"] == pytest.approx(figures["gold_reward"])
    assert figures["reward_interval"] == pytest.approx(figures["gold_reward_interval"])
    assert figures["unscored"] == 0
    assert "rewarded by" not in run_cli("eval", PREFERENCE, *words)[1]
    assert "reward" not in figures_of(tmp_path / "e.json")


def test_the_best_of_many_is_liked_more_than_one(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--limit", "12", "--best-of", "8", "--reward", "gold", "--out", "e.json")
    code, out, err = run_cli("eval", PREFERENCE, *words)
    assert code == 0, err
    for row in ("accuracy", "reward", "gold reward"):
        assert f"{row}, best of 8" in out
        assert f"{row}, one sample" in out
    assert "greedy" not in out
    figures = figures_of(tmp_path / "e.json")
    assert (figures["best_of"], figures["n"]) == (8, 12)
    assert figures["gold_reward"] == pytest.approx(figures["reward"])
    assert figures["sample_gold_reward"] < figures["gold_reward_interval"][0]
    answers = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["answers"]
    liked = [answer["gold_reward"] for answer in answers]
    assert figures["gold_reward"] == pytest.approx(np.mean(liked))


def test_by_the_verifier_the_best_of_n_is_right_where_any_is(
    run_cli: RunCli, tmp_path: Path
) -> None:
    for n in ("1", "4"):
        words = ("--limit", "8", "--best-of", n, "--reward", "verifier", "--out", f"{n}.json")
        assert run_cli("eval", *words)[0] == 0
    one, four = figures_of(tmp_path / "1.json"), figures_of(tmp_path / "4.json")
    assert one["success"] == one["sample_success"] == one["reward"]
    assert four["success"] >= four["sample_success"]
    assert "gold_reward" not in four


def test_rewards_that_need_whole_groups_choose_too(run_cli: RunCli) -> None:
    code, out, err = run_cli("eval", "--limit", "4", "--best-of", "4", "--reward", "majority")
    assert code == 0, err
    assert "reward, best of 4" in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--best-of 4", "--best-of compares answers by a reward; name it"),
        ("--best-of 0 --reward gold", "--best-of 0 is out of range; at least 1 is needed"),
        ("--best-of 4 --reward gold --samples 2", "--samples 2 does not go with --best-of 4"),
        ("--reward verifer", "unknown reward 'verifer'"),
        ("--reward none", "pays nothing"),
        ("--reward rm:nothing", "'nothing' is no reward model"),
        ("--best-of 2 --reward gold --limit 1", "'gold' needs a world that grades"),
    ],
)
def test_a_mistake_with_rewards_is_told_in_one_sentence(
    run_cli: RunCli, line: str, said: str
) -> None:
    code, out, err = run_cli("eval", COPY, *line.split())
    assert (code, out) == (2, "")
    assert said in err


def test_worth_is_the_mean_over_problems_of_what_could_be_scored() -> None:
    nan = np.nan
    paid = [
        Paid(np.array([1.0, 0.0]), np.array([2.0, nan]), None),
        Paid(np.array([0.0, 0.0, 1.0, 1.0]), np.array([nan, nan, 5.0, 7.0]), None),
    ]
    worth = Worth.of(paid, 2)
    assert worth.reward is not None
    assert (worth.success.mean, worth.reward.mean) == (0.5, 4.0)  # of 2 and 6
    assert (worth.n_unscored, worth.gold) == (3, None)
    nothing = Worth.of([Paid(np.ones(1), np.array([nan]), None)])
    assert nothing.reward is None
    assert nothing.as_dict("sample_")["sample_unscored"] == 1
