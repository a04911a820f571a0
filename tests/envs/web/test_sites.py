"""Every family's sites: what holds for all of their pages, and whatever is sent to them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.envs.web.base_site import Site, State, digest, respond
from lmgym.envs.web.browsing import Refusal, Tab, execute, open_tab
from lmgym.envs.web.catalog_view import choices_in
from lmgym.envs.web.commands import LONGEST, Command, Target
from lmgym.envs.web.document import Page
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.wording import POOLS
from lmgym.errors import LmgymError

ADDRESSES = {
    "forms": ["/profile", "/notices", "/privacy", "/help", "/profile?saved=1"],
    "shop": ["/", "/list/0", "/list/1", "/search?q=a", *(f"/item/{i}" for i in range(6)), "/cart",
             "/checkout", "/item/0?added=1", "/checkout?saved=1"],
    "mail": [*(f"/folder/{i}" for i in range(3)), *(f"/item/{i}" for i in range(4)), "/help"],
    "calendar": ["/week", *(f"/item/{i}" for i in range(4)), "/help", "/item/0?saved=1"],
    "table": ["/rows", "/rows?page=2&status=0", "/rows?page=1&status=1&sort=name",
              *(f"/item/{i}" for i in range(5)), "/help"],
    "files": [*(f"/folder/{i}" for i in range(3)), *(f"/item/{i}" for i in range(4)), "/help"],
}  # fmt: skip
POSTS = {
    "forms": ["/save/profile", "/save/notices", "/save/privacy"],
    "shop": ["/add/0", "/remove/5", "/delivery", "/place", "/add", "/delivery/1"],
    "mail": ["/save/0/move", "/save/1/save", "/save/2/send"],
    "calendar": ["/save/0/save", "/save/3/save"],
    "table": ["/save/4/save"],
    "files": ["/save/0/move", "/save/1/rename", "/save/2/save"],
}
FIELDS = {
    *(
        [
            "f0",
            "f1",
            "f3",
            "f4",
            "f5",
            "f6",
            "f7",
            "bio",
            "p0",
            "p1",
            "p2",
            "amount",
            "carrier",
            "wrap",
            "q",
            "status",
            "page",
            "sort",
            "saved",
        ]
    ),
    "added",
}
FAMILY = pytest.mark.parametrize("family", FAMILIES)
AWKWARD = "<script>alert(1)</script> \"quote\" & 'single' </textarea> &amp; <b>"
RNG = np.random.default_rng


def sites(family: str, n: int) -> list[Site]:
    return [make_site(family, seed, is_held_out=h) for seed in range(n) for h in (False, True)]


def states(site: Site, n: int) -> Iterator[State]:
    """Some states, most of them far from the start."""
    rng = RNG(site.wording.seed)
    yield site.start
    for _ in range(n):
        yield site.state_of([int(rng.integers(size)) for size in site.sizes])


def page_of(site: Site, state: State, url: str) -> Page:
    return Tab(site, state, url, *_loaded(site, state, url)).page


def _loaded(site: Site, state: State, url: str) -> tuple[Page, tuple[str | bool | int, ...]]:
    tab = execute(open_tab(site, state), Command("goto", value=url))
    return tab.page, tab.values


def is_valid(site: Site, state: State) -> bool:
    return len(state) == len(site.keys) and all(
        isinstance(value, str) if place in site.texts else 0 <= int(value) < site.sizes[place]
        for place, value in enumerate(state)
    )


# pages


@FAMILY
def test_no_two_elements_of_a_page_have_the_same_role_and_name(family: str) -> None:
    for site in sites(family, 8):
        for state in states(site, 1):
            for url in ADDRESSES[family]:
                for key, controls in page_of(site, state, url).by_name.items():
                    assert len(controls) == 1, (site, url, key)


@FAMILY
def test_every_element_has_a_name_and_every_link_leads_to_a_page(family: str) -> None:
    for site in sites(family, 4):
        for state in states(site, 1):
            for url in ADDRESSES[family]:
                for control in page_of(site, state, url).controls:
                    assert control.name
                    if control.href is not None:
                        assert respond(site, state, "get", control.href)[1].status == 200


@FAMILY
def test_pages_say_which_site_they_are_of_in_valid_html(family: str) -> None:
    site = make_site(family, 0)
    for url in ADDRESSES[family]:
        _, answer = respond(site, site.start, "get", url)
        assert answer.status == 200
        assert answer.html.startswith(
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        )


@FAMILY
def test_text_that_was_typed_is_shown_as_text_and_changes_nothing_else(family: str) -> None:
    for seed in range(6):
        site = make_site(family, seed)
        if not site.texts:
            continue
        plain = [site.start_facts[i] for i in range(len(site.keys))]
        state = tuple(AWKWARD if i in site.texts else value for i, value in enumerate(plain))
        calm = tuple("x" if i in site.texts else value for i, value in enumerate(plain))
        for url in ADDRESSES[family]:
            said, quiet = page_of(site, state, url), page_of(site, calm, url)
            assert [n.tag for n in said.nodes] == [n.tag for n in quiet.nodes]
            assert "script" not in {node.tag for node in said.nodes}
            texts = [v for v in said.initial if isinstance(v, str)]
            assert texts == [
                AWKWARD if v == "x" else v for v in quiet.initial if isinstance(v, str)
            ]


@pytest.mark.parametrize("family", ["forms", "files"])
def test_text_is_typed_and_saved_through_the_page(family: str) -> None:
    site = make_site(family, 1)
    tab = open_tab(site, site.start)
    if family == "files":
        tab = execute(tab, Command("goto", value="/item/0"))
    (box,) = [c for c in tab.page.controls if c.role == "textbox" and not c.is_area][:1]
    button = next(c for c in tab.page.controls if c.role == "button" and c.form == box.form)
    tab = execute(tab, Command("fill", Target(bid=str(box.bid)), AWKWARD))
    tab = execute(tab, Command("click", Target(bid=str(button.bid))))
    changed = [new for old, new in zip(site.start, tab.state, strict=True) if old != new]
    assert changed == [AWKWARD]
    assert any(value == AWKWARD for value in tab.values)
    place = tab.state.index(AWKWARD)
    assert site.value_name(place, site.facts(tab.state)[place]) == "(something else)"


def test_a_search_shows_what_was_asked_for_as_text() -> None:
    site = make_site("shop", 0)
    tab = open_tab(site, site.start)
    box = next(c for c in tab.page.controls if c.role == "searchbox")
    tab = execute(tab, Command("fill", Target(bid=str(box.bid)), AWKWARD))
    tab = execute(tab, Command("press", Target(bid=str(box.bid)), "Enter"))
    assert "script" not in {node.tag for node in tab.page.nodes}
    assert f"Nothing found for {' '.join(AWKWARD.split())}." in tab.text
    assert tab.values == (AWKWARD,)


# commands


@FAMILY
def test_commands_mean_the_same_on_every_site_of_a_family(family: str) -> None:
    def meaning(site: Site) -> list[tuple[str, bool]]:
        return [(c.verb, c.target is not None and c.target.role == "button") for c in site.commands]

    kinds = {"select_option", "check"}  # a choice is a list or radio buttons, as the layout has it
    first = meaning(make_site(family, 0))
    for site in sites(family, 40):
        pairs = list(zip(first, meaning(site), strict=True))
        assert all(a == b or {a[0], b[0]} <= kinds for a, b in pairs)


@FAMILY
def test_no_two_commands_are_the_same(family: str) -> None:
    for site in sites(family, 40):
        assert not [text for text, n in Counter(site.command_texts).items() if n > 1]


@FAMILY
def test_every_command_has_its_element_somewhere(family: str) -> None:
    for site in sites(family, 1):
        seen: set[int] = set()
        for state in states(site, 25):
            for url in ADDRESSES[family]:
                tab = execute(open_tab(site, state), Command("goto", value=url))
                seen |= set(choices_in(tab).view.controls)
        assert seen == set(range(len(site.commands)))


@FAMILY
def test_what_the_catalog_calls_usable_changes_the_tab_and_the_rest_does_not(family: str) -> None:
    site, rng = make_site(family, 3), RNG(0)
    tab = open_tab(site, site.start)
    for _ in range(60):
        choices = choices_in(tab)
        assert choices.mask.nonzero()[0].tolist() == sorted(choices.usable)
        for place, command in enumerate(site.commands):
            try:
                is_same = execute(tab, command).values == tab.values
            except Refusal:
                is_same = True
            is_field = command.verb != "click"
            assert not (place not in choices.usable and is_field and not is_same)
            assert not (place in choices.usable and is_field and is_same)
        tab = execute(tab, site.commands[choices.usable[int(rng.integers(len(choices.usable)))]])


@FAMILY
def test_the_kinds_of_pages_are_those_that_commands_lead_to(family: str) -> None:
    seen = set()
    for seed in range(3):
        site, rng = make_site(family, seed), RNG(seed)
        for _ in range(20):
            tab = open_tab(site, site.start)
            for _ in range(40):
                seen.add(site.kind_of(tab.url))
                usable = choices_in(tab).usable
                tab = execute(tab, site.commands[usable[int(rng.integers(len(usable)))]])
    assert seen == set(FAMILIES[family].kinds) - {"help"}


# states


@FAMILY
def test_states_are_json_and_facts_are_their_inverse(family: str) -> None:
    for site in sites(family, 10):
        for state in states(site, 10):
            assert tuple(json.loads(json.dumps(state))) == state
            assert site.state_of(site.facts(state)) == state
            assert is_valid(site, state)


@FAMILY
def test_what_is_sent_never_makes_an_invalid_state(family: str) -> None:
    rng = RNG(0)
    junk = ["", "0", "1", "99", "-1", "on", "off", "x", "9" * 5_000, "٣", "1.0", "\ud800", AWKWARD]
    site = make_site(family, 2)
    for state in states(site, 20):
        for path in POSTS[family]:
            for _ in range(20):
                names = [name for name in FIELDS if rng.random() < 0.7]
                form = {name: junk[int(rng.integers(len(junk)))] for name in names}
                after, answer = respond(site, state, "post", path, form)
                assert is_valid(site, after)
                assert answer.status in (303, 404)


@FAMILY
@given(path=st.text(max_size=20), query=st.text(max_size=20))
@settings(max_examples=60)
def test_any_address_is_answered(family: str, path: str, query: str) -> None:
    site = make_site(family, 0)
    for url in (f"/{path}?{query}", f"/item/{path}", f"/rows?page={query}&status={path}", path):
        for method in ("get", "post"):
            state, answer = respond(site, site.start, method, url, {path: query})
            assert answer.status in (200, 303, 404)
            assert is_valid(site, state)


@pytest.mark.parametrize(
    "path", ["/save/9/save", "/save/0/nothing", "/save/", "/item/0", "/", "/add/9"]
)
@FAMILY
def test_what_nothing_takes_is_not_found(family: str, path: str) -> None:
    site = make_site(family, 0)
    state, answer = respond(site, site.start, "post", path, {})
    assert (state, answer.status) == (site.start, 404)


def test_of_repeated_fields_the_last_one_counts() -> None:
    site = make_site("table", 0)
    assert respond(site, site.start, "get", "/rows?page=1&page=2") == respond(
        site, site.start, "get", "/rows?page=2"
    )


def test_a_placed_order_cannot_be_changed() -> None:
    site = make_site("shop", 0)
    placed = site.state_of([1, 0, 0, 0, 0, 0, 1, 0, 1])
    for path in POSTS["shop"]:
        assert respond(site, placed, "post", path, {"amount": "1", "carrier": "2"})[0] == placed


@pytest.mark.parametrize("facts", [[0, 0, 0, 0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0]])
def test_an_order_needs_a_product_and_a_carrier(facts: list[int]) -> None:
    site = make_site("shop", 0)
    state = site.state_of(facts)
    assert respond(site, state, "post", "/place", {})[0] == state
    assert site.why_unreachable(facts, [*facts[:8], 1]) is not None


def test_digests_tell_states_apart() -> None:
    for family in FAMILIES:
        all_states = {s for site in sites(family, 3) for s in states(site, 50)}
        assert len({digest(state) for state in all_states}) == len(all_states)


PROGRAM = """
from lmgym.envs.web.base_site import digest, respond
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.arguments import Problems, SiteArgs
for family in FAMILIES:
    for seed in (0, 7, 1003):
        site = make_site(family, seed)
        print(digest(site.start), respond(site, site.start, "get", site.home), site.command_texts)
    print(Problems(SiteArgs(family=family)).task_ids("comp", 5))
