"""`lmgym play` in worlds of games."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lmgym.games.run import Turn

RunCli = Callable[..., tuple[int, str, str]]

NIM, BOARD, DEBATE, PENNIES = (
    f"lmgym/{name}-v0" for name in ("Nim", "TicTacToe", "Debate", "MatchingPennies")
)
FIXED = ("--task-id", "tic_tac_toe/3/1", "--opponent", "best")


def test_a_person_reads_the_rules_once_and_sees_the_opponents_moves(run_cli: RunCli) -> None:
    code, out, _ = run_cli("play", BOARD, *FIXED, stdin="b2\nc1\na2\n")
    assert code == 0
    assert out.count("Tic-tac-toe. You play o") == 1
    assert "Your opponent is best." in out
    assert "opponent: a1\nYou play o. Your turn.\n  a b c\n1 x . .\n" in out
    assert "problem" not in out
    assert "right" not in out


def test_a_person_is_told_why_a_move_is_not_allowed(run_cli: RunCli) -> None:
    out = run_cli("play", BOARD, *FIXED, stdin="a1\nb2\n")[1]
    assert "> a1 is taken; free are a2, a3, b1, b2, b3, c1, c2, c3\nYou play o." in out


def test_the_end_is_shown_with_the_result(run_cli: RunCli) -> None:
    out = run_cli("play", BOARD, *FIXED, stdin="b2\na3\nc3\nc2\n" * 3)[1]
    assert "You play o. The game is over.\n  a b c\n1 x x x" in out
    assert "\nlost, return -1\ngame tic_tac_toe/3/1\n" in out
    assert out.endswith("1 game: won 0, drawn 0, lost 1, total return -1\n")


def test_a_draw_is_no_loss(run_cli: RunCli) -> None:
    moves = ["b2", "c1", "a2", "b3"]
    out = run_cli("play", BOARD, *FIXED, stdin="\n".join(moves))[1]
    assert "\ndrawn, return +0\n" in out
    assert out.endswith("1 game: won 0, drawn 1, lost 0, total return +0\n")


def test_a_second_move_that_is_not_allowed_forfeits_with_its_reason(run_cli: RunCli) -> None:
    out = run_cli("play", BOARD, *FIXED, stdin="a1\nx9\n")[1]
    assert "lost (forfeit: no cell in 'x9'; write one that is free: a2" in out


def test_a_debate_ends_with_the_verdict_and_the_truth(run_cli: RunCli) -> None:
    out = run_cli("play", DEBATE, "--task-id", "debate/5/1", stdin="[1]\n[2]\n[3]\n[4]\n")[1]
    assert "The debate is over." in out
    assert "\njudge accepts: " in out
    assert ", is true: " in out
    assert "opponent: " in out


def test_a_hidden_move_is_not_told(run_cli: RunCli) -> None:
    words = ("--task-id", "matching_pennies/3/1", "--rounds", "1")
    out = run_cli("play", PENNIES, *words, stdin="heads\n")[1]
    before, after = out.split("> ")
    assert "opponent" not in before.replace("Your opponent is", "")
    assert "you heads, opponent " in after


def test_rules_of_a_guide_are_not_told_twice(run_cli: RunCli) -> None:
    out = run_cli("play", NIM, "--guide", "--task-id", "nim/3/0", stdin="take 1 from heap 1\n")[1]
    assert out.count("Whoever takes the last match of all wins") == 1
    assert "system:" not in out


def test_another_reward_is_shown_beside_the_return(run_cli: RunCli) -> None:
    out = run_cli("play", BOARD, *FIXED, "--reward", "gold", stdin="a1\na1\n")[1]
    assert "return -1, reward -1\n" in out


def test_a_game_that_is_over_before_ones_turn_asks_for_nothing(run_cli: RunCli) -> None:
    words = ("--heaps", "1", "--opponent", "best", "--task-id", "nim/3/1")
    out = run_cli("play", NIM, *words, stdin="")[1]
    assert "lost, return -1" in out
    assert out.endswith("1 game: won 0, drawn 0, lost 1, total return -1\n")


def test_an_opponent_that_forfeits_has_lost(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Passes:
        def act(self, turn: Turn, rng: np.random.Generator) -> Any:
            return "I pass"

    monkeypatch.setattr("lmgym.games.players.RandomPlayer", Passes)
    for seat, stdin in ((1, ""), (0, "take 1 from heap 1\n")):
        out = run_cli("play", NIM, "--task-id", f"nim/3/{seat}", stdin=stdin)[1]
        assert "opponent: I pass\nopponent: I pass\n" in out
        assert "won (The opponent forfeits the game." in out
        assert "won 1, drawn 0, lost 0, total return +1" in out


def test_what_is_left_unfinished_is_lost(run_cli: RunCli) -> None:
    words = ("--task-id", "nim/3/0", "--max-tokens", "5")
    out = run_cli("play", NIM, *words, stdin="take 1 from heap 1\n")[1]
    assert "lost (unfinished: the 5 tokens are spent; --max-tokens allows more), return -1" in out


def test_a_policy_is_watched_against_an_opponent(run_cli: RunCli) -> None:
    words = ("--model", "embedded", "--opponent", "best", "--episodes", "2", "--seed", "1")
    code, out, _ = run_cli("play", NIM, *words)
    assert code == 0
    assert out.count("\n> ") >= 2
    assert "Whoever takes" not in out
    assert "2 games: won " in out
