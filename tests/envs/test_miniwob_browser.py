"""The tasks of MiniWoB++ in a real browser: solved, repeated, and out of the clock's reach."""

from __future__ import annotations

import importlib
import importlib.util
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import lmgym  # noqa: F401  (registers the worlds)
from lmgym.envs.miniwob_tasks.browser import find_programs
from lmgym.envs.miniwob_tasks.live import PageState
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.task import Opening, Reply, Task
from lmgym.testing import run_check

Commands = Callable[[str], list[str]]


def has_browser() -> bool:
    try:
        find_programs()
    except LmgymError:
        return False
    return all(map(importlib.util.find_spec, ("miniwob", "selenium")))


pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.enable_socket,  # the driver is spoken to over a port of this machine
    pytest.mark.skipif(not has_browser(), reason="miniwob, Chromium or chromedriver is missing"),
]
CONFORMANCE = ("seeding", "snapshots", "budget", "garbage")


def quotes(page: str) -> list[str]:
    return re.findall(r'"(.*?)"', page.splitlines()[0])


def fields(page: str) -> list[str]:
    return re.findall(r"\[(\d+)\] textbox", page)


def chosen(page: str) -> list[str]:
    said = re.search(r"Select (.*?)(?: from the list)? and click Submit", page)
    assert said is not None
    return [] if said[1] == "nothing" else said[1].split(", ")


def log_in(page: str) -> list[str]:
    fills = [f"fill('{f}', '{q}')" for f, q in zip(fields(page), quotes(page), strict=True)]
    return [*fills, "click(button 'Login')"]


def open_menus(page: str) -> list[str]:
    """The keyboard opens menus; a click on an item that has one would end the episode."""
    *menus, item = page.splitlines()[0].removeprefix("Task: Select ").split(">")
    items = re.findall(r"menuitem '(.*?)'", page)
    downs = ["press(menu '', 'ArrowDown')"] * (items.index(menus[0]) if menus else 0)
    opened = [*downs, "press(menu '', 'ArrowRight')"] if menus else []
    assert len(menus) < 2
    return [*opened, f"click(menuitem '{item}')"]


SOLUTIONS: dict[str, Commands] = {
    "click-test": lambda page: ["click(button 'Click Me!')"],
    "login-user": log_in,
    "enter-text": lambda page: [
        f"fill('{fields(page)[0]}', '{quotes(page)[0]}')",
        "click(button 'Submit')",
    ],
    "click-checkboxes": lambda page: [
        *(f"check(checkbox '{name}')" for name in chosen(page)),
        "click(button 'Submit')",
    ],
    "choose-list": lambda page: [
        f"select_option(combobox '', '{chosen(page)[0]}')",
        "click(button 'Submit')",
    ],
    "click-menu": open_menus,
    "click-button": lambda page: [f"click(button '{quotes(page)[0]}')"],
}
"""Commands that solve a task, from its first page."""
SEEDS = {"click-menu": (2,)}
PLAYED = ("login-user", "click-collapsible-2", "choose-date", "use-autocomplete", "stock-market")
"""Tasks with delays, animations and timers of their own."""


@pytest.fixture
def start() -> Iterator[Callable[..., Task[PageState]]]:
    """Makes tasks whose browsers end with the test."""
    made: list[Task[PageState]] = []

    def make(name: str, **arguments: Any) -> Task[PageState]:
        made.append(make_task(f"lmgym/MiniWoB-{name}-v0", **arguments))
        return made[-1]

    yield make
    for task in made:
        task.close()


Start = Callable[..., Task[PageState]]
RNG = np.random.default_rng(0)


def follow(
    task: Task[PageState], seed: int, commands: Sequence[str]
) -> list[Opening[PageState] | Reply[PageState]]:
    """The opening and the replies to some commands, up to the end."""
    replies: list[Any] = [task.reset(RNG, task_id=f"{task.name}/{seed}")]  # type: ignore[attr-defined]
    for command in commands:
        replies.append(task.reply(replies[-1].state, command, RNG))
        if replies[-1].verdict is not None:
            break
    return replies