"""


@pytest.mark.slow
def test_sites_and_problems_are_the_same_in_every_process() -> None:
    def run(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.check_output([sys.executable, "-c", PROGRAM], text=True, env=environment)

    assert run("1") == run("2")


ARRIVAL = """
import pickle, sys
from lmgym.envs.web.families import FAMILIES, make_site
for family, site in pickle.load(sys.stdin.buffer).items():
    assert {site: family}[make_site(family, 3)] == family
    assert site.command_texts == make_site(family, 3).command_texts
"""


@pytest.mark.slow
def test_sites_are_found_again_in_another_process() -> None:
    sites = {family: make_site(family, 3) for family in FAMILIES}
    assert len({hash(site) for site in sites.values()}) == len(sites)  # so that hashes are known
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    program = [sys.executable, "-c", ARRIVAL]
    subprocess.run(program, input=pickle.dumps(sites), env=environment, check=True)


@FAMILY
def test_what_was_found_of_a_page_does_not_travel(family: str) -> None:
    tab = open_tab(make_site(family, 0), make_site(family, 0).start)
    before = len(pickle.dumps(tab.page))
    assert tab.text
    assert tab.page.by_bid
    assert tab.page.by_name
    assert len(pickle.dumps(tab.page)) == before
    twin = copy.deepcopy(tab)
    assert (twin, twin.text) == (tab, tab.text)


# words


def words(is_held_out: bool) -> set[str]:
    sides = [text.split("|")[is_held_out] for text in POOLS.values()]
    return {word.strip() for side in sides for word in side.split("/")}


def test_words_that_are_held_out_are_in_no_pool_of_training() -> None:
    assert not {w.lower() for w in words(True)} & {w.lower() for w in words(False)}


@FAMILY
def test_pages_of_training_show_no_held_out_word(family: str) -> None:
    held_out = words(True)
    for seed in range(10):
        site = make_site(family, seed)
        for url in ADDRESSES[family]:
            page = page_of(site, site.start, url)
            texts = {" ".join(node.text.split()) for node in page.nodes}
            options = {text for c in page.controls for _, text in c.options}
            assert not (texts | options | {c.name for c in page.controls}) & held_out


@FAMILY
def test_commands_fit_into_a_message(family: str) -> None:
    for site in sites(family, 60):
        assert max(map(len, site.command_texts)) < 64 < LONGEST


def test_sites_are_equal_by_family_and_seed() -> None:
    one, other = make_site("forms", 1), FAMILIES["forms"](make_site("forms", 1).wording)
    assert one == other
    assert hash(one) == hash(other)
    assert one != make_site("forms", 2)
    assert one != make_site("forms", 1, is_held_out=True)
    assert repr(one) == "Site('forms', 1, False)"


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(LmgymError, match="unknown family 'blog'"):
        make_site("blog", 0)
