"""`lmgym tournament`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lmgym.games.records import read_records, write_records

from .conftest import KUHN, NIM

RunCli = Callable[..., tuple[int, str, str]]

RUN = ("tournament", "run", "--env", NIM, "--agents", "random", "best", "a=random")
SERIAL = ("--games", "10", "--workers", "1")


def test_a_tournament_prints_tables_and_writes_a_folder(run_cli: RunCli, tmp_path: Path) -> None:
    words = ("--out", "t", "--plot", "t/ratings.png")
    code, out, err = run_cli(*RUN, *SERIAL, *words)
    assert code == 0
    assert "lmgym/Nim-v0, 30 games, round-robin" in out
    assert re.search(r"^ +1 +best +\d+ +\[\d+, .+\] +20 +", out, re.MULTILINE)
    assert "1st seat" in out
    assert "alpha-rank" in out
    assert "without forfeited games" not in out
    assert "30/30 games" in err
    standings = json.loads((tmp_path / "t" / "standings.json").read_text())
    assert standings["rows"][0]["name"] == "best"
    assert (tmp_path / "t" / "ratings.png").read_bytes().startswith(b"\x89PNG")
    tables = out[: out.index("drawn in")]
    assert run_cli("tournament", "show", "t") == (0, tables, "")
    again = run_cli(*RUN, *SERIAL, *words)
    assert again[:2] == (0, out)
    assert run_cli("match", "--replay", "t/matches.jsonl")[0] == 0


def test_forfeits_have_tables_of_their_own_and_all_fit_into_80_columns(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    agents = ("--agents", "model:embedded", "b=random", "a-name-that-is-rather-long=random")
    out = run_cli("tournament", "run", "--env", NIM, *agents, *SERIAL)[1]
    assert max(map(len, out.splitlines())) <= 80
    forfeits = out[out.index("forfeited games by cause") : out.index("without forfeited games")]
    assert re.search(r"player +illegal", forfeits)
    assert re.search(r"model:embedded +20 *\n", forfeits)
    assert out.endswith("no games: model:embedded\n\n")


def test_a_running_tournament_is_shown(run_cli: RunCli, tmp_path: Path) -> None:
    run_cli(*RUN, *SERIAL, "--out", "t")
    file = tmp_path / "t" / "matches.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:50])
    out = run_cli("tournament", "show", "t")[1]
    assert "lmgym/Nim-v0, 4 of 30 games, round-robin" in out
    assert "no games: a\n" in out
    file.write_text("")
    assert "no games: a, best, random" in run_cli("tournament", "show", "t")[1]


SHOW = ("tournament", "show", "t", "--replay")


def test_show_plays_records_again(run_cli: RunCli, tmp_path: Path) -> None:
    run_cli(*RUN, *SERIAL, "--out", "t")
    assert "30 games go as the records say" in run_cli(*SHOW)[1]
    file = tmp_path / "t" / "matches.jsonl"
    text = file.read_text()
    records = [record for _, record in read_records(file)]
    write_records(file, [*records[:6], records[7], *records[7:]])
    assert "line 8 of 't/matches.jsonl' is line 7 once more" in run_cli(*SHOW)[2]
    file.write_text(text.replace('"returns":[1.0,-1.0]', '"returns":[-1.0,1.0]', 1))
    code, _, err = run_cli(*SHOW)
    assert code == 2
    assert re.search(r"1 of 30 games go otherwise: line \d+ of 't/matches.jsonl': returns:", err)


def test_games_have_their_options(run_cli: RunCli, tmp_path: Path) -> None:
    run_cli(*RUN, "--heaps", "2", *SERIAL, "--schedule", "swiss", "--out", "t")
    plan = json.loads((tmp_path / "t" / "plan.json").read_text())
    assert plan["args"]["heaps"] == 2
    assert "--heaps" in run_cli_help(run_cli, "--env", NIM)
    assert "--heaps" not in run_cli_help(run_cli)


def run_cli_help(run_cli: RunCli, *words: str) -> str:
    return run_cli("tournament", "run", *words, "--help")[1]


def test_another_plan_is_refused_and_the_folder_is_as_it_was(run_cli: RunCli) -> None:
    run_cli(*RUN, *SERIAL, "--out", "t")
    before = run_cli("tournament", "show", "t")
    code, _, err = run_cli(*RUN, *SERIAL, "--out", "t", "--seed", "4")
    assert code == 2
    assert err.startswith("lmgym: 't' holds another tournament, whose seed is 0; now it is 4.")
    assert run_cli("tournament", "show", "t") == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name the game, as --env "),
        (("--env", "lmgym/Math-v0"), "lmgym/Math-v0 is no game for several players; games are"),
        (("--env", NIM), "a tournament needs two players or more; none are given"),
        (("--env", NIM, "--agents", "best"), "two players or more; 1 given"),
        (("--env", NIM, "--agents", "best", "best"), "two players are called 'best'; give them"),
        (("--env", NIM, "--agents", "best", "wild"), "player 'wild' cannot play: unknown player"),
        (("--env", KUHN, "--agents", "random", "mcts:5"), "player 'mcts:5' cannot play: "),
        (("--env", NIM, "--agents", "best", "random", "--workers", "0"), "0 workers: give 1"),
        (("--env", NIM, "--agents", "best", "random", "--games", "3"), "must be even"),
        (("--env", NIM, "--agents", "best", "random", "--rounds", "3"), "in a round robin"),
        (("--env", NIM, "--agents", "best", "random", "--schedule", "x"), "unknown --schedule 'x'"),
        (("--env", NIM, "--plot", "x.pdf"), "'x.pdf' does not name a .png file"),
        (("best",), "unexpected 'best'; usage: lmgym tournament run"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    run_cli: RunCli, words: tuple[str, ...], told: str
) -> None:
    code, out, err = run_cli("tournament", "run", *words)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show",), "name the folder of a tournament"),
        (
            ("show", "nowhere"),
            "'nowhere' has no plan.json, so it is not the folder of a tournament",
        ),
        (("sow",), "unknown tournament command 'sow'; known: show, run"),
        (("--env", NIM), "unexpected '--env'; name a command first: run, show"),
    ],
)
def test_mistakes_about_commands_are_told(
    run_cli: RunCli, words: tuple[str, ...], told: str
) -> None:
    code, _, err = run_cli("tournament", *words)
    assert code == 2
    assert told in err


def test_help_lists_the_commands(run_cli: RunCli) -> None:
    out = run_cli("tournament")[1]
    assert "run --env ENV --agents A B ..." in out
    assert run_cli("tournament", "--help")[1] == out
