"""`lmgym bench`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lmgym

RunCli = Callable[..., tuple[int, str, str]]


def test_bench_lists_the_scripts_with_their_first_line(run_cli: RunCli) -> None:
    code, out, _ = run_cli("bench")
    assert code == 0
    assert "main-job" in out
    assert "The main job over seeds" in out


def test_bench_runs_the_script_with_the_words_after_its_name(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lmgym, "__file__", str(tmp_path / "lib" / "lmgym" / "__init__.py"))
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "benchmarks" / "no_script.py").write_text("CODE = 3\n")
    (tmp_path / "benchmarks" / "of_mine.py").write_text(
        '"""Mine."""\n\nfrom no_script import CODE\n\n\n'
        'def main(argv):\n    print("given", *argv)\n    return CODE\n'
    )
    assert run_cli("bench", "of-mine", "--a", "b") == (3, "given --a b\n", "")
    assert "no-script" not in run_cli("bench")[1]


def test_bench_finds_the_scripts_that_test_claims(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lmgym, "__file__", str(tmp_path / "lib" / "lmgym" / "__init__.py"))
    claims = tmp_path / "benchmarks" / "claims"
    claims.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "benchmarks" / "what_is_shared.py").write_text("CODE = 4\n")
    (claims / "of_theirs.py").write_text(
        '"""Theirs."""\n\nfrom what_is_shared import CODE\n\n\n'
        'def main(argv):\n    print("given", *argv)\n    return CODE\n'
    )
    assert "claims/of-theirs" in run_cli("bench")[1]
    assert run_cli("bench", "claims/of-theirs", "--a") == (4, "given --a\n", "")


def test_bench_says_where_benchmarks_live_when_there_are_none(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lmgym, "__file__", str(tmp_path / "lib" / "lmgym" / "__init__.py"))
    code, _, err = run_cli("bench")
    assert code == 2
    assert "they come with the source tree" in err
