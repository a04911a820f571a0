"""Families of worlds: known by their ids, looked up lazily, one line in lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gymnasium as gym
import pytest

import lmgym  # noqa: F401  (registers the worlds)
from lmgym.cards import HEADINGS, card
from lmgym.envs.miniwob_tasks import worlds
from lmgym.envs.miniwob_tasks.worlds import task_classes
from lmgym.errors import LmgymError
from lmgym.families import MINIWOB
from lmgym.registry import WORLDS, find_world

CLICK_TEST = "lmgym/MiniWoB-click-test-v0"
RunCli = Callable[..., tuple[int, str, str]]


def test_all_tasks_are_known_to_gymnasium_and_none_is_in_the_list_of_worlds() -> None:
    assert len(MINIWOB.members) == 128
    assert all(world in gym.registry for world in MINIWOB.ids)
    assert not set(MINIWOB.ids) & set(WORLDS)


def test_tasks_are_those_that_miniwob_registers() -> None:
    pytest.importorskip("miniwob")
    ids = {world for world in gym.registry if world.startswith("miniwob/")}
    assert ids == {f"miniwob/{member}-v1" for member in MINIWOB.members}


def test_each_task_has_a_class_of_its_own() -> None:
    classes = list(task_classes())
    assert [cls.name for cls in classes] == list(MINIWOB.members)
    assert len(set(classes)) == len(classes)
    assert all(find_world(f"lmgym/MiniWoB-{cls.name}-v0").task_class is cls for cls in classes)


def test_what_is_nondeterministic_says_so() -> None:
    inexact = {cls.name for cls in task_classes() if not cls.is_exact}
    assert inexact == set(MINIWOB.nondeterministic)
    assert gym.spec("lmgym/MiniWoB-flight.AA-v0").nondeterministic
    assert "cannot be promised" in card("lmgym/MiniWoB-flight.AA-v0")
    assert "cannot be promised" not in card(CLICK_TEST)


def test_a_spec_says_what_it_requires() -> None:
    assert find_world(CLICK_TEST).requires == "miniwob"
    assert all(spec.requires == "" for spec in WORLDS.values())


def test_a_task_that_is_misspelled_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(LmgymError, match="known: lmgym/MiniWoB-click-test-v0"):
        find_world("lmgym/MiniWoB-click-tst-v0")


def test_other_unknown_worlds_name_the_family_once() -> None:
    with pytest.raises(LmgymError, match=r"lmgym/MiniWoB-\{\}-v0") as caught:
        find_world("lmgym/Maths-v0")
    assert str(caught.value).count("MiniWoB") == 1


def test_a_module_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="click_tst"):
        worlds.__getattr__("click_tst")


def test_the_card_has_every_heading_and_says_what_is_needed() -> None:
    lines = card(CLICK_TEST).splitlines()
    assert [line[3:] for line in lines if line.startswith("## ")] == list(HEADINGS)
    assert "| Needs | `pip install 'lmgym[miniwob]'` |" in lines


def test_envs_has_one_line_for_all(run_cli: RunCli) -> None:
    out = run_cli("envs")[1]
    assert out.count("lmgym/MiniWoB-<task>-v0") == 1
    assert "one of 128 tasks" in " ".join(out.split())


@pytest.mark.parametrize("words", [("eval", CLICK_TEST, "-h"), ("play", CLICK_TEST, "-h")])
def test_commands_take_a_task_by_its_id(run_cli: RunCli, words: Sequence[str]) -> None:
    code, out, _ = run_cli(*words)
    assert code == 0
    assert "--page-ms" in out
