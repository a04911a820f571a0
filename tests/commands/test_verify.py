"""`lmgym verify`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lmgym.commands.verify_tables import MEANINGS, MOST_SHOWN
from lmgym.verification.pool import VerifierPool
from lmgym.verification.pool_process import COMMAND
from lmgym.verification.reasons import Reason
from lmgym.verification.verifier import Policy, Verdict, verify

RunCli = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

RIGHT = {"response": r"So it is \boxed{\frac{1}{2}}.", "gold": "0.5"}
WRONG = {"response": "The answer is 7.", "gold": "8"}
HEDGED = {"response": "The answer is 5 or 6.", "gold": "5"}

BAD_MAIN = """
import time
from lmgym.verification.verifier import verify
main(lambda response, *rest: time.sleep(3600) if response == "hang" else verify(response, *rest))
"""
HANGING = (*COMMAND[:3], COMMAND[3].replace("main()", BAD_MAIN), COMMAND[4])
"""Starts a process that hangs where a response says so."""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows, or lines as they are, to rows.jsonl."""

    def written(*rows: Any) -> str:
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return "rows.jsonl"

    return written


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# One pair


def test_a_right_pair_ends_with_0_and_tells_what_was_read(run_cli: RunCli) -> None:
    code, out, err = run_cli("verify", RIGHT["response"], RIGHT["gold"])
    assert (code, err) == (0, "")
    assert all(text in out for text in ("right", "equal", r"\frac{1}{2}", "in a box", "0.5"))


def test_a_wrong_pair_ends_with_1_and_tells_why(run_cli: RunCli) -> None:
    code, out, _ = run_cli("verify", HEDGED["response"], HEDGED["gold"])
    assert code == 1
    assert "wrong" in out
    assert "hedged: several answers where the gold is one" in out


@pytest.mark.parametrize(("response", "gold"), [("-5", "-5"), ("--5", "5"), ("-x+1", "1-x")])
def test_an_answer_may_begin_with_a_minus(run_cli: RunCli, response: str, gold: str) -> None:
    assert run_cli("verify", response, gold)[0] == 0


def test_a_response_without_an_answer_is_wrong(run_cli: RunCli) -> None:
    code, out, _ = run_cli("verify", "", "5")
    assert code == 1
    assert "empty: no answer" in out


def test_a_response_cannot_paint_on_the_terminal(run_cli: RunCli) -> None:
    out = run_cli("verify", "\\boxed{[red]\x1b[31m5[/red]}", "5")[1]
    assert "\x1b" not in out
    assert r"[red]\x1b[31m5[/red]" in out


@pytest.mark.parametrize(
    ("response", "gold", "option"),
    [
        ("5.02", "5", ("--tolerance", "0.01")),
        ("5 kg", "5 m", ("--units", "ignored")),
        ("0.5%", "0.5", ("--percent", "ignored")),
    ],
)
def test_a_policy_is_chosen_by_options(
    run_cli: RunCli, response: str, gold: str, option: tuple[str, ...]
) -> None:
    assert run_cli("verify", response, gold)[0] == 1
    assert run_cli("verify", response, gold, *option)[0] == 0


def test_order_is_asked_for_by_an_option(run_cli: RunCli) -> None:
    pair = ("2, 1", "1, 2")
    assert run_cli("verify", *pair)[0] == 0
    assert run_cli("verify", *pair, "--ordered")[0] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to judge; usage: lmgym verify RESPONSE GOLD"),
        (("5", ""), "gold answer '' is empty"),
        (("5", "6", "7"), "unexpected '7'"),
        (("5", "6", "--limit", "3"), "are for a file of rows"),
        (("5", "6", "--tolerance", "2"), "tolerance=2.0 is out of range"),
        (("5", "6", "--units", "none"), "unknown --units 'none'; known:"),
        (("rows.jsonl",), "no file 'rows.jsonl'"),
    ],
)
def test_bad_input_ends_with_2_and_one_sentence(
    run_cli: RunCli, words: tuple[str, ...], message: str
) -> None:
    code, out, err = run_cli("verify", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ((), "(RESPONSE GOLD | FILE.jsonl)"),
        (("rows.jsonl",), "FILE.jsonl"),
        (("5", "6"), "RESPONSE GOLD"),
    ],
)
def test_the_help_names_what_is_judged(run_cli: RunCli, names: tuple[str, ...], shown: str) -> None:
    code, out, err = run_cli("verify", *names, "--help")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"usage: lmgym verify {shown} [-h]")


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Reason)


