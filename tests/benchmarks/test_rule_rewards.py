"""The benchmark of rule rewards, over a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError


def test_it_says_what_each_rule_adds(
    script: Callable[[str], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rules.json"
    module = script("rule_rewards")
    code = module.main(["--rows", "4", "--steps", "8", "--repetitions", "1", "--out", str(out)])
    assert code in (0, 1)
    assert "level message" in capsys.readouterr().out
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["token_microseconds"].keys() == {"none", *module.RULES}
    barred = [claim for claim in written["claims"] if claim["bar"]]
    assert len(barred) == len(module.RULES)
    assert {claim["bar"] for claim in barred} == {"≤ 5 µs"}


def test_no_rows_are_told(script: Callable[[str], Any]) -> None:
    with pytest.raises(LmgymError, match="--rows and --steps count, and must be 1 or more"):
        script("rule_rewards").main(["--rows", "0"])
