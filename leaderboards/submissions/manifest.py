"""`Manifest`: who submits what to which tracks, in a folder's manifest.toml.

Example of a file:

    schema = 1
    name = "sft-math"
    version = 1
    authors = ["Ada"]
    license = "MIT"
    kind = "weights"
    tracks = ["math-addition"]

    [weights]
    arch = "llama"
    sha256 = "<of model.safetensors, 64 hexadecimal digits>"
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from lmgym.errors import LmgymError

from .files import read_small
from .tables import Table

__all__ = [
    "MANIFEST_FILE",
    "NAME_PATTERN",
    "Endpoint",
    "Kind",
    "Manifest",
    "Process",
    "Training",
    "Weights",
    "examined_manifest",
    "manifest_bytes",
    "parse_manifest",
    "read_manifest",
    "unknown_tracks",
]

Kind = Literal["weights", "process", "endpoint"]

MANIFEST_FILE = "manifest.toml"
NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,39}"
NAME_RULE = "small letters, digits and hyphens are allowed, 40 at most, the first one no hyphen"
_KINDS: tuple[Kind, ...] = ("weights", "process", "endpoint")
_MOST_BYTES = 8 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Weights:
    """What runs in our own code.

    Attributes:
        arch: a name among the registered architectures.
        sha256: of model.safetensors.
        guide: whether a language model is told the rules of a game; None leaves it to `is_guided`.
    """

    arch: str
    sha256: str
    guide: bool | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """What runs as a child process.

    Attributes:
        command: the program and its arguments; paths are within the folder.
    """

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a server answers, which nobody can verify.

    Attributes:
        url: of an API in OpenAI's form.
        model: which of its models.
    """

    url: str
    model: str


