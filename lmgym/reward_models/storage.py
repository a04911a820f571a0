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

__all__ = ["new_directory", "read_json", "read_tensors", "write_tensors"]


@contextmanager
def new_directory(directory: str | Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `directory` once all went well."""
    target = Path(directory).resolve()
    if target.exists() and not target.is_dir():
        raise LmgymError(f"{str(directory)!r} is a file; give a directory")
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
    except (OSError, ValueError, SafetensorError) as error:
        raise LmgymError(f"{file} cannot be read ({error}); it is broken") from None
