"""`lmgym eval`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmgym
from lmgym.answers import Answer, play
from lmgym.commands.arguments import parse_options
from lmgym.commands.evaluate import EvalArgs
from lmgym.commands.worth import Paid, Worth
from lmgym.envs.math_problems.task import MathTask
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
    assert all(text in out for text in ("greedy accuracy", "pass@1", "95 % interval", "gold"))
    record = json.loads((tmp_path / "deep" / "e.json").read_text(encoding="utf-8"))
    assert record["figures"]["n"] == 6
    assert record["figures"]["samples"] == 2
    assert record["versions"]["lmgym"] == lmgym.__version__
    assert record["args"]["model"] == "embedded"
    assert len(record["answers"]) == 6
    told = {"task_id", "question", "answer", "gold", "verdict", "n_tokens", "value", "family"}
    assert set(record["answers"][0]) <= told


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


# Metrics


def test_metrics_are_measured_from_the_same_samples(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--limit", "12", "--samples", "8", "--metrics", "pass@1,4,8,maj@1,4,best@4")
    code, out, err = run_cli(
        "eval", *words, "--reward", "verifier", "--out", "e.json", "--all-answers"
    )
    assert code == 0, err
    record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    figures, answers = record["figures"], record["answers"]
    assert all(f"{name} " in out for name in ("pass@1", "pass@8", "maj@4", "best@4"))
    assert "greedy" not in figures
    right = [[a["verdict"] == "correct" for a in answer["samples"]] for answer in answers]
    assert figures["pass@1"] == pytest.approx(np.mean(right))
    assert figures["pass@8"] == pytest.approx(np.mean([any(row) for row in right]))
    assert figures["maj@1"] == pytest.approx(figures["pass@1"])  # wrong answers abstain or lose
    assert figures["best@4"] == pytest.approx(figures["pass@4"])  # the verifier knows
    assert figures["best@4_reward"] == pytest.approx(figures["pass@4"])
    spread = np.mean(right, 1).std(ddof=1) / np.sqrt(12)
    assert figures["pass@1_standard_error"] == pytest.approx(spread)
    assert all(len(answer["samples"]) == 8 for answer in answers)


def test_the_same_seed_gives_the_same_file_but_for_times(run_cli: RunCli, tmp_path: Path) -> None:
    records = []
    for _ in range(2):
        words = ("--limit", "6", "--metrics", "greedy,maj@3", "--out", "e.json", "--all-answers")
        run_cli("eval", *words, "--seed", "3")
        record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
        for name in ("started", "seconds", "tokens_per_second"):
            del record[name]
        records.append(record)
    assert records[0] == records[1]
    protocol = records[0]["protocol"]
    assert protocol["extractor"] == "boxed-or-last-number/1"
    assert protocol["sampling"]["top_p"] == 1
    assert protocol["sampling"]["n"] == 3
    assert protocol["model"]["weights"].startswith("sha256:")
    assert protocol["prompts"]["version"].startswith("sha256:")


def test_turns_of_many_messages_are_voted_on_by_the_last(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--limit", "4", "--metrics", "pass@2,maj@2", "--out", "e.json", "--all-answers")
    assert run_cli("eval", GUESS, *words)[0] == 0
    record = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    samples = [sample for answer in record["answers"] for sample in answer["samples"]]
    voted = [sample for sample in samples if "value" in sample]
    assert voted
    assert all(sample["turns"][-1] == sample["text"] for sample in voted)


def test_kinds_of_problems_have_rows_of_their_own(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = MathTask.reset

    def with_family(self: MathTask, *args: Any, **options: Any) -> Any:
        found = opening(self, *args, **options)
        family = "even" if int(found.gold or 0) % 2 == 0 else "odd"
        return found._replace(columns={**found.columns, "family": family})

    monkeypatch.setattr(MathTask, "reset", with_family)
    _, out, _ = run_cli("eval", "--limit", "16", "--samples", "2", "--out", "e.json")
    assert all(text in out for text in ("family", "even", "odd"))
    figures = figures_of(tmp_path / "e.json")
    kinds = figures["families"]
    assert sum(kind["n"] for kind in kinds.values()) == 16
    mean = sum(kind["n"] * kind["pass@1"] for kind in kinds.values()) / 16
    assert mean == pytest.approx(figures["pass@1"])


def test_figures_against_k_are_drawn(run_cli: RunCli, tmp_path: Path) -> None:
    code, out, err = run_cli("eval", "--limit", "4", "--samples", "3", "--plot", "plots/k.png")
    assert code == 0, err
    assert "written to plots/k.png" in out
    assert (tmp_path / "plots" / "k.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--metrics pass@8 --samples 4", "--samples 8 or more"),
        ("--metrics best@2", "best@2 compares answers by a reward; name it"),
        ("--metrics best@2 --reward majority", "--best-of in place of best@2"),
        ("--metrics pass@2 --reward verifier", "add greedy or best@K to --metrics"),
        ("--seed -1", "--seed -1 is out of range"),
        ("--metrics pass@1001", "--metrics pass@1001 is out of range; at most 1,000"),
        ("--samples 1001", "--samples 1001 is out of range; at most 1,000"),
        ("--metrics pass@2 --best-of 4 --reward gold", "--metrics does not go with --best-of 4"),
        ("--plot k.png --best-of 4 --reward gold", "--plot does not go with --best-of 4"),
        ("--plot k.png --samples 1", "--samples 2 or more"),
        ("--plot k.jpg --samples 2", ".png"),
        ("--all-answers", "give --out"),
        (
            "--metrics maj@2",
            "maj@2 counts answers that are numbers (boxed-or-last-number/1), and a right",
        ),
    ],
)
def test_a_mistake_with_metrics_is_told_before_the_work(
    run_cli: RunCli, line: str, said: str
) -> None:
    code, out, err = run_cli("eval", COPY, *line.split())
    assert (code, out) == (2, "")
    assert said in err


def test_a_world_that_judges_nothing_has_no_metrics_of_success(
    run_cli: RunCli, tmp_path: Path
) -> None:
    rows = [{"prompt": f"say {n}"} for n in range(6)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "prompts.jsonl").write_text(text, encoding="utf-8")
    words = ("--prompts", "prompts.jsonl", "--limit", "4", "--split", "train")
    code, _, err = run_cli("eval", PREFERENCE, *words, "--metrics", "greedy,pass@2")
    assert code == 2
    assert "does not say which answers are right, so greedy is not known" in err
    code, out, err = run_cli("eval", PREFERENCE, *words, "--reward", "length")
    assert code == 0, err
    assert "greedy" not in out
    best = ("--metrics", "best@2", "--reward", "length", "--out", "e.json")
    assert run_cli("eval", PREFERENCE, *words, *best)[0] == 0
    figures = figures_of(tmp_path / "e.json")
    assert "best@2_reward" in figures
    assert "best@2" not in figures


# Going on


LONG = ("eval", "--limit", "6", "--samples", "5", "--batch-size", "4", "--out", "e.json")


def run_parts(n: int, run: Callable[[], tuple[int, str, str]]) -> str:
    """What is said where Ctrl-C comes after `n` parts."""
    played: list[int] = []

    def play_some(*args: Any, **options: Any) -> list[Answer]:
        if len(played) == n:
            raise KeyboardInterrupt
        played.append(1)
        return play(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmgym.commands.measuring.play", play_some)
        code, _, err = run()
    assert code == 130
    return err


def answers_of(path: Path) -> Any:
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["answers"], record["figures"]


def test_an_evaluation_goes_on_and_ends_as_one_that_was_not_stopped(
    run_cli: RunCli, tmp_path: Path
) -> None:
    run_cli(*LONG, "--all-answers")
    whole = answers_of(tmp_path / "e.json")
    (tmp_path / "e.json").unlink()
    partial = tmp_path / "e.partial.jsonl"
    for n in (3, 2):
        err = run_parts(n, lambda: run_cli(*LONG, "--all-answers"))
        assert "the same command goes on" in err
    assert len(partial.read_text(encoding="utf-8").splitlines()) == 1 + 5
    with partial.open("a", encoding="utf-8") as file:
        file.write('{"part": [0, 1, ')  # a line that was cut off
    code, _, err = run_cli(*LONG, "--all-answers")
    assert code == 0
    assert "going on after" in err
    assert answers_of(tmp_path / "e.json") == whole
    assert not partial.exists()


def test_other_settings_do_not_go_on(run_cli: RunCli, tmp_path: Path) -> None:
    run_parts(2, lambda: run_cli(*LONG))
    code, _, err = run_cli(*LONG, "--temperature", "0.5")
    assert code == 2
    assert "e.partial.jsonl holds an unfinished evaluation with sampling.temperature 1.0" in err
    assert run_cli(*LONG, "--metrics", "greedy,pass@5")[0] == 0  # the answers are the same
    (tmp_path / "e.partial.jsonl").write_text("[]\n", encoding="utf-8")
    assert "is not an unfinished evaluation" in run_cli(*LONG)[2]


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
