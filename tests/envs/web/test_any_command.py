"""Whatever an agent writes: a tab that follows from it, or a refusal that changes nothing."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.envs.web.browsing import Refusal, Tab, execute, open_tab
from lmgym.envs.web.commands import Command, CommandError, Target, parse_command
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.walks import AWKWARD, random_command

ROLES = ("link", "button", "textbox", "searchbox", "checkbox", "radio", "combobox", "hidden", "x")
ON_ELEMENT = ("click", "fill", "clear", "select_option", "check", "uncheck", "press")
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from((*AWKWARD, "Enter", "1", "on")))


def target_on(tab: Tab, data: st.DataObject) -> Target:
    """An element of a tab, or what might be one."""
    if data.draw(st.booleans()):
        return Target(bid=data.draw(st.sampled_from([*tab.page.by_bid, "0", "999", "٣", "007"])))
    known = [(c.role, c.name) for c in tab.page.controls]
    any_ = st.tuples(st.sampled_from(ROLES), st.text(max_size=5))
    role, name = data.draw(st.one_of(st.sampled_from(known), any_))
    return Target(role=role, name=name)


def command_in(tab: Tab, data: st.DataObject) -> Command:
    verb = data.draw(st.sampled_from((*ON_ELEMENT * 3, "goto", "go_back", "go_forward", "noop")))
    takes_value = verb in ("fill", "select_option", "press", "goto")
    value = data.draw(TEXTS) if takes_value else None
    return Command(verb, target_on(tab, data) if verb in ON_ELEMENT else None, value)


def check_step(tab: Tab, command: Command) -> Tab:
    """The tab after a command, checked; of one that is refused the same."""
    before, why = (tab, tab.text, tab.digest), "x"
    try:
        after = execute(tab, command)
    except Refusal as refusal:
        after, why = tab, str(refusal)
    assert 0 < len(why) < 400
    assert (tab, tab.text, tab.digest) == before
    site = after.site
    facts = site.facts(after.state)
    assert len(after.state) == len(site.keys)
    assert all(f <= size for f, size in zip(facts, site.sizes, strict=True))
    assert tuple(json.loads(json.dumps(after.state))) == after.state
    assert len(after.values) == len(after.page.initial)
    assert after.text.startswith(f"{after.url}\n")
    site.kind_of(after.url)
    return after


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_command_leads_to_a_valid_tab_or_is_refused(family: str, data: st.DataObject) -> None:
    site = make_site(family, data.draw(st.integers(0, 40)))
    tab = open_tab(site, site.start)
    for _ in range(12):
        tab = check_step(tab, command_in(tab, data))


@pytest.mark.parametrize("family", FAMILIES)
def test_long_walks_stay_valid_and_can_be_walked_again(family: str) -> None:
    site, rng = make_site(family, 5), np.random.default_rng(0)
    tab, said = open_tab(site, site.start), []
    for _ in range(150):
        command = random_command(tab, rng)
        said.append(str(command))
        tab = check_step(tab, command)
    again = open_tab(site, site.start)
    for text in said:
        again = check_step(again, parse_command(text))
    assert again == tab
    assert again.text == tab.text


@pytest.mark.parametrize("family", FAMILIES)
@given(text=st.text(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_message_is_a_command_error_a_refusal_or_a_tab(family: str, text: str) -> None:
    site = make_site(family, 0)
    tab = open_tab(site, site.start)
    for said in (text, f"goto({text!r})", f"click({text!r})", f"fill('12', {text!r})"):
        with suppress(CommandError):
            check_step(tab, parse_command(said))
