"""A stranger's model.safetensors: the header parsed here, within limits, the numbers as arrays.

The format: eight bytes with the length of a header, a JSON object that gives each tensor its type,
shape and place, then the numbers. A valid file is filled by its tensors without a hole, an overlap
or anything behind them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError

from .json_files import parsed_object

__all__ = [
    "WEIGHTS_FILE",
    "TensorPlace",
    "check_finite",
    "each_array",
    "kind_of",
    "read_header",
]

WEIGHTS_FILE = "model.safetensors"

DTYPES = {"F32": 4, "BF16": 2, "F16": 2}
"""Types of numbers that are allowed, and their bytes."""

_MOST_HEADER, _MOST_TENSORS, _MOST_METADATA = 8 * 2**20, 20_000, 100
_EXPONENTS = {"F32": 0x7F800000, "BF16": 0x7F80, "F16": 0x7C00}
"""Bits that are all set in numbers that are not finite, and in no others (IEEE 754)."""
_CHUNK = 2**20


class TensorPlace(NamedTuple):
    """Where a tensor lies.

    Attributes:
        dtype: a key of `DTYPES`.
        shape: of the tensor.
        start: its first byte in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def n_numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, TensorPlace]:
    """The tensors of a file by name, in the order of their places.

    Raises:
        LmgymError: for a header that is too long, no strict JSON, or does not fit the file.
    """
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        first = stream.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or not 2 <= length <= min(_MOST_HEADER, size - 8):
            if kind := kind_of(first):
                raise LmgymError(f"{file.name}: is {kind}, not safetensors; it was not opened")
            raise LmgymError(
                f"{file.name}: has a header of {length} bytes in a file of {size}; it is no"
                f" safetensors, or broken ({_MOST_HEADER} bytes at most are allowed)"
            )
        header = parsed_object(stream.read(length), f"{file.name}: header")
    try:
        return _places(header, 8 + length, size)
    except LmgymError as error:
        raise LmgymError(f"{file.name}: header: {error}") from None


def each_array(file: Path, header: Mapping[str, TensorPlace]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The numbers of each tensor as a flat array, mapped from the file and not copied.

    Those of bfloat16, which numpy doesn't know, come as their bits, in uint16.
    """
    types = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
    for name, place in header.items():
        end = place.start + place.n_numbers * DTYPES[place.dtype]
        yield name, mapped[place.start : end].view(types[place.dtype])


def check_finite(file: Path, header: Mapping[str, TensorPlace]) -> None:
    """Raise where a number is NaN or infinite."""
    for name, values in each_array(file, header):
        mask = _EXPONENTS[header[name].dtype]
        bits = values.view(f"<u{values.itemsize}")
        for start in range(0, len(bits), _CHUNK):
            if ((bits[start : start + _CHUNK] & mask) == mask).any():
                raise LmgymError(f"{file.name}: tensor {name} holds a number that is not finite")


def kind_of(first: bytes) -> str:
    """What some first bytes betray; empty where that is nothing which is refused."""
    if first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    kinds = {
        b"PK\x03\x04": "a zip archive, as pickled models are",
        b"\x1f\x8b": "a gzip archive",
        b"\x7fELF": "a program",
        b"MZ": "a program",
        b"#!": "a program",
        b"GGUF": "a GGUF file",
        b"\x89HDF": "an HDF5 file",
    }
    return next((kind for magic, kind in kinds.items() if first.startswith(magic)), "")


def _places(header: dict[str, Any], offset: int, size: int) -> dict[str, TensorPlace]:
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or len(metadata) > _MOST_METADATA:
        raise LmgymError("__metadata__ is no object of texts")
    if not 1 <= len(header) <= _MOST_TENSORS:
        raise LmgymError(f"{len(header)} tensors; from 1 to {_MOST_TENSORS} are allowed")
    spans = sorted((_span(name, entry), name) for name, entry in header.items())
    end, places = 0, {}
    for (start, stop, dtype, shape), name in spans:
        if start != end:
            kind = "overlaps another" if start < end else "leaves a hole before it"
            raise LmgymError(f"tensor {name[:100]!a} {kind}")
        end = stop
        places[name] = TensorPlace(dtype, shape, offset + start)
    if offset + end != size:
        raise LmgymError(f"the tensors end at byte {offset + end}, the file at {size}")
    return places


def _span(name: str, entry: Any) -> tuple[int, int, str, tuple[int, ...]]:
    """First byte, end, type and shape of a tensor, checked against each other."""
    if len(name) > 200 or not isinstance(entry, dict):
        raise LmgymError(f"tensor {name[:100]!a} is no object, or has a long name")
    if set(entry) != {"dtype", "shape", "data_offsets"}:
        raise LmgymError(f"tensor {name!a} has other fields than dtype, shape and data_offsets")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise LmgymError(
            f"tensor {name!a} has dtype {str(dtype)[:20]!a}; allowed: {', '.join(DTYPES)}"
        )
    if not _are_wholes(shape, 1) or not 1 <= len(shape) <= 4:
        raise LmgymError(f"tensor {name!a} has a shape other than 1 to 4 whole numbers from 1 on")
    if not _are_wholes(span, 0) or len(span) != 2:
        raise LmgymError(f"tensor {name!a} has data_offsets that are no two whole numbers")
    if span[1] - span[0] != math.prod(shape) * DTYPES[dtype]:
        raise LmgymError(f"tensor {name!a} has other bytes than its shape and dtype need")
    return span[0], span[1], dtype, tuple(shape)


def _are_wholes(values: Any, least: int) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**40
        for value in values
    )
