"""Programs to be run as agents."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmgym.leaderboards.processes import Limits, ProcessAgent, sandbox_problem

SPEAKS = """
import json, os, sys

def say(answer):
    print(json.dumps(answer), flush=True)

def act(text):
    say({"type": "action", "action": text})

def asked():
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "hello":
            say({"type": "ready"})
        elif message["type"] == "act":
            yield message
"""
"""What the programs below have in common."""

MakeAgent = Callable[..., ProcessAgent]


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[MakeAgent]:
    """Makes a folder with a program, and an agent of it, which is closed after the test."""
    made: list[ProcessAgent] = []

    def make(
        code: str, *, trusted: bool = True, has_packages: bool = False, **limits: Any
    ) -> ProcessAgent:
        folder = tmp_path / f"agent-{len(made)}"
        folder.mkdir(exist_ok=True)
        (folder / "agent.py").write_text(SPEAKS + textwrap.dedent(code))
        given = Limits(**{"move_seconds": 20.0, **limits})
        command = ["python", "agent.py"] if has_packages else ["python", "-S", "agent.py"]
        agent = ProcessAgent(command, folder, limits=given, trusted=trusted)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.close()


@pytest.fixture
def make_sandboxed(make_agent: MakeAgent) -> MakeAgent:
    """The same in the sandbox, where there is one."""
    if sandbox_problem():
        pytest.skip(sandbox_problem())

    def make(code: str, **words: Any) -> ProcessAgent:
        return make_agent(code, trusted=False, **words)

    return make


@pytest.fixture
def ask() -> Callable[..., int | str]:
    """Asks an agent once, in a new game."""

    def ask_once(agent: ProcessAgent, legal: list[str] | None = None, page: str = "?") -> int | str:
        if not agent.is_started:
            agent.start("track", "env")
        agent.reset(0, seat=0, seed=0)
        return agent.act([{"role": "user", "content": page}], legal)

    return ask_once
