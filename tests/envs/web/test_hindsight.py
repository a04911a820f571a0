"""Episodes told again: what they reached is what they were asked for."""

from __future__ import annotations

import collections
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.web.episodes import WebState
from lmgym.envs.web.families import FAMILIES
from lmgym.envs.web.instructions import read_instruction
from lmgym.envs.web.problems import split_of_changes
from lmgym.envs.web.task import WebTask
from lmgym.envs.web.walks import random_command
from lmgym.factory import make_episode, make_task
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


def solved(task: WebTask, seed: int, task_id: str | None = None) -> WebJourney:
    states, texts, verdict = [task.reset(RNG(seed), task_id=task_id).state], list[str](), None
    while verdict is None:
        texts.append(task.demonstrate(states[-1]) or "")
        reply = task.reply(states[-1], texts[-1], RNG(0))
        states.append(reply.state)
        verdict = reply.verdict
    return Journey(states, texts)


class Told(NamedTuple):
    """A stretch as it was told: the states, what was reached, and what it demonstrates."""

    states: Sequence[WebState]
    goal: WebState
    examples: list[Demonstration]

    @property
    def instruction(self) -> str:
        return self.examples[0].messages[-1].content.split("\n")[0].removeprefix("Task: ")


def stretches(task: WebTask, journey: WebJourney, strategy: Strategy) -> list[Told]:
    """What relabelling asks the world to tell again, and what comes of it."""
    calls: list[tuple[Sequence[WebState], WebState]] = []
    retell = task.retell

    def recorded(states: Sequence[WebState], goal: WebState, rng: np.random.Generator) -> Any:
        messages = retell(states, goal, rng)
        if messages is not None:
            calls.append((states, goal))
        return messages

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "retell", recorded)
        examples = iter(list(relabel(task, journey, RNG(0), strategy=strategy)))
    told = calls[1::2]  # each stretch is first asked whether it can be told
    found = [Told(states, goal, list(islice(examples, len(states)))) for states, goal in told]
    assert next(examples, None) is None
    return found


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
    for before, after in pairwise(kept):
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
        for told in stretches(task, journey, strategy):
            check_stretch(task, told)
            n_checked += 1
    assert n_checked


def check_stretch(task: WebTask, told: Told) -> None:
    first = told.states[0]
    start, goal = first.facts, told.goal.facts
    assert read_instruction(first.tab.site, start, told.instruction) == goal
    state = replace(first, target=told.goal.tab.state)
    verdicts = []
    for example in told.examples:
        assert example.messages[-1].content.endswith(f".\n{state.tab.text}")
        reply = task.reply(state, example.text, RNG(0))
        assert reply.info["last_action_error"] == ""
        state = reply.state
        verdicts.append(reply.verdict)
    assert verdicts == [None] * (len(verdicts) - 1) + [Verdict.CORRECT]
    changes = [i for i, (a, b) in enumerate(zip(start, goal, strict=True)) if a != b]
    assert 1 <= len(changes) <= task.args.difficulty
    assert split_of_changes(task.args.family, changes) == "train"


def test_stretches_of_one_change_are_among_those_that_span_more() -> None:
    task = web("mail")
    for journey in explored(task, 4):
        one, more = (stretches(task, journey, strategy) for strategy in ("next", "later"))
        assert {told.states[0].tab for told in one} <= {told.states[0].tab for told in more}
        assert len(one) <= len(more)


def test_a_solved_episode_demonstrates_the_shortest_way() -> None:
    task = web("shop")
    for seed in range(5):
        journey = solved(task, seed)
        (told,) = stretches(task, journey, "final")[:1]
        assert [example.text for example in told.examples] == list(journey.texts)


def test_nothing_is_demonstrated_where_nothing_changed() -> None:
    task = web()
    state = task.reset(RNG(0)).state
    assert not list(relabel(task, Journey([state], []), RNG(0)))
    noop = task.reply(state, "noop()", RNG(0)).state
    assert not list(relabel(task, Journey([state, noop], ["noop()"]), RNG(0)))


def test_a_change_that_no_goal_can_ask_for_is_not_told_as_another() -> None:
    task = web()
    state = task.reset(RNG(0)).state
    site = state.tab.site
    box, save = site.commands[4].target, site.command_texts[3]
    language = site.commands[8 + (state.facts[1] + 1) % 4]
    texts = [f"fill({box}, 'Zoe')", save, f"fill({box}, 'Zed')", str(language), save]
    states = [state]
    for text in texts:
        states.append(task.reply(states[-1], text, RNG(0)).state)
    assert states[-1].facts[0] == states[2].facts[0] == site.sizes[0]
    assert states[-1].facts[1] != states[2].facts[1]
    assert not list(stretches(task, Journey(states, texts), "later"))