# A file of rows


def test_a_file_is_counted_by_reason_with_an_interval(run_cli: RunCli, write: Write) -> None:
    code, out, err = run_cli("verify", write(RIGHT, "", WRONG, HEDGED, RIGHT))
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines() if "%" in line}
    assert rows["equal_exact"] == ["2", "50.0%"]
    assert rows["not_equal"] == ["1", "25.0%"]
    assert rows["hedged"] == ["1", "25.0%"]
    assert "accuracy   50.0%, 95 % interval 15.0% to 85.0% (2 of 4)" in out
    assert "labelled" not in out


def test_labels_are_compared_with_the_verdicts(run_cli: RunCli, write: Write) -> None:
    labelled: Any = ((RIGHT, True), (RIGHT, "wrong"), (WRONG, 1), (WRONG, 0.0))
    rows = [row | {"label": label} for row, label in labelled]
    out = run_cli("verify", write(*rows))[1]
    table = [line.split() for line in out.splitlines() if line.strip().startswith("labelled")]
    assert table == [["labelled", "right", "1", "1"], ["labelled", "wrong", "1", "1"]]
    assert "agreement  50.0%" in out
    assert "2 disagreements" in out


def test_disagreements_are_listed_by_line_the_first_of_them(run_cli: RunCli, write: Write) -> None:
    n = MOST_SHOWN + 5
    out = run_cli("verify", write(*[WRONG | {"is_right": True}] * n), "--label", "is_right")[1]
    assert f"{n} disagreements, the first {MOST_SHOWN} of them" in out
    listed = [line.split()[0] for line in out.splitlines() if "not_equal   7" in line]
    assert listed == [str(line) for line in range(1, MOST_SHOWN + 1)]


def test_every_row_is_written_with_its_verdict(
    run_cli: RunCli, write: Write, tmp_path: Path
) -> None:
    rows = [RIGHT | {"label": True, "id": "ä"}, WRONG | {"label": True, "id": 2}]
    code, out, _ = run_cli("verify", write(*rows), "--out", "deep/judged.jsonl")
    assert code == 0
    assert "written to deep/judged.jsonl" in out
    written = read(tmp_path / "deep" / "judged.jsonl")
    assert [{k: v for k, v in row.items() if k != "lmgym"} for row in written] == rows
    assert written[1]["lmgym"] == {
        "line": 2,
        "correct": False,
        "reason": "not_equal",
        "extracted": "7",
        "method": "marker",
        "agrees": False,
    }
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["judged.jsonl"]


def test_the_written_file_can_be_judged_again(
    run_cli: RunCli, write: Write, tmp_path: Path
) -> None:
    run_cli("verify", write(RIGHT, WRONG), "--out", "a.jsonl")
    run_cli("verify", "a.jsonl", "--out", "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_half_a_surrogate_pair_is_written_as_it_was_read(
    run_cli: RunCli, write: Write, tmp_path: Path
) -> None:
    line = r'{"response": "\ud800 so \\boxed{5}", "gold": 5}'
    code, _, err = run_cli("verify", write(line), "--out", "o.jsonl")
    assert (code, err) == (0, "")
    assert read(tmp_path / "o.jsonl")[0]["response"] == "\ud800 so \\boxed{5}"


def test_columns_are_named_and_golds_may_be_numbers(run_cli: RunCli, write: Write) -> None:
    rows = [{"completion": "It is 0.5.", "answer": 0.5}, {"completion": "It is 3.", "answer": 3}]
    out = run_cli("verify", write(*rows), "--response", "completion", "--gold", "answer")[1]
    assert "accuracy   100.0%" in out


def test_a_limit_leaves_the_rest_unread(run_cli: RunCli, write: Write) -> None:
    code, out, _ = run_cli("verify", write(RIGHT, WRONG, "no JSON"), "--limit", "2")
    assert code == 0
    assert "(1 of 2)" in out


@pytest.mark.parametrize("workers", ["1", "2"])
def test_rows_keep_their_order_and_verdicts_over_many_batches(
    run_cli: RunCli, write: Write, tmp_path: Path, workers: str
) -> None:
    rows = [{"response": f"It is {n}.", "gold": str(n - n % 2)} for n in range(1100)]
    options = ("--workers", workers, "--tolerance", "0.01", "--out", "o.jsonl")
    assert run_cli("verify", write(*rows), *options)[0] == 0
    told = [row["lmgym"] for row in read(tmp_path / "o.jsonl")]
    verdicts = [verify(row["response"], row["gold"], Policy(0.01)) for row in rows]
    assert [(each["extracted"], each["reason"]) for each in told] == [
        (verdict.extracted, verdict.reason) for verdict in verdicts
    ]


