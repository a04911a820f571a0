"""Players that read and write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.agents.self_play_grpo import SelfPlayGRPOArgs, train
from lmgym.errors import LmgymError
from lmgym.games.matches import play_match
from lmgym.games.players import find_player
from lmgym.games.run import GameRun, Turn
from lmgym.games.text_players import TextPlayer, load_text_player
from lmgym.games.worlds import find_game
from lmgym.policies.loading import load_policy

NIM, BOARD = "lmgym/Nim-v0", "lmgym/TicTacToe-v0"


def a_turn(env: str = NIM) -> Turn:
    game = find_game(env).game
    return GameRun(game, game.start(np.random.default_rng(0))).turn()


def test_a_function_reads_the_page_and_the_rules_where_it_is_guided() -> None:
    turn, read = a_turn(), []

    def write(messages: list[dict[str, str]]) -> str:
        read.append(messages)
        return "take 1 from heap 1"

    said = [TextPlayer(write, guide=g).act(turn, np.random.default_rng(0)) for g in (False, True)]
    assert said == ["take 1 from heap 1"] * 2
    page = {"role": "user", "content": turn.text}
    rules = {"role": "system", "content": turn.game.rules(0)}
    assert read == [[page], [rules, page]]


def test_a_complaint_stands_above_the_page() -> None:
    read: list[str] = []

    def write(messages: list[dict[str, str]]) -> str:
        read.append(messages[-1]["content"])
        return "z9"

    play_match(BOARD, [TextPlayer(write), "random"], 1, 0)
    assert (
        read[1]
        == f"no cell in 'z9'; write one that is free: a1, a2, a3, b1, b2, b3, c1, c2, c3\n{read[0]}"
    )


@pytest.mark.parametrize("answer", [None, 1.0, ["b2"]])
def test_a_function_that_writes_no_text_forfeits(answer: Any) -> None:
    record = play_match(BOARD, [TextPlayer(lambda _: answer), "random"], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit[:2] == (0, "no move")


def test_a_policy_writes_the_same_for_the_same_generator() -> None:
    player = find_player("model:embedded")
    assert isinstance(player, TextPlayer)
    assert (player.name, player.guide) == ("model:embedded", False)
    turn = a_turn()
    said = [player.act(turn, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]
    player.temperature = 0
    assert len({player.act(turn, np.random.default_rng(seed)) for seed in (0, 1)}) == 1


def test_a_page_that_does_not_fit_forfeits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy()
    monkeypatch.setattr(type(policy), "context", property(lambda _: 8))
    record = play_match(NIM, [TextPlayer(policy), "random"], 1, 0)
    assert record.forfeit is not None
    assert record.forfeit.reason == (
        "LmgymError: the page does not fit into the model's 8 positions"
    )


@pytest.mark.parametrize("words", [{"temperature": -1.0}, {"max_tokens": 0}])
def test_settings_that_do_not_exist_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match="is needed"):
        TextPlayer(str, **words)


@pytest.mark.parametrize(
    ("record", "is_told"),
    [({"world": {"guide": True}}, True), ({"world": {"guide": False}}, False), ({}, False)],
)
def test_a_checkpoint_is_told_the_rules_if_it_was_in_training(
    tmp_path: Path, record: dict[str, Any], is_told: bool
) -> None:
    load_policy("embedded").save(tmp_path)
    (tmp_path / "lmgym.json").write_text(json.dumps(record))
    assert load_text_player(str(tmp_path)).guide is is_told


def test_a_small_policy_of_self_play_reads_no_rules(tmp_path: Path) -> None:
    run = tmp_path / "run"
    args = SelfPlayGRPOArgs(updates=1, imitation=1, groups=2, group_size=2, hidden_size=16)
    train(replace(args, test_limit=2, validation_limit=2, test_samples=1, out=str(run)), NIM, {})
    player = load_text_player(str(run / "best"))
    writer: Any = player.writer
    assert (writer.renderer.name == "byte", player.guide) == (False, False)


def test_a_model_that_does_not_exist_is_named() -> None:
    with pytest.raises(LmgymError, match="unknown model 'nothing'"):
        load_text_player("nothing")
    with pytest.raises(LmgymError, match="write model:MODEL"):
        find_player("model")
