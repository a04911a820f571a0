"""Entries that come with the package, to compare others with."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmgym.errors import LmgymError, unknown

from .results.rows import EntryRow
from .season import MatchTrack, Season, SingleTrack, Track
from .single_play import Contestant, PolicyContestant, SpeakerContestant

if TYPE_CHECKING:
    from lmgym.episode import Episode

__all__ = ["check_reference", "reference_contestant", "reference_rows"]

_SINGLE = ("random", "oracle", "embedded")
_CHARACTERS = string.ascii_lowercase + string.digits + " "
_SUMMARIES = {
    "random": "Anything that is allowed, or random characters.",
    "oracle": "What the world itself demonstrates.",
    "embedded": "The policy that comes with the package, untrained.",
    "best": "What the game itself knows to be best.",
}


def reference_rows(season: Season) -> list[EntryRow]:
    """The entries that a season compares with."""
    wanted: dict[str, list[str]] = {}
    for track in season.tracks:
        for name in track.references:
            wanted.setdefault(check_reference(name, track), []).append(track.id)
    return [
        EntryRow(
            entry=f"{_reference_name(name)}@1",
            source="reference",
            at=str(season.opens),
            manifest=_reference_manifest(name, tracks),
        )
        for name, tracks in wanted.items()
    ]


def check_reference(name: str, track: Track) -> str:
    """The name, if it is that of a reference of such a track."""
    if name.startswith(("policy:", "model:")):
        raise LmgymError(f"reference {name!r:.60} names files; only what the package has is one")
    if isinstance(track, MatchTrack):
        from lmgym.games.players import find_player
        from lmgym.games.worlds import find_game

        find_player(name, find_game(track.env, track.args).game)
    elif name not in _SINGLE:
        raise unknown(f"reference of track {track.id}", name, _SINGLE)
    return name


def reference_contestant(name: str, track: SingleTrack) -> Contestant:
    """A reference of a single-player track."""
    check_reference(name, track)
    if name == "embedded":
        from lmgym.policies.loading import load_policy

        return PolicyContestant(load_policy("embedded"))
    return SpeakerContestant(RandomSpeaker() if name == "random" else OracleSpeaker())


class RandomSpeaker:
    """Any of the answers that the world lists, or up to eight characters of its alphabet."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng()

    def begin(self, number: int, seed: int) -> None:
        """A new episode starts."""
        self._rng = np.random.default_rng((seed, number))

    def say(self, course: Episode) -> str:
        """A message."""
        task, rng = course.task, self._rng
        if task.choices:
            allowed = task.allowed(course.state)
            return task.choices[allowed[int(rng.integers(len(allowed)))]]
        characters = next(iter(task.alphabets.values()), _CHARACTERS)
        picked = rng.integers(len(characters), size=int(rng.integers(1, 9)))
        return "".join(characters[int(i)] for i in picked)

    def end(self, score: float) -> None:
        """The episode is over."""


class OracleSpeaker:
    """What the world itself demonstrates."""

    def begin(self, number: int, seed: int) -> None:
        """A new episode starts."""

    def say(self, course: Episode) -> str:
        """A message."""
        text = course.task.demonstrate(course.state)
        if text is None:
            raise LmgymError(
                f"{type(course.task).__name__} has no demonstration of {course.opening.task_id}, so"
                " the track has no oracle; take it out of the track's references"
            )
        return text

    def end(self, score: float) -> None:
        """The episode is over."""


def _reference_name(name: str) -> str:
    """As an entry's: `mcts:50` is mcts-50."""
    return name.replace(":", "-")


def _reference_manifest(name: str, tracks: Sequence[str]) -> dict[str, Any]:
    return {
        "name": _reference_name(name),
        "version": 1,
        "authors": ["lmgym"],
        "license": "MIT",
        "contact": "",
        "summary": _SUMMARIES.get(name, f"The player {name} of this package."),
        "kind": "reference",
        "tracks": list(tracks),
        "player": name,
    }