def babble(task: Task[PageState], seed: int, n: int) -> list[str]:
    """Commands on elements at random, as the pages had them."""
    rng, commands = random.Random(seed), list[str]()
    reply: Any = task.reset(RNG, task_id=f"{task.name}/{seed}")  # type: ignore[attr-defined]
    for _ in range(n):
        ref, role = rng.choice(re.findall(r"^\[(\d+)\] (\w+)", reply.messages[0].content, re.M))
        is_field = role in ("textbox", "spinbutton")
        commands.append(f"fill('{ref}', 'Ca')" if is_field else f"click('{ref}')")
        reply = task.reply(reply.state, commands[-1], RNG)
        if reply.verdict is not None:
            break
    return commands


@pytest.mark.parametrize("name", SOLUTIONS)
def test_text_commands_solve_the_task(name: str) -> None:
    env = gym.make(f"lmgym/MiniWoB-{name}-v0", level="message", reward="gold")
    for seed in SEEDS.get(name, (1, 2, 3)):
        page, _ = env.reset(options={"task_id": f"{name}/{seed}"})
        *_, last = [env.step(command) for command in SOLUTIONS[name](page)]
        _, reward, is_over, _, info = last
        assert (reward, is_over, info["verdict"]) == (1.0, True, "correct"), (seed, page)
    env.close()


def test_time_on_the_wall_costs_nothing(start: Start) -> None:
    task = start("click-test")
    opening = task.reset(RNG, task_id="click-test/1")
    time.sleep(1.5)
    driver: Any = task._live._pages[0]._browser._driver  # type: ignore[attr-defined]
    assert driver.execute_script("return [core.EP_TIMER, WOB_DONE_GLOBAL]") == [0, False]
    task.reply(opening.state, "click(button 'Click Me!')", RNG)
    assert driver.execute_script("return WOB_RAW_REWARD_GLOBAL") == 1


def test_no_number_of_commands_ends_an_episode(start: Start) -> None:
    """Twenty seconds pass on the page of a task that MiniWoB++ gives ten."""
    replies = follow(start("click-test"), 1, ["noop()"] * 20)
    assert [reply.messages for reply in replies[1:]] == [replies[0].messages] * 20


@pytest.mark.parametrize("name", PLAYED)
def test_recorded_commands_give_the_same_pages_in_another_browser(name: str, start: Start) -> None:
    first = start(name)
    commands = {seed: babble(first, seed, 6) for seed in (5, 4)}
    told = [[r.messages for r in follow(first, s, commands[s])] for s in (4, 5)]
    second = start(name)
    assert [[r.messages for r in follow(second, s, commands[s])] for s in (4, 5)] == told


def test_an_older_state_is_made_again(start: Start) -> None:
    task = start("login-user")
    typed = follow(task, 3, ["fill('7', 'Ann')", "fill('7', 'Bob')", "fill('10', 'x')"])
    again = task.reply(typed[1].state, "fill('7', 'Bob')", RNG)
    assert again.messages == typed[2].messages


def test_a_seed_gives_the_problem_that_miniwob_gives(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, program in zip(
        ("MINIWOB_CHROME_BINARY", "MINIWOB_CHROMEDRIVER"), find_programs(), strict=True
    ):
        monkeypatch.setenv(name, program)
    env = importlib.import_module("miniwob.environment").MiniWoBEnvironment(subdomain="login-user")
    said = [env.reset(seed=seed)[0]["utterance"] for seed in (1, 2)]
    env.close()
    task = start("login-user")
    assert [follow(task, seed, [])[0].state.page.utterance for seed in (1, 2)] == said


def test_a_browser_that_dies_is_told_of_and_replaced(start: Start) -> None:
    task = start("click-test")
    opening = task.reset(RNG, task_id="click-test/1")
    task._live._pages[0]._browser._driver.quit()  # type: ignore[attr-defined]
    with pytest.raises(LmgymError, match=r"the browser .* failed: .* reset\(\) starts another"):
        task.reply(opening.state, "noop()", RNG)
    assert follow(task, 1, ["noop()"])[1].messages == opening.messages


def test_rows_of_a_batch_have_browsers_of_their_own() -> None:
    envs = gym.make_vec("lmgym/MiniWoB-click-test-v0", 2, level="message", browsers=2)
    envs.reset(seed=0)
    _, rewards, over, _, _ = envs.step(("click(button 'Click Me!')", "noop()"))
    envs.close()
    assert (rewards.tolist(), over.tolist()) == ([1.0, 0.0], [True, False])


@pytest.mark.parametrize("check", CONFORMANCE)
def test_keeps_the_promises_of_every_world(check: str) -> None:
    run_check(check, "lmgym/MiniWoB-click-test-v0", level="message")
