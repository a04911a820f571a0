"""Episodes told again: what they reached is what they were asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.envs.web.episodes import WebState
from lmgym.envs.web.families import FAMILIES
from lmgym.envs.web.instructions import read_instruction
from lmgym.envs.web.problems import split_of_changes
from lmgym.envs.web.task import WebTask
from lmgym.envs.web.walks import random_command
from lmgym.factory import make_task
from lmgym.hindsight import (
    Demonstration,
    Journey,
    Strategy,
    erase_loops,
    journey_of,
    relabel,
    shorten,
)
from lmgym.rendering import ByteRenderer
from lmgym.rollouts import Collector
from lmgym.task import Verdict
from lmgym.training.retelling import DemonstrationBuffer, explore, written

FAMILY = pytest.mark.parametrize("family", FAMILIES)
STRATEGIES: tuple[Strategy, ...] = ("next", "later", "final")
RNG = np.random.default_rng
WebJourney = Journey[WebState]
PLACES = st.lists(st.sampled_from("abcde"), min_size=1, max_size=14)


def web(family: str = "forms", **arguments: Any) -> WebTask:
    task = make_task("lmgym/Web-v0", family=family, **arguments)
    assert isinstance(task, WebTask)
    return task


def explored(task: WebTask, n: int, seed: int = 0) -> list[WebJourney]:
    return explore(task, RNG(seed), n)


def babbled(task: WebTask, n: int, n_steps: int = 25) -> Iterator[WebJourney]:
    """Episodes of any commands, going back and nonsense among them."""
    rng = RNG(7)
    for _ in range(n):
        states, texts = [task.reset(rng).state], list[str]()
        for _ in range(n_steps):
            texts.append(str(random_command(states[-1].tab, rng)))
            reply = task.reply(states[-1], texts[-1], rng)
            states.append(reply.state)
            if reply.verdict is not None:
                break
        yield Journey(states, texts)


def solved(task: WebTask, seed: int) -> WebJourney:
    states, texts, verdict = [task.reset(RNG(seed)).state], list[str](), None
    while verdict is None:
        texts.append(task.demonstrate(states[-1]) or "")
        reply = task.reply(states[-1], texts[-1], RNG(0))
        states.append(reply.state)
        verdict = reply.verdict
    return Journey(states, texts)


def stretches(
    task: WebTask, journey: WebJourney, strategy: Strategy
) -> Iterator[list[Demonstration]]:
    """The demonstrations of each stretch: one begins where nothing has been done yet."""
    current: list[Demonstration] = []
    for example in relabel(task, journey, RNG(0), strategy=strategy):
        if "\nDone: nothing yet." in example.messages[-1].content and _is_first(example, current):
            if current:
                yield current
            current = []
        current.append(example)
    if current:
        yield current


def _is_first(example: Demonstration, current: list[Demonstration]) -> bool:
    def instruction(one: Demonstration) -> str:
        return one.messages[-1].content.split("\n")[0]

    seen = {e.messages for e in current}
    return not current or instruction(example) != instruction(current[0]) or (
        example.messages in seen
    )  # fmt: skip


# ways


@given(PLACES)
def test_a_way_without_loops_visits_no_place_twice_from_start_to_end(places: list[str]) -> None:
    kept = erase_loops(places)
    visited = [places[i] for i in kept]
    assert len(set(visited)) == len(visited)
    assert (visited[0], visited[-1]) == (places[0], places[-1])
    assert kept == sorted(kept)


@given(PLACES)
def test_each_kept_step_was_made_from_the_place_before(places: list[str]) -> None:
    kept = erase_loops(places)
    for before, after in zip(kept, kept[1:], strict=False):
        assert places[after - 1] == places[before]


def test_a_way_without_loops_is_kept() -> None:
    assert erase_loops("abcd") == [0, 1, 2, 3]


class Counter:
    """A world of a number: "+1" and the like change it, "back" undoes the last change."""

    replies_draw = False

    def reply(self, state: tuple[int, ...], text: str, rng: np.random.Generator) -> Any:
        del rng
        if text == "back":
            state = state[:-1] or state
        elif text:
            state = (*state, state[-1] + int(text))
        return type("Reply", (), {"state": state})()

    def achievement(self, state: tuple[int, ...]) -> Hashable:
        return state[-1]

    def place(self, state: tuple[int, ...]) -> Hashable:
        return state[-1]  # without what "back" leads to


def walked(texts: Sequence[str]) -> Journey[tuple[int, ...]]:
    task, states = Counter(), [(0,)]
    for text in texts:
        states.append(task.reply(states[-1], text, RNG(0)).state)
    return Journey(states, texts)


@given(st.lists(st.sampled_from(["1", "-1", "2", "", "back"]), min_size=1, max_size=12))
def test_a_shortened_way_reaches_the_same_at_its_last_step(texts: list[str]) -> None:
    journey = walked(texts)
    goal = journey.states[-1][-1]
    if goal == 0:
        return
    task: Any = Counter()
    short = shorten(task, journey)
    again = walked(short.texts)
    assert again.states == list(short.states)
    assert [state[-1] for state in again.states].index(goal) == len(short.texts)
    for left_out in range(len(short.texts)):
        fewer = walked([*short.texts[:left_out], *short.texts[left_out + 1 :]])
        assert len(short.texts) == 1 or fewer.states[-1][-1] != goal


def test_steps_in_vain_are_left_out() -> None:
    task: Any = Counter()
    assert list(shorten(task, walked(["", "1", "-1", "1", "", "2"])).texts) == ["1", "2"]


def test_going_back_is_kept_where_it_is_needed() -> None:
    task: Any = Counter()
    journey = walked(["2", "1", "-1", "1", "back", "back"])
    short = shorten(task, journey)
    assert walked(short.texts).states[-1][-1] == journey.states[-1][-1]


# labels


@FAMILY
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_label_is_exact(family: str, strategy: Strategy) -> None:
    """Each stretch, told again, is played again: it reaches its goal with its last step alone."""
    task = web(family, difficulty=3)
    n_checked = 0
    for journey in (*explored(task, 6), *babbled(task, 6)):
        for stretch in stretches(task, journey, strategy):
            check_stretch(task, journey, stretch)
            n_checked += 1
    assert n_checked > 3


def check_stretch(task: WebTask, journey: WebJourney, stretch: list[Demonstration]) -> None:
    first = stretch[0].messages[-1].content
    instruction = first.split("\n")[0].removeprefix("Task: ")
    (state,) = {s.tab: s for s in journey.states if first.endswith(f"nothing yet.\n{s.tab.text}")
                and _fits(s, instruction)}.values() or (None,)  # fmt: skip
    assert state is not None
    goal = read_instruction(state.tab.site, state.facts, instruction)
    tab = state.tab
    for example in stretch:
        assert tab.site.facts(tab.state) != goal
        assert example.messages[-1].content.endswith(tab.text)
        tab = task.reply(state.after(tab), example.text, RNG(0)).state.tab
    assert tab.site.facts(tab.state) == goal
    changes = [i for i, (a, b) in enumerate(zip(state.facts, goal, strict=True)) if a != b]
    assert 1 <= len(changes) <= task.args.difficulty
    assert split_of_changes(task.args.family, changes) == "train"


def _fits(state: WebState, instruction: str) -> bool:
    try:
        read_instruction(state.tab.site, state.facts, instruction)
    except ValueError:
        return False
    return True
