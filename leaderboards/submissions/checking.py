"""`check_submission`: all that is wrong with a folder, or what is in it.

What is checked and what is used later must be the same files: `packing.pack` copies a folder to a
place of its own before it is checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .architectures import GAME_POLICY
from .files import each_file
from .game_weights import POLICY_FILE, check_game_policy
from .json_files import read_object
from .manifest import MANIFEST_FILE, Manifest, examined_manifest, manifest_bytes, unknown_tracks
from .tables import told
from .tensor_files import WEIGHTS_FILE, kind_of
from .texts import checked_text
from .weights import MODEL_FILES, check_weights

__all__ = ["CURVE_FILE", "Submission", "check_submission", "problems", "read_curve"]

CURVE_FILE = "curve.json"
"""The learning curve of an entry, where there is one."""

MOST_POINTS = 200
_TEXT_FILES = ("README.md", "LICENSE", "LICENSE.txt")
_CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".sh", ".exe", ".js", ".ipynb", ".pyd", ".whl")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".zip")


@dataclass(frozen=True, slots=True)
class Submission:
    """A folder in which nothing was found to be wrong.

    Attributes:
        folder: where it lies.
        manifest: of it.
        hashes: SHA-256 of each file by its path.
    """

    folder: Path
    manifest: Manifest
    hashes: Mapping[str, str]

    @property
    def curve(self) -> dict[str, Any] | None:
        """Its learning curve, where there is one."""
        return read_curve(self.folder) if CURVE_FILE in self.hashes else None


def check_submission(
    folder: str | Path, tracks: Sequence[str] | None = None, name: str | None = None
) -> Submission:
    """What is in a folder.

    Args:
        folder: with a manifest.
        tracks: those that there are; by default any will do.
        name: that the entry must have, as that of the folder it lies in.

    Raises:
        LmgymError: with all that is wrong, a line each.
    """
    found, submission = _checked(Path(folder), tracks, name)
    if submission is None:
        listed = "\n".join(f"- {problem}" for problem in found)
        raise LmgymError(f"{folder} cannot be submitted:\n{listed}")
    return submission


def problems(
    folder: str | Path, tracks: Sequence[str] | None = None, name: str | None = None
) -> list[str]:
    """What is wrong with a folder: of each the file, the field and the rule.

    Args:
        folder: with a manifest.
        tracks, name: as for `check_submission`.
    """
    return _checked(Path(folder), tracks, name)[0]


def read_curve(folder: Path) -> dict[str, Any]:
    """The learning curve in a folder: "x" and "y" say what the "points" are.

    Raises:
        LmgymError: for anything but two short texts and up to 200 pairs of numbers.
    """
    curve = read_object(folder, CURVE_FILE, 64 * 1024)
    if set(curve) != {"x", "y", "points"}:
        raise LmgymError(f"{CURVE_FILE}: is no object of x, y and points")
    for axis in ("x", "y"):
        if not isinstance(curve[axis], str):
            raise LmgymError(
                f"{CURVE_FILE}: {axis} is {told(curve[axis])}; a short text is allowed"
            )
        try:
            checked_text(curve[axis], 60, least=1)
        except LmgymError as error:
            raise LmgymError(f"{CURVE_FILE}: {axis} {error}") from None
    points = curve["points"]
    if not isinstance(points, list) or not 1 <= len(points) <= MOST_POINTS:
        raise LmgymError(f"{CURVE_FILE}: points is {told(points)}; 1 to {MOST_POINTS} are allowed")
    if not all(map(_is_point, points)):
        raise LmgymError(f"{CURVE_FILE}: points are pairs of numbers, the first of which grows")
    if any(a[0] > b[0] for a, b in pairwise(points)):
        raise LmgymError(f"{CURVE_FILE}: points go back in {told(curve['x'])}")
    return curve


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in point)
        and all(math.isfinite(x) and abs(x) < 1e15 for x in point)
    )


def _checked(
    folder: Path, tracks: Sequence[str] | None, name: str | None
) -> tuple[list[str], Submission | None]:
    found: list[str] = []
    hashes: dict[str, str] = {}
    firsts: dict[str, bytes] = {}
    for file in each_file(folder, found):
        hashes[file.path] = file.sha256()
        firsts[file.path] = next(file.chunks(), b"")[:16]
    if found:  # what follows opens files by name
        return found, None
    try:
        manifest = examined_manifest(manifest_bytes(folder), found)
    except LmgymError as error:
        return [str(error)], None
    if manifest is None:
        return found, None
    if name is not None and manifest.name != name:
        found.append(f"{MANIFEST_FILE}: name is {told(manifest.name)}; the folder's is {name}")
    if tracks is not None:
        found += unknown_tracks(manifest, tracks)
    found += _check_files(folder, manifest, hashes, firsts)
    return found, None if found else Submission(folder, manifest, hashes)


def _check_files(
    folder: Path, manifest: Manifest, hashes: Mapping[str, str], firsts: Mapping[str, bytes]
) -> list[str]:
    """What is wrong with the files that belong to a manifest."""
    found: list[str] = []
    if CURVE_FILE in hashes:
        try:
            read_curve(folder)
        except LmgymError as error:
            found.append(str(error))
    if manifest.kind == "process":
        return found + _check_command(manifest, hashes)
    is_game = manifest.weights is not None and manifest.weights.arch == GAME_POLICY
    parts = (POLICY_FILE, WEIGHTS_FILE) if is_game else MODEL_FILES
    allowed = {MANIFEST_FILE, CURVE_FILE, *_TEXT_FILES}
    allowed |= set(parts) if manifest.kind == "weights" else set()
    found += [
        f"{path}: {_why_not(path, firsts[path], manifest.kind, allowed)}"
        for path in hashes
        if path not in allowed
    ]
    found += [
        f"{path}: is {kind}, whatever its name says"
        for path in hashes
        if path in allowed and path != WEIGHTS_FILE and (kind := kind_of(firsts[path]))
    ]
    return found if manifest.weights is None else found + _check_model(folder, manifest, hashes)


def _check_model(folder: Path, manifest: Manifest, hashes: Mapping[str, str]) -> list[str]:
    assert manifest.weights is not None, "an entry of another kind"
    if WEIGHTS_FILE not in hashes:
        return [f"{WEIGHTS_FILE}: is missing; save the weights as safetensors, in one file"]
    found = []
    if manifest.weights.sha256 != hashes[WEIGHTS_FILE]:
        found.append(
            f"{MANIFEST_FILE}: weights.sha256 is not that of {WEIGHTS_FILE}, which is"
            f" {hashes[WEIGHTS_FILE]}"
        )
    if manifest.weights.arch == GAME_POLICY:
        return found + check_game_policy(folder)
    return found + check_weights(folder, manifest.weights.arch, hashes)


def _check_command(manifest: Manifest, hashes: Mapping[str, str]) -> list[str]:
    """What is wrong with the files of an entry of kind "process"."""
    assert manifest.process is not None, "an entry of another kind"
    command = manifest.process.command
    wanted = [word for word in command[1:] if word.endswith(".py")]
    wanted += [command[0]] if "/" in command[0] else []
    return [
        f"{MANIFEST_FILE}: process.command names {word!a}, which is not in the folder"
        for word in wanted
        if word.removeprefix("./") not in hashes
    ]


def _why_not(path: str, first: bytes, kind: str, allowed: set[str]) -> str:
    """Why a file has no place in an entry of this kind."""
    suffix = Path(path).suffix.lower()
    if suffix in _CODE:
        return f'is code, which an entry of kind "{kind}" must not hold'
    if suffix in _PICKLES or kind_of(first) == "a pickle":
        return "may be a pickle, and pickles are never opened; save weights as safetensors"
    if "safetensors" in path:
        return f"is not {WEIGHTS_FILE}; save all weights in that one file"
    return f'has no place in an entry of kind "{kind}"; allowed: {", ".join(sorted(allowed))}'
