import json
from pathlib import Path

import pytest

from lmgym.errors import LmgymError
from lmgym.leaderboards.results.chain import Head, append, has_head, read_chain


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    append(path, [{"kind": "entry", "entry": "a@1", "note": "π <b>"}])
    append(path, [{"kind": "x", "score": 0.1}, {"kind": "x", "score": 1}])
    return path


def test_rows_come_back_as_they_were_appended(chain: Path) -> None:
    rows = list(read_chain(chain))
    assert [row.number for row in rows] == [0, 1, 2]
    assert rows[0].fields == {"kind": "entry", "entry": "a@1", "note": "π <b>"}
    assert rows[1].fields == {"kind": "x", "score": 0.1}


def test_offsets_find_the_lines(chain: Path) -> None:
    data = chain.read_bytes()
    for row in read_chain(chain):
        line = data[row.offset : row.offset + row.size]
        assert json.loads(line)["n"] == row.number


def test_reading_goes_on_behind_a_head(chain: Path) -> None:
    rows = list(read_chain(chain))
    middle = Head(1, rows[0].hash, rows[1].offset)
    assert [row.number for row in read_chain(chain, middle)] == [1, 2]
    assert has_head(chain, middle)
    assert has_head(chain, append(chain, []))
    assert not has_head(chain, Head(1, "f" * 64, rows[1].offset))


def test_every_flipped_byte_is_found_and_its_line_named(chain: Path) -> None:
    data = chain.read_bytes()
    lines = [row.offset for row in read_chain(chain)]
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        chain.write_bytes(changed)
        with pytest.raises(LmgymError, match=r"line \d+ of") as caught:
            list(read_chain(chain))
        line = sum(offset <= place for offset in lines)
        assert f"line {line} of" in str(caught.value), place


@pytest.mark.parametrize("kept", [[0, 2], [1, 2], [0, 2, 1], [0, 1, 1, 2]])
def test_rows_taken_out_moved_or_repeated_are_found(chain: Path, kept: list[int]) -> None:
    lines = chain.read_bytes().splitlines(keepends=True)
    chain.write_bytes(b"".join(lines[i] for i in kept))
    with pytest.raises(LmgymError, match="does not follow"):
        list(read_chain(chain))


def test_a_line_that_was_cut_off_is_told_and_mended_by_the_next_append(chain: Path) -> None:
    whole = chain.read_bytes()
    chain.write_bytes(whole[:-5])
    with pytest.raises(LmgymError, match=r"line 3 .*cut it off"):
        list(read_chain(chain))
    assert append(chain, [{"kind": "y"}]).n_rows == 3
    assert [row.fields["kind"] for row in read_chain(chain)] == ["entry", "x", "y"]


def test_nothing_is_appended_to_what_is_no_chain(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("hello\n")
    with pytest.raises(LmgymError, match="no row of results"):
        append(path, [{"kind": "x"}])
    assert path.read_text() == "hello\n"


def test_numbers_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with pytest.raises(ValueError, match="not JSON compliant"):
        append(path, [{"score": float("nan")}])
    assert path.read_bytes() == b""
