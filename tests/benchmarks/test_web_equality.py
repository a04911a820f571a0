"""The claim about equal back ends: what differs is told, and fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmgym.envs.web.backends import DomBackend
from lmgym.envs.web.browsing import Tab
from lmgym.envs.web.commands import Command
from lmgym.errors import LmgymError

Script = Callable[[str], Any]


class Stand(DomBackend):
    """Stands in for a browser."""

    def started(self) -> Any:
        return SimpleNamespace(version="1", run=lambda act: act())


class Forgetful(Stand):
    """A browser without a history."""

    def execute(self, tab: Tab, command: Command) -> Tab:
        return replace(super().execute(tab, command), back=())


def equality(script: Script, monkeypatch: pytest.MonkeyPatch, backend: type[Stand]) -> Any:
    module = script("claims.web_equality")
    monkeypatch.setattr(module, "ChromiumBackend", backend)
    monkeypatch.setattr(module, "_compare_controls", lambda found, chromium, step: None)
    return module


def test_equal_back_ends_pass_and_what_was_compared_is_written(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = equality(script, monkeypatch, Stand)
    out = tmp_path / "out.json"
    assert module.main(["--seeds", "1", "--commands", "3", "--out", str(out)]) == 0
    families = json.loads(out.read_text())["families"]
    assert all(counts["steps"] > 5 and counts["restored"] for counts in families.values())


def test_a_browser_that_differs_fails_with_what_differs(
    script: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = equality(script, monkeypatch, Forgetful)
    assert module.main(["--seeds", "1", "--commands", "3"]) == 1
    assert "back: (" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["claims.web_equality", "claims.web_browsergym"])
def test_there_is_something_to_compare(script: Script, name: str) -> None:
    with pytest.raises(LmgymError, match="1 or more"):
        script(name).main(["--changes", "0"])


def test_recorded_walks_are_json_with_a_line_for_each_step(script: Script) -> None:
    walks = [{"family": "x", "steps": [{"command": ""}, {"command": "noop()"}]}]
    written = script("record_web_traces")._written(walks)
    assert json.loads(written) == walks
    assert len(written.splitlines()) == 6
