"""Who meets whom."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.tournaments.active import (
    PRIOR_DEVIATION,
    ActiveSchedule,
    information_gain,
    posterior,
)
from lmgym.leaderboards.tournaments.matchings import first_perfect_matching
from lmgym.leaderboards.tournaments.schedules import Played, RoundRobin, Schedule, make_schedule
from lmgym.leaderboards.tournaments.swiss import SwissSchedule

Rounds = list[list[Played]]


def played_out(schedule: Schedule, strengths: np.ndarray, rng: np.random.Generator) -> Rounds:
    """A tournament whose games follow the Bradley-Terry model."""
    rounds: Rounds = []
    for _ in range(schedule.n_rounds):
        pairs = schedule.pairs(rounds)
        chances = [1 / (1 + np.exp(strengths[b] - strengths[a])) for a, b in pairs]
        wins = rng.binomial(10, chances)
        rounds.append(
            [
                Played(*pair, int(won), 0, 10 - int(won))
                for pair, won in zip(pairs, wins, strict=True)
            ]
        )
    return rounds


@pytest.mark.parametrize("n", range(2, 10))
def test_in_a_round_robin_everybody_meets_everybody_once(n: int) -> None:
    schedule = RoundRobin(n)
    pairs = schedule.pairs([])
    assert sorted(pairs) == list(combinations(range(n), 2))
    assert len(pairs) == schedule.n_pairings
    for end in range(0, len(pairs), max(n // 2, 1)):  # at all times all have met as many others
        met = Counter(side for pair in pairs[:end] for side in pair)
        assert max(met.values(), default=0) - min(met[player] for player in range(n)) <= 1


@pytest.mark.parametrize("n", [2, 3, 5, 6, 8, 11, 16])
def test_nobody_meets_the_same_one_twice_in_a_swiss_tournament_while_that_can_be(n: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        schedule = SwissSchedule(n, n - 1 + n % 2, seed)
        met: Counter[tuple[int, int]] = Counter()
        rounds: Rounds = []
        for _ in range(schedule.n_rounds):
            free = [p for p in combinations(range(n), 2) if not met[p]]
            pairs = schedule.pairs(rounds)
            sides = sorted(side for pair in pairs for side in pair)
            if any(met[pair] for pair in pairs):
                assert not has_pairs_for_all(free, sides)
            met.update(pairs)
            assert len(set(sides)) == 2 * (n // 2)
            rounds.append([Played(*pair, int(rng.integers(5)), 1, 2) for pair in pairs])


def has_pairs_for_all(free: list[tuple[int, int]], sides: list[int]) -> bool:
    """Whether those present could all be paired by free pairs."""
    both = {*free, *((b, a) for a, b in free)}
    wishes = [[place for place, b in enumerate(sides) if (a, b) in both] for a in sides]
    return first_perfect_matching(wishes) is not None


def test_those_with_as_many_points_meet() -> None:
    schedule = SwissSchedule(4, 2, seed=0)
    first = schedule.pairs([])
    results = [Played(*pair, 4, 0, 0) for pair in first]
    second = schedule.pairs([results])
    winners, losers = {a for a, _ in first}, {b for _, b in first}
    assert {frozenset(pair) for pair in second} == {frozenset(winners), frozenset(losers)}


@pytest.mark.parametrize("n", [3, 5, 7])
def test_byes_go_to_everybody_before_anybody_has_a_second_one(n: int) -> None:
    schedule = SwissSchedule(n, 2 * n, seed=1)
    rounds = played_out(schedule, np.linspace(0, 3, n), np.random.default_rng(0))
    for end in range(1, 2 * n + 1):
        present = Counter(side for played in rounds[:end] for p in played for side in p[:2])
        byes = [end - present[player] for player in range(n)]
        assert sum(byes) == end
        assert max(byes) - min(byes) <= 1


def test_the_last_of_those_without_a_bye_has_one_and_is_worth_a_point() -> None:
    schedule = SwissSchedule(3, 3, seed=0)
    (first,) = schedule.pairs([])
    results = [[Played(*first, 4, 0, 0)]]
    (free,) = {0, 1, 2} - set(first)
    assert schedule.pairs(results) == [(min(first[0], free), max(first[0], free))]


def test_repeats_begin_when_all_have_met_and_are_spread() -> None:
    schedule = SwissSchedule(6, 10, seed=3)
    rounds = played_out(schedule, np.zeros(6), np.random.default_rng(5))
    met = Counter(p[:2] for played in rounds[:5] for p in played)
    assert set(met.values()) <= {1, 2}
    met = Counter(p[:2] for played in rounds for p in played)
    assert max(met.values()) - min(met[pair] for pair in combinations(range(6), 2)) <= 1


def test_a_strong_field_of_200_is_paired_in_a_moment() -> None:
    schedule = SwissSchedule(200, 8, seed=0)
    rounds = played_out(schedule, np.linspace(0, 8, 200), np.random.default_rng(0))
    met = Counter(p[:2] for played in rounds for p in played)
    assert len(met) == 800


def test_the_gain_is_the_difference_of_gaussian_entropies() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    covariance, strengths = root @ root.T, rng.normal(size=4)
    gains = information_gain(strengths, covariance, 6)
    side = np.array([0, 1, 0, -1])
    p = 1 / (1 + np.exp(strengths[3] - strengths[1]))
    after = np.linalg.inv(covariance) + 6 * p * (1 - p) * np.outer(side, side)
    entropies = [np.linalg.slogdet(m)[1] / 2 for m in (covariance, np.linalg.inv(after))]
    assert gains[1, 3] == pytest.approx(entropies[0] - entropies[1])
    assert gains[1, 3] == gains[3, 1]


def test_the_posterior_is_where_the_penalized_likelihood_is_flat() -> None:
    played = [Played(0, 1, 9, 0, 1), Played(1, 2, 4, 4, 2), Played(0, 1, 10, 0, 0)]
    strengths, covariance = posterior(4, played)
    p01, p12 = (1 / (1 + np.exp(b - a)) for a, b in [strengths[:2], strengths[1:3]])
    slopes = np.array([19 - 20 * p01, -(19 - 20 * p01) + 6 - 10 * p12, -(6 - 10 * p12), 0])
    assert slopes - strengths / PRIOR_DEVIATION**2 == pytest.approx(np.zeros(4), abs=1e-8)
    assert strengths[3] == 0
    assert covariance[3, 3] == pytest.approx(PRIOR_DEVIATION**2)


def test_active_pairs_are_the_close_and_the_unknown_ones() -> None:
    far = [Played(0, 2, 10, 0, 0), Played(1, 2, 10, 0, 0), Played(0, 1, 5, 0, 5)] * 5
    assert ActiveSchedule(3, 9, 10).pairs([far]) == [(0, 1)]
    assert ActiveSchedule(4, 9, 10).pairs([far])[0] in {(0, 3), (1, 3)}


def test_active_matches_say_more_than_others_of_the_same_number() -> None:
    rng = np.random.default_rng(0)
    strengths = rng.normal(scale=2, size=16)
    active = ActiveSchedule(16, 6, 10)
    everything = list(combinations(range(16), 2))
    spreads = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        chosen = [p for played in played_out(active, strengths, rng) for p in played]
        places = rng.choice(len(everything), active.n_pairings, False)
        drawn = [everything[place] for place in places]
        leads = np.array([strengths[a] - strengths[b] for a, b in drawn])
        wins = rng.binomial(10, 1 / (1 + np.exp(-leads))).tolist()
        others = [Played(a, b, w, 0, 10 - w) for (a, b), w in zip(drawn, wins, strict=True)]
        spreads.append([np.linalg.slogdet(posterior(16, p)[1])[1] for p in (chosen, others)])
    assert all(ours < theirs for ours, theirs in spreads)


@pytest.mark.parametrize("name", ["swiss", "active"])
def test_what_comes_next_follows_from_what_was(name: str) -> None:
    schedules = [make_schedule(name, 7, 5, 10, seed=4) for _ in range(2)]
    rounds = played_out(schedules[0], np.linspace(0, 2, 7), np.random.default_rng(0))
    for end, played in enumerate(rounds):
        assert schedules[1].pairs(rounds[:end]) == [p[:2] for p in played]
    assert sum(map(len, rounds)) == schedules[0].n_pairings


@pytest.mark.parametrize(
    ("name", "rounds", "told"),
    [
        ("swis", None, "unknown schedule 'swis'; known: swiss"),
        ("round-robin", 3, "rounds=3: in a round robin everybody meets everybody once"),
        ("swiss", 0, "rounds=0: a whole number from 1"),
        ("active", 1.5, "rounds=1.5: a whole number"),
        ("active", True, "rounds=True: a whole number"),
    ],
)
def test_schedules_that_do_not_exist_are_refused(name: str, rounds: int, told: str) -> None:
    with pytest.raises(LmgymError, match=told):
        make_schedule(name, 4, rounds, 10, 0)


def test_the_number_of_rounds_suits_the_number_of_players() -> None:
    numbers = {
        n: [make_schedule(s, n, None, 2, 0).n_rounds for s in ("swiss", "active")]
        for n in (2, 5, 16)
    }
    assert numbers == {2: [1, 1], 5: [3, 3], 16: [4, 8]}
