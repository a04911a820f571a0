"""`lmgym play`, with a script in the person's place."""

from __future__ import annotations

from collections.abc import Callable

RunCli = Callable[..., tuple[int, str, str]]

MATH, GUESS = "lmgym/Math-v0", "lmgym/GuessNumber-v0"


def test_play_judges_a_person_until_an_empty_line(run_cli: RunCli) -> None:
    fixed = ("--task-id", "addition/2/0/0", "--episodes", "3")
    code, out, _ = run_cli("play", MATH, *fixed, stdin="It is 105\n4\n\n105\n")
    assert code == 0
    assert out.count("45+60=") == 3
    assert "correct, reward 1" in out
    assert "incorrect: the answer is 105, reward 0" in out
    assert out.endswith("1 of 2 right, total reward 1\n")


def test_play_stops_at_the_end_of_the_input(run_cli: RunCli) -> None:
    code, out, err = run_cli("play", stdin="")
    assert (code, err) == (0, "")
    assert "right, total reward" not in out


def test_play_goes_on_over_several_turns(run_cli: RunCli) -> None:
    out = run_cli("play", GUESS, "--task-id", "guess/48", stdin="50\n?\n48\n")[1]
    assert out.index("lower") < out.index("write a number") < out.index("correct, reward 1")


def test_play_joins_lines_that_end_in_a_backslash(run_cli: RunCli) -> None:
    out = run_cli(
        "play", "--task-id", "addition/2/0/0", "--max-tokens", "60", stdin="4 or\\\n105\n"
    )[1]
    assert "correct, reward 1" in out


def test_play_says_which_limit_was_reached(run_cli: RunCli) -> None:
    long, guesses = "It is perhaps 105\n", "1\n" * 8
    assert (
        "the 16 tokens are spent" in run_cli("play", "--task-id", "addition/2/0/0", stdin=long)[1]
    )
    out = run_cli("play", GUESS, "--task-id", "guess/48", stdin=guesses)[1]
    assert "the 8 messages are used up" in out


def test_play_names_the_context_where_that_was_spent(run_cli: RunCli) -> None:
    long = "It is perhaps 105\n"
    out = run_cli("play", "--task-id", "addition/2/0/0", "--context", "12", stdin=long)[1]
    assert "the 12 positions are full; --context allows more" in out
    out = run_cli("play", GUESS, "--task-id", "guess/48", "--context", "45", stdin="50\n9\n")[1]
    assert "the 45 positions are full; --context allows more" in out


def test_play_spells_out_what_would_move_the_cursor(run_cli: RunCli) -> None:
    out = run_cli("play", "--instruction", "\x1b[2J", stdin="")[1]
    assert "\x1b" not in out
    assert r"\x1b[2J" in out


def test_a_policy_plays_while_one_watches(run_cli: RunCli) -> None:
    code, out, _ = run_cli("play", GUESS, "--model", "embedded", "--episodes", "2", "--seed", "1")
    assert code == 0
    assert out.count("Guess my number") == 2
    assert "\n> " in out
    assert "of 2 right" in out
