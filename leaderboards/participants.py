"""Entries at work: what plays for a row of results, opened where it is needed and closed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lmgym.errors import LmgymError
from lmgym.games.players import Player, PlayerFailure, find_player
from lmgym.games.policies import GamePolicyPlayer
from lmgym.games.text_players import TextPlayer, is_guided
from lmgym.games.worlds import find_game

from .endpoints import EndpointSpeaker
from .processes.process_agent import ProcessAgent
from .processes.process_player import ProcessPlayer
from .processes.sandbox import Limits
from .references import reference_contestant
from .results.rows import EntryRow
from .season import MatchTrack, SingleTrack, Track
from .single_play import Contestant, PolicyContestant, SpeakerContestant
from .submissions.architectures import GAME_POLICY
from .submissions.files import hash_files
from .submissions.game_weights import load_game_policy_of
from .submissions.manifest import Manifest, read_manifest
from .submissions.weights import load_weights

if TYPE_CHECKING:
    from lmgym.episode import Episode
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["contestant", "player"]


@contextmanager
def contestant(
    board: Path, entry: EntryRow, track: SingleTrack, *, trusted: bool = False
) -> Iterator[Contestant]:
    """What writes for an entry in a single-player track.

    Args:
        board: the folder that holds the submissions.
        entry: whose.
        track: where.
        trusted: whether a process may run where no sandbox can be had.
    """
    if entry.source == "reference":
        yield reference_contestant(entry.manifest["player"], track)
    elif entry.source == "weights":
        yield PolicyContestant(_policy(board, entry))
    elif entry.source == "process":
        with _process(board, entry, track, trusted) as agent:
            yield SpeakerContestant(_ProcessSpeaker(agent))
    else:
        yield SpeakerContestant(_endpoint(board, entry, track))


@contextmanager
def player(
    board: Path, entry: EntryRow, track: MatchTrack, *, trusted: bool = False
) -> Iterator[Player]:
    """What plays for an entry in a two-player track; arguments as for `contestant`."""
    game = find_game(track.env, track.args).game
    if entry.source == "reference":
        yield find_player(entry.manifest["player"], game)
    elif entry.source == "weights":
        yield _weights_player(board, entry, track)
    elif entry.source == "process":
        with _process(board, entry, track, trusted) as agent:
            yield ProcessPlayer(agent)
    else:
        speaker = _endpoint(board, entry, track)
        yield TextPlayer(speaker.answer, guide=True, name=entry.entry)


def _name(entry: EntryRow) -> str:
    return entry.entry.rpartition("@")[0]


def _folder(board: Path, entry: EntryRow) -> Path:
    """The submission's folder, if it is still the one that was entered."""
    folder = board / "submissions" / _name(entry)
    for name, digest in hash_files(folder).items():
        if entry.files.get(name) != digest:
            raise LmgymError(
                f"{folder / name} is not the file that {entry.entry} was entered with; submit the"
                " folder with a higher version"
            )
    return folder


def _manifest(board: Path, entry: EntryRow) -> tuple[Path, Manifest]:
    folder = _folder(board, entry)
    return folder, read_manifest(folder)


def _policy(board: Path, entry: EntryRow) -> LanguagePolicy:
    return load_weights(*_manifest(board, entry))


def _weights_player(board: Path, entry: EntryRow, track: MatchTrack) -> Player:
    folder, manifest = _manifest(board, entry)
    assert manifest.weights is not None
    if manifest.weights.arch == GAME_POLICY:
        player = GamePolicyPlayer(load_game_policy_of(folder, manifest))
        player.check(find_game(track.env, track.args).game)
        return player
    policy = _policy(board, entry)
    guide = is_guided(policy, manifest.weights.guide)
    return TextPlayer(policy, guide=guide, temperature=track.temperature, name=entry.entry)


@contextmanager
def _process(board: Path, entry: EntryRow, track: Track, trusted: bool) -> Iterator[ProcessAgent]:
    folder, manifest = _manifest(board, entry)
    assert manifest.process is not None
    limits = Limits(move_seconds=track.move_ms / 1000)
    with ProcessAgent(manifest.process.command, folder, limits=limits, trusted=trusted) as agent:
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
