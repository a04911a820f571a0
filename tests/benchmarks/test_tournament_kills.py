"""Tournaments that are killed: the benchmark, made small."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Script = Callable[[str], Any]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_tournament_goes_on_and_leaves_no_processes(
    script: Script, tmp_path: Path
) -> None:
    out = tmp_path / "kills.json"
    small = ["--kills", "2", "--games", "200", "--longest", "0.2", "--rounds", "3"]
    assert script("tournament_kills").main([*small, "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    assert [claim["is_met"] for claim in told["claims"]] == [True] * 5
    assert [kill["left"] for kill in told["kills"]] == [0, 0]
    assert 0 < told["kills"][0]["matches"] < told["matches"] == 3 * 2 * 200
