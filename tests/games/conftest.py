"""What tests of games share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lmgym.registry import WORLDS

GAMES = tuple(spec.id for spec in WORLDS.values() if spec.multi_agent)
"""The ids of all games."""

NAMES = tuple(WORLDS[world].multi_agent.split(".")[-2] for world in GAMES)
"""Their names."""


def module_of(name: str) -> Any:
    """A game's PettingZoo module."""
    return import_module(f"lmgym.envs.{name}.{name}_v0")
