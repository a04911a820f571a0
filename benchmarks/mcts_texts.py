"""Searches of texts side by side: what the best of their first endings is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.episode import Episode
from lmgym.factory import make_episode
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.search.best_first import best_first
from lmgym.search.episode_mcts import episode_search
from lmgym.task import Verdict
from lmgym.training.uncertainty import mean_interval, wilson_interval
from lmgym.transcript import Transcript, with_gold_rewards
from measuring import Claim

ENDINGS = (1, 2, 4, 8, 32)
WORLDS = {
    "lmgym/Math-v0": "solved",
    "lmgym/GuessNumber-v0": "solved",
    "lmgym/Preference-v0": "gold reward",
}
"""Worlds, and the unit of what their endings are worth."""

Row = dict[str, dict[str, float]]
"""Means with their intervals, by the number of endings."""

Endings = Iterator[Transcript]

Find = Callable[[LanguagePolicy, Episode, int, int], Endings]
"""Endings of an episode, so many, by draws from a seed."""


def search_texts(n_problems: int, first_seed: int) -> tuple[list[Claim], dict[str, Any]]:
    """Claims without bars, and what they follow from."""
    told: dict[str, dict[str, Row]] = {}
    for world in WORLDS:
        rows = {name: _row(world, find, n_problems, first_seed) for name, find in SEARCHES.items()}
        told[world] = rows
        _show(world, rows)
    most = str(max(ENDINGS))
    claims = [
        Claim(f"{world}: {name}, {most} endings", [rows[name][most]["mean"]], WORLDS[world])
        for world, rows in told.items()
        for name in rows
    ]
    return claims, told


def _by_search(policy: LanguagePolicy, episode: Episode, n: int, seed: int) -> Endings:
    reward = "gold" if episode.task.has_gold_reward else "verifier"
    rng = np.random.default_rng(seed)
    for ending in episode_search(policy, episode, rng, n_endings=n, reward=reward):
        yield ending.transcript


def _by_likelihood(policy: LanguagePolicy, episode: Episode, n: int, seed: int) -> Endings:
    del seed
    for ending in best_first(policy, episode, n_endings=n):
        yield ending.transcript


def _by_chance(policy: LanguagePolicy, episode: Episode, n: int, seed: int) -> Endings:
    """The greedy ending, and samples."""
    generator = torch.Generator().manual_seed(seed)
    start = episode.get_state()
    for number in range(n):
        episode.set_state(start)
        while episode.verdict is None:
            left = episode.remaining
            drawn = policy.sample(
                [episode.ids], max_tokens=left, greedy=number == 0, generator=generator
            )
            episode.write(drawn.ids[0])
        yield episode.transcript()


SEARCHES: Mapping[str, Find] = {
    "greedy, then samples": _by_chance,
    "best_first": _by_likelihood,
    "episode_search": _by_search,
}


def _row(world: str, find: Find, n_problems: int, first_seed: int) -> Row:
    """What the best of the first endings is worth, by how many there are."""
    policy, episode = load_policy(), make_episode(world)
    problems = episode.task.task_ids("validation", n_problems)
    worth = np.full((len(problems), max(ENDINGS)), -math.inf)
    for row, task_id in enumerate(problems):
        episode.reset(np.random.default_rng(0), task_id=task_id)
        endings = find(policy, episode, max(ENDINGS), first_seed + row)
        for column, ending in enumerate(endings):
            worth[row, column] = _worth(episode, ending)
    best = np.maximum.accumulate(worth, axis=1)
    describe = _mean if episode.task.has_gold_reward else _share
    return {str(n): describe(best[:, n - 1]) for n in ENDINGS}


def _worth(episode: Episode, ending: Transcript) -> float:
    (graded,) = with_gold_rewards(episode.task, [ending])
    if graded.gold_reward is not None:
        return graded.gold_reward
    return float(graded.verdict is Verdict.CORRECT)


def _mean(values: Any) -> dict[str, float]:
    found = mean_interval(values.tolist())
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": len(values)}


def _share(values: Any) -> dict[str, float]:
    low, high = wilson_interval(float(values.sum()), len(values))
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}


def _show(world: str, rows: Mapping[str, Row]) -> None:
    table = Table(f"{world}: endings", *map(str, ENDINGS), box=SIMPLE_HEAD)
    for name, found in rows.items():
        cells = (f"{c['mean']:.2f} [{c['low']:.2f}, {c['high']:.2f}]" for c in found.values())
        table.add_row(name, *cells)
    Console().print(table)
