"""Boards that nobody has played: every part of a results page, at any size, from a seed.

Names are long, ratings are missing, flags are many: what a page has to cope with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from synthetic_replays import debate, nim, preferred_reply, sum_of_two, web_walk, word_problem

__all__ = ["big_board", "empty_board", "synthetic_board"]

Row = dict[str, Any]
Track = dict[str, Any]

_WORDS = [
    "amber",
    "birch",
    "cobalt",
    "delta",
    "ember",
    "fjord",
    "garnet",
    "harbor",
    "indigo",
    "juniper",
    "krill",
]
_LONG = "the-entry-with-the-very-longest-name-40c"
_PEOPLE = (
    "A. Nakamura",
    "B. Okafor",
    "Søren Ågård",
    "M. Lindqvist",
    "Ruth Adeyemi",
    "J. P. de la Cruz y Fernández-Mompó",
    "X. Wu",
)
_FLAGS: tuple[str, ...] = (
    "copy of amber-birch@1: the same weights under another name",
    "acts as cobalt-delta@2 does in 99.7 % of 1,000 states",
    "trained with seeds of the evaluation",
)
_SUMMARY = "A policy of 137,000 parameters, cloned from demonstrations, then trained by GRPO. "
_KINDS = ("weights", "weights", "weights", "process", "endpoint")
_COMMITMENT = "7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a"

_N_SEEDS = 5
_MOST_IMPROVED = 300
_MOST_REPLAYS = 24


def empty_board() -> dict[str, Any]:
    """A season that has only begun: its tracks have no entries."""
    single = _track("math-addition", "Addition", "lmgym/Math-v0", {}, "single", [])
    match = _track("nim", "Nim", "lmgym/Nim-v0", {}, "match", [])
    return _frame("open", [{**single, "metric": "success"}, match])


def synthetic_board(n_entries: int = 14, *, seed: int = 0, phase: str = "open") -> dict[str, Any]:
    """Tracks of every kind, with so many entries each."""
    rng, n = np.random.default_rng(seed), n_entries
    problems = {"problems": "addition/3"}
    mail = {"family": "mail", "difficulty": 2}
    evidence = {"sentences": 10, "quotes": 2, "judge": "grounded"}
    tracks = [
        _single(rng, n, ("math-addition", "Addition, 3 digits", "Math"), problems, sum_of_two),
        _single(rng, n, ("gsm8k", "Word problems (GSM8K)", "Math"), {}, word_problem),
        _single(rng, n, ("web-mail-comp", "Mail, unseen pairs of changes", "Web"), mail, web_walk),
        _graded(rng, n, ("preference", "Preferred replies", "Preference"), preferred_reply),
        _match(rng, n, ("debate", "Debate over evidence", "Debate"), evidence, debate),
        _match(rng, n, ("nim", "Nim with three heaps", "Nim"), {"heaps": 3}, nim, n_apart=3),
    ]
    return _frame(phase, tracks)


def big_board(n_entries: int = 1000, n_matches: int = 100_000, *, seed: int = 0) -> dict[str, Any]:
    """Two tracks of problems and one of games, with so many entries each and games in all."""
    rng, n = np.random.default_rng(seed), n_entries
    tracks = [
        _single(rng, n, ("gsm8k", "Word problems (GSM8K)", "Math"), {}, word_problem),
        _single(rng, n, ("web-mail", "Mail", "Web"), {"family": "mail"}, web_walk),
        _match(rng, n, ("debate", "Debate", "Debate"), {}, debate, n_matches=n_matches),
    ]
    return _frame("open", tracks)


def _frame(phase: str, tracks: list[Track]) -> dict[str, Any]:
    season = {
        "id": "2026-spring",
        "title": "Spring 2026",
        "opens": "2026-02-01",
        "closes": "2026-04-30",
        "phase": phase,
        "commitment": _COMMITMENT,
        "secret": "3f0c" * 16 if phase == "final" else None,
    }
    made = {"made": "2026-03-14T09:26:53Z", "version": "0.1.0"}
    return {"schema": 1, "season": season, **made, "tracks": tracks}


def _track(
    name: str, title: str, env: str, args: dict[str, Any], kind: str, rows: list[Row]
) -> Track:
    fixed = {"id": name, "title": title, "env": env, "args": args, "kind": kind}
    return {**fixed, "rows": rows, "replays": []}


def _identity(rng: np.random.Generator, number: int) -> Row:
    """An entry: the first two are references, the next has a long name, the one after flags."""
    if number < 2:
        name = ("random", "oracle")[number]
        return _named(name, 1, "reference", ["The lmgym authors"], [], "For comparison.")
    name = f"{_WORDS[number % 11]}-{_WORDS[(number // 11 + number) % 11]}"
    name = _LONG if number == 2 else name if number <= 30 else f"{name}-{number}"
    many = [f"{_FLAGS[k % 3]} ({k})" for k in range(64)]
    flags = many if number == 3 else list(_FLAGS[:1]) if number == 5 else []
    authors = [str(author) for author in rng.permutation(_PEOPLE)[: 1 + number % 4]]
    summary = _SUMMARY * (7 if number == 2 else 1)
    return _named(name, 1 + number % 3, _KINDS[number % 5], authors, flags, summary)


def _named(
    name: str, version: int, kind: str, authors: list[str], flags: list[str], summary: str
) -> Row:
    return {
        "entry": f"{name}@{version}",
        "name": name,
        "version": version,
        "authors": authors,
        "license": "MIT" if len(name) % 2 else "Apache-2.0",
        "summary": summary,
        "kind": kind,
        "reference": kind == "reference",
        "verifiable": kind in ("weights", "reference"),
        "flags": flags,
    }


def _ranked(rows: list[Row], key: str) -> list[Row]:
    """Rows, best first, with the ranks that their intervals leave open."""
    known = [row for row in rows if row[key] is not None]
    lows, highs = (np.array([row[end] for row in known]) for end in ("low", "high"))
    for row in known:
        row["rank_low"] = 1 + int((lows > row["high"]).sum())
        row["rank_high"] = len(known) - int((highs < row["low"]).sum())
    return sorted(rows, key=lambda row: float("inf") if row[key] is None else -row[key])


def _single(
    rng: np.random.Generator,
    n: int,
    names: tuple[str, str, str],
    args: dict[str, Any],
    replay: Callable[[int], dict[str, Any]],
) -> Track:
    """A track of success."""
    skills = np.r_[0.02, 0.995, rng.beta(5, 2, max(0, n - 2))][:n]
    seeds = np.clip(skills[:, None] + 0.02 * rng.standard_normal((n, _N_SEEDS)), 0, 1)
    track = _problems(rng, seeds, names, args, "success", replay)
    for row in track["rows"]:
        for key in ("low", "high", "iqm_low", "iqm_high", "score_without_forfeits"):
            row[key] = min(1.0, max(0.0, row[key]))
    return track


def _graded(
    rng: np.random.Generator,
    n: int,
    names: tuple[str, str, str],
    replay: Callable[[int], dict[str, Any]],
) -> Track:
    """A track of grades, which may be negative."""
    seeds = rng.normal(0.8, 0.6, (n, 1)) + 0.1 * rng.standard_normal((n, _N_SEEDS))
    return _problems(rng, seeds, names, {}, "gold_reward", replay)


def _problems(
    rng: np.random.Generator,
    seeds: np.ndarray[Any, Any],
    names: tuple[str, str, str],
    args: dict[str, Any],
    metric: str,
    replay: Callable[[int], dict[str, Any]],
) -> Track:
    rows = [_problem_row(rng, number, means) for number, means in enumerate(seeds)]
    rows = _ranked(rows, "score")
    name, title, family = names
    track = _track(name, title, f"lmgym/{family}-v0", args, "single", rows)
    amounts = {"n_problems": 200, "n_seeds": _N_SEEDS, "budget": "512 tokens a problem"}
    replays = [
        {"entry": row["entry"], **replay(number)} for number, row in enumerate(rows[:_MOST_REPLAYS])
    ]
    improvement = _improvement(rows[:_MOST_IMPROVED])
    return {**track, "metric": metric, **amounts, "improvement": improvement, "replays": replays}


def _problem_row(rng: np.random.Generator, number: int, means: np.ndarray[Any, Any]) -> Row:
    score, half = float(means.mean()), 0.004 + 1.2 * float(means.std())
    low, high = score - half, score + half
    forfeits = int(rng.integers(1, 40)) if number % 6 == 4 else 0
    runs = np.clip(means[:, None] + 0.3 * rng.standard_normal((_N_SEEDS, 40)), 0, 1)
    return {
        **_identity(rng, number),
        "score": score,
        "low": low,
        "high": high,
        "iqm": 0.98 * score,
        "iqm_low": 0.98 * low,
        "iqm_high": 0.98 * high,
        "n": 1000,
        "forfeits": forfeits,
        "score_without_forfeits": score * 1000 / (1000 - forfeits),
        "seeds": means.tolist(),
        "curve": None if number % 7 == 0 else _curve(rng, score),
        "profile": None if number % 9 == 0 else _profile(runs),
    }


def _curve(rng: np.random.Generator, score: float) -> dict[str, Any]:
    seconds = np.linspace(0, 240, 60)
    rise = score * (1 - np.exp(-seconds / rng.uniform(20, 90)))
    noisy = rise + 0.012 * rng.standard_normal(len(rise))
    points = np.c_[seconds, noisy].tolist()
    return {"x": "seconds", "y": "validation reward", "points": points}


def _profile(runs: np.ndarray[Any, Any]) -> list[list[float]]:
    return [[tau, float((runs > tau).mean())] for tau in np.linspace(0, 1, 51).tolist()]


def _improvement(rows: list[Row]) -> dict[str, Any]:
    scores = np.array([row["score"] for row in rows])
    chances = 1 / (1 + np.exp(-25 * (scores[:, None] - scores[None, :])))
    others = ~np.eye(len(rows), dtype=bool)
    return {"entries": [row["entry"] for row in rows], "p": _cells(chances, others)}


def _cells(values: np.ndarray[Any, Any], known: np.ndarray[Any, Any]) -> list[list[float | None]]:
    """A matrix as lists, None where nothing is known."""
    cells = values.astype(object)
    cells[~known] = None
    held: list[list[float | None]] = cells.tolist()
    return held


def _match(
    rng: np.random.Generator,
    n: int,
    names: tuple[str, str, str],
    args: dict[str, Any],
    replay: Callable[[list[str], int], dict[str, Any]],
    *,
    n_apart: int = 0,
    n_matches: int | None = None,
) -> Track:
    """A track of games; the last `n_apart` entries have met none of the others."""
    rows = [_match_row(rng, number, int(number >= n - n_apart)) for number in range(n)]
    rows = _ranked(rows, "rating")
    name, title, family = names
    track = _track(name, title, f"lmgym/{family}-v0", args, "match", rows)
    n_games = 20 if n_matches is None else 2
    entries = [row["entry"] for row in rows]
    replays = [replay(entries[k : k + 2], k) for k in range(min(n, 12) - 1)]
    matrix = _matrix(rng, rows, n_games, n_matches)
    return {**track, "n_games": n_games, "matrix": matrix, "replays": replays}


def _match_row(rng: np.random.Generator, number: int, component: int) -> Row:
    rating, half = 1000.0 if number == 0 else rng.normal(1350, 140), rng.uniform(14, 60)
    is_rated = number % 11 != 6
    games = int(rng.integers(80, 900))
    wins, draws = int(0.9 * games / (1 + 10 ** ((1300 - rating) / 400))), games // 12
    return {
        **_identity(rng, number),
        "rating": float(rating) if is_rated else None,
        "low": float(rating - half) if is_rated else None,
        "high": float(rating + half) if is_rated else None,
        "rank_low": None,
        "rank_high": None,
        "component": component,
        "elo": float(rating + rng.normal(0, 15)),
        "alpha_rank": float(rng.beta(0.3, 6)),
        "nash": float(rng.beta(0.2, 6)) if number % 3 == 0 else 0.0,
        "games": games,
        "wins": wins,
        "draws": draws,
        "losses": max(0, games - wins - draws),
        "forfeits": int(rng.integers(1, 30)) if number % 5 == 4 else 0,
        "first_seat_rate": float(rng.uniform(0.4, 0.8)),
        "second_seat_rate": float(rng.uniform(0.3, 0.6)),
        "rating_without_forfeits": float(rating + 12) if is_rated else None,
    }


def _matrix(
    rng: np.random.Generator, rows: list[Row], n_games: int, n_matches: int | None
) -> dict[str, Any]:
    """Who has met whom; with `n_matches` only some pairs have."""
    ratings = np.array([1300.0 if row["rating"] is None else row["rating"] for row in rows])
    groups = np.array([row["component"] for row in rows])
    n, met = len(rows), np.triu(groups[:, None] == groups[None, :], 1)
    if n_matches is not None:
        pairs = rng.permutation(np.argwhere(met))[: n_matches // n_games]
        met = np.zeros_like(met)
        met[tuple(pairs.T)] = True
    expected = 1 / (1 + 10 ** ((ratings[None, :] - ratings[:, None]) / 400))
    noisy = np.clip(expected + 0.08 * rng.standard_normal((n, n)), 0, 1)
    upper = np.where(met, np.round(noisy * n_games) / n_games, 0)
    points, known = upper + np.where(met.T, 1 - upper.T, 0), met | met.T
    return {
        "entries": [row["entry"] for row in rows],
        "points": _cells(points, known),
        "games": (n_games * known).tolist(),
    }
