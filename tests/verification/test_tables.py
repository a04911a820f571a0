"""Answers by several authors, right ones and near misses; what may be written to cheat or to hang.

`tables/ordinary.jsonl` and `tables/adversarial.jsonl` hold a response, a gold, whether it is right,
and why. A long response is told as parts, each a text and how often it stands there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lmgym
from lmgym.verification import verify

TABLES = Path(__file__).parent / "tables"


def rows_of(name: str) -> list[dict[str, Any]]:
    lines = (TABLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ORDINARY, ADVERSARIAL = rows_of("ordinary"), rows_of("adversarial")


def response_of(row: dict[str, Any]) -> str:
    if "response" in row:
        return str(row["response"])
    return "".join(text * times for text, times in row["parts"])


def wrong_in(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The rows that are judged other than they are labelled."""
    pairs = [(row, verify(response_of(row), row["gold"]).correct) for row in rows]
    return [
        (response_of(row)[-200:], row["gold"], row["why"])
        for row, correct in pairs
        if correct != row["correct"]
    ]


@pytest.mark.parametrize("category", sorted({row["category"] for row in ORDINARY}))
def test_every_row_of_the_table_is_judged_right(category: str) -> None:
    rows = [row for row in ORDINARY if row["category"] == category]
    assert wrong_in(rows) == []


@pytest.mark.parametrize("category", sorted({row["category"] for row in ADVERSARIAL}))
def test_what_is_written_to_cheat_or_to_hang_is_judged_right(category: str) -> None:
    rows = [row for row in ADVERSARIAL if row["category"] == category]
    assert wrong_in(rows) == []


def test_no_row_stands_twice_and_both_kinds_are_many() -> None:
    pairs = [(row["response"], row["gold"]) for row in ORDINARY]
    assert len(set(pairs)) == len(pairs) >= 2600
    assert 0.4 < sum(row["correct"] for row in ORDINARY) / len(ORDINARY) < 0.7


AUDITED = """
import json, sys
sys.path.insert(0, {root!r})
from lmgym.verification import verify
verify("sqrt(2)*sin(x)", "cos(x)")  # loads what is loaded lazily
rows = [json.loads(line) for line in open({file!r}, encoding="utf-8")]
seen = []
def watch(event, args):
    kinds = ("exec", "compile", "open", "os", "subprocess", "import", "socket", "ctypes")
    if event.split(".")[0] in kinds:
        seen.append((event, str(args)[:200]))
sys.addaudithook(watch)
for row in rows:
    verify(row.get("response") or "".join(t * n for t, n in row["parts"]), row["gold"])
n_seen = list(seen)
exec("1")  # the hook works
print(json.dumps([n_seen, len(seen) > len(n_seen), len(rows)]))
"""


def test_nothing_is_executed_compiled_opened_or_imported_while_answers_are_judged() -> None:
    root = str(Path(lmgym.__file__).resolve().parents[1])
    code = AUDITED.format(root=root, file=str(TABLES / "adversarial.jsonl"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seen, hook_works, n = json.loads(done.stdout)
    assert seen == []
    assert hook_works
    assert n == len(ADVERSARIAL)