def test_held_out_pairs_are_never_told() -> None:
    task = web("forms", difficulty=2, max_turns=60)
    asked: set[tuple[int, ...]] = set()
    for journey in explored(task, 16):
        for told in stretches(task, journey, "later"):
            start, goal = told.states[0].facts, told.goal.facts
            pairs = enumerate(zip(start, goal, strict=True))
            asked.add(tuple(i for i, (a, b) in pairs if a != b))
    assert {split_of_changes("forms", facts) for facts in asked} == {"train"}
    assert any(len(facts) == 2 for facts in asked)


# buffers


def test_a_buffer_keeps_each_example_once() -> None:
    task, journeys = web(), explored(web(), 5)
    buffer = DemonstrationBuffer(task, ByteRenderer(), "later")
    n_new = buffer.add(journeys, RNG(0))
    assert n_new == len(buffer) > 5
    assert (
        len({(example.messages, example.segments[0].ids) for example in buffer.examples}) == n_new
    )
    assert buffer.add(journeys, RNG(0)) == 0
    assert len(buffer.sample(RNG(0), 7)) == 7


def test_rare_kinds_of_goals_are_drawn_more_often_than_they_were_reached() -> None:
    task = web(sites=1)
    buffer = DemonstrationBuffer(task, ByteRenderer(), "later")
    buffer.add(explored(task, 60), RNG(0))
    reached = collections.Counter(kind for kind, places in buffer._kinds.items() for _ in places)
    assert reached.total() == len(buffer)
    assert max(reached.values()) > 4 * min(reached.values())
    kind_of = {id(buffer.examples[i]): kind for kind, rows in buffer._kinds.items() for i in rows}
    drawn = collections.Counter(kind_of[id(example)] for example in buffer.sample(RNG(1), 20_000))
    roots = np.sqrt(list(reached.values()))
    expected = 20_000 * roots / roots.sum()
    seen = np.array([drawn[kind] for kind in reached])
    assert np.abs(seen - expected).max() < 5 * np.sqrt(expected.max())


def test_a_kind_of_goal_is_which_facts_it_changes() -> None:
    task = web()
    journey = solved(task, 3)
    start, goal = journey.states[0], journey.states[-1]
    kind: Any = task.kind(start, goal)
    same: Any = task.kind(start, start)
    assert kind[0] == "forms"
    assert [i for i, differs in enumerate(kind[1:]) if differs] == list(start.problem.changes)
    assert not any(same[1:])
    kinds = {example.kind for example in relabel(task, journey, RNG(0), strategy="final")}
    assert kinds == {kind}


def test_without_relabelling_only_successes_are_kept_as_they_were() -> None:
    task = web()
    success, failure = solved(task, 3), explored(web(max_turns=2, difficulty=5, easiest=5), 4)
    buffer = DemonstrationBuffer(task, ByteRenderer(), "none")
    assert buffer.add(failure, RNG(0)) == 0
    assert buffer.add([success], RNG(0)) == len(success.texts)
    assert [e.segments[0].turns[0].text for e in buffer.examples] == list(success.texts)
    assert buffer.examples[0].messages == task.said(success.states[0])


def test_examples_are_learned_from_where_the_agent_writes() -> None:
    renderer = ByteRenderer()
    example = Demonstration(web().reset(RNG(0)).messages, "click('6')")
    (segment,) = written(example, renderer).segments
    n_said = len("click('6')") + 1
    assert sum(segment.loss_mask) == n_said
    assert segment.loss_mask == (0,) * (len(segment.ids) - n_said) + (1,) * n_said
    assert renderer.decode(segment.ids[-n_said:]) == "click('6')"
    assert segment.ids[-1] == renderer.end_id
    assert list(segment.ids[:-n_said]) == renderer.open(example.messages)[0]


@pytest.mark.parametrize("history", [False, True])
def test_an_episode_is_played_again_from_its_transcript(history: bool) -> None:
    episode = make_episode("lmgym/Web-v0", history=history)
    task: Any = episode.task
    rng = RNG(4)
    episode.reset(rng)
    states = [episode.opening.state]
    for _ in range(6):
        text = task.explore(states[-1], rng)
        episode.write([*episode.renderer.encode(text), episode.renderer.end_id])
        states.append(task.reply(states[-1], text, rng).state)
        if episode.verdict is not None:
            break
    journey = journey_of(task, episode.transcript())
    assert [state.tab for state in journey.states] == [state.tab for state in states]


def test_exploring_ends_where_the_goal_is_reached_or_the_commands_are_spent() -> None:
    task = web(difficulty=1)
    for journey in explored(task, 60):
        is_reached = [state.is_reached for state in journey.states]
        assert not any(is_reached[:-1])
        assert is_reached[-1] or len(journey.texts) == task.max_turns


@pytest.mark.parametrize(
    ("split", "is_told"), [("train", True), ("validation", False), ("iid", False)]
)
def test_no_stretch_begins_where_another_split_starts(split: str, is_told: bool) -> None:
    task = web(sites=1)
    for task_id in task.task_ids(split, 20):
        states = solved(task, 0, task_id).states
        assert (task.retell(states[:1], states[-1], RNG(0)) is not None) == is_told
