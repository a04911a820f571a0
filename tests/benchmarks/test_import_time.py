"""The benchmark of the import: it runs, and writes every pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "import_time.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="the source tree is not here")


@pytest.mark.slow
def test_it_prints_the_ratio_and_writes_every_pair(tmp_path: Path) -> None:
    out = tmp_path / "import.json"
    command = [sys.executable, str(SCRIPT), "--repetitions", "1", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert "ratio, in pairs" in done.stdout
    written = json.loads(out.read_text(encoding="utf-8"))
    ((reference, ours),) = written["seconds"]
    assert written["ratio"] == ours / reference
