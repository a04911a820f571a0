"""What is packaged: every folder of code, its data files, and one name at the top level."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import pytest

import lmgym

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("envs", "agents", "leaderboards")
FOLDERS = ("lmgym", *ROOMS)
OPTIONAL = {"datasets", "nltk", "openai", "pandas", "peft", "ray", "scipy", "trl", "vllm", "wandb"}
"""Third-party modules that our libraries or our users import when they are there."""

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file() or not (ROOT / "lmgym").is_dir(),
    reason="the source tree is not here",
)


def configuration() -> dict[str, Any]:
    """What pyproject.toml tells setuptools."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    setuptools: dict[str, Any] = project["tool"]["setuptools"]
    return setuptools


def files_of(folder: str) -> Iterator[Path]:
    """The source files below a top-level folder, relative to the root; links are not followed."""
    for path in sorted((ROOT / folder).rglob("*")):
        relative = path.relative_to(ROOT)
        behind_link = any((ROOT / parent).is_symlink() for parent in relative.parents)
        if path.is_file() and not behind_link and "__pycache__" not in relative.parts:
            yield relative


def installed_path(path: Path) -> str:
    """Where a source file lies in the wheel."""
    return (path if path.parts[0] == "lmgym" else "lmgym" / path).as_posix()


def test_each_folder_of_code_is_in_the_package_list() -> None:
    folders = {
        installed_path(path.parent).replace("/", ".")
        for folder in FOLDERS
        for path in files_of(folder)
        if path.suffix == ".py"
    }
    assert sorted(configuration()["packages"]) == sorted(folders)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_mapped_and_linked(room: str) -> None:
    assert configuration()["package-dir"][f"lmgym.{room}"] == room
    link = ROOT / "lmgym" / room
    if not link.is_symlink():
        pytest.skip("checked out without symbolic links")
    assert link.readlink() == Path("..") / room


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_refuses_its_folder_name(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {room}"], capture_output=True, text=True, cwd=ROOT
    )
    assert f"this folder is the package lmgym.{room}: import it by that name" in done.stderr


def test_the_version_is_told_once() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == lmgym.__version__


def foreign_names() -> set[str]:
    """Top-level modules of the standard library and of other distributions."""
    installed = {
        name
        for name, distributions in packages_distributions().items()
        if {distribution.lower() for distribution in distributions} != {"lmgym"}
    }
    return set(sys.stdlib_module_names) | installed | OPTIONAL


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_named_after_a_foreign_module(folder: str) -> None:
    foreign = foreign_names()
    named = {
        path.as_posix()
        for path in files_of(folder)
        for part in path.with_suffix("").parts[1:]
        if path.suffix == ".py" and part in foreign
    }
    assert not named, f"{sorted(named)} shadow other modules when a file beside them runs as script"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built without links and without a network, from a copy of the source tree."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    for path in (path for folder in FOLDERS for path in files_of(folder)):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tree / path)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(tree)], check=True, capture_output=True, text=True, cwd=tree)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_has_one_name_at_its_top_level(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        top = {PurePosixPath(name).parts[0] for name in archive.namelist()}
    assert {name for name in top if not fnmatch(name, "lmgym-*.dist-info")} == {"lmgym"}


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_source(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("lmgym/")}
    source = {installed_path(path) for folder in FOLDERS for path in files_of(folder)}
    assert sorted(names) == sorted(source)
