"""A board: what a season's results come to, as tables that the page and people are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from lmgym import __version__
from lmgym.games.replay import Shown, steps
from lmgym.games.worlds import find_game

from .evaluation import current_entries
from .results.rows import EntryRow, EpisodesRow, MatchesRow
from .results.store import Cell, Results
from .season import MatchTrack, Season, SingleTrack
from .single_play import SingleWorld
from .single_table import (
    SeedScores,
    improvement_table,
    rank_ranges,
    score_columns,
    seed_scores,
    thresholds_of,
)
from .submissions.copies import agreement_of
from .tournaments.standings import StandingRow, standing

__all__ = ["make_board", "ratings_of"]

_MOST_REPLAYS = 12
_MOST_COMPARED = 60
_GAP = 0.1


def make_board(season: Season, results: Results, *, has_replays: bool = True) -> dict[str, Any]:
    """Everything that the page shows, as plain values.

    Args:
        season: says the tracks.
        results: of the season.
        has_replays: whether some episodes and games are told in full.
    """
    entries = results.entries()
    maker = _Maker(season, results, entries, has_replays)
    return {
        "schema": 1,
        "season": {
            "id": season.id,
            "title": season.title,
            "opens": str(season.opens),
            "closes": None if season.closes is None else str(season.closes),
            "phase": _phase(season, results),
            "commitment": season.commitment,
            "secret": season.secret,
        },
        "made": max((row.at for row in entries.values()), default=str(season.opens)),
        "version": __version__,
        "head": {"rows": results.head.n_rows, "hash": results.head.hash},
        "tracks": [
            maker.single(track) if isinstance(track, SingleTrack) else maker.match(track)
            for track in season.tracks
        ],
    }


def _phase(season: Season, results: Results) -> str:
    """The season's; "public" where the seeds were known before anything was played."""
    is_public = season.phase == "final" and not results.has_phase("open")
    return "public" if is_public else season.phase


def ratings_of(board: Mapping[str, Any]) -> dict[str, Any]:
    """The tables alone, what made them, and the head of the results that they are of."""
    return {
        "season": board["season"]["id"],
        "version": board["version"],
        "head": board["head"],
        "tracks": {track["id"]: track["rows"] for track in board["tracks"]},
    }


class _Maker:
    """Makes the tracks of a board."""

    def __init__(
        self, season: Season, results: Results, entries: Mapping[str, EntryRow], has_replays: bool
    ) -> None:
        self._season, self._results, self._entries = season, results, entries
        self._has_replays = has_replays

    def single(self, track: SingleTrack) -> dict[str, Any]:
        """A track for one player."""
        members = {row.entry for row in current_entries(self._entries, track.id)}
        cells = [c for c in self._results.cells(track.id, self._season.phase) if c.entry in members]
        scores = seed_scores(cells, track.seeds)
        order = sorted(scores, key=lambda entry: (-scores[entry].means.mean(), entry))
        ordered = {entry: scores[entry] for entry in order}
        compared = dict(list(ordered.items())[:_MOST_COMPARED])
        return {
            "id": track.id,
            "title": track.title,
            "kind": "single",
            "env": track.env,
            "args": {**track.args, "split": track.split},
            "metric": track.metric,
            "n_problems": track.problems,
            "n_seeds": track.seeds,
            "budget": f"{track.most_bytes:,} bytes an episode, temperature {track.temperature:g}",
            "rows": self._single_rows(track, ordered),
            "improvement": improvement_table(compared),
            "replays": self._episodes(track, cells, order) if self._has_replays else [],
        }

    def match(self, track: MatchTrack) -> dict[str, Any]:
        """A track for two players."""
        names = [row.entry for row in current_entries(self._entries, track.id)]
        pairs = [
            pair
            for pair in self._results.pairs(track.id, self._season.phase)
            if pair.a in names and pair.b in names
        ]
        results = [game for pair in pairs for game in pair.games]
        table = standing(results, names) if names else None
        offsets = [pair.offset for pair in pairs]
        return {
            "id": track.id,
            "title": track.title,
            "kind": "match",
            "env": track.env,
            "args": dict(track.args),
            "n_games": track.games,
            "has_stakes": table is not None and table.has_stakes,
            "rows": [] if table is None else [self._match_row(row) for row in table.rows],
            "matrix": {
                "entries": [] if table is None else list(table.names),
                "points": [] if table is None else [list(row) for row in table.points],
                "games": [] if table is None else [list(row) for row in table.games],
            },
            "replays": self._games(track, offsets) if self._has_replays else [],
        }

    def _single_rows(
        self, track: SingleTrack, scores: Mapping[str, SeedScores]
    ) -> list[dict[str, Any]]:
        if not scores:
            return []
        best, worst = rank_ranges(np.stack([each.means for each in scores.values()]))
        is_share = track.metric == "success"
        thresholds = thresholds_of(scores, is_share=is_share)
        alike = self._alike(track, scores)
        earlier = self._open_means(track)
        return [
            {
                **self._identity(
                    entry, [*alike.get(entry, ()), *_gap_flags(each, earlier.get(entry))]
                ),
                **score_columns(each, thresholds, is_share=is_share),
                "rank_low": int(best[place]),
                "rank_high": int(worst[place]),
                "curve": self._entries[entry].curve,
            }
            for place, (entry, each) in enumerate(scores.items())
        ]

    def _alike(self, track: SingleTrack, shown: Mapping[str, SeedScores]) -> dict[str, list[str]]:
        """Entries that answer as an earlier one does, right and wrong."""
        chosen = [e for e in list(shown)[:_MOST_COMPARED] if self._entries[e].source != "reference"]
        cells: dict[str, list[Cell]] = {entry: [] for entry in self._entries if entry in chosen}
        for cell in self._results.cells(track.id, self._season.phase):
            if cell.entry in cells:
                cells[cell.entry].append(cell)
        found: dict[str, list[str]] = {}
        for first, second in combinations(cells, 2):
            if _agree(cells[first], cells[second]):
                found.setdefault(second, []).append(f"answers as {first} does")
        return found

    def _open_means(self, track: SingleTrack) -> dict[str, SeedScores]:
        """What entries scored while the seeds were known, where these no longer count."""
        if self._season.phase == "open":
            return {}
        return seed_scores(self._results.cells(track.id, "open"), track.seeds)

    def _match_row(self, row: StandingRow) -> dict[str, Any]:
        told = asdict(row)
        return {**self._identity(told.pop("name"), []), **told}

    def _identity(self, entry: str, flags: list[str]) -> dict[str, Any]:
        row = self._entries[entry]
        manifest = row.manifest
        return {
            "entry": entry,
            "name": manifest["name"],
            "version": manifest["version"],
            "authors": list(manifest["authors"]),
            "license": manifest["license"],
            "summary": manifest["summary"],
            "kind": row.source,
            "reference": row.source == "reference",
            "verifiable": row.source in ("weights", "reference"),
            "flags": [*row.flags, *flags],
        }

    def _episodes(
        self, track: SingleTrack, cells: Sequence[Cell], order: Sequence[str]
    ) -> list[dict[str, Any]]:
        """An episode that went well and one that did not, of the best entries."""
        first = {cell.entry: cell for cell in reversed(cells)}
        world = SingleWorld(track) if first else None
        found = []
        for entry in order:
            cell = first[entry]
            best, worst = int(np.argmax(cell.scores)), int(np.argmin(cell.scores))
            row = self._results.row(cell.offset)
            assert isinstance(row, EpisodesRow)
            assert world is not None
            for place in sorted({best, worst}):
                found.append(_told_episode(world, row, place))
            if len(found) >= _MOST_REPLAYS:
                break
        return found

    def _games(self, track: MatchTrack, offsets: Sequence[int]) -> list[dict[str, Any]]:
        """The first games of pairs, spread over all of them."""
        chosen = np.unique(
            np.linspace(0, len(offsets) - 1, min(len(offsets), _MOST_REPLAYS), dtype=int)
        )
        found = []
        for place in chosen.tolist():
            row = self._results.row(offsets[place])
            assert isinstance(row, MatchesRow)
            found.append(_told_game(track, row))
        return found


