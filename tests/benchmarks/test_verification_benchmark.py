"""The benchmark of the verifier, beside one that compares texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


@pytest.fixture
def bench(script: Script, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, without data and with a verifier that looks for the gold in the text."""
    module = script("verification")
    monkeypatch.delenv("LMGYM_DATA", raising=False)
    monkeypatch.setattr(
        module, "_math_verify", lambda: (lambda pair: pair.gold in pair.response, lambda: None)
    )
    return module


def test_both_sides_are_timed_and_compared(bench: Any, tmp_path: Path) -> None:
    out = tmp_path / "verification.json"
    words = ["--integers", "8", "--repetitions", "2", "--out", str(out)]
    assert bench.main(words) in (0, 1)
    written = json.loads(out.read_text(encoding="utf-8"))
    claims = {claim["what"]: claim for claim in written["claims"]}
    assert len(claims) == 18
    assert len(claims["integers: CPU, math-verify / ours"]["values"]) == 2
    assert claims["hard LaTeX: ours, 99th percentile"]["bar"] == "≤ 5 ms"
    assert claims["integers: ours agrees with the label"]["median"] == 100
    assert written["differ"]["hard LaTeX"]


def test_nothing_is_remembered_from_one_repetition_to_the_next(bench: Any) -> None:
    from lmgym.verification.verifier import read_gold

    read_gold("12")
    assert read_gold.cache_info().currsize
    bench._forget_ours()
    assert not read_gold.cache_info().currsize


def test_integer_golds_are_different_and_every_fourth_answer_is_wrong(bench: Any) -> None:
    pairs = bench.integer_pairs(20, seed=1)
    assert len({pair.gold for pair in pairs}) == 20
    assert [pair.is_right for pair in pairs] == [True, True, True, False] * 5
    assert pairs == bench.integer_pairs(20, seed=1)


def test_worked_solutions_of_gsm8k_are_used_where_they_are(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gsm8k").mkdir()
    rows = [{"answer": "It is 2/2=<<2/2=1>>1.\n#### 1"}, {"answer": "No.\n#### 1,000"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "gsm8k" / "test.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.setenv("LMGYM_DATA", str(tmp_path))
    (pair,) = bench.integer_pairs(9, seed=0)
    assert (pair.response, pair.gold) == ("It is 2/2=1.\nThe answer is 1.", "1")


def test_the_hard_pairs_are_many_and_of_both_kinds(bench: Any) -> None:
    assert len({(pair.response, pair.gold) for pair in bench.HARD}) == len(bench.HARD) >= 64
    assert 15 <= sum(not pair.is_right for pair in bench.HARD) <= 40


def test_a_missing_math_verify_is_told_with_how_to_install_it(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("verification")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LmgymError, match=r"pip install --no-deps .* math-verify==0\.9\.0"):
        module.main(["--integers", "4"])
