"""Seasons: the tracks of a leaderboard, and seeds that nobody can train on before they are used.

A season is a TOML file. When it opens it shows a commitment, the SHA-256 of a secret; seeds of this
phase follow from the commitment, so that everybody can evaluate at home. When it closes the secret
is written beside it, and the seeds that count follow from the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from lmgym.errors import LmgymError, unknown

__all__ = ["MatchTrack", "Metric", "Phase", "Season", "SingleTrack", "Track", "commitment_to"]

Metric: TypeAlias = Literal["success", "gold_reward"]
"""What an episode scores: 1 where the world's verdict is "correct", or the world's own grade."""

Phase: TypeAlias = Literal["open", "final"]
"""Before and after the secret is known."""

Plain: TypeAlias = str | int | float | bool

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class SingleTrack:
    """Problems that each entry solves by itself.

    Attributes:
        id: in files and on the command line.
        title: on the page.
        env: the world's id, its version included.
        args: the world's arguments.
        split: where problems are drawn from.
        problems: how many for each seed.
        seeds: how many seeds.
        temperature: at which language models write; 0 takes the likeliest ids.
        most_bytes: that an agent may write in an episode, in UTF-8; the rest is cut off, and the
            episode is unfinished.
        metric: what an episode scores.
        move_ms: milliseconds that a process has for a message.
        references: of this package, by name, that are entered by themselves.
    """

    id: str
    title: str
    env: str
    args: dict[str, Plain] = field(default_factory=dict)
    split: str = "test"
    problems: int = 100
    seeds: int = 5
    temperature: float = 1.0
    most_bytes: int = 64
    metric: Metric = "success"
    move_ms: int = 10_000
    references: tuple[str, ...] = ("random", "oracle", "embedded")


@dataclass(frozen=True)
class MatchTrack:
    """A game in which each entry meets every other one.

    Attributes:
        id: in files and on the command line.
        title: on the page.
        env: the game's id, its version included.
        args: the game's arguments.
        games: of each two entries; even, as each deal is played in either seating.
        temperature: at which language models write; 0 takes the likeliest ids.
        move_ms: milliseconds that a process has for a move.
        references: players of this package, by name, that are entered by themselves.
    """

    id: str
    title: str
    env: str
    args: dict[str, Plain] = field(default_factory=dict)
    games: int = 40
    temperature: float = 1.0
    move_ms: int = 10_000
    references: tuple[str, ...] = ("random", "best")


Track: TypeAlias = SingleTrack | MatchTrack


@dataclass(frozen=True)
class Season:
    """Tracks that are evaluated with the same seeds for all.

    Attributes:
        id: of the file, too.
        title: on the page.
        opens: the first day.
        closes: the last day; None where it stays open.
        commitment: SHA-256 of the secret, in hexadecimal digits.
        secret: empty until it is revealed.
        tracks: at least one.

    Example:
        >>> season = Season(
        ...     "s",
        ...     "S",
        ...     date(2027, 1, 1),
        ...     None,
        ...     commitment_to("x"),
        ...     "",
        ...     (SingleTrack("sums", "Sums", "lmgym/Math-v0"),),
        ... )
        >>> season.phase, season.revealed("x").phase
        ('open', 'final')
        >>> season.seed("sums", 0) == season.revealed("x").seed("sums", 0)
        False
    """

    id: str
    title: str
    opens: date
    closes: date | None
    commitment: str
    secret: str
    tracks: tuple[Track, ...]

    @property
    def phase(self) -> Phase:
        """Whether the seeds that count are known."""
        return "final" if self.secret else "open"

    @cached_property
    def _tracks(self) -> dict[str, Track]:
        return {track.id: track for track in self.tracks}

    def track(self, track_id: str) -> Track:
        """A track by its id."""
        if track_id not in self._tracks:
            raise unknown(f"track of season {self.id}", track_id, self._tracks)
        return self._tracks[track_id]

    def seed(self, *parts: str | int, phase: Phase | None = None) -> int:
        """The seed of a part of the season, such as a track and a number: 0 to 2**63 - 1.

        Args:
            parts: what it is the seed of.
            phase: of which; by default the present one.

        Raises:
            LmgymError: for "final" while the secret is unknown.
        """
        phase = phase or self.phase
        if phase == "final" and not self.secret:
            raise LmgymError(f"the secret of season {self.id} is not revealed, so it has no seeds")
        key = self.secret if phase == "final" else self.commitment
        message = "/".join(map(str, (self.id, *parts)))
        digest = hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def revealed(self, secret: str) -> Season:
        """The season with its secret.

        Raises:
            LmgymError: where the secret is another one.
        """
        if commitment_to(secret) != self.commitment:
            raise LmgymError(
                f"the secret's SHA-256 is {commitment_to(secret)}, and season {self.id} is"
                f" committed to {self.commitment}; give the secret that the season was opened with"
            )
        return replace(self, secret=secret)


def commitment_to(secret: str) -> str:
    """What is published of a secret when a season opens."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_id(what: str, given: str) -> str:
    """A name that can be a file's everywhere."""
    if not _ID.fullmatch(given):
        raise LmgymError(
            f"{what} {given!r:.60} is no name; allowed are 1 to 40 lower-case letters, digits and"
            " hyphens, not beginning with a hyphen"
        )
    return given


def season_path(board: Path, season_id: str) -> Path:
    """Where a board keeps a season."""
    return board / "seasons" / f"{check_id('season', season_id)}.toml"
