"""Players of a tournament as a command line names them: `mcts:50`, or `searcher=mcts:50`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from lmgym.errors import LmgymError
from lmgym.training.records import plain_value

from .plan import PlannedPlayer

__all__ = ["digest_of", "planned_players", "split_label"]

_READ = (".gguf", ".json", ".safetensors")
"""Ends of the names of files that players are read from."""


def planned_players(words: Sequence[str]) -> tuple[list[PlannedPlayer], dict[str, str]]:
    """What a plan says of some players, and the players as they were given, by their names.

    Example:
        >>> planned_players(["random", "b=random"])[1]
        {'random': 'random', 'b': 'random'}
    """
    planned, players = [], {}
    for name, player in map(split_label, words):
        name = str(plain_value(name))  # as records have it
        planned.append(PlannedPlayer(name, player, digest_of(player)))
        players[name] = player
    return planned, players


def split_label(word: str) -> tuple[str, str]:
    """A player's name and the player; without a label it is called what it is.

    Example:
        >>> split_label("a=policy:runs/x=1"), split_label("policy:runs/x=1")
        (('a', 'policy:runs/x=1'), ('policy:runs/x=1', 'policy:runs/x=1'))
    """
    label, mark, player = word.partition("=")
    if not mark or ":" in label:
        return word, word
    if not label or not player:
        raise LmgymError(f"{word!r} is no player; write NAME=PLAYER, as a=random, or PLAYER")
    return label, player


def digest_of(player: str) -> str:
    """A hash of the files that a player is read from, of a run its best; empty without any."""
    place = Path(player.partition(":")[2])
    files = list(_files(place)) if place.name else []
    digest = sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as source:
            while block := source.read(2**20):
                digest.update(block)
    return digest.hexdigest() if files else ""


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    best = place / "best"
    for file in sorted((best if best.is_dir() else place).glob("*")):
        if file.is_file() and file.suffix in _READ:
            yield file