def test_a_row_that_takes_too_long_times_out_and_the_others_are_judged(
    run_cli: RunCli, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = partial(VerifierPool, command=HANGING)
    monkeypatch.setattr("lmgym.commands.verify.VerifierPool", pool)
    rows = write(RIGHT, {"response": "hang", "gold": "5"}, WRONG)
    code, out, _ = run_cli("verify", rows, "--time-limit", "2")
    assert code == 0
    assert {"equal_exact", "not_equal", "timeout"} <= set(out.split())
    assert "(1 of 3)" in out


def test_a_line_separator_in_a_response_ends_no_line(run_cli: RunCli, write: Write) -> None:
    row = '{"response": "so\u2028it is 5", "gold": "5"}'
    assert "(1 of 1)" in run_cli("verify", write(row))[1]


def test_labels_can_be_left_out(run_cli: RunCli, write: Write) -> None:
    rows = write(RIGHT | {"label": "algebra"})
    code, _, err = run_cli("verify", rows)
    assert code == 2
    assert "line 1 of 'rows.jsonl' has 'algebra' in the column 'label'; a label is one of" in err
    assert run_cli("verify", rows, "--label", "none")[0] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 of 'rows.jsonl' is not JSON"),
        ("[" * 100_000, "line 2 of 'rows.jsonl' is nested too deeply"),
        ('{"gold": ' + "1" * 5_000 + "}", "line 2 of 'rows.jsonl' is not JSON"),
        ("[1, 2]", "line 2 of 'rows.jsonl' is a list, not an object"),
        ({"text": "5", "gold": "5"}, "no column 'response'; it has text, gold. Name the right"),
        ({"response": "5"}, "no column 'gold'; it has response. Name the right one with --gold"),
        ({}, "no column 'response'; it has none"),
        ({"response": None, "gold": "5"}, "has None in the column 'response'; it must be a text"),
        ({"response": "5", "gold": True}, "has True in the column 'gold'"),
        ('{"response": "5", "gold": NaN}', "has nan in the column 'gold'"),
        ({"response": "5", "gold": " "}, "line 2 of 'rows.jsonl': the gold answer ' ' is empty"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_number(
    run_cli: RunCli, write: Write, tmp_path: Path, line: Any, message: str
) -> None:
    code, out, err = run_cli("verify", write(RIGHT, line), "--out", "o.jsonl")
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "o.jsonl").exists()


def test_what_is_no_text_is_told_with_its_line(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(json.dumps(RIGHT).encode() + b"\n\xff\xfe\n")
    code, _, err = run_cli("verify", "rows.jsonl")
    assert code == 2
    assert "line 2 of 'rows.jsonl' is not JSON: 'utf-8' codec" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--limit", "0"), "--limit 0 is out of range"),
        (("--workers", "0"), "--workers 0 is out of range"),
        (("--time-limit", "0"), "--time-limit 0.0 is out of range; give seconds"),
        (("--time-limit", "nan"), "--time-limit nan is out of range"),
        (("--time-limit", "1e9"), "at most 86,400"),
        (("--out", "o.csv"), "does not name a .jsonl file"),
        (("--out", "rows.jsonl"), "is the file that is read; name another"),
        (("--label", "is_right"), "no column 'is_right'; it has response, gold."),
    ],
)
def test_a_bad_option_is_told_before_the_work(
    run_cli: RunCli, write: Write, words: tuple[str, ...], message: str
) -> None:
    code, out, err = run_cli("verify", write(RIGHT), *words)
    assert (code, out) == (2, "")
    assert message in err


def test_an_empty_file_is_an_error(run_cli: RunCli, write: Write) -> None:
    code, _, err = run_cli("verify", write(""))
    assert code == 2
    assert "'rows.jsonl' has no rows" in err


def test_a_broken_run_leaves_the_file_of_before(
    run_cli: RunCli, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "o.jsonl").write_text("before")

    def interrupted(*words: Any) -> list[Verdict]:
        raise KeyboardInterrupt

    monkeypatch.setattr(VerifierPool, "verify_batch", interrupted)
    assert run_cli("verify", write(RIGHT), "--out", "o.jsonl")[0] == 130
    assert (tmp_path / "o.jsonl").read_text() == "before"
