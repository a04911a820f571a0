"""Entries at work: what plays for a row of results, opened where it is needed and closed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lmgym.errors import LmgymError
from lmgym.games.players import Player, PlayerFailure, find_player
from lmgym.games.policies import GamePolicy, GamePolicyPlayer
from lmgym.games.text_players import TextPlayer, is_guided
from lmgym.games.worlds import find_game

from .endpoints import EndpointSpeaker
from .processes.process_agent import Failures, ProcessAgent
from .processes.process_player import ProcessPlayer
from .processes.sandbox import Limits
from .references import reference_contestant
from .results.rows import EntryRow
from .season import MatchTrack, SingleTrack, Track
from .single_play import Contestant, PolicyContestant, SpeakerContestant
from .submissions.checking import check_submission
from .submissions.files import hash_files
from .submissions.game_weights import is_game_policy, load_game_policy_of
from .submissions.manifest import Manifest, read_manifest
from .submissions.weights import load_weights

if TYPE_CHECKING:
    from lmgym.episode import Episode
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["contestant", "load_entry", "player", "player_of", "writer_of"]


@contextmanager
def contestant(
    board: Path,
    entry: EntryRow,
    track: SingleTrack,
    *,
    trusted: bool = False,
    failures: Failures | None = None,
) -> Iterator[Contestant]:
    """What writes for an entry in a single-player track.

    Args:
        board: the folder that holds the submissions.
        entry: whose.
        track: where.
        trusted: whether a process may run where no sandbox can be had.
        failures: of the entry's process before.
    """
    if entry.source == "reference":
        yield reference_contestant(entry.manifest["player"], track)
    elif entry.source == "weights":
        yield writer_of(*_weights(board, entry))
    elif entry.source == "process":
        with _process(board, entry, track, trusted, failures) as agent:
            yield SpeakerContestant(_ProcessSpeaker(agent))
    else:
        yield SpeakerContestant(_endpoint(board, entry, track))


@contextmanager
def player(
    board: Path,
    entry: EntryRow,
    track: MatchTrack,
    *,
    trusted: bool = False,
    failures: Failures | None = None,
) -> Iterator[Player]:
    """What plays for an entry in a two-player track; arguments as for `contestant`."""
    game = find_game(track.env, track.args).game
    if entry.source == "reference":
        yield find_player(entry.manifest["player"], game)
    elif entry.source == "weights":
        yield player_of(*_weights(board, entry), track)
    elif entry.source == "process":
        with _process(board, entry, track, trusted, failures) as agent:
            yield ProcessPlayer(agent)
    else:
        speaker = _endpoint(board, entry, track)
        yield TextPlayer(speaker.answer, guide=True, name=entry.entry)


def load_entry(folder: Path, manifest: Manifest) -> LanguagePolicy | GamePolicy:
    """The policy of an entry of kind "weights", from a folder that was checked."""
    if is_game_policy(manifest):
        return load_game_policy_of(folder, manifest)
    return load_weights(folder, manifest)


def writer_of(policy: LanguagePolicy | GamePolicy, manifest: Manifest) -> Contestant:
    """A policy in single-player tracks."""
    if is_game_policy(manifest):
        raise LmgymError(f"{manifest.entry} is a policy of games, which cannot write")
    return PolicyContestant(cast("LanguagePolicy", policy))


def player_of(policy: LanguagePolicy | GamePolicy, manifest: Manifest, track: MatchTrack) -> Player:
    """A policy in a two-player track."""
    if is_game_policy(manifest):
        found = GamePolicyPlayer(cast("GamePolicy", policy))
        found.check(find_game(track.env, track.args).game)
        return found
    assert manifest.weights is not None
    model = cast("LanguagePolicy", policy)
    guide = is_guided(model, manifest.weights.guide)
    return TextPlayer(model, guide=guide, temperature=track.temperature, name=manifest.entry)


def _folder(board: Path, entry: EntryRow) -> Path:
    """The submission's folder, if it is still the one that was entered."""
    folder = board / "submissions" / entry.entry.rpartition("@")[0]
    found = hash_files(folder)
    for name in sorted(found.keys() | entry.files.keys()):
        if found.get(name) != entry.files.get(name):
            raise LmgymError(
                f"{folder / name} is not the file that {entry.entry} was entered with; submit the"
                " folder with a higher version"
            )
    return folder


def _manifest(board: Path, entry: EntryRow) -> tuple[Path, Manifest]:
    folder = _folder(board, entry)
    return folder, read_manifest(folder)


def _weights(board: Path, entry: EntryRow) -> tuple[LanguagePolicy | GamePolicy, Manifest]:
    """The policy of an entry; what has a row may have been entered before a rule was made."""
    submission = check_submission(_folder(board, entry))
    return load_entry(submission.folder, submission.manifest), submission.manifest


@contextmanager
def _process(
    board: Path, entry: EntryRow, track: Track, trusted: bool, failures: Failures | None
) -> Iterator[ProcessAgent]:
    folder, manifest = _manifest(board, entry)
    assert manifest.process is not None
    limits = Limits(move_seconds=track.move_ms / 1000)
    words: dict[str, Any] = {"limits": limits, "trusted": trusted, "failures": failures}
    with ProcessAgent(manifest.process.command, folder, **words) as agent:
        with suppress(PlayerFailure):  # the next game starts it again, and forfeits if it must
            agent.start(track.id, track.env)
        yield agent


class _ProcessSpeaker:
    """A process that writes messages."""

    def __init__(self, agent: ProcessAgent) -> None:
        self._agent = agent

    def begin(self, number: int, seed: int) -> None:
        """A new episode starts."""
        del seed  # evaluation seeds are nothing that an agent needs to know
        self._agent.reset(number, 0, number)

    def say(self, course: Episode) -> str:
        """A message."""
        said = self._agent.act([message.as_dict() for message in course.seen])
        return said if isinstance(said, str) else str(said)

    def end(self, score: float) -> None:
        """The episode is over."""
        self._agent.end(score)


def _endpoint(board: Path, entry: EntryRow, track: Track) -> EndpointSpeaker:
    _, manifest = _manifest(board, entry)
    assert manifest.endpoint is not None
    return EndpointSpeaker(
        manifest.endpoint.url,
        manifest.endpoint.model,
        temperature=track.temperature,
        seconds=max(60.0, track.move_ms / 1000),
    )