def _agree(first: Sequence[Cell], second: Sequence[Cell]) -> bool:
    """Whether two entries give the same answers where that tells something."""
    pairs = list(zip(sorted(first, key=_number), sorted(second, key=_number), strict=True))
    return agreement_of(
        [answer for cell, _ in pairs for answer in cell.answers],
        [answer for _, cell in pairs for answer in cell.answers],
        [place not in a.failed + b.failed for a, b in pairs for place in range(len(a.scores))],
        scores=[score for cell, _ in pairs for score in cell.scores],
        other_scores=[score for _, cell in pairs for score in cell.scores],
    ).is_suspicious


def _number(cell: Cell) -> int:
    return cell.k


def _gap_flags(final: SeedScores, before: SeedScores | None) -> list[str]:
    """Whether an entry did better on seeds that it could know than on those that it could not."""
    if before is None or len(final.means) < 2:
        return []
    gap = float(before.means.mean() - final.means.mean())
    spread = before.means.var(ddof=1) / len(before.means) + final.means.var(ddof=1) / len(
        final.means
    )
    if gap < _GAP or gap < 4 * spread**0.5:
        return []
    return [f"fell by {gap:.2f} when the seeds were new"]


def _told_episode(world: SingleWorld, row: EpisodesRow, place: int) -> dict[str, Any]:
    episode = row.episodes[place]
    messages = world.conversation(row.seed, place, episode.texts)
    return {
        "entry": row.entry,
        "task_id": episode.task_id,
        "messages": [message.as_dict() for message in messages],
        "score": episode.score,
        "verdict": episode.verdict,
    }


def _told_game(track: MatchTrack, row: MatchesRow) -> dict[str, Any]:
    record = row.records[0]
    world = find_game(track.env, track.args)
    moves = [
        {
            "player": record.players[shown.move.player],
            "seat": shown.move.player,
            "page": shown.turn.text,
            "text": _told_move(shown),
            "complaint": shown.move.complaint,
        }
        for shown in steps(record, world)
    ]
    forfeit = record.forfeit
    ending = "finished" if forfeit is None else f"forfeit of seat {forfeit.seat}: {forfeit.reason}"
    return {
        "entries": list(record.players),
        "deal": record.deal,
        "moves": moves,
        "returns": list(record.returns),
        "ending": ending,
    }


def _told_move(shown: Shown) -> str:
    """What was said; an action's number in the game's words, where it is one."""
    said = shown.move.said
    if isinstance(said, str) or shown.move.complaint:
        return str(said)
    return shown.turn.game.say(shown.turn.state, said)
