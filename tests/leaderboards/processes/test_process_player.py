"""Programs that play games."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lmgym.games.matches import play_match, play_matches
from lmgym.games.records import MatchRecord
from lmgym.games.replay import replay
from lmgym.leaderboards.processes import ProcessAgent, ProcessPlayer

Make = Callable[..., ProcessAgent]
NIM = "lmgym/Nim-v0"

DRAWS = """
import random
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello": say({"type": "ready"})
    if message["type"] == "reset": rng = random.Random(message["seed"])
    if message["type"] == "act": act(rng.choice(message["legal"]))
"""
PLACES = "for message in asked(): act(len(message['legal']) - 1)"


def test_a_program_plays_and_its_games_follow_from_their_seeds(make_agent: Make) -> None:
    lines = []
    for _ in range(2):
        with ProcessPlayer(make_agent(DRAWS), name="draws") as player:
            records = play_matches(NIM, player, "random", 6, seed=1)
        assert not any(record.forfeit for record in records)
        assert all(replay(record).returns == record.returns for record in records)
        lines.append([record.as_line() for record in records])
    assert lines[0] == lines[1]


def test_a_number_stands_for_the_action_in_that_place(make_agent: Make) -> None:
    record = play_match("lmgym/TicTacToe-v0", [ProcessPlayer(make_agent(PLACES)), "random"], 1, 0)
    assert record.forfeit is None
    assert record.moves[0].said == 8


def test_a_move_that_is_not_allowed_may_be_made_good_once(make_agent: Make) -> None:
    agent = make_agent("for message in asked(): act('pass')")
    record = play_match(NIM, [ProcessPlayer(agent), "random"], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit[:2] == (0, "illegal")
    assert agent.n_failures == 0


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("for message in asked():\n    while True: pass", "time"),
        ("for message in asked(): print('I resign', flush=True)", "protocol"),
        ("for message in asked(): sys.exit(1)", "crash"),
        ("sys.exit(1)", "crash"),
    ],
)
@pytest.mark.parametrize("raise_errors", [False, True])
def test_what_a_program_does_wrong_costs_it_the_game(
    make_agent: Make, code: str, cause: str, raise_errors: bool
) -> None:
    player: Any = ProcessPlayer(make_agent(code, move_seconds=0.3), name="fails")
    record = play_match(NIM, ["best", player], 1, 0, raise_errors=raise_errors)
    assert record.forfeit is not None
    assert record.forfeit[:2] == (1, cause)
    assert record.returns == (1.0, -1.0)
    assert MatchRecord.from_line(record.as_line()) == record
    assert replay(record).returns == (1.0, -1.0)


def test_a_failure_disturbs_no_other_game(make_agent: Make) -> None:
    agent = make_agent("""
    for message in asked():
        if len(message["legal"]) > 12: sys.exit("too many")
        act(0)
    """)
    with ProcessPlayer(agent, name="shy") as player:
        records = play_matches(NIM, player, "random", 20, seed=0)
    causes = [record.forfeit and record.forfeit.cause for record in records]
    assert {None, "crash"} == set(causes)
    assert agent.n_failures == causes.count("crash")
