"""What is written about how a run was made, and nothing that names a person or a machine."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import os
import platform
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmgym import __version__

__all__ = ["command_line", "cpu_name", "plain_value", "run_facts", "versions", "with_home"]

_PACKAGES = ("torch", "transformers", "gymnasium", "numpy")


def run_facts(agent: str, env: str, seed: int | None) -> dict[str, Any]:
    """The facts that every record begins with."""
    facts = {
        "agent": agent,
        "env": env,
        "seed": seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "versions": versions(),
        "machine": {
            "cpu_count": os.cpu_count(),
            "platform": f"{platform.system()}-{platform.machine()}",
        },
    }
    plain: dict[str, Any] = plain_value(facts)
    return plain


def command_line() -> list[str]:
    """The words that this process was started with."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def versions() -> dict[str, str | None]:
    """Versions of lmgym, Python and what results depend on; None for what isn't installed."""
    found: dict[str, str | None] = {"lmgym": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def cpu_name() -> str:
    """The processor's model."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def plain_value(value: Any) -> Any:
    """`value` as JSON can hold it.

    Paths become strings, the home folder `~`, dataclasses dictionaries, numbers of numpy and torch
    Python's, and numbers that are not finite None.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {plain_value(str(name)): plain_value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain_value(item) for item in value), key=str)
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, (str, Path)):
        return _without_home(str(value))
    if value is None or isinstance(value, (bool, int)):
        return value
    if not isinstance(value, float) and hasattr(value, "tolist"):  # numpy and torch
        return plain_value(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise TypeError(f"a record holds plain values; given {type(value).__name__}")


def _without_home(text: str) -> str:
    home = os.path.expanduser("~")
    if len(home) < 2:
        return text
    return re.sub(rf"(?<![\w.-]){re.escape(home)}(?![\w.-])", "~", text)


def with_home(value: Any) -> Any:
    """What a record holds, with the home folder in place of `~` at the start of paths."""
    if isinstance(value, str):
        return re.sub(r"(?<![^\s:=,])~(?=/|$)", lambda _: os.path.expanduser("~"), value)
    if isinstance(value, Mapping):
        return {name: with_home(item) for name, item in value.items()}
    return [with_home(item) for item in value] if isinstance(value, list) else value
