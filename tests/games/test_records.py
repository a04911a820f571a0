"""Records of matches: what is written is read, played again, and trusted no further than that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmgym
from lmgym.envs.nim.rules import Nim, NimArgs
from lmgym.errors import LmgymError
from lmgym.games.matches import play_match, play_matches
from lmgym.games.records import Forfeit, MatchRecord, RecordedMove, read_records, write_records
from lmgym.games.replay import replay, steps
from lmgym.games.run import Turn
from lmgym.games.worlds import find_game, game_ids

NIM, DEBATE = "lmgym/Nim-v0", "lmgym/Debate-v0"


class Stumbles:
    """Tries what is not allowed before each move."""

    def act(self, turn: Turn, rng: np.random.Generator) -> int | str:
        return turn.game.legal(turn.state)[0] if turn.complaint else "I pass"


@pytest.fixture(scope="module")
def debate() -> MatchRecord:
    return play_match(DEBATE, [Stumbles(), "random"], deal=5, seed=1)


# Round trips


@pytest.mark.parametrize("env", game_ids())
def test_what_is_written_is_read_and_replays(env: str, tmp_path: Path) -> None:
    records = play_matches(env, "random", Stumbles(), 6, seed=2)
    write_records(tmp_path / "r.jsonl", records)
    read = [record for _, record in read_records(tmp_path / "r.jsonl")]
    assert read == records
    for record in read:
        assert replay(record).returns == record.returns


def test_lines_are_canonical(debate: MatchRecord) -> None:
    line = debate.as_line()
    assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))
    assert line.isascii()
    assert json.loads(line)["version"] == lmgym.__version__


@pytest.mark.parametrize(
    ("env", "args"),
    [
        (NIM, {"heaps": 5, "most": 3}),
        (DEBATE, {"sentences": 7, "quotes": 3, "phrasings": 4, "judge": "bayesian"}),
        ("lmgym/MatchingPennies-v0", {"rounds": 2}),
    ],
)
def test_records_of_other_arguments_replay(env: str, args: dict[str, Any]) -> None:
    world = find_game(env, args)
    for record in play_matches(world, "random", "random", 4, seed=0):
        read = MatchRecord.from_line(record.as_line())
        assert {name: read.args[name] for name in args} == args
        replay(read)
        replay(read, world)
        with pytest.raises(LmgymError, match="arguments of the world"):
            replay(read, find_game(env))


def test_rules_without_a_world_replay_where_they_are_given() -> None:
    game = Nim(NimArgs(heaps=2))
    record = play_match(game, ["best", "random"], 1, 0)
    assert record.env == "nim"
    with pytest.raises(LmgymError, match="which is not registered here"):
        replay(record)
    replay(record, find_game(NIM, {"heaps": 2})._replace(env="nim"))


def test_a_file_is_replaced_in_one_step(tmp_path: Path, debate: MatchRecord) -> None:
    path = tmp_path / "r.jsonl"
    write_records(path, [debate])
    with pytest.raises(AttributeError):
        write_records(path, [debate, None])  # type: ignore[list-item]
    assert [record for _, record in read_records(path)] == [debate]
    assert [file.name for file in tmp_path.iterdir()] == ["r.jsonl"]


def test_the_steps_of_a_record_are_what_players_were_asked(debate: MatchRecord) -> None:
    shown = list(steps(debate))
    assert [step.move for step in shown] == list(debate.moves)
    assert [step.turn.seat for step in shown] == [move.player for move in debate.moves]
    assert shown[0].turn.complaint == ""
    assert shown[1].turn.complaint == debate.moves[0].complaint


# Differences


def with_move(record: MatchRecord, place: int, **changes: Any) -> MatchRecord:
    moves = list(record.moves)
    moves[place] = moves[place]._replace(**changes)
    return replace(record, moves=tuple(moves))


def test_one_changed_move_is_found() -> None:
    record = play_match("lmgym/TicTacToe-v0", ["random", "random"], 1, 3)
    found = 0
    for place, move in enumerate(record.moves):
        for said in range(9):
            if said != move.said:
                with pytest.raises(LmgymError):
                    replay(with_move(record, place, said=said))
                found += 1
    assert found == 8 * len(record.moves)


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "return": ({"returns": (0.5, -0.5)}, "returns: the game gives"),
    "deal": ({"deal": 6}, "the game gives"),
    "fact": ({"facts": {"judge_accepts": True}}, "the fact 'is_true'"),
    "fact added": ({"facts": {"judge_accepts": True, "a": 1}}, "the fact 'a': the game gives null"),
    "moves left out": ({"moves": ()}, "the seat to move after the last move"),
    "forfeit added": ({"forfeit": Forfeit(1, "illegal", "?")}, "the forfeit"),
    "forfeit by an error": ({"forfeit": Forfeit(1, "error", "?")}, "the seat that forfeits"),
    "players": (
        {"players": ("a",), "returns": (0.0,), "sides": (0,)},
        "the number of players",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_found_and_named(name: str, debate: MatchRecord) -> None:
    changes, said = CHANGES[name]
    with pytest.raises(LmgymError, match=said):
        replay(replace(debate, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"player": 1}, "the seat of move 1: the game gives 0, the record says 1"),
        ({"complaint": "no"}, "move 1"),
        ({"complaint": ""}, "move 1"),
        ({"said": "[2]"}, "move 1"),
        ({"length": 9}, "move 1"),
    ],
)
def test_a_change_of_a_move_is_named(
    changes: dict[str, Any], said: str, debate: MatchRecord
) -> None:
    with pytest.raises(LmgymError, match=said):
        replay(with_move(debate, 0, **changes))


def test_moves_after_the_end_are_found(debate: MatchRecord) -> None:
    with pytest.raises(LmgymError, match=r"the seat of move 7: the game gives null"):
        replay(replace(debate, moves=(*debate.moves, RecordedMove(0, 1))))


def test_a_difference_names_another_version(debate: MatchRecord) -> None:
    with pytest.raises(LmgymError, match=r"recorded by lmgym '0.0.1', this is"):
        replay(replace(debate, version="0.0.1", returns=(0.5, -0.5)))


# Files of strangers


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"env": "os:lmgym/Evil-v0"}, "not registered here"),
        ({"env": "lmgym/Math-v0"}, "no game for several players"),
        ({"args": {"judge": "rm:/tmp/model"}}, "which may load something"),
        ({"args": {"judge": "judge:owner/model"}}, "which may load something"),
        ({"args": {"sentences": 10**9}}, "out of range"),
        ({"args": {"judge": "nobody"}}, "unknown reward"),
        ({"args": {"no": 1}}, "unknown argument of lmgym/Debate-v0 'no'"),
    ],
)
def test_nothing_is_imported_or_loaded_for_a_record(
    changes: dict[str, Any], said: str, debate: MatchRecord
) -> None:
    with pytest.raises(LmgymError, match=said):
        replay(MatchRecord.from_line(replace(debate, **changes).as_line()))


def without(field: str) -> Any:
    return lambda row: row.pop(field)


def put(field: str, value: Any) -> Any:
    return lambda row: row.update({field: value})


def put_move(**fields: Any) -> Any:
    return lambda row: row["moves"][0].update(fields)


MALFORMED: list[tuple[str, Any, str]] = [
    ("no deal", without("deal"), "lacks 'deal'"),
    ("a field too many", put("x", 1), "'x', which is unknown"),
    ("schema", put("schema", 2), "schema 2, and this version reads 1"),
    ("deal of text", put("deal", "1"), "'deal': it is '1'; a whole number"),
    ("deal of truth", put("deal", True), "'deal': it is True"),
    ("deal below 0", put("deal", -1), "'deal': it is -1"),
    ("deal too large", put("deal", 2**31), "'deal': it is 2147483648"),
    ("seed of a fraction", put("seed", 1.5), "'seed': it is 1.5"),
    ("env of a list", put("env", []), "'env': it is a list of 0"),
    ("env of megabytes", put("env", "x" * 10**6), "'env': it is a text of 1000000 characters"),
    ("args of a list", put("args", [1]), "'args': it is a list"),
    ("args nested", put("args", {"a": {"b": 1}}), "the argument 'a' is an object of 1"),
    ("one player", put("players", ["a"]), "there are 1 players"),
    ("player of a number", put("players", [1, 2]), r"players\[0\]: it is 1"),
    ("sides", put("sides", [0, 0]), r"sides \[0, 0\]"),
    ("returns of text", put("returns", ["1", "2"]), r"returns\[0\]: it is '1'"),
    ("returns of truth", put("returns", [True, False]), r"returns\[0\]: it is True"),
    ("moves of text", put("moves", "moves"), "'moves': it is 'moves'; a list"),
    ("too many moves", put("moves", [0] * 100_001), "a list of 100001"),
    ("move of a number", put("moves", [1]), r"moves\[0\]: the move is 1"),
    ("move of truth", put_move(said=True), r"moves\[0\]: 'said': it is True"),
    ("move of nothing", put_move(said=None), "'said': it is None"),
    ("move of megabytes", put_move(said="x" * (2**20 + 1)), "a text of 1048577 characters"),
    ("move of a large number", put_move(said=2**63), "'said': it is 9223372036854775808"),
    ("move with more", put_move(more=1), "the move has 'more'"),
    ("move of a seat that is not there", put_move(player=2), "there is no seat 2"),
    ("length", put_move(length=2**21), "'length': it is 2097152"),
    ("ending", put("ending", {"kind": "won"}), "the ending is 'won'"),
    ("ending of text", put("ending", "finished"), "'ending': it is 'finished'"),
    (
        "cause",
        put("ending", {"kind": "forfeit", "seat": 0, "cause": "luck", "reason": ""}),
        "the cause is 'luck'",
    ),
    ("forfeit without a seat", put("ending", {"kind": "forfeit"}), "lacks 'cause'"),
]


@pytest.mark.parametrize(("name", "change", "said"), MALFORMED, ids=[m[0] for m in MALFORMED])
def test_a_malformed_record_is_refused_with_its_line(
    name: str, change: Any, said: str, debate: MatchRecord, tmp_path: Path
) -> None:
    row = json.loads(debate.as_line())
    change(row)
    path = tmp_path / "r.jsonl"
    path.write_text(f"{debate.as_line()}\n{json.dumps(row)}\n")
    with pytest.raises(LmgymError, match=rf"line 2 of .*r\.jsonl': .*{said}") as caught:
        list(read_records(path))
    assert len(str(caught.value)) < 400 + len(str(path))


LINES: list[tuple[str, bytes, str]] = [
    ("blank", b"\n", "it is no JSON"),
    ("half", b'{"schema":1,"env"', "it is no JSON"),
    ("pickle", b"\x80\x04\x95.", "it is no UTF-8"),
    ("a list", b"[]\n", "the record is a list of 0; it must be an object"),
    ("null", b"null", "the record is None"),
    ("NaN", b'{"schema":NaN}', "NaN is no number that JSON knows"),
    ("infinity", b'{"schema":-Infinity}', "-Infinity is no number"),
    ("overflow", b'{"schema":1e999}', "1e999 is too large a number"),
    ("huge", b'{"schema":' + b"9" * 10_000 + b"}", "a number of 10000 digits is too large"),
    ("twice", b'{"schema":1,"schema":1}', "'schema' stands there twice"),
    ("deep", b"[" * 100_000, "nested too deeply"),
    ("long", b'{"a":"' + b"x" * 2**24 + b'"}', "longer than 16777216 bytes"),
]


@pytest.mark.parametrize(("name", "line", "said"), LINES, ids=[line[0] for line in LINES])
def test_what_is_no_record_is_refused(name: str, line: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(line)
    with pytest.raises(LmgymError, match=f"line 1 of .*{said}"):
        list(read_records(path))


def test_an_empty_file_holds_no_records(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.touch()
    with pytest.raises(LmgymError, match="is empty"):
        list(read_records(path))
