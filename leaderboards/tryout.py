"""Whether an entry of kind "weights" can play, found out in a process of its own.

A library that aborts, fills the memory or never comes back ends that process and nothing else. What
is found holds for these files and these tracks, so each is tried once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lmgym.errors import LmgymError
from lmgym.games.deals import start_of
from lmgym.games.players import Player, PlayerFailure
from lmgym.games.run import Turn
from lmgym.games.worlds import find_game

from .participants import load_entry, player_of, writer_of
from .season import MatchTrack, Season, SingleTrack, Track
from .single_play import SingleWorld
from .submissions.checking import Submission
from .submissions.manifest import Manifest, read_manifest
from .submissions.tensor_files import WEIGHTS_FILE

if TYPE_CHECKING:
    from lmgym.games.game import Game
    from lmgym.games.policies import GamePolicy
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["TrialLimits", "try_out"]

_MOST_REASON = 400
_SETTINGS = {"CUDA_VISIBLE_DEVICES": "", "MALLOC_ARENA_MAX": "4"}
"""Of a trial: neither a driver nor threads reserve addresses that they may never need."""
_tried: set[tuple[object, ...]] = set()


@dataclass(frozen=True)
class TrialLimits:
    """What a trial may use."""

    seconds: float = 120.0
    """To load the model and play in a track; as much again for each further one."""
    memory_bytes: int = 8 * 2**30
    """Of address space, where the system can bound it."""
    memory_per_byte: int = 8
    """More of it for each byte of the weights: they are cast, and some are merged."""


def try_out(submission: Submission, season: Season, limits: TrialLimits | None = None) -> None:
    """Let an entry of kind "weights" play a problem or a move in each of its tracks.

    Tracks that cannot be played here, as for want of their data, are left out.

    Args:
        submission: that was checked.
        season: has the tracks.
        limits: of the process that plays.

    Raises:
        LmgymError: where it cannot, with the track and the reason.
    """
    manifest = submission.manifest
    tracks = [track for track in season.tracks if track.id in manifest.tracks]
    key = (tuple(sorted(submission.hashes.items())), repr(tracks), limits)
    if manifest.kind != "weights" or key in _tried:
        return
    problem = _problem(submission.folder, tracks, limits or TrialLimits())
    if problem:
        raise LmgymError(f"{manifest.entry} {problem}")
    _tried.add(key)


def _problem(folder: Path, tracks: Sequence[Track], limits: TrialLimits) -> str:
    """Why an entry cannot play; empty where it can."""
    size = (folder / WEIGHTS_FILE).stat().st_size
    asked = {
        "folder": str(folder.resolve()),
        "tracks": [{"is_single": isinstance(t, SingleTrack)} | asdict(t) for t in tracks],
        "memory_bytes": limits.memory_bytes + limits.memory_per_byte * size,
    }
    seconds = limits.seconds * max(1, len(tracks))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=os.environ | _SETTINGS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        told = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        return f"{_doing(told)}: it takes more than {seconds:g} seconds"
    return _verdict(done)


def _verdict(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stdout.splitlines()
    last = json.loads(lines[-1]) if lines else {}
    if "problem" in last:
        return str(last["problem"])
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"{_doing(done.stdout)}: its process was killed by signal {-done.returncode}"
    words = ascii(done.stderr.strip()[-_MOST_REASON:])
    return f"{_doing(done.stdout)}: its process ended with status {done.returncode}: {words}"


def _doing(told: str) -> str:
    """What the process was at, by the lines that it wrote."""
    lines = told.splitlines()
    return _cannot(json.loads(lines[-1])["track"]) if lines else "cannot be loaded"


def _cannot(track: str) -> str:
    return f"cannot play track {track}"


def main() -> None:
    """The end of the process: a line for each track, and one for what goes wrong."""
    asked = json.load(sys.stdin)
    _bound_memory(asked["memory_bytes"])
    with os.fdopen(os.dup(1), "w", buffering=1) as told:
        os.dup2(2, 1)  # what libraries print is no answer
        tracks = [_track(fields) for fields in asked["tracks"]]
        problem = _first_problem(Path(asked["folder"]), tracks, told)
        if problem:
            _tell(told, problem=problem[:_MOST_REASON])


def _track(fields: Mapping[str, Any]) -> Track:
    words = dict(fields)
    kind = SingleTrack if words.pop("is_single") else MatchTrack
    return kind(**words)


def _tell(told: IO[str], **words: str) -> None:
    told.write(json.dumps(words) + "\n")


def _first_problem(folder: Path, tracks: Iterable[Track], told: IO[str]) -> str:
    manifest = read_manifest(folder)
    try:
        policy = load_entry(folder, manifest)
    except Exception as error:  # noqa: BLE001 - whatever it is, the entry causes it
        return f"cannot be loaded: {_reason(error, manifest.entry)}"
    for track in tracks:
        _tell(told, track=track.id)
        try:
            _play(policy, manifest, track)
        except Exception as error:  # noqa: BLE001
            return f"{_cannot(track.id)}: {_reason(error, manifest.entry)}"
    return ""


def _reason(error: Exception, entry: str) -> str:
    if not isinstance(error, LmgymError):
        return f"{type(error).__name__}: {str(error)!a}"
    return str(error).removeprefix(f"{entry}: ").removeprefix(f"{entry} cannot be loaded: ")


def _play(policy: LanguagePolicy | GamePolicy, manifest: Manifest, track: Track) -> None:
    """A problem, or a move, in a track; nothing where the track cannot be played here."""
    try:
        if isinstance(track, SingleTrack):
            place: SingleWorld | Game[Any] = SingleWorld(replace(track, problems=1))
        else:
            place = find_game(track.env, track.args).game
    except LmgymError:
        return
    if isinstance(place, SingleWorld):
        place.scored(0, writer_of(policy, manifest).play(place, 0))
    else:
        assert isinstance(track, MatchTrack)
        _move(player_of(policy, manifest, track), place)


def _move(player: Player, game: Game[Any]) -> None:
    """The first move of a game; one that forfeits it is a bad move, and no defect."""
    state = start_of(game, 0)
    seat = game.mover(state)
    assert seat is not None, "the game is over before it has begun"
    with suppress(PlayerFailure):
        player.act(Turn(game, state, seat), np.random.default_rng(0))


def _bound_memory(n_bytes: int) -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = n_bytes if hard == resource.RLIM_INFINITY else min(n_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main()
