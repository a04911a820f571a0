"""What Chromium showed, recorded: the pages of this process are the same, in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lmgym
from lmgym.envs.web.backends import DomBackend
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.walks import Walk, play

TRACES = Path(__file__).parent / "traces"
REPLAY = """
import json, sys
from lmgym.envs.web.backends import DomBackend
from lmgym.envs.web.families import make_site
from lmgym.envs.web.walks import Walk, play

for family, seed, is_held_out, commands in json.load(sys.stdin):
    walk = Walk(make_site(family, seed, is_held_out=is_held_out), tuple(commands))
    print(json.dumps([step.tab.digest for step in play(DomBackend(), walk)]))
"""


def recorded(family: str) -> list[dict[str, Any]]:
    walks: list[dict[str, Any]] = json.loads((TRACES / f"{family}.json").read_text("utf-8"))
    return walks


def commands_of(walk: dict[str, Any]) -> list[str]:
    return [step["command"] for step in walk["steps"][1:]]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_was_recorded_with_commands_that_do_something(family: str) -> None:
    steps = [step for walk in recorded(family) for step in walk["steps"]]
    assert len(steps) > 60
    assert len({step["digest"] for step in steps}) > 5
    assert sum(step["error"] != "" for step in steps) < len(steps) / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_pages_are_those_that_chromium_showed(family: str) -> None:
    for walk in recorded(family):
        site = make_site(family, walk["seed"], is_held_out=walk["is_held_out"])
        steps = play(DomBackend(), Walk(site, tuple(commands_of(walk))))
        for step, wanted in zip(steps, walk["steps"], strict=True):
            full = {"text": step.tab.text} if "text" in wanted else {}
            assert {**step.record, **full} == wanted


def test_recorded_commands_lead_to_the_same_states_in_another_process() -> None:
    walks = [walk for family in FAMILIES for walk in recorded(family)]
    told = [[w["family"], w["seed"], w["is_held_out"], commands_of(w)] for w in walks]
    root = str(Path(lmgym.__file__).resolve().parents[1])
    replayed = subprocess.run(
        [sys.executable, "-c", REPLAY],
        input=json.dumps(told),
        env={**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    digests = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert digests == [[step["digest"] for step in walk["steps"]] for walk in walks]
