"""`lmgym match`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.commands.arguments import parse_options
from lmgym.commands.match import MatchArgs
from lmgym.games.deals import start_of
from lmgym.games.matches import play_matches
from lmgym.games.records import read_records, write_records
from lmgym.games.worlds import find_game, game_ids

RunCli = Callable[..., tuple[int, str, str]]

NIM, KUHN, DEBATE = (f"lmgym/{name}-v0" for name in ("Nim", "KuhnPoker", "Debate"))


def test_a_match_prints_a_table_and_writes_records(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--env", NIM, "--games", "20", "--heaps", "2", "--out", "deep/r.jsonl")
    code, out, err = run_cli("match", "best", "random", *words)
    assert code == 0
    assert "best against random, lmgym/Nim-v0" in out
    assert "20/20 games" in err
    records = [record for _, record in read_records(tmp_path / "deep" / "r.jsonl")]
    assert records == play_matches(find_game(NIM, {"heaps": 2}), "best", "random", 20, 0)
    line = next(line for line in out.splitlines() if line.startswith("  both"))
    won = sum(record.returns[record.sides.index(0)] > 0 for record in records)
    assert line.split()[1:4] == ["20", str(won), "0"]


def test_each_seat_has_a_line_and_forfeits_have_one_more(run_cli: RunCli) -> None:
    out = run_cli("match", "random", "random", "--env", KUHN, "--games", "4")[1]
    assert [f"  {name}" in out for name in ("seat 0", "seat 1", "both", "no forfeits")] == [
        True, True, True, False,
    ]  # fmt: skip
    single = ("--env", KUHN, "--games", "3", "--no-swap-seats")
    assert "seat 1" not in run_cli("match", "random", "random", *single)[1]
    out = run_cli("match", "random", "model:embedded", "--env", NIM, "--games", "2")[1]
    assert "  no forfeits" in out
    assert "first forfeit: game 1, model:embedded, illegal: no move in" in out


def test_a_debate_tells_how_often_the_judge_is_right(run_cli: RunCli) -> None:
    out = run_cli("match", "best", "best", "--env", DEBATE, "--sentences", "6", "--games", "10")[1]
    assert "judge right: " in out


def test_games_are_shown_as_players_read_and_write_them(run_cli: RunCli) -> None:
    words = ("--env", NIM, "--games", "4", "--show")
    out = run_cli("match", "best", "random", *words)[1]
    assert out.count("\ngame ") + out.startswith("game ") == 4
    assert "best (player_0) reads:\nHeaps: 1 has" in out
    assert "\n> take " in out
    assert "The game is over.\nbest +1, random -1\n" in out
    only = run_cli("match", "best", "random", *words, "--game", "2")[1]
    assert only.startswith("game 2, deal ")
    assert "game 1" not in only


def test_of_long_pages_what_is_new_is_shown(run_cli: RunCli) -> None:
    out = run_cli(
        "match", "best", "random", "--env", DEBATE, "--games", "2", "--show", "--game", "1"
    )[1]
    record = play_matches(DEBATE, "best", "random", 2, 0)[0]
    document = start_of(find_game(DEBATE).game, record.deal).document
    assert out.count(document.page) == 1
    assert "judge accepts: " in out


# Records


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "r.jsonl"
    write_records(path, play_matches(find_game(NIM, {"heaps": 2}), "best", "random", 6, seed=4))
    return path


def test_records_are_played_again(run_cli: RunCli, file: Path) -> None:
    code, out, err = run_cli("match", "--replay", file.name)
    assert (code, err) == (0, "")
    assert "6 games go as the records say" in out
    assert "best against random, lmgym/Nim-v0" in out


def test_one_record_is_checked_and_shown(run_cli: RunCli, file: Path) -> None:
    code, out, _ = run_cli("match", "--replay", file.name, "--game", "3", "--show")
    assert code == 0
    assert out.startswith("game 3, deal ")
    assert "1 game goes as the records say" in out


def change(file: Path, line: int, **fields: Any) -> None:
    lines = file.read_text().splitlines()
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | fields)
    file.write_text("\n".join(lines))


def test_records_that_go_otherwise_are_counted_and_the_first_one_is_named(
    run_cli: RunCli, file: Path
) -> None:
    change(file, 3, returns=[0.25, -0.25])
    change(file, 5, returns=[0.25, -0.25])
    code, out, err = run_cli("match", "--replay", file.name)
    assert (code, out) == (2, "")
    assert err.startswith("lmgym: 2 of 6 games go otherwise: line 3: returns: the game gives [")
    assert err.endswith("the record says [0.25, -0.25]\n")
    assert run_cli("match", "--replay", file.name, "--game", "1")[0] == 0


def test_a_broken_file_is_no_traceback(run_cli: RunCli, file: Path) -> None:
    file.write_text(file.read_text()[:-100])
    code, _, err = run_cli("match", "--replay", file.name)
    assert code == 2
    assert "line 6 of 'r.jsonl': it is no JSON" in err


def test_a_world_that_is_given_must_be_that_of_the_records(run_cli: RunCli, file: Path) -> None:
    assert run_cli("match", "--replay", file.name, "--env", NIM, "--heaps", "2")[0] == 0
    code, _, err = run_cli("match", "--replay", file.name, "--env", NIM)
    assert code == 2
    assert 'arguments of the world: the game gives {"heaps": 3, "most": 7}' in err


def test_text_of_players_cannot_paint_the_terminal(run_cli: RunCli, file: Path) -> None:
    change(file, 1, players=["\x1b[2J[bold]best", "random"])
    out = run_cli("match", "--replay", file.name, "--show")[1]
    assert "\x1b" not in out
    assert r"\x1b[2J[bold]best" in out


def test_what_is_interrupted_is_kept(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmgym.games import matches

    n_left = iter([False] * 3 + [True])
    play = matches.play_match

    def interrupt(*args: Any, **words: Any) -> Any:
        if next(n_left):
            raise KeyboardInterrupt
        return play(*args, **words)

    monkeypatch.setattr(matches, "play_match", interrupt)
    words = ("--env", NIM, "--games", "6", "--out", "r.jsonl")
    assert run_cli("match", "best", "random", *words)[0] == 130
    assert len(list(read_records(tmp_path / "r.jsonl"))) == 3


MISTAKES = [
    ("best random", "name the game, as --env lmgym/Debate-v0; games are lmgym/Debate-v0, lmgym/K"),
    ("best random --env lmgym/Math-v0", "lmgym/Math-v0 is no game for several players; games are"),
    ("best random --env lmgym/Nm-v0", "unknown environment 'lmgym/Nm-v0'"),
    ("best random --env", "--env needs a value"),
    (f"best --env {NIM}", "name two players; usage: lmgym match A B"),
    (f"best best best --env {NIM}", "unexpected 'best'"),
    (f"best rando --env {NIM}", "unknown player 'rando'; known: random"),
    (f"model random --env {NIM}", "write model:MODEL"),
    (f"model:nothing random --env {NIM}", "unknown model 'nothing'"),
    (f"random best --env {KUHN}", "kuhn_poker knows no best moves"),
    (f"best random --env {NIM} --heaps 0", "heaps=0 is out of range"),
    (f"best random --env {NIM} --opponent best", "unknown option '--opponent'"),
    (f"best random --env {NIM} --games 3", "3 games: the number must be even"),
    (f"best random --env {NIM} --games 0", "--games 0 is out of range"),
    (f"best random --env {NIM} --seed -1", "--seed -1 is out of range"),
    (f"best random --env {NIM} --split all", "unknown split 'all'"),
    (f"best random --env {NIM} --temperature -1", "--temperature -1.0 is out of range"),
    (f"best random --env {NIM} --out r.json", "does not name a .jsonl file"),
    (f"best random --env {NIM} --game 1", "--game 1 chooses what --show or --replay is about"),
    (f"best random --env {NIM} --show --game 200", "--game 200 does not exist; there are 100"),
    ("best --replay r.jsonl", "--replay needs no players and writes nothing; leave out the player"),
    ("--replay r.jsonl --out s.jsonl", "leave out --out s.jsonl"),
    ("--replay r.jsonl", "cannot use 'r.jsonl': No such file"),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_told_in_one_sentence(run_cli: RunCli, line: str, said: str) -> None:
    code, out, err = run_cli("match", *line.split())
    assert (code, out) == (2, "")
    assert err.startswith("lmgym: ")
    assert err.count("\n") == 1
    assert said in err


def test_the_help_lists_the_options_of_the_game(run_cli: RunCli) -> None:
    out = run_cli("match", "--env", NIM, "--help")[1]
    assert "--heaps" in out
    assert "--opponent" not in out


@pytest.mark.parametrize("env", game_ids())
def test_no_option_has_the_name_of_a_games_argument(env: str) -> None:
    args = type(find_game(env).game).Args
    parse_options({"match": MatchArgs, env: args}, [], "match", "")
