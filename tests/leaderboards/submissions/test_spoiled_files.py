"""Whatever is put in place of a value: it is allowed or refused, and nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmgym.leaderboards.submissions.checking import problems
from lmgym.leaderboards.submissions.tensor_files import WEIGHTS_FILE

if TYPE_CHECKING:
    from tests.leaderboards.submissions.conftest import Entry

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 3, 2**31, 2**63, 10**40, -1.5, 1e308, "", "x", "A", "\u202e", "\0"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "type", "content", "x"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value within a value; of a vocabulary some."""
    yield path
    if isinstance(value, dict):
        for key in list(value)[: 40 if len(value) < 90 else 1]:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value[:40]):
            yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A value with another one at the end of the way."""
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_value_in_a_file_may_be_anything(entry: Entry, name: str, data: st.DataObject) -> None:
    file = entry.folder / name
    original = file.read_text("utf-8")
    values = json.loads(original)
    path = data.draw(st.sampled_from(list(places(values))))
    file.write_text(json.dumps(replaced(values, path, data.draw(VALUES))), "utf-8")
    found = problems(entry.folder)
    file.write_text(original, "utf-8")
    assert all(isinstance(line, str) and "\n" not in line for line in found)
    assert all(line.isascii() and line.isprintable() for line in found)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_value_in_the_header_may_be_anything(entry: Entry, data: st.DataObject) -> None:
    file: Path = entry.folder / WEIGHTS_FILE
    original = file.read_bytes()
    length = int.from_bytes(original[:8], "little")
    header = json.loads(original[8 : 8 + length])
    path = data.draw(st.sampled_from(list(places(header))))
    changed = json.dumps(replaced(header, path, data.draw(VALUES))).encode()
    entry.write(WEIGHTS_FILE, len(changed).to_bytes(8, "little") + changed + original[8 + length :])
    found = problems(entry.folder)
    entry.write(WEIGHTS_FILE, original)
    assert all(line.startswith(f"{WEIGHTS_FILE}: ") for line in found)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_byte_in_a_file_may_be_anything(entry: Entry, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["manifest.toml", "config.json", "tokenizer_config.json"]))
    file = entry.folder / name
    original = file.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    file.write_bytes(original[:place] + data.draw(st.binary(max_size=3)) + original[place + 1 :])
    found = problems(entry.folder)
    file.write_bytes(original)
    assert all(line.isascii() and line.isprintable() for line in found)
