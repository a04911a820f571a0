"""What is measured of episodes on web sites, besides their success."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from .browsing import open_tab
from .episodes import WebState
from .oracle import planner
from .problems import Problem

__all__ = ["measure", "shortest_length"]


def measure(journeys: Sequence[Sequence[WebState]]) -> dict[str, float]:
    """Figures of episodes, each between 0 and 1.

    Path efficiency is the success weighted by the shortest way over the longer of it and the one
    taken (SPL; Anderson et al. 2018, "On Evaluation of Embodied Navigation Agents"). A side effect
    is a fact that has changed at the end and was not to; a refused command did nothing.

    Args:
        journeys: the states of each episode, the first and the last among them.
    """
    figures: defaultdict[str, list[float]] = defaultdict(list)
    for states in journeys:
        first, last = states[0], states[-1]
        n_commands = len(states) - 1
        n_changes = len(first.problem.changes)
        success = float(last.is_reached)
        shortest = shortest_length(first.problem)
        plural = "" if n_changes == 1 else "s"
        figures[f"success, {n_changes} change{plural}"].append(success)
        figures["path efficiency"].append(success * shortest / max(shortest, n_commands))
        figures["side effects"].append(float(_has_side_effects(last)))
        figures["refused commands"].append(_n_refused(states) / max(1, n_commands))
    by_size = sorted(figures, key=lambda name: (not name.startswith("success"), name))
    return {name: float(np.mean(figures[name])) for name in by_size}


@lru_cache(maxsize=4096)
def shortest_length(problem: Problem) -> int:
    """Commands of a shortest way."""
    tab = open_tab(problem.site, problem.site.state_of(problem.start))
    return len(planner(problem.site, problem.goal).plan(tab))


def _has_side_effects(last: WebState) -> bool:
    start, goal = last.problem.start, last.problem.goal
    facts = zip(start, goal, last.facts, strict=True)
    return any(before == wanted != now for before, wanted, now in facts)


def _n_refused(states: Sequence[WebState]) -> int:
    return sum(after is before or bool(after.error) for before, after in pairwise(states))
