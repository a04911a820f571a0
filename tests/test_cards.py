"""Cards: every heading, and the facts filled in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lmgym.cards import HEADINGS, card, field_docs
from lmgym.factory import make_task
from lmgym.registry import WORLDS

IDS = [world for world in WORLDS if world.startswith("lmgym/")]
TEXTS = [world for world in IDS if "token" in WORLDS[world].levels]


@dataclass(frozen=True)
class Base:
    """Arguments."""

    first: int = 1
    """One
    two."""
    bare: int = 2
    "Quoted {once}."


@dataclass(frozen=True)
class Derived(Base):
    """More arguments."""

    undocumented: int = 3
    last: int = 4
    """The last."""


@pytest.mark.parametrize("world", IDS)
def test_a_card_has_every_heading_in_order(world: str) -> None:
    lines = card(world).splitlines()
    assert [line[3:] for line in lines if line.startswith("## ")] == list(HEADINGS)
    assert lines[0] == f"# {world}"


@pytest.mark.parametrize("world", IDS)
def test_no_place_is_left_open(world: str) -> None:
    text = card(world)
    assert not any(f"{{{name}}}" in text for name in ("action_space", "arguments", "baselines"))


@pytest.mark.parametrize("world", TEXTS)
def test_a_card_tells_the_spaces(world: str) -> None:
    text = card(world)
    assert "Discrete(262)" in text
    assert "UnicodeText(" in text


@pytest.mark.parametrize("world", TEXTS)
def test_a_card_tells_the_sizes_of_the_task(world: str) -> None:
    task, text = make_task(world), card(world)
    assert f"| Tokens of the context | {task.context}," in text
    assert f"| Tokens the agent may write | {task.max_tokens}," in text
    assert f"| Messages the agent may write | {task.max_turns} |" in text


def test_arguments_are_told_with_default_and_meaning() -> None:
    assert "| `length` | `4` | Letters of the text, 1 to 64. |" in card("lmgym/Copy-v0")


def test_braces_of_a_docstring_stay() -> None:
    assert r"`\boxed{}`" in card("lmgym/Math-v0")


def test_docs_below_fields_are_read_bases_first() -> None:
    assert field_docs(Derived) == {
        "first": "One two.",
        "bare": "Quoted {once}.",
        "last": "The last.",
    }


def test_a_class_without_a_source_has_no_docs() -> None:
    assert field_docs(type("Typed", (), {})) == {}
