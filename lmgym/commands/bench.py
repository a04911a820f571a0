"""`lmgym bench`: the scripts that measure what the documentation claims."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

import lmgym
from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError, unknown

__all__ = ["bench", "benchmark_files"]


def bench(argv: Sequence[str]) -> int:
    """List the benchmarks, or run the named one with the words after its name."""
    if argv and not argv[0].startswith("-"):
        return _run(argv[0], argv[1:])
    parse_options({}, argv, "bench [NAME]", "List the benchmarks, or run one: lmgym bench NAME -h")
    table = Table("benchmark", "what it measures", box=SIMPLE_HEAD)
    for name, file in benchmark_files().items():
        table.add_row(Text(name, no_wrap=True), Text(_summary(file)))
    console = Console()
    console.print(table)
    console.print(Text("lmgym bench NAME runs one; lmgym bench NAME --help lists its options"))
    return 0


def benchmark_files() -> dict[str, Path]:
    """The scripts by name, from the source tree or the current directory.

    Those of the folder `claims`, which test what others have claimed, are "claims/NAME".

    Raises:
        LmgymError: where there are none.
    """
    beside = Path(lmgym.__file__).resolve().parents[1] / "benchmarks"
    folders = list(dict.fromkeys([beside, Path.cwd() / "benchmarks"]))
    for folder in folders:
        found = [*sorted(folder.glob("*.py")), *sorted(folder.glob("claims/*.py"))]
        files = {_name(file, folder): file for file in found if _is_script(file)}
        if files:
            return files
    raise LmgymError(
        f"no benchmarks in {' or '.join(map(str, folders))}; they come with the source tree and"
        " not with the installed package: run this from a checkout of the repository"
    )


def _run(name: str, argv: Sequence[str]) -> int:
    files = benchmark_files()
    if name not in files:
        raise unknown("benchmark", name, files, "lmgym bench lists them")
    code = _main_of(name, files[name])(argv)
    return 0 if code is None else code


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix().replace("_", "-")


def _main_of(name: str, file: Path) -> Callable[[Sequence[str]], int | None]:
    """The function that runs a script."""
    module_name = f"benchmarks.{name.replace('/', '.').replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    beside = str(file.parents[name.count("/")])
    if beside not in sys.path:
        sys.path.insert(0, beside)  # as Python does for a script: it may import its neighbours
    spec.loader.exec_module(module)
    main: Callable[[Sequence[str]], int | None] = module.main
    return main


def _is_script(file: Path) -> bool:
    names = {node.name for node in _parsed(file).body if isinstance(node, ast.FunctionDef)}
    return "main" in names


def _summary(file: Path) -> str:
    return (ast.get_docstring(_parsed(file)) or "").partition("\n")[0]


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))
