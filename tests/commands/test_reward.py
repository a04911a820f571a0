"""`lmgym reward fit`, `eval`, `annotate` and `curve`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.commands.arguments import parse_options
from lmgym.commands.reward_annotate import AnnotateArgs
from lmgym.commands.reward_curve import CurveArgs
from lmgym.factory import make_task
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.registry import WORLDS
from lmgym.reward_models import load_reward_model

RunCli = Callable[..., tuple[int, str, str]]

COPY = "lmgym/Copy-v0"
QUICK = ("--regularisation", "1")


def write_pairs(path: Path, n: int = 40) -> Path:
    """Kind answers are better; the subset says whether the kind one is the longer one."""
    pairs = []
    for i in range(n):
        texts = (f"thank you {i}", f"no {i}") if i % 2 else (f"thanks {i}", f"go away now {i}")
        pairs.append(PreferencePair.of(f"question {i}", *texts, subset="ab"[i % 2], id=str(i)))
    PreferenceDataset.of(pairs).to_jsonl(path)
    return path


@pytest.fixture
def model(run_cli: RunCli, tmp_path: Path) -> Path:
    write_pairs(tmp_path / "pairs.jsonl")
    words = ("reward", "fit", "pairs.jsonl", "--out", "rm", *QUICK)
    assert run_cli(*words)[0] == 0
    return tmp_path / "rm"


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_the_overview_names_every_command(run_cli: RunCli, words: tuple[str, ...]) -> None:
    code, out, err = run_cli("reward", *words)
    assert (code, err) == (0, "")
    assert out.startswith("usage: lmgym reward")
    assert all(f"\n  {name} " in out for name in ("fit", "eval", "annotate", "curve"))


@pytest.mark.parametrize("name", ["fit", "eval", "annotate", "curve"])
def test_every_command_explains_itself(run_cli: RunCli, name: str) -> None:
    code, out, err = run_cli("reward", name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: lmgym reward {name}")
    assert "--out" in out


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("own", [AnnotateArgs, CurveArgs])
def test_no_option_has_the_name_of_a_worlds_argument(own: type[Any], world: str) -> None:
    parse_options({"own": own, world: WORLDS[world].task_class.Args}, [], "reward", "")


MISTAKES = [
    ("reward fti", "unknown reward command 'fti'; known: fit"),
    ("reward --out x", "unexpected '--out'; name a command first: fit"),
    ("reward fit", "name the data"),
    ("reward fit pairs.jsonl", "--out is missing; give a directory"),
    ("reward fit pairs.jsonl --out pairs.jsonl", "--out 'pairs.jsonl' is a file"),
    ("reward fit pairs.jsonl --out .", "--out '.' holds other files"),
    ("reward fit nothing.jsonl --out x", "no file 'nothing.jsonl'"),
    ("reward fit pairs.jsonl --out x --format hhh", "unknown format 'hhh'; known: hh"),
    ("reward fit pairs.jsonl --out x --held-out 1", "--held-out 1.0 is out of range"),
    ("reward fit pairs.jsonl --out x --encoder glove", "unknown encoder 'glove'"),
    ("reward fit pairs.jsonl --out x --head tree", "unknown head 'tree'"),
    ("reward fit bad.jsonl --out x", "row 2 of 'bad.jsonl': 'margin' is 'high'"),
    ("reward eval pairs.jsonl", "name a reward model and pairs"),
    ("reward eval nothing pairs.jsonl", "'nothing' is no reward model"),
    ("reward eval length:characters trials.jsonl --format trials", "holds single answers"),
    ("reward eval length:characters pairs.jsonl --out x.txt", "does not name a .json file"),
    ("reward annotate --out x.jsonl", "name a file of pairs, or a world with --env"),
    ("reward annotate pairs.jsonl --env lmgym/Copy-v0 --out x.jsonl", "and not both"),
    ("reward annotate pairs.jsonl", "--out is missing; give a .jsonl file"),
    ("reward annotate pairs.jsonl --out x.json", "does not name a .jsonl file"),
    ("reward annotate pairs.jsonl --out x.jsonl --rule best", "unknown --rule 'best'"),
    ("reward annotate pairs.jsonl --out x.jsonl --rule fisher", "needs --reward-model"),
    ("reward annotate pairs.jsonl --out x.jsonl --pairs 0", "--pairs 0 is out of range"),
    ("reward annotate --env lmgym/GuessNumber-v0 --out x.jsonl", "takes several turns"),
    ("reward annotate one.jsonl --out x.jsonl", "row 1 of 'one.jsonl': 'answers' has 1 different"),
    ("reward annotate two.jsonl --out x.jsonl", "row 2 of 'two.jsonl': the column 'answers'"),
    ("reward annotate pairs.jsonl --out x.jsonl --annotator me", "unknown --annotator 'me'"),
    ("reward annotate pairs.jsonl --out x.jsonl --annotator gold", "give one with --env, in place"),
    ("reward annotate pairs.jsonl --out x.jsonl --flip 0.1", "--flip goes with --annotator gold"),
    (
        "reward annotate --env lmgym/Preference-v0 --out x.jsonl --annotator gold --flip 2",
        "--flip 2.0 is out of range; give 0 to 1",
    ),
    (
        "reward annotate --env lmgym/Preference-v0 --out x.jsonl --label-temperature 0",
        "--label-temperature 0.0 is out of range",
    ),
    (
        "reward annotate --env lmgym/Preference-v0 --out x.jsonl --label-temperature 2",
        "--label-temperature goes with --annotator bradley-terry",
    ),
    (
        "reward annotate --env lmgym/Preference-v0 --out x.jsonl --samples 1",
        "--samples 1 is out of range; at least 2",
    ),
    (
        "reward annotate --env lmgym/Preference-v0 --out x.jsonl --compare between",
        "unknown --compare 'between'; known: within, across",
    ),
    (
        "reward annotate --env lmgym/Preference-v0 --out pairs.jsonl --annotator gold",
        "--out 'pairs.jsonl' holds labels already",
    ),
    (
        "reward annotate --env lmgym/Copy-v0 --out x.jsonl --annotator gold",
        "lmgym/Copy-v0 has no gold reward for --annotator gold",
    ),
    (
        "reward annotate --env lmgym/Copy-v0 --out x.jsonl --ranks extreme",
        "--ranks extreme needs a gold reward",
    ),
    ("reward curve", "name a world"),
    ("reward curve lmgym/Copy-v0", "--proxy is missing"),
    ("reward curve lmgym/Copy-v0 --proxy rm:nothing", "'nothing' is no reward model"),
    ("reward curve lmgym/Copy-v0 --proxy verifer", "unknown reward 'verifer'"),
    ("reward curve lmgym/Copy-v0 --proxy verifier --samples 1", "--samples 1 is out of range"),
    ("reward curve lmgym/Copy-v0 --proxy verifier --temperature 0", "must be above 0"),
    ("reward curve lmgym/Copy-v0 --proxy verifier --split all", "unknown split 'all'"),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_told_in_one_sentence_and_leaves_nothing(
    run_cli: RunCli, tmp_path: Path, line: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LMGYM_DATA", raising=False)
    write_pairs(tmp_path / "pairs.jsonl")
    good = '{"prompt": "a", "chosen": "b", "rejected": "c"'
    (tmp_path / "bad.jsonl").write_text(f'{good}}}\n{good}, "margin": "high"}}\n')
    (tmp_path / "one.jsonl").write_text('{"prompt": "a", "answers": ["b", "b"]}')
    (tmp_path / "two.jsonl").write_text('{"prompt": "a", "answers": ["b", "c"]}\n{"prompt": "a"}')
    (tmp_path / "trials.jsonl").write_text('{"prompt": "a", "completion": "b", "label": 1}')
    before = set(tmp_path.iterdir())
    code, out, err = run_cli(*line.split())
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_fit_prints_accuracy_beside_the_rule_of_length_and_saves(
    run_cli: RunCli, tmp_path: Path
) -> None:
    write_pairs(tmp_path / "pairs.jsonl")
    code, out, err = run_cli(
        "reward", "fit", "pairs.jsonl", "--out", "rm", *QUICK, "--members", "2"
    )
    assert (code, err) == (0, "")
    assert "32 pairs" in out
    assert "100.0% [" in out
    assert "answer wins" in out
    assert "reward='rm:rm'" in out
    assert load_reward_model(tmp_path / "rm").n_members == 2


def test_fit_measures_on_another_file_where_one_is_given(run_cli: RunCli, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl")
    write_pairs(tmp_path / "test.jsonl", 10)
    out = run_cli("reward", "fit", "pairs.jsonl", "--out", "rm", *QUICK, "--test", "test.jsonl")[1]
    assert "40 pairs" in out
    assert "10 pairs" in out


def test_fit_takes_trials(run_cli: RunCli, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"question {i}", "completion": text, "label": text == "yes"}
        for i in range(20)
        for text in ("yes", "not at all")
    ]
    (tmp_path / "trials.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ("reward", "fit", "trials.jsonl", "--out", "rm", "--format", "trials")
    code, _, err = run_cli(*words)
    assert code == 2
    assert "objective='classification'" in err
    code, out, err = run_cli(*words, "--objective", "classification")
    assert (code, err) == (0, "")
    assert "8 trials" in out
    assert "right before wrong" in out
    assert "100.0%" in out


def test_eval_shows_each_subset_beside_the_rule_of_length_and_writes_rewardbench(
    run_cli: RunCli, model: Path, tmp_path: Path
) -> None:
    code, out, err = run_cli("reward", "eval", str(model), "pairs.jsonl", "--out", "x.json")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "20" in rows["a"]
    assert "100.0% [" in rows["a"]
    assert "40" in rows["all"]
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["model"] == str(model)
    assert (record["a"], record["b"]) == (1.0, 1.0)
    assert record["lmgym"]["overall"]["n"] == 40
    assert record["lmgym"]["length_overall"]["value"] == 0.5


def test_eval_prints_the_sections_of_rewardbench(run_cli: RunCli, tmp_path: Path) -> None:
    pair = PreferencePair.of("1+1=", "longer", "short", subset="donotanswer")
    PreferenceDataset.of([pair]).to_jsonl(tmp_path / "x.jsonl")
    out = run_cli("reward", "eval", "length:characters", "x.jsonl")[1]
    assert "RewardBench Safety: 100.0%" in out


@pytest.mark.data
def test_eval_reads_real_pairs_by_their_name(run_cli: RunCli) -> None:
    if not (Path(os.environ.get("LMGYM_DATA", "")) / "llmbar").is_dir():
        pytest.skip("LMGYM_DATA names no folder that holds llmbar")
    code, out, err = run_cli("reward", "eval", "length:characters", "llmbar")
    assert (code, err) == (0, "")
    assert "419" in out
    assert "the shorter answer wins" in out
    assert "RewardBench Chat Hard" in out


# Annotation


def test_annotate_goes_on_where_it_was_left(run_cli: RunCli, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 4)
    words = ("reward", "annotate", "pairs.jsonl", "--out", "labels.jsonl", "--seed", "0")
    code, out, err = run_cli(*words, stdin="1\nx\n2\nq\n")
    assert (code, err) == (0, "")
    assert "2 pairs in labels.jsonl" in out
    assert len(PreferenceDataset.from_jsonl(tmp_path / "labels.jsonl")) == 2
    code, out, _ = run_cli(*words, stdin="1\nu\n0\n1\n")
    assert "2 of 4 have an answer already" in out
    assert "4 pairs in labels.jsonl" in out
    data = PreferenceDataset.from_jsonl(tmp_path / "labels.jsonl")
    assert [pair.probability for pair in data] == [1.0, 1.0, 0.5, 1.0]
    assert len({pair.id for pair in data}) == 4


def test_annotate_takes_prompts_with_several_answers(run_cli: RunCli, tmp_path: Path) -> None:
    row = {"prompt": "1+1=", "answers": ["2", "3", "4", "2"]}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    out = run_cli("reward", "annotate", "x.jsonl", "--out", "y.jsonl", stdin="1\n1\n1\n")[1]
    assert "3 pairs in y.jsonl" in out
    out = run_cli("reward", "annotate", "x.jsonl", "--out", "z.jsonl", "--pairs", "1", stdin="1")[1]
    assert "1 pairs in z.jsonl" in out


@pytest.mark.parametrize("rule", ["entropy", "max_difference", "fisher"])
def test_annotate_asks_first_what_the_rule_chooses(
    run_cli: RunCli, model: Path, tmp_path: Path, rule: str
) -> None:
    words = ["reward", "annotate", "pairs.jsonl", "--out", "labels.jsonl", "--seed", "0"]
    words += ["--rule", rule, "--reward-model", str(model), "--pairs", "2"]
    code, out, err = run_cli(*words, stdin="1\n1\n")
    assert (code, err) == (0, "")
    assert "2 pairs in labels.jsonl" in out
    assert "4 pairs in labels.jsonl" in run_cli(*words, stdin="1\n1\n")[1]  # two new ones


@pytest.mark.slow
def test_annotate_asks_about_answers_of_a_policy(run_cli: RunCli, tmp_path: Path) -> None:
    words = ["reward", "annotate", "--env", "lmgym/Math-v0", "--pairs", "2", "--seed", "0"]
    code, out, err = run_cli(*words, "--out", "labels.jsonl", stdin="1\n2\n")
    assert (code, err) == (0, "")
    assert "[2/2]" in out
    assert len(PreferenceDataset.from_jsonl(tmp_path / "labels.jsonl")) == 2


SIMULATE = ("reward", "annotate", "--env", "lmgym/Preference-v0", "--seed", "0")


def gold_gaps(path: Path) -> list[float]:
    """How much better the world likes each chosen answer than the rejected one."""
    task = make_task("lmgym/Preference-v0")
    graded = [task.gold_rewards(p.transcripts()) for p in PreferenceDataset.from_jsonl(path)]
    return [float(chosen - rejected) for chosen, rejected in graded]


def test_a_simulated_annotator_labels_without_being_asked(run_cli: RunCli, tmp_path: Path) -> None:
    code, out, err = run_cli(*SIMULATE, "--annotator", "gold", "--pairs", "30", "--out", "y.jsonl")
    assert (code, err) == (0, "")
    assert "30 pairs in y.jsonl; 0 of" in out
    data = PreferenceDataset.from_jsonl(tmp_path / "y.jsonl")
    assert len({frozenset((*p.prompt, p.chosen, p.rejected)) for p in data}) == 30
    for gap, pair in zip(gold_gaps(tmp_path / "y.jsonl"), data, strict=True):
        assert gap >= 0
        assert pair.probability == (1.0 if gap else 0.5)


def test_simulated_mistakes_are_counted(run_cli: RunCli, tmp_path: Path) -> None:
    words = (*SIMULATE, "--annotator", "bradley-terry", "--pairs", "40")
    out = run_cli(*words, "--label-temperature", "2", "--out", "hot.jsonl")[1]
    gaps = gold_gaps(tmp_path / "hot.jsonl")
    wrong, decided = sum(gap < 0 for gap in gaps), sum(gap != 0 for gap in gaps)
    assert 0 < wrong < decided
    assert f"{wrong} of {decided} labels" in out
    out = run_cli(*words, "--label-temperature", "1e-6", "--out", "cold.jsonl")[1]
    assert "; 0 of" in out
    flipped = ("--annotator", "gold", "--pairs", "10", "--flip", "1", "--out", "flipped.jsonl")
    assert "(100.0%) contradict" in run_cli(*SIMULATE, *flipped)[1]


def test_the_same_seed_simulates_the_same_labels(run_cli: RunCli, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        words = ("--annotator", "bradley-terry", "--pairs", "10", "--out", name)
        assert run_cli(*SIMULATE, *words)[0] == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_answers_to_different_prompts_can_be_compared(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--annotator", "gold", "--pairs", "10", "--compare", "across", "--samples", "4")
    assert run_cli(*SIMULATE, *words, "--ranks", "extreme", "--out", "y.jsonl")[0] == 0
    data = PreferenceDataset.from_jsonl(tmp_path / "y.jsonl")
    assert not any(pair.is_within_prompt for pair in data)


@pytest.mark.slow
def test_simulated_labels_come_from_what_a_rule_chooses(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--annotator", "gold", "--pairs", "200", "--out", "first.jsonl")
    assert run_cli(*SIMULATE, *words)[0] == 0
    assert run_cli("reward", "fit", "first.jsonl", "--out", "rm", *QUICK)[0] == 0
    following = ("--annotator", "gold", "--pairs", "5", "--out", "next.jsonl")
    code, _, err = run_cli(*SIMULATE, *following, "--rule", "fisher", "--reward-model", "rm")
    assert (code, err) == (0, "")
    assert len(PreferenceDataset.from_jsonl(tmp_path / "next.jsonl")) == 5


def test_too_few_different_answers_are_told(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--annotator", "gold", "--pairs", "20", "--temperature", "0.05", "--out", "y.jsonl")
    code, out, _ = run_cli(*SIMULATE, *words)
    assert code == 0
    n = len(PreferenceDataset.from_jsonl(tmp_path / "y.jsonl"))
    assert f"{n} pairs of 20, since many answers are equal" in out


# Curves


@pytest.mark.slow
def test_curve_writes_points_and_a_figure(run_cli: RunCli, model: Path, tmp_path: Path) -> None:
    words = ["reward", "curve", COPY, "--proxy", f"rm:{model}", "--limit", "2", "--samples", "8"]
    code, out, err = run_cli(*words, "--out", "c.json")
    assert (code, err) == (0, "")
    (curve,) = json.loads((tmp_path / "c.json").read_text())["curves"]
    assert curve["n"] == [1, 2, 4, 8]
    assert curve["proxy"] == sorted(curve["proxy"])
    assert (tmp_path / "c.png").is_file()
    assert "proxy" in out


def test_measuring_on_prompts_that_were_learned_from_is_told(
    run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{n}?", "chosen": f"It is {n}.", "rejected": "no"} for n in range(12)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, out, _ = run_cli("reward", "fit", "pairs.jsonl", "--test", "pairs.jsonl", "--out", "rm")
    assert code == 0
    assert "12 prompts of the 12 rows measured on were learned from" in out


def test_malformed_rows_are_refused_or_skipped_and_counted(
    run_cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{n}?", "chosen": f"It is {n}.", "rejected": "no"} for n in range(12)]
    lines = [*map(json.dumps, rows), json.dumps({"prompt": "", "chosen": "a", "rejected": "b"})]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    words = ("reward", "fit", "pairs.jsonl", "--out", "rm")
    code, _, err = run_cli(*words)
    assert (code, "13" in err) == (2, True)
    code, out, _ = run_cli(*words, "--skip-malformed")
    assert code == 0
    assert "12 pairs, 1 malformed left out" in out


@pytest.mark.parametrize("command", ["annotate", "curve"])
def test_a_seed_below_zero_is_refused(
    run_cli: Callable[..., tuple[int, str, str]], command: str
) -> None:
    given = {
        "annotate": ("--env", "lmgym/Preference-v0", "--annotator", "gold", "--out", "a.jsonl"),
        "curve": ("lmgym/Preference-v0", "--proxy", "length"),
    }[command]
    code, _, err = run_cli("reward", command, *given, "--seed", "-1")
    assert (code, "--seed -1 is out of range" in err) == (2, True)
