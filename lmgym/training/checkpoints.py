"""Checkpoints: nested states as safetensors and JSON, each of them whole or not there at all.

A checkpoint is one file of safetensors. How its tensors are nested, and the plain values between
them, stand as JSON in the file's header. It is written under another name, brought to the disk and
then renamed over the one before it, so whatever moment a process is killed at, a whole one stands.
"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from lmgym.errors import LmgymError

__all__ = ["FORMAT", "Checkpoint", "Checkpoints", "Stateful", "pack", "unpack"]

FORMAT = 1
"""Of what is written; a reader refuses any other."""

_HEADING = "lmgym"
_MOST_OF_THE_TIME = 0.05


class Stateful(Protocol):
    """What can be kept in a checkpoint: a learner, an optimiser, a module, a curriculum."""

    def state_dict(self) -> Any:
        """Nested dictionaries and lists of tensors, arrays, numbers, texts and None."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Go back to a state."""
        ...


class Checkpoints:
    """The checkpoint of a run, each new one in the place of the last.

    Args:
        file: where it lies.
        every: seconds between two, 0 for one after each update; None for as many as take at most
            a twentieth of the time.

    Example:
        >>> import tempfile
        >>> root = tempfile.TemporaryDirectory()
        >>> checkpoints = Checkpoints(Path(root.name) / "state.safetensors")
        >>> checkpoints.save({"updates": 3}, {"weight": torch.ones(2), "betas": (0.9, 0.95)})
        >>> found = checkpoints.read()
        >>> found.facts, found.state()
        ({'updates': 3}, {'weight': tensor([1., 1.]), 'betas': (0.9, 0.95)})
        >>> root.cleanup()
    """

    def __init__(self, file: Path, every: float | None = None) -> None:
        """Write nothing yet."""
        self.file = file
        self._every = every
        self._next = -math.inf

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return time.perf_counter() >= self._next

    def save(self, facts: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Write a checkpoint.

        Args:
            facts: what can be read without the tensors; plain values, nested as a state.
            state: nested dictionaries, lists and tuples of tensors, arrays and plain values.
        """
        start = time.perf_counter()
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}.tmp")
        try:
            _write(temporary, facts, state)
            os.replace(temporary, self.file)
        finally:
            temporary.unlink(missing_ok=True)
        _bring_to_disk(self.file.parent)
        end = time.perf_counter()
        pause = (1 / _MOST_OF_THE_TIME - 1) * (end - start) if self._every is None else self._every
        self._next = end + pause

    def read(self) -> Checkpoint:
        """The last one; its tensors are read when they are asked for.

        Raises:
            LmgymError: where there is none, it is broken, or its format is another.
        """
        if not self.file.is_file():
            raise LmgymError(f"there is no checkpoint {str(self.file)!r}")
        content = _read(self.file)
        if content["format"] != FORMAT:
            raise LmgymError(
                f"the checkpoint {str(self.file)!r} has format {content['format']}, and this"
                f" version of lmgym reads format {FORMAT}; go on with the version that lmgym.json"
                " names"
            )
        facts = unpack(content["facts"], {})
        return Checkpoint(self.file, facts, content["state"], content["checksum"])

    def tidy(self) -> None:
        """Take away what a killed process left half-written."""
        for left in self.file.parent.glob(f".{self.file.name}.*.tmp"):
            left.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        file: where it lies.
        facts: what was said of it.
    """

    file: Path
    facts: dict[str, Any]
    _packed: Any
    _checksum: int

    def state(self) -> dict[str, Any]:
        """The state, its tensors on the CPU.

        Raises:
            LmgymError: where the tensors are not what was written.
        """
        from safetensors.torch import load_file

        tensors = load_file(self.file)
        self._compare(_checksum(sorted(tensors.items())))
        state: dict[str, Any] = unpack(self._packed, tensors)
        return state

    def check(self) -> None:
        """Raise where the tensors are not what was written; they are read one at a time.

        Raises:
            LmgymError: as `state`.
        """
        from safetensors import safe_open

        with safe_open(self.file, "pt") as opened:
            names = sorted(opened.keys())
            self._compare(_checksum((name, opened.get_tensor(name)) for name in names))

    def _compare(self, checksum: int) -> None:
        if checksum != self._checksum:
            raise LmgymError(f"the checkpoint {str(self.file)!r} is broken: its numbers changed")


def _write(file: Path, facts: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    packed = pack(state, tensors)
    checksum = _checksum(sorted(tensors.items()))
    told = {"format": FORMAT, "facts": pack(facts, {}), "checksum": checksum}
    content = json.dumps({**told, "state": packed}, allow_nan=False)
    save_file(tensors, file, metadata={_HEADING: content})
    _bring_to_disk(file)


def _read(file: Path) -> dict[str, Any]:
    """What is written beside the tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            content: dict[str, Any] = json.loads((opened.metadata() or {})[_HEADING])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise LmgymError(
            f"the checkpoint {str(file)!r} is broken ({type(error).__name__}: {error!s:.200});"
            " start the run again"
        ) from error
    return content


def _checksum(tensors: Iterable[tuple[str, torch.Tensor]]) -> int:
    """Of tensors in the order of their names."""
    checksum = 0
    for name, tensor in tensors:
        content = tensor.reshape(-1).view(torch.uint8).numpy()
        checksum = zlib.crc32(content.data, zlib.crc32(name.encode(), checksum))
    return checksum


def _bring_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` as JSON can hold it, its tensors and arrays put aside into `tensors`.

    Tuples, keys that are no texts and numbers that are not finite are marked, so that `unpack`
    gives back what was packed. Tensors that share their memory are put aside once.

    Example:
        >>> pack({0: (1, float("inf"))}, {})
        {'$items': [[0, {'$tuple': [1, {'$float': 'inf'}]}]]}
    """
    return _Packer(tensors).pack(value, "")


class _Packer:
    """Packs a value, and remembers which tensors it has seen."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.tensors = tensors
        self._names: dict[Any, str] = {}

    def pack(self, value: Any, place: str) -> Any:
        """`value`, which lies at `place`."""
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, torch.Tensor):
            return {"$tensor": self._put_aside(value, place)}
        if isinstance(value, np.ndarray):
            return self._array(value, place)
        if isinstance(value, np.generic):
            return self.pack(value.item(), place)
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$float": repr(value)}
        if isinstance(value, (list, tuple)):
            items = [self.pack(item, f"{place}.{i}") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        if isinstance(value, Mapping):
            return self._mapping(value, place)
        raise LmgymError(
            f"a checkpoint cannot hold {place.removeprefix('.') or 'the state'}, a"
            f" {type(value).__name__}; it holds tensors, arrays, numbers, texts and None, in"
            " dictionaries, lists and tuples"
        )

    def _mapping(self, value: Mapping[Any, Any], place: str) -> Any:
        items = [(key, self.pack(item, f"{place}.{key}")) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
            return dict(items)
        return {"$items": [[self.pack(key, f"{place} keys"), item] for key, item in items]}

    def _put_aside(self, tensor: torch.Tensor, place: str) -> str:
        detached = tensor.detach()
        where = (
            (detached.untyped_storage().data_ptr(), detached.storage_offset(), detached.dtype),
            (detached.shape, detached.stride(), detached.device),
        )
        if detached.numel() and where in self._names:
            return self._names[where]
        # its own memory, as safetensors asks for
        self._names[where] = self._add(detached.to("cpu", copy=True).contiguous(), place)
        return self._names[where]

    def _array(self, array: np.ndarray[Any, Any], place: str) -> Any:
        if array.dtype.hasobject:
            raise LmgymError(f"a checkpoint cannot hold {place.removeprefix('.')}, an object array")
        content = np.frombuffer(array.tobytes(), np.uint8).copy()
        name = self._add(torch.from_numpy(content), place)
        return {"$array": name, "dtype": array.dtype.str, "shape": list(array.shape)}

    def _add(self, tensor: torch.Tensor, place: str) -> str:
        name = f"{len(self.tensors)}{place}"
        self.tensors[name] = tensor
        return name


def unpack(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """What `pack` was given.

    Example:
        >>> unpack({"$items": [[0, {"$tuple": [1, {"$float": "inf"}]}]]}, {})
        {0: (1, inf)}
    """
    if isinstance(value, list):
        return [unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$array" in value:
        content = bytearray(tensors[value["$array"]].numpy().tobytes())
        return np.frombuffer(content, np.dtype(value["dtype"])).reshape(value["shape"])
    if "$tuple" in value:
        return tuple(unpack(value["$tuple"], tensors))
    if "$items" in value:
        return {unpack(key, tensors): unpack(item, tensors) for key, item in value["$items"]}
    if "$float" in value:
        return float(value["$float"])
    return {key: unpack(item, tensors) for key, item in value.items()}