@dataclass(frozen=True, slots=True)
class Training:
    """How an entry was made, as its authors say; empty and 0 where they don't.

    Attributes:
        agent: the learner.
        commit: of the code.
        env: id of the world.
        steps: updates of the learner.
        seed: of the run.
    """

    agent: str = ""
    commit: str = ""
    env: str = ""
    steps: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """A submission in its authors' words.

    Attributes:
        name: of the entry, unique on a board.
        version: a whole number; a higher one replaces a lower.
        authors: their names.
        license: of what is in the folder.
        kind: how it is run; the field of that name tells more.
        tracks: ids of tracks it is to be measured on.
        contact: where to write to.
        summary: a sentence about it.
    """

    name: str
    version: int
    authors: tuple[str, ...]
    license: str
    kind: Kind
    tracks: tuple[str, ...]
    contact: str = ""
    summary: str = ""
    weights: Weights | None = None
    process: Process | None = None
    endpoint: Endpoint | None = None
    training: Training | None = None

    @property
    def entry(self) -> str:
        """The name by which results tell it from others, as "name@1"."""
        return f"{self.name}@{self.version}"


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        LmgymError: where there is none, or with all that is wrong in it.
    """
    return parse_manifest(manifest_bytes(Path(folder)))


def manifest_bytes(folder: Path) -> bytes:
    """The file of a folder; raises where it is missing, or too large for a manifest."""
    return read_small(folder, MANIFEST_FILE, _MOST_BYTES)


def parse_manifest(content: bytes) -> Manifest:
    """A manifest from the bytes of its file.

    Raises:
        LmgymError: with all that is wrong in it, a line each.
    """
    problems: list[str] = []
    found = examined_manifest(content, problems)
    if problems or found is None:
        raise LmgymError("\n".join(problems))
    return found


def examined_manifest(content: bytes, problems: list[str]) -> Manifest | None:
    """A manifest with stand-ins for what is wrong in it; None where nothing can be made of it.

    Args:
        content: of the file.
        problems: what is wrong is added to it.
    """
    try:
        values = _values(content)
    except LmgymError as error:
        problems.append(str(error))
        return None
    found = _manifest(Table(values, f"{MANIFEST_FILE}: ", problems))
    return found if found.kind and getattr(found, found.kind) is not None else None


def _values(content: bytes) -> dict[str, Any]:
    if len(content) > _MOST_BYTES:
        raise LmgymError(f"{MANIFEST_FILE}: has more than {_MOST_BYTES} bytes")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise LmgymError(f"{MANIFEST_FILE}: is no UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise LmgymError(f"{MANIFEST_FILE}: is nested too deeply") from None
    except ValueError as error:  # numbers with too many digits, days that do not exist
        raise LmgymError(f"{MANIFEST_FILE}: is no TOML: {str(error)[:200]!a}") from None


def _manifest(table: Table) -> Manifest:
    table.whole("schema", 1, 1)
    name = table.text("name", 40, pattern=NAME_PATTERN, rule=NAME_RULE, is_needed=True)
    version = table.whole("version", 1, 10**6)
    authors = table.texts("authors", 20, 80)
    license_name = table.text("license", 60, is_needed=True)
    contact, summary = table.text("contact", 120), table.text("summary", 500)
    kind = table.choice("kind", _KINDS)
    tracks = table.texts("tracks", 32, 40, pattern=NAME_PATTERN, rule=NAME_RULE)
    if len(set(tracks)) < len(tracks):
        table.complain("tracks", "names a track twice")
    parts = {each: table.table(each, is_needed=each == kind) for each in _KINDS}
    for each, part in parts.items():
        if kind and part is not None and each != kind:
            table.complain(each, f'does not go with kind = "{kind}"; take the table out')
    made = Manifest(
        name, version, authors, license_name, cast(Kind, kind), tracks, contact, summary,
        _weights(parts["weights"]), _process(parts["process"]), _endpoint(parts["endpoint"]),
        _training(table.table("training")),
    )  # fmt: skip
    table.finish()
    return made


def _weights(table: Table | None) -> Weights | None:
    if table is None:
        return None
    arch = table.text("arch", 40, is_needed=True)
    rule = "64 hexadecimal digits in small letters are allowed"
    sha256 = table.text("sha256", 64, pattern="[0-9a-f]{64}", rule=rule, is_needed=True)
    guide = table.flag("guide")
    table.finish()
    return Weights(arch, sha256, guide)


def _process(table: Table | None) -> Process | None:
    if table is None:
        return None
    command = table.texts("command", 32, 200)
    for place, word in enumerate(command):
        if not _is_within(word):
            rule = "names a path that leads out of the folder; use paths within it, as agent.py"
            table.complain(f"command[{place}]", rule)
    table.finish()
    return Process(command)


def _is_within(word: str) -> bool:
    """Whether an argument, or what stands after its =, names no path outside of the folder."""
    for value in {word, word.rpartition("=")[2]}:
        parts = value.replace("\\", "/").split("/")
        if value.startswith(("/", "\\", "~")) or ".." in parts or parts[0][1:] == ":":
            return False
    return True


def _endpoint(table: Table | None) -> Endpoint | None:
    if table is None:
        return None
    url, model = table.text("url", 200, is_needed=True), table.text("model", 100, is_needed=True)
    if url and (problem := _problem_of_url(url)):
        table.complain("url", problem)
    table.finish()
    return Endpoint(url, model)


def _problem_of_url(url: str) -> str:
    """What is wrong with an address; empty where nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or not url.isascii() or set(url) & set(" \\<>\"'"):
        return "is no address; give one as https://example.org/v1"
    if parts.scheme != "https" and (parts.scheme != "http" or host not in _LOOPBACK):
        return f"has scheme {parts.scheme!a}; https is allowed, and http for {_LOOPBACK[0]}"
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return "holds a user, a password, a query or a fragment, which would be published"
    return ""


def _training(table: Table | None) -> Training | None:
    if table is None:
        return None
    made = Training(
        agent=table.text("agent", 60),
        commit=table.text(
            "commit", 64, pattern="[0-9a-f]{7,64}", rule="7 to 64 hexadecimal digits are allowed"
        ),
        env=table.text("env", 100),
        steps=table.whole("steps", 0, 10**15, default=0),
        seed=table.whole("seed", 0, 2**63 - 1, default=0),
    )
    table.finish()
    return made


def unknown_tracks(manifest: Manifest, tracks: Sequence[str]) -> list[str]:
    """What is wrong with the tracks of a manifest, where these are all there are."""
    return [
        f"{MANIFEST_FILE}: tracks names {track!r}, which is unknown; known: {', '.join(tracks)}"
        for track in manifest.tracks
        if track not in tracks
    ]
