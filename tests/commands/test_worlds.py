"""`lmgym envs` and `lmgym card`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lmgym.registry import WORLDS

RunCli = Callable[..., tuple[int, str, str]]


def test_envs_lists_every_world_with_levels_and_arguments(run_cli: RunCli) -> None:
    code, out, _ = run_cli("envs")
    assert code == 0
    assert all(spec.id in out and spec.summary in out for spec in WORLDS.values())
    assert all(text in out for text in ("message", "difficulty=2", "problem_seed=0", "max_turns"))


@pytest.mark.parametrize("world", WORLDS)
def test_card_prints_markdown_where_there_is_no_terminal(run_cli: RunCli, world: str) -> None:
    code, out, _ = run_cli("card", world)
    assert code == 0
    assert out.startswith(f"# {world}\n")
    assert "## Reward" in out
