"""The table of results in the documentation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]

RECORD = {
    "machine": {"cpu": "A processor", "cores": 2},
    "versions": {"numpy": "2.4", "numba": None},
    "claims": [
        {"what": "N = 64", "figure": "12 x", "bar": "at least 10 x", "is_met": True},
        {"what": "N = 256", "figure": "12 x", "bar": "at least 25 x", "is_met": False},
        {"what": "whole", "figure": "3 x", "bar": "", "is_met": True},
    ],
}


def test_the_page_shows_the_results_that_are_there(script: Script) -> None:
    assert script("report").main(["--check"]) == 0


def test_it_writes_each_claim_beside_its_bar(script: Script, tmp_path: Path) -> None:
    report = script("report")
    (tmp_path / "vector_kernel.json").write_text(json.dumps(RECORD))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "of_theirs.json").write_text(json.dumps(RECORD))
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{report.START}old\n{report.END}After.\n")
    words = ["--results", str(tmp_path), "--page", str(page)]
    assert report.main([*words, "--check"]) == 1
    assert report.main(words) == 0
    assert report.main([*words, "--check"]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "lmgym bench vector-kernel --out benchmarks/results/vector_kernel.json" in text
    assert "### claims/of-theirs" in text
    assert "A processor, 2 cores; numpy 2.4." in text
    assert "| N = 64 | 12 x | at least 10 x | met |" in text
    assert "| N = 256 | 12 x | at least 25 x | **missed** |" in text
    assert "| whole | 3 x |  |  |" in text


def test_a_page_without_a_place_is_a_clear_error(script: Script, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Nothing.")
    with pytest.raises(LmgymError, match="the page has no place for results"):
        script("report").main(["--results", str(tmp_path), "--page", str(page)])
