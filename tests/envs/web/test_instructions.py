"""Goals as instructions, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.envs.web.base_site import Site
from lmgym.envs.web.families import FAMILIES, make_site
from lmgym.envs.web.instructions import (
    STYLES,
    read_instruction,
    write_instruction,
    write_progress,
)
from lmgym.envs.web.sites.forms import FormsSite
from lmgym.envs.web.wording import Wording
from lmgym.errors import LmgymError

ALL_STYLES = pytest.mark.parametrize("style", range(len(STYLES)))
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
START = (0,) * 8


class NamedSite(FormsSite):
    """A site whose labels and values are given."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(Wording(0))
        rest = iter(names)
        self.labels = tuple(next(rest) for _ in self.keys)
        self.values = tuple(tuple(next(rest) for _ in range(size)) for size in self.sizes)


def goals(site: Site) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, size - 1) for size in site.sizes))


@ALL_STYLES
@given(names=st.lists(NAMES, min_size=32, max_size=32, unique=True), data=st.data())
@settings(max_examples=25)
def test_any_names_are_read_back(style: int, names: list[str], data: st.DataObject) -> None:
    site = NamedSite(names)
    goal = data.draw(goals(site).filter(lambda goal: goal != START))
    assert read_instruction(site, START, write_instruction(site, START, goal, style)) == goal


@pytest.mark.parametrize("family", FAMILIES)
def test_instructions_of_all_families_are_read_back(family: str) -> None:
    rng = np.random.default_rng(0)
    for seed in (*range(6), 1_003):
        for is_held_out in (False, True):
            site = make_site(family, seed, is_held_out=is_held_out)
            start = site.start_facts
            for style in range(len(STYLES)):
                goal = tuple(int(rng.integers(size)) for size in site.sizes)
                text = write_instruction(site, start, goal, style)
                assert goal == start or read_instruction(site, start, text) == goal


def test_an_instruction_names_what_differs_alone() -> None:
    site = make_site("forms", 1)
    text = write_instruction(site, START, [0, 1, 0, 1, 0, 0, 0, 0], 3)
    assert text == (
        f"Please see that '{site.labels[1]}' is '{site.values[1][1]}' and"
        f" '{site.labels[3]}' is 'on', and nothing else."
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Set 'Language' to 'Klingon'.",
        "Set 'Language' to 'English'",
        "set 'Language' to 'English'.",
        "Set 'Language' to 'English' and .",
        "Set 'Language' to 'English' and 'Language' to 'English'.",
        "Set 'Planet' to 'English'.",
        "Set 'Language' to 'English', and nothing else.",
    ],
)
def test_what_is_no_instruction_is_told_with_one(text: str) -> None:
    with pytest.raises(LmgymError, match=r"is no instruction of this site, such as \"Set '"):
        read_instruction(make_site("forms", 1), START, text)


def test_progress_tells_what_has_changed_and_texts_that_no_goal_has() -> None:
    site = make_site("forms", 1)
    now = (site.sizes[0], 0, 0, 1, 0, 0, 0, 0)
    said = f"'{site.labels[0]}' is '(something else)' and '{site.labels[3]}' is 'on'"
    assert write_progress(site, START, now) == said
    assert write_progress(site, START, START) == ""
