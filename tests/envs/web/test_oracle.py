"""The shortest way to a goal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lmgym.envs.web.browsing import Tab, execute, open_tab
from lmgym.envs.web.catalog_view import choices_in
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.oracle import NoWayError, Planner, planner, shortest_plan
from lmgym.envs.web.problems import Problem, draw

FAMILY = pytest.mark.parametrize("family", FAMILIES)
START = [0, 0, 0, 0, 0, 0, 0, 0]


def forms_tab(facts: Sequence[int] = START) -> Tab:
    site = make_site("forms", 0)
    return open_tab(site, site.state_of(facts))


def plan(tab: Tab, goal: Sequence[int]) -> list[str]:
    return list(map(str, shortest_plan(tab, goal)))


def changed(facts: Sequence[int], **values: int) -> list[int]:
    return [values.get(f"f{i}", fact) for i, fact in enumerate(facts)]


def opened(problem: Problem) -> Tab:
    return open_tab(problem.site, problem.site.state_of(problem.start))


def wandered(tab: Tab, rng: np.random.Generator, n: int) -> Tab:
    for _ in range(n):
        usable = choices_in(tab).usable
        tab = execute(tab, tab.site.commands[usable[int(rng.integers(len(usable)))]])
    return tab


def test_a_fact_of_the_first_page_takes_two_commands() -> None:
    site = make_site("forms", 0)
    name = f"fill(textbox '{site.labels[0]}', '{site.values[0][2]}')"
    assert plan(forms_tab(), changed(START, f0=2)) == [name, str(site.commands[3])]


def test_facts_of_one_page_are_saved_together() -> None:
    assert len(plan(forms_tab(), changed(START, f0=2, f1=1))) == 3


def test_another_page_takes_its_link_and_another_save() -> None:
    texts = plan(forms_tab(), changed(START, f0=2, f7=1))
    site = make_site("forms", 0)
    assert len(texts) == 5
    assert texts[2] == str(site.commands[2])


def test_a_goal_that_is_reached_takes_nothing() -> None:
    assert plan(forms_tab(), START) == []


def test_a_product_is_taken_out_before_less_of_it_is_put_in() -> None:
    site = make_site("shop", 0)
    tab = open_tab(site, site.state_of([2, 0, 0, 0, 0, 0, 0, 0, 0]))
    texts = plan(tab, [1, 0, 0, 0, 0, 0, 0, 0, 0])
    product = site.command_texts[12]
    assert texts == [
        site.command_texts[1],  # the cart
        site.command_texts[21],  # remove
        site.command_texts[0],  # home
        site.command_texts[3],  # the first list
        product,
        site.command_texts[20],  # add
    ]


def test_once_an_order_is_placed_there_is_no_way() -> None:
    site = make_site("shop", 0)
    tab = open_tab(site, site.state_of([1, 0, 0, 0, 0, 0, 1, 0, 1]))
    with pytest.raises(NoWayError, match="no commands lead from / of shop to the goal"):
        shortest_plan(tab, [2, 0, 0, 0, 0, 0, 1, 0, 1])


def test_fields_that_were_changed_in_vain_are_left_or_undone() -> None:
    site = make_site("forms", 0)
    box = site.commands[4 + 3]  # the fourth name
    tab = execute(forms_tab(), box)
    assert len(plan(tab, changed(START, f1=1))) == 3
    assert len(plan(tab, changed(START, f7=1))) == 3


def test_a_search_box_that_is_filled_in_is_used_or_left() -> None:
    site = make_site("shop", 0)
    home = open_tab(site, site.state_of([0] * 9))
    boxes = [execute(home, site.commands[5]), execute(home, site.commands[6])]
    assert [len(plan(tab, [1, *[0] * 8])) for tab in boxes] == [3, 3]
    results = [execute(tab, site.commands[11]) for tab in boxes]
    assert [len(plan(tab, [1, *[0] * 8])) for tab in results] == [2, 4]


@pytest.mark.slow
@FAMILY
def test_nothing_is_lost_by_leaving_commands_out(family: str) -> None:
    rng = np.random.default_rng(1)
    for size in (1, 1, 1, 2) if family in ("shop", "mail") else (1, 1, 1):
        problem = draw(rng, family, "train", [size], 32)
        tab = opened(problem)
        full = shortest_plan(tab, problem.goal, is_full=True)
        assert len(shortest_plan(tab, problem.goal)) == len(full)


@pytest.mark.slow
@FAMILY
def test_nothing_is_lost_from_the_midst_of_an_episode(family: str) -> None:
    rng = np.random.default_rng(2)
    for _ in range(3):
        problem = draw(rng, family, "train", [1], 2)
        tab = wandered(opened(problem), rng, int(rng.integers(1, 5)))
        facts = problem.site.facts(tab.state)
        if problem.site.why_unreachable(facts, problem.goal) is None:
            full = shortest_plan(tab, problem.goal, is_full=True)
            assert len(shortest_plan(tab, problem.goal)) == len(full)


@FAMILY
def test_a_plan_reaches_its_goal_and_stays_short_from_step_to_step(family: str) -> None:
    problem = draw(np.random.default_rng(3), family, "train", [2], 32)
    tab, way = opened(problem), Planner(problem.goal)
    first = way.plan(tab)
    for step, command in enumerate(first):
        assert way.plan(tab) == first[step:]
        tab = execute(tab, command)
    assert way.plan(tab) == ()
    assert problem.site.facts(tab.state) == problem.goal


def test_plans_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    tab, way = forms_tab(), Planner(changed(START, f0=2, f7=1))
    commands = way.plan(tab)
    monkeypatch.setattr("lmgym.envs.web.oracle.shortest_plan", None)
    for command in commands:
        tab = execute(tab, command)
        assert way.plan(tab) is not None
    assert planner(tab.site, (1,) * 8) is planner(tab.site, (1,) * 8)


def test_a_planner_plans_anew_off_its_way() -> None:
    goal = changed(START, f0=2)
    tab, way = forms_tab(), Planner(goal)
    way.plan(tab)
    for command in way.plan(execute(tab, tab.site.commands[1])):
        assert command.verb in ("click", "fill")
