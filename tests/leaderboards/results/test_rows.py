from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.results.chain import ChainRow
from lmgym.leaderboards.results.rows import EntryRow, as_fields, result_row

ENTRY = EntryRow(
    "mine@1",
    "weights",
    "2027-01-31",
    {
        "name": "mine",
        "version": 1,
        "authors": ["Ada"],
        "license": "MIT",
        "summary": "",
        "kind": "weights",
        "tracks": ["sums"],
    },
)


def read(**changed: Any) -> object:
    return result_row(ChainRow(0, {**as_fields(ENTRY), "flags": [], **changed}, "", 0, 0))


def test_an_entry_comes_back() -> None:
    assert read() == ENTRY
    curve = {"x": "steps", "y": "reward", "points": [[0, 1]]}
    assert read(curve=curve) == replace(ENTRY, curve=curve)


@pytest.mark.parametrize(
    "day", ["1999-99-99", "2027-02-29", "20270131", "2027-W01-1", "<b>", "", None, 7]
)
def test_what_is_no_day_is_refused(day: object) -> None:
    with pytest.raises(LmgymError, match="'at'"):
        read(at=day)


@pytest.mark.parametrize("curve", [False, 0, "", [], [[0, 1]]])
def test_what_is_no_curve_is_refused(curve: object) -> None:
    with pytest.raises(LmgymError, match="'curve'"):
        read(curve=curve)
