"""`pack`: a folder of an entry, or of a run, becomes an entry of a board.

Files are copied first; the copy, which nobody else can change, is checked, hashed and moved to its
place in one step.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .checking import CURVE_FILE, Submission, check_submission
from .drafting import curve_text, draft_curve, draft_manifest, is_draftable, model_folder, parts_of
from .files import copy_files, hash_files
from .manifest import MANIFEST_FILE, Manifest, read_manifest
from .manifest_text import write_manifest

__all__ = ["pack"]


def pack(
    source: str | Path,
    into: str | Path,
    *,
    tracks: Sequence[str] | None = None,
    known_tracks: Sequence[str] | None = None,
    **draft: Any,
) -> Submission:
    """Put an entry among the others of a board.

    Args:
        source: a folder with a manifest; a run's folder, or a model's, gets one.
        into: the folder of all entries; made where it is missing.
        tracks: what a run is entered in; only for folders without a manifest.
        known_tracks: those that the board has; by default any will do.
        draft: further arguments of `draft_manifest`, only for folders without a manifest.

    Returns:
        The entry in its place, into/NAME. The same content once more changes nothing.

    Raises:
        LmgymError: for what cannot be submitted, and for other content under a name and version
            that are taken, or a lower version.
    """
    folder, board = Path(source).expanduser(), Path(into).expanduser()
    has_manifest = (folder / MANIFEST_FILE).exists()
    if not has_manifest and not is_draftable(folder):
        raise LmgymError(
            f"{str(source)!r} has no {MANIFEST_FILE}, and is no folder of a run or a model; write"
            " one, or give a folder that lmgym train has left"
        )
    if has_manifest and (tracks is not None or any(v is not None for v in draft.values())):
        raise LmgymError(
            f"{folder / MANIFEST_FILE} says what is submitted; change it there, and give neither"
            " tracks nor a name, authors, a license or a summary besides"
        )
    board.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=board, prefix=".new-") as parent:
        new = Path(parent) / "entry"
        new.mkdir()
        if has_manifest:
            copy_files(folder, new)
        else:
            _draft(folder, new, tracks or (), {k: v for k, v in draft.items() if v is not None})
        made = _checked_copy(folder, new, known_tracks)
        return _placed(made, board / made.manifest.name)


def _draft(run: Path, new: Path, tracks: Sequence[str], words: dict[str, Any]) -> None:
    """Copy what a run is worth, and write what is missing."""
    model = model_folder(run)
    copy_files(model, new, parts_of(model))
    curve = draft_curve(run)
    if curve is not None:
        (new / CURVE_FILE).write_text(curve_text(curve), encoding="utf-8")
    write_manifest(draft_manifest(run, tracks, **words), new)


def _checked_copy(source: Path, copy: Path, known_tracks: Sequence[str] | None) -> Submission:
    try:
        return check_submission(copy, known_tracks)
    except LmgymError as error:
        raise LmgymError(str(error).replace(str(copy), str(source), 1)) from None


def _placed(made: Submission, target: Path) -> Submission:
    """Move an entry to its place."""
    placed = Submission(target, made.manifest, made.hashes)
    if not target.exists():
        os.rename(made.folder, target)
        return placed
    there = read_manifest(target)
    if made.manifest.version <= there.version:
        if hash_files(target) == made.hashes:
            return placed
        raise _is_there(made.manifest, there)
    old = made.folder.with_name("old")
    os.rename(target, old)
    try:
        os.rename(made.folder, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return placed


def _is_there(new: Manifest, there: Manifest) -> LmgymError:
    """Why an entry must not take the place of the one that is there."""
    if new.version == there.version:
        return LmgymError(
            f"{there.entry} is there already, with other files; raise version in {MANIFEST_FILE}"
            f" to {there.version + 1}, or give another name"
        )
    return LmgymError(
        f"{there.entry} is there already, and {new.entry} is older; give a version from"
        f" {there.version + 1} on, or another name"
    )
