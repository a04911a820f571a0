"""Entries of arch "game-policy": what `lmgym train self-play` saves, for tracks of matches.

The folder holds `policy.json`, which names a kind of policy and its sizes, and `model.safetensors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmgym.errors import LmgymError

from .architectures import GAME_POLICY
from .json_files import read_object
from .manifest import Manifest
from .rules import Rule, broken_rules, list_of, size, text
from .tables import told
from .tensor_files import WEIGHTS_FILE, check_finite, read_header
from .weights import check_shapes

if TYPE_CHECKING:
    from lmgym.games.policies import GamePolicy

__all__ = [
    "POLICY_FILE",
    "check_game_policy",
    "is_game_policy",
    "load_game_policy_of",
    "read_description",
]

POLICY_FILE = "policy.json"
_POLICY_BYTES = 16 * 2**20
_MOST_NUMBERS = 2**25
"""Of a policy: what it is made of is allocated before its weights are read."""

_WIDTH = size(4096)
_RULES: Mapping[str, Mapping[str, Rule]] = {
    "tabular": {"n_actions": size(10_000), "known": list_of(text(4000), 200_000)},
    "linear": {"n_features": size(100_000), "n_seats": size(16)},
    "mlp": {"n_features": size(100_000), "n_actions": size(10_000), "width": _WIDTH},
    "reader": {"width": _WIDTH, "word_width": _WIDTH, "heads": size(64), "layers": size(32)},
}
"""Arguments of each kind."""


def check_game_policy(folder: Path) -> list[str]:
    """What is wrong with the policy in a folder."""
    try:
        described = read_description(folder)
        header = read_header(folder / WEIGHTS_FILE)
        shapes = _shapes(described["kind"], described["arguments"])
        problems = check_shapes(header, shapes, {})
        if wrong := [name for name, place in header.items() if place.dtype != "F32"]:
            problems.append(f"{WEIGHTS_FILE}: tensor {wrong[0]} is not of dtype F32")
        check_finite(folder / WEIGHTS_FILE, header)
    except LmgymError as error:
        return str(error).splitlines()
    return problems


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's `policy.json` says.

    Raises:
        LmgymError: with all that is wrong with it, a line each.
    """
    described = read_object(folder, POLICY_FILE, _POLICY_BYTES)
    if problems := _check_description(described):
        raise LmgymError("\n".join(problems))
    return described


def load_game_policy_of(folder: str | Path, manifest: Manifest) -> GamePolicy:
    """The policy of an entry that `check_submission` has found to be in order."""
    from lmgym.games.policies import load_game_policy

    if manifest.weights is None or not is_game_policy(manifest):
        raise LmgymError(f"{manifest.entry} holds no policy of a game")
    return load_game_policy(folder)


def is_game_policy(manifest: Manifest) -> bool:
    """Whether an entry is a policy of games, and no language model."""
    return manifest.weights is not None and manifest.weights.arch == GAME_POLICY


def _check_description(described: Mapping[str, Any]) -> list[str]:
    if set(described) != {"kind", "arguments"} or not isinstance(described["arguments"], dict):
        return [f"{POLICY_FILE}: is no object of kind and arguments"]
    kind, arguments = described["kind"], described["arguments"]
    if not isinstance(kind, str) or kind not in _RULES:
        return [f"{POLICY_FILE}: kind is {told(kind)}; known: {', '.join(_RULES)}"]
    problems = broken_rules(arguments, _RULES[kind], f"{POLICY_FILE}: arguments.")
    for name in _RULES[kind].keys() - arguments:
        problems.append(f"{POLICY_FILE}: arguments.{name} is missing")
    if not problems and (n := _n_numbers(kind, arguments)) > _MOST_NUMBERS:
        problems.append(f"{POLICY_FILE}: needs about {n} numbers; {_MOST_NUMBERS} are allowed")
    return problems


def _n_numbers(kind: str, sizes: Mapping[str, Any]) -> int:
    """About how many numbers a policy holds."""
    if kind == "tabular":
        return 2 * int(sizes["n_actions"]) * max(64, len(sizes["known"]))
    if kind == "reader":
        widths = max(sizes["width"], sizes["word_width"]) ** 2
        return int(16 * widths * (1 + sizes["layers"]))
    if kind == "mlp":
        return int(sizes["width"] * (sizes["n_features"] + sizes["width"] + sizes["n_actions"]))
    return prod(sizes.values())


def _shapes(kind: str, arguments: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that a description implies."""
    from lmgym.games.policies import POLICIES
    from lmgym.registry import load

    made = load(POLICIES[kind])(**arguments)
    return {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
