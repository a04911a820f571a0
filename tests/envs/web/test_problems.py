"""Problems, their splits and their addresses."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.web.arguments import MIXED, Problems, SiteArgs, split_name
from lmgym.envs.web.browsing import execute, open_tab
from lmgym.envs.web.families import FAMILIES
from lmgym.envs.web.instructions import STYLES
from lmgym.envs.web.oracle import shortest_plan
from lmgym.envs.web.problems import (
    HELD_OUT_FAMILY,
    N_TRAIN_STYLES,
    SPLITS,
    Problem,
    draw,
    most_changes,
    read_address,
    split_of_changes,
)
from lmgym.envs.web.task import WebArgs
from lmgym.errors import LmgymError

FAMILY = pytest.mark.parametrize("family", FAMILIES)
RNG = np.random.default_rng


def drawn(
    family: str, split: str, n: int, sizes: tuple[int, ...] = (1, 2, 3), n_sites: int = 8
) -> list[Problem]:
    rng = RNG(sum(map(ord, family + split)))
    known = [k for k in sizes if k > 1 or split != "comp"]
    return [draw(rng, family, split, known, n_sites) for _ in range(n)]


def held_out_pairs(family: str) -> set[tuple[int, int]]:
    pairs = combinations(range(len(FAMILIES[family].keys)), 2)
    return {pair for pair in pairs if split_of_changes(family, pair) == "comp"}


# splits


@FAMILY
def test_no_two_splits_share_a_seed_or_the_start_of_a_site(family: str) -> None:
    drawn_ = {split: drawn(family, split, 150, n_sites=4) for split in SPLITS}
    seeds = {split: {p.seed for p in problems} for split, problems in drawn_.items()}
    starts = {split: {(p.site, p.start) for p in problems} for split, problems in drawn_.items()}
    for one, other in combinations(SPLITS, 2):
        assert not seeds[one] & seeds[other]
        if "site" not in (one, other):
            assert not starts[one] & starts[other]


def test_new_seeds_are_of_the_sites_of_training_in_other_states() -> None:
    def sites(split: str) -> set[object]:
        return {p.site for p in drawn("forms", split, 150, n_sites=4)}

    assert sites("train") == sites("validation") == sites("iid") == sites("comp")
    assert not sites("train") & sites("words")


@FAMILY
def test_problems_know_their_split(family: str) -> None:
    for split in SPLITS:
        assert {p.split for p in drawn(family, split, 30)} == {split}


@FAMILY
def test_held_out_pairs_are_in_comp_and_nowhere_else(family: str) -> None:
    pairs = held_out_pairs(family)
    for split in SPLITS:
        for problem in drawn(family, split, 80):
            has_one = bool(pairs & set(combinations(problem.changes, 2)))
            assert has_one == (split == "comp")


@FAMILY
def test_a_fifth_of_the_pairs_is_held_out(family: str) -> None:
    site = FAMILIES[family]
    n_free = len(site.keys) - len(site.dependent)
    assert len(held_out_pairs(family)) == n_free * (n_free - 1) // 2 // 5


def test_no_order_is_held_out_from_training() -> None:
    assert not any(8 in pair for pair in held_out_pairs("shop"))


@FAMILY
def test_every_fact_is_changed_in_training(family: str) -> None:
    changed = {fact for p in drawn(family, "train", 400, (1, 2)) for fact in p.changes}
    assert changed == set(range(len(FAMILIES[family].keys)))


@FAMILY
def test_only_the_split_words_uses_held_out_words_and_phrases(family: str) -> None:
    for split in SPLITS:
        for problem in drawn(family, split, 20):
            is_held_out = split == "words"
            assert problem.site.wording.is_held_out == is_held_out
            assert (problem.style >= N_TRAIN_STYLES) == is_held_out


def test_the_split_site_has_a_family_that_no_other_split_has() -> None:
    for family in FAMILIES:
        problems = Problems(SiteArgs(family=family))
        others = {problems.draw(RNG(i), s).family for i in range(9) for s in SPLITS if s != "site"}
        held_out = {problems.draw(RNG(i), "site").family for i in range(9)}
        assert others == {family}
        assert held_out == {"table" if family == HELD_OUT_FAMILY else HELD_OUT_FAMILY}


def test_mixed_draws_all_families_but_the_held_out_one() -> None:
    problems = Problems(WebArgs(family=MIXED))
    seen = {problems.draw(RNG(i), "train").family for i in range(80)}
    assert seen == set(FAMILIES) - {HELD_OUT_FAMILY}
    assert problems.draw(RNG(0), "site").family == HELD_OUT_FAMILY


def test_numbers_of_changes_are_equally_likely() -> None:
    counts = [len(p.changes) for p in drawn("mail", "train", 900, (1, 2, 3))]
    assert min(counts.count(n) for n in (1, 2, 3)) > 240


@FAMILY
def test_as_many_facts_change_as_can(family: str) -> None:
    most = most_changes(family)
    assert {len(p.changes) for p in drawn(family, "train", 3, (most,))} == {most}
    with pytest.raises(LmgymError, match=f"has no problem that changes {most + 1} facts"):
        draw(RNG(0), family, "train", [most + 1], 32)


@FAMILY
def test_one_change_cannot_hold_a_held_out_pair(family: str) -> None:
    with pytest.raises(LmgymError, match="give difficulty=2 or more"):
        draw(RNG(0), family, "comp", [1], 32)


@FAMILY
def test_the_same_generator_draws_the_same_problem(family: str) -> None:
    assert draw(RNG(4), family, "iid", [2], 32) == draw(RNG(4), family, "iid", [2], 32)


# addresses


@FAMILY
@pytest.mark.parametrize("split", SPLITS)
def test_an_address_leads_back_to_its_problem(family: str, split: str) -> None:
    for problem in drawn(family, split, 15):
        assert read_address(problem.address) == problem


@pytest.mark.parametrize(
    "address",
    [
        "",
        "forms",
        "blog/3/1.2/0",
        "forms/3/1.2/3",  # a phrase that is held out
        "forms/40003/1.2/0",  # one that is not, with words that are
        "forms/3/1.2/5",
        "forms/60000/1.2/0",
        "forms/-1/1.2/0",
        "forms/03/1.2/0",
        "forms/3/8.0/0",
        "forms/3/1.4/0",
        "forms/3/1.9/0",
        "forms/3//0",
        "forms/3/1/0",
        "forms/3/1.2+1.2/0",
        "forms/3/3.1+1.2/0",
        "forms/3/1.2/0/",
        "forms/3/1.2/0\n",
        "forms/٣/1.2/0",
        "Forms/3/1.2/0",
    ],
)
def test_what_is_no_address_leads_nowhere(address: str) -> None:
    assert read_address(address) is None


def test_a_change_to_what_is_so_already_leads_nowhere() -> None:
    start = read_address("forms/3/0.0/0") or read_address("forms/3/0.1/0")
    assert start is not None
    assert read_address(f"forms/3/0.{start.start[0]}/0") is None


def test_an_order_that_cannot_be_placed_leads_nowhere() -> None:
    problem = next(p for p in drawn("shop", "train", 200) if p.start[6] == 0)
    assert read_address(f"shop/{problem.seed}/8.1/0") is None


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none(text: str) -> None:
    problem = read_address(text)
    assert problem is None or problem.address == text


@FAMILY
def test_listed_problems_differ_and_longer_lists_begin_the_same(family: str) -> None:
    for split in ("train", "comp", "words"):
        listed = Problems(SiteArgs(family=family)).task_ids(split, 12)
        assert len(set(listed)) == 12
        assert Problems(SiteArgs(family=family)).task_ids(split, 5) == listed[:5]


# arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"family": "blog"}, "unknown family 'blog'"),
        ({"difficulty": 0}, "difficulty=0: both count facts to change, from 1 to 5"),
        ({"difficulty": 6}, "difficulty=6: both count facts to change, from 1 to 5"),
        ({"easiest": 0}, "easiest=0"),
        ({"easiest": 3}, "easiest is not the larger one"),
        ({"sites": 0}, "sites=0 is out of range; allowed are 1 to 1000"),
        ({"sites": 1_001}, "sites=1001 is out of range"),
        ({"max_turns": 0}, "max_turns=0 is out of range; at least 1"),
    ],
)
def test_arguments_out_of_range_are_told(arguments: dict[str, int], said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        SiteArgs(**arguments)  # type: ignore[arg-type]


def test_the_horizon_follows_from_the_difficulty_or_is_given() -> None:
    assert SiteArgs(difficulty=3).horizon == 24
    assert SiteArgs(max_turns=5).horizon == 5


def test_test_is_another_word_for_iid() -> None:
    assert split_name("test") == "iid"
    with pytest.raises(LmgymError, match="unknown split 'dev'"):
        split_name("dev")


def test_training_asks_for_no_held_out_pair_and_for_no_more_than_the_difficulty() -> None:
    problems = Problems(SiteArgs(family="forms", difficulty=2))
    start = (0,) * 8

    def is_asked(*facts: int, value: int = 1) -> bool:
        goal = [value if i in facts else 0 for i in range(8)]
        return problems.is_asked_in_training("forms", start, goal)

    (a, b), *_ = held_out_pairs("forms")
    assert is_asked(0)
    assert is_asked(0, 1)
    assert not is_asked()
    assert not is_asked(a, b)
    assert not is_asked(0, 1, 2)
    assert not is_asked(0, value=FAMILIES["forms"].sizes[0])  # a text that no goal has


# solvability


def check_solvable(family: str, split: str, size: int, n: int) -> None:
    rng = RNG(size)
    for _ in range(n):
        problem = draw(rng, family, split, [size], 8)
        tab = open_tab(problem.site, problem.site.state_of(problem.start))
        commands = shortest_plan(tab, problem.goal)
        for command in commands:
            assert problem.site.facts(tab.state) != problem.goal
            tab = execute(tab, command)
        assert problem.site.facts(tab.state) == problem.goal
        assert len(commands) <= SiteArgs(family=family, difficulty=size).horizon
        assert len(problem.changes) == size


@FAMILY
@pytest.mark.parametrize("split", SPLITS)
def test_problems_can_be_solved(family: str, split: str) -> None:
    check_solvable(family, split, 2, 2)


@pytest.mark.slow
@FAMILY
@pytest.mark.parametrize("size", [1, 3])
def test_every_problem_can_be_solved_in_time(family: str, size: int) -> None:
    for split in SPLITS:
        if size > 1 or split != "comp":
            check_solvable(family, split, size, 4 if size == 1 else 1)


def test_there_are_as_many_styles_as_are_split() -> None:
    assert len(STYLES) - 2 == N_TRAIN_STYLES
