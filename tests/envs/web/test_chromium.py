"""The same sites in Chromium: equal pages, earlier tabs, pictures, and browsers that die."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import lmgym
from lmgym.envs.web.accessibility import our_controls, their_controls
from lmgym.envs.web.backends import DomBackend
from lmgym.envs.web.base_site import Site
from lmgym.envs.web.browsing import Refusal, Tab
from lmgym.envs.web.chromium import ChromiumBackend
from lmgym.envs.web.commands import parse_command, quoted
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.live_browser import LiveBrowser, find_chromium
from lmgym.envs.web.walks import (
    AWKWARD,
    Walk,
    follow_plan,
    oracle_goal,
    play,
    random_command,
    walk,
)
from lmgym.errors import LmgymError
from lmgym.testing import run_check

has_playwright = importlib.util.find_spec("playwright") is not None
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.enable_socket,  # the site is served, and the browser driven, on this machine
    pytest.mark.skipif(
        not has_playwright or find_chromium() is None, reason="Playwright or Chromium is missing"
    ),
]
DOM = DomBackend()
FORMS = make_site("forms", 0)


@pytest.fixture(scope="module")
def chromium() -> Iterator[ChromiumBackend]:
    backend = ChromiumBackend(headless=True)
    yield backend
    backend.close()


def after(backend: DomBackend | ChromiumBackend, tab: Tab, *commands: str) -> Tab:
    for command in commands:
        tab = backend.execute(tab, parse_command(command))
    return tab


def check_equal(chromium: ChromiumBackend, walked: Walk) -> int:
    """Compare each step of a walk; returns how many there were."""
    steps = list(zip(play(DOM, walked), play(chromium, walked), strict=True))
    for ours, theirs in steps:
        assert theirs == ours
        assert theirs.tab.text == ours.tab.text
        assert theirs.tab.page.nodes == ours.tab.page.nodes
    return len(steps)


@pytest.mark.parametrize("family", ["forms", "table", "files"])
def test_random_commands_lead_to_the_same_tabs_as_without_a_browser(
    family: str, chromium: ChromiumBackend
) -> None:
    site = make_site(family, 700)
    walked = walk(DOM, site, random_command, 25, np.random.default_rng(0))
    assert check_equal(chromium, walked) == 26


@pytest.mark.parametrize("family", FAMILIES)
def test_shortest_ways_reach_their_goals_in_chromium(
    family: str, chromium: ChromiumBackend
) -> None:
    site, rng = make_site(family, 701), np.random.default_rng(1)
    goal = oracle_goal(site, rng)
    walked = walk(DOM, site, follow_plan(goal), 30, rng)
    *_, last = play(chromium, walked)
    assert last.tab.state == site.state_of(goal)


def test_awkward_texts_come_back_as_without_a_browser(chromium: ChromiumBackend) -> None:
    """Each is typed into fields of one line and of several, sent, and shown on the next page."""
    for text in AWKWARD:
        fills = [f"fill('{field}', {quoted(text)})" for field in texts_of(AREA)]
        check_equal(chromium, Walk(AREA, (*fills, f"press('{texts_of(AREA)[0]}', 'Enter')")))


def test_tags_in_a_text_are_shown_and_not_obeyed(chromium: ChromiumBackend) -> None:
    tab = chromium.open(make_site("shop", 0))
    box = next(control for control in tab.page.controls if control.role == "searchbox")
    fill, send = f"fill('{box.bid}', '<b>x</b><i>')", f"press('{box.bid}', 'Enter')"
    shown = after(chromium, tab, fill, send)
    assert "Nothing found for <b>x</b><i>." in shown.text
    assert not {"b", "i"} & {node.tag for node in shown.page.nodes}


def test_roles_and_names_are_those_of_the_accessibility_tree(chromium: ChromiumBackend) -> None:
    for family in FAMILIES:
        site = make_site(family, 702)
        links = [control.href for control in DOM.open(site).page.controls if control.role == "link"]
        for step in play(chromium, Walk(site, tuple(f"goto('{link}')" for link in links))):
            assert their_controls(chromium.started()) == our_controls(step.tab.page)


def test_names_of_awkward_texts_are_those_of_the_accessibility_tree(
    chromium: ChromiumBackend,
) -> None:
    """A file is called so; links and headings name it."""
    site = make_site("files", 0)
    item = after(chromium, chromium.open(site), "goto('/item/0')")
    box = next(control.bid for control in item.page.controls if control.is_required)
    texts = [text for text in AWKWARD if text.rstrip("\r\n")]
    for text in texts:
        fill, send = f"fill('{box}', {quoted(text)})", f"press('{box}', 'Enter')"
        named = after(chromium, item, fill, send)
        shown = after(chromium, named, f"goto('/folder/{named.state[0]}')")
        assert their_controls(chromium.started()) == our_controls(shown.page)


def test_tabs_can_be_used_in_turn(chromium: ChromiumBackend) -> None:
    ours, theirs = (
        [backend.open(make_site("forms", 0)), backend.open(make_site("mail", 3))]
        for backend in (DOM, chromium)
    )
    commands = ("goto('/help')", "goto('/nowhere')", "go_back()", "go_back()", "go_forward()")
    for command in commands:
        for place in (0, 1):
            ours[place] = after(DOM, ours[place], command)
            theirs[place] = after(chromium, theirs[place], command)
            assert theirs[place] == ours[place]
            assert theirs[place].text == ours[place].text


def test_an_earlier_tab_keeps_what_was_typed_and_its_history(chromium: ChromiumBackend) -> None:
    ways = ("goto('/help')", "goto('/profile')", "goto('/notices')", "go_back()")
    typed = f"fill('{texts_of(FORMS)[0]}', 'not sent')"
    earlier = after(chromium, chromium.open(FORMS), *ways, typed)
    chromium.open(FORMS)  # another episode
    assert after(chromium, earlier, "noop()") == earlier
    chromium.open(FORMS)
    forward = after(chromium, earlier, "go_forward()")
    assert (forward.url, forward.back) == ("/notices", ("/profile", "/help", "/profile"))


def test_a_required_field_that_is_empty_keeps_a_form_back_in_the_bare_browser(
    chromium: ChromiumBackend,
) -> None:
    """Our back end refuses before the browser is asked; here it is asked."""
    tab = after(chromium, chromium.open(FORMS), f"clear('{name_of(FORMS)}')")
    button = next(control for control in tab.page.controls if control.role == "button")
    with pytest.raises(Refusal, match="must be filled in first"):
        after(chromium, tab, f"click('{button.bid}')")
    live = chromium.started()
    for act in ("click", "press"):
        live.run(lambda act=act: bare(live, act, button.bid))  # type: ignore[misc]
        assert live.run(lambda: live.page.url) == live.server.base + "/profile"
        assert live.server.state == FORMS.start


def bare(live: LiveBrowser, act: str, bid: int) -> None:
    """Do something without asking what it leads to, and wait for what it may lead to."""
    element = live.page.query_selector_all("*")[bid]
    element.click() if act == "click" else element.press("Enter")
    live.page.wait_for_timeout(500)


def test_enter_in_a_combobox_sends_nothing_in_the_bare_browser(chromium: ChromiumBackend) -> None:
    site = make_site("table", 0)
    tab = chromium.open(site)
    chooser = next(control for control in tab.page.controls if control.role == "combobox")
    with pytest.raises(Refusal, match="Enter does nothing in this combobox"):
        after(chromium, tab, f"press('{chooser.bid}', 'Enter')")
    live = chromium.started()
    live.run(lambda: bare(live, "press", chooser.bid))
    assert live.run(lambda: live.page.url) == live.server.base + site.home


def test_the_history_forgets_as_chromiums_does(chromium: ChromiumBackend) -> None:
    there = ("goto('/help')", "goto('/profile')") * 26
    check_equal(chromium, Walk(FORMS, (*there, "go_back()", "go_forward()", "goto('/nowhere')")))


def test_a_picture_is_drawn_of_the_state_that_is_shown() -> None:
    env = gym.make(
        "lmgym/Web-v0", backend="chromium", level="message", render_mode="rgb_array", headless=True
    )
    env.reset(seed=0)
    first: Any = env.render()
    assert (first.shape, first.dtype) == ((480, 640, 3), np.uint8)
    assert first.std() > 5  # something is written on it
    env.step("goto('/help')")
    assert (env.render() != first).any()
    assert env.unwrapped.metadata["render_modes"] == ["ansi", "rgb_array"]
    env.close()


def test_a_browser_that_dies_is_told_of_and_replaced() -> None:
    before = {process.pid for process in processes()}
    backend = ChromiumBackend(headless=True)
    tab = after(backend, backend.open(FORMS), "goto('/help')")
    for process in processes():
        if "chrom" in process.name() and process.pid not in before:
            process.kill()
    with pytest.raises(LmgymError, match=r"the browser failed \(.*or reset\(\) starts another"):
        after(backend, tab, "goto('/privacy')")
    assert after(backend, tab, "go_back()").url == "/profile"
    backend.close()


def test_nothing_is_left_running_once_an_environment_is_closed() -> None:
    before = {process.pid for process in processes()}
    env = gym.make("lmgym/Web-v0", backend="chromium", level="message", headless=True)
    env.reset(seed=0)
    assert {process.pid for process in processes()} > before
    env.close()
    assert {process.pid for process in processes()} <= before
    env.close()


@pytest.mark.parametrize("check", ["seeding", "snapshots"])
def test_keeps_the_promises_of_every_world(check: str) -> None:
    run_check(check, "lmgym/Web-v0", level="message", backend="chromium", max_turns=3)


def test_two_browsers_work_in_one_thread_and_beside_an_event_loop(
    chromium: ChromiumBackend,
) -> None:
    other = ChromiumBackend(headless=True)

    async def urls() -> list[str]:
        return [backend.open(FORMS).url for backend in (chromium, other, chromium)]

    assert asyncio.run(urls()) == ["/profile"] * 3
    other.close()


def test_a_forgotten_environment_ends_its_browser_without_a_warning() -> None:
    """In a process of its own, which ends without a word of it."""
    told = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", FORGETFUL],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(lmgym.__file__).parents[1])},
    )
    assert (
        told.stdout,
        [line for line in told.stderr.splitlines() if "Executing" not in line],
    ) == (
        "/profile\n",
        [],
    )


FORGETFUL = """
from lmgym.envs.web.chromium import ChromiumBackend
from lmgym.envs.web.families import make_site
backend = ChromiumBackend(headless=True)
print(backend.open(make_site("forms", 0)).url)
"""


def texts_of(site: Site) -> list[int]:
    """Numbers of the texts on a site's home."""
    return [c.bid for c in DOM.open(site).page.controls if c.role == "textbox"]


def name_of(site: Site) -> int:
    """Number of a text that has to be filled in."""
    return next(c.bid for c in DOM.open(site).page.controls if c.is_required)


def processes() -> list[Any]:
    """What this process has started, and what that has."""
    psutil: Any = importlib.import_module("psutil")
    children: list[Any] = psutil.Process().children(recursive=True)
    return children


def has_area(site: Site) -> bool:
    return any(control.is_area for control in DOM.open(site).page.controls)


AREA = next(site for site in (make_site("forms", seed) for seed in range(50)) if has_area(site))
