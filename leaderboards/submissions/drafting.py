"""A manifest and a curve drafted from the folder that `lmgym train` leaves.

The draft says what the run's record says. The licence stays "unspecified" until somebody chooses
one, and the commit empty unless the record names it.
"""

from __future__ import annotations

import getpass
import json
import math
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError

from .architectures import ARCHITECTURES, CONFIG_FILE, GAME_POLICY
from .checking import MOST_POINTS
from .files import each_file
from .game_weights import POLICY_FILE
from .json_files import read_object
from .manifest import MANIFEST_FILE, Manifest, Training, Weights
from .tables import told
from .tensor_files import WEIGHTS_FILE
from .texts import checked_text
from .weights import MODEL_FILES

__all__ = [
    "curve_text",
    "draft_curve",
    "draft_manifest",
    "is_draftable",
    "model_folder",
    "parts_of",
    "read_run",
    "world_of",
]

UNSPECIFIED = "unspecified"
_RECORD = "lmgym.json"
_RECORD_BYTES = 16 * 2**20
_CURVES = (
    ("validation/reward", "validation reward"),
    ("validation/gold_reward", "validation gold reward"),
    ("validation/greedy", "validation accuracy, greedy"),
    ("validation/pass@1", "validation accuracy, sampled"),
    ("exploitability", "exploitability"),
    ("win/random", "win rate against random"),
)
"""Metrics of runs by which a curve is drawn, the first that is there, and what they are called."""


def is_draftable(folder: Path) -> bool:
    """Whether a folder is a run or a model, for which a manifest can be drafted."""
    return any((folder / name).is_file() for name in (_RECORD, CONFIG_FILE, POLICY_FILE))


def model_folder(run: str | Path) -> Path:
    """Where the weights of a run lie: in its best checkpoint, or in the folder itself.

    Raises:
        LmgymError: where there are none that can be entered.
    """
    folder = Path(run)
    places = (folder / "best", folder)
    for place in places:
        if (place / WEIGHTS_FILE).is_file():
            return place
    if any((place / "sb3.zip").is_file() for place in places):
        raise LmgymError(
            f"{folder} holds a network of Stable-Baselines3 in sb3.zip, which is pickled and never"
            " opened; train from a language model (--model embedded) to enter the result, or"
            " submit a process"
        )
    raise LmgymError(
        f"{folder} has no {WEIGHTS_FILE}, nor has its folder best; give a folder that lmgym train"
        f" has left, a model's, or one with a {MANIFEST_FILE}"
    )


def parts_of(model: Path) -> tuple[str, ...]:
    """Names of the files of a model that are worth copying."""
    return (POLICY_FILE, WEIGHTS_FILE) if (model / POLICY_FILE).is_file() else MODEL_FILES


def draft_manifest(
    run: str | Path,
    tracks: Sequence[str],
    *,
    name: str | None = None,
    version: int = 1,
    authors: Sequence[str] | None = None,
    license_name: str = UNSPECIFIED,
    contact: str = "",
    summary: str = "",
) -> Manifest:
    """A manifest for a run.

    Args:
        run: a run's folder, or a model's.
        tracks: to be entered in.
        name: of the entry; by default the learner, the world and some digits of the weights' hash.
        version: of the entry.
        authors: by default the user of git, else of the machine.
        license_name: of the weights.
        contact: where to write to.
        summary: a sentence about it.
    """
    folder, model = Path(run), model_folder(run)
    record = read_run(folder) or read_run(model)
    sha256 = _sha256(model)
    training, world = _training(record), record.get("world")
    guide = world.get("guide") if isinstance(world, dict) else None
    return Manifest(
        name=name or _name(training, sha256),
        version=version,
        authors=tuple(authors) if authors else (_author(),),
        license=license_name,
        kind="weights",
        tracks=tuple(tracks),
        contact=contact,
        summary=summary,
        weights=Weights(_arch(model), sha256, guide if isinstance(guide, bool) else None),
        training=training if record else None,
    )


