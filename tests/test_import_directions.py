"""Who may import whom: the kernel nothing above it, every room the kernel and itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOMS = ("envs", "agents", "leaderboards")
HEAVY = ("torch", "transformers", "sympy", "stable_baselines3")


def modules_below(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted names and files of the modules in `package`, wherever it is installed."""
    (folder,) = import_module(package).__path__
    for path in sorted(Path(folder).rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        yield ".".join((package, *parts)), path


def room_of(name: str) -> str | None:
    """The room that a dotted name lies in, None for the kernel and everything outside."""
    parts = name.split(".")
    return parts[1] if parts[0] == "lmgym" and len(parts) > 1 and parts[1] in ROOMS else None


# In a source tree lmgym/ links to the rooms, and looking below it may follow the links or not.
MODULES = dict(entry for entry in modules_below("lmgym") if room_of(entry[0]) is None)
MODULES |= dict(entry for room in ROOMS for entry in modules_below(f"lmgym.{room}"))


def imported(code: str, module: str, *, is_package: bool) -> set[str]:
    """Every name that `code` imports, relative names resolved and `from a import b` as a.b."""
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def imports_of(module: str) -> set[str]:
    code = MODULES[module].read_text(encoding="utf-8")
    name = module.removesuffix(".__init__")
    return imported(code, name, is_package=name != module)


def test_every_room_is_looked_at() -> None:
    assert {room_of(module) for module in MODULES} == {None, *ROOMS}


def test_relative_and_absolute_imports_are_resolved() -> None:
    code = "import torch.nn\nfrom . import rules\nfrom ..other.env import E\nfrom lmgym import envs"
    expected = {"torch.nn", "lmgym.envs.a.rules", "lmgym.envs.other.env.E", "lmgym.envs"}
    assert imported(code, "lmgym.envs.a.env", is_package=False) == expected
    assert imported("from .env import E", "lmgym.envs.a", is_package=True) == {"lmgym.envs.a.env.E"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_the_kernel_and_its_own_room(module: str) -> None:
    above = {name for name in imports_of(module) if room_of(name) not in (None, room_of(module))}
    assert not above, f"{module} imports {sorted(above)}: name it by its id in the registry instead"


@pytest.mark.parametrize("module", MODULES)
def test_imports_no_room_by_its_folder(module: str) -> None:
    folders = {name for name in imports_of(module) if name.split(".")[0] in ROOMS}
    assert not folders, f"{module} imports {sorted(folders)}: say lmgym.<room>"


def test_importing_lmgym_loads_nothing_heavy() -> None:
    code = f"import sys, lmgym; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
