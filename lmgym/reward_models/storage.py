"""Directories and arrays on disk: written in one step, read with errors that name the file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError

__all__ = [
    "DESCRIPTION",
    "new_directory",
    "read_json",
    "read_tensors",
    "replaceable",
    "write_tensors",
]

DESCRIPTION = "reward_model.json"
"""The file that tells a reward model's directory from any other."""


def replaceable(directory: str | Path) -> Path:
    """The absolute path of a directory that may be written: new, empty, or a reward model's.

    Raises:
        LmgymError: for a file, and for a directory that holds anything else.
    """
    target = Path(directory).expanduser().resolve()
    if target.is_file() or any(parent.is_file() for parent in target.parents):
        raise LmgymError(f"{str(directory)!r} is a file, or lies in one; give a directory")
    if target.is_dir() and any(target.iterdir()) and not (target / DESCRIPTION).is_file():
        raise LmgymError(
            f"{str(directory)!r} holds other files; give a new directory, an empty one, or one of"
            " a reward model, which is replaced"
        )
    return target


@contextmanager
def new_directory(directory: str | Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `directory` once all went well."""
    target = replaceable(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent:
        new, old = Path(parent) / "new", Path(parent) / "old"
        new.mkdir()
        yield new
        if target.exists():
            os.rename(target, old)
        try:
            os.rename(new, target)
        except BaseException:
            if old.exists():
                os.rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LmgymError(f"{file} does not exist; the directory is incomplete") from None
    except (OSError, ValueError) as error:
        raise LmgymError(f"{file} cannot be read ({error}); it is broken") from None
    if not isinstance(values, dict):
        raise LmgymError(f"{file} holds no JSON object; it is broken")
    return values


def write_tensors(
    file: Path, tensors: Mapping[str, NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Write arrays as safetensors; a reader never sees half of the file."""
    from safetensors.numpy import save_file

    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        whole = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
        save_file(whole, temporary, metadata)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except FileNotFoundError:
        raise LmgymError(f"{file} does not exist; the directory is incomplete") from None
    except (OSError, ValueError, LookupError, AttributeError, SafetensorError) as error:
        raise LmgymError(f"{file} cannot be read ({error}); it is broken") from None