def draft_curve(run: str | Path) -> dict[str, Any] | None:
    """The learning curve of a run as it is published; None where it has none.

    Raises:
        LmgymError: where its metrics are no objects of numbers.
    """
    file = Path(run) / "metrics.jsonl"
    if not file.is_file():
        return None
    from lmgym.training.runs import read_metrics

    rows = read_metrics(file)
    for metric, label in _CURVES:
        points = [
            [round(row["seconds"], 3), round(row[metric], 6)]
            for row in rows
            if math.isfinite(row.get("seconds", math.nan))
            and math.isfinite(row.get(metric, math.nan))
        ]
        if points:
            return {"x": "seconds", "y": label, "points": _thinned(sorted(points))}
    return None


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """At most so many points, evenly chosen, the first and the last among them."""
    n = len(points)
    if n <= MOST_POINTS:
        return points
    return [points[round(i * (n - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def read_run(folder: Path) -> dict[str, Any]:
    """What a run's record says; empty where there is none."""
    file = folder / _RECORD
    return read_object(folder, _RECORD, _RECORD_BYTES) if file.is_file() else {}


def world_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the world, or the game, that a record names."""
    for name in ("world", "game"):
        found = record.get(name) or {}
        if not isinstance(found, dict):
            raise LmgymError(f"{_RECORD}: {name} is {told(found)}; an object is allowed")
        if found:
            return found
    return {}


def _training(record: dict[str, Any]) -> Training:
    """What a record says of the training, as far as a manifest can say it."""

    def text(name: str, pattern: str) -> str:
        value = record.get(name)
        return value if isinstance(value, str) and re.fullmatch(pattern, value) else ""

    def whole(name: str) -> int:
        value: Any = record.get(name)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return int(value) if is_whole and 0 <= value < 2**53 else 0

    return Training(
        agent=text("agent", r"[\w.-]{1,60}"),
        commit=text("commit", r"[0-9a-f]{7,64}"),
        env=text("env", r"[\w.:/-]{1,100}"),
        steps=whole("updates"),
        seed=whole("seed"),
    )


def _name(training: Training, sha256: str) -> str:
    world = training.env.rpartition("/")[2].rpartition("-v")[0]
    words = [training.agent or "model", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", world), sha256[:6]]
    joined = "-".join(word for word in words if word).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", joined).strip("-")
    return slug if len(slug) <= 40 else f"{slug[:33].strip('-')}-{sha256[:6]}"


def _arch(model: Path) -> str:
    if (model / POLICY_FILE).is_file():
        return GAME_POLICY
    model_type = read_object(model, CONFIG_FILE, 64 * 1024).get("model_type")
    names = [name for name, arch in ARCHITECTURES.items() if arch.model_type == model_type]
    if not names:
        known = ", ".join(ARCHITECTURES)
        raise LmgymError(f"{model / CONFIG_FILE}: model_type is {told(model_type)}; known: {known}")
    return names[0]


def _sha256(model: Path) -> str:
    problems: list[str] = []
    for file in each_file(model, problems, (WEIGHTS_FILE,)):
        return file.sha256()
    raise LmgymError("\n".join(f"{model}: {problem}" for problem in problems))


def _author() -> str:
    """The user's name where it is known and can stand on a page."""
    for find in (_git_user, getpass.getuser):
        try:
            name = checked_text(find().strip(), 80)
        except (LmgymError, OSError, KeyError, subprocess.SubprocessError):
            continue
        if name:
            return name
    return "anonymous"


def _git_user() -> str:
    asked = subprocess.run(
        ["git", "config", "user.name"], capture_output=True, text=True, timeout=10, check=False
    )
    return asked.stdout


def curve_text(curve: dict[str, Any]) -> str:
    """A curve as the text of its file."""
    return json.dumps(curve, ensure_ascii=False, allow_nan=False) + "\n"
