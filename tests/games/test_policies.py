"""Policies of games: what they say of turns, how they are saved, and as players."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import lmgym  # noqa: F401 - registers the worlds
from lmgym.envs.debate.rules import Debate, DebateArgs
from lmgym.envs.kuhn_poker.rules import Hand, KuhnPoker
from lmgym.envs.nim.rules import Heaps, Nim
from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.games.players import find_player
from lmgym.games.policies import GamePolicy, GamePolicyPlayer, load_game_policy, make_game_policy
from lmgym.games.run import Turn
from lmgym.games.tabular import TabularPolicy

SMALL_DEBATE = Debate(DebateArgs(sentences=5, distractors=2, quotes=2))
KINDS: list[tuple[str, Game[Any]]] = [
    ("tabular", KuhnPoker()),
    ("tabular", Nim()),
    ("linear", SMALL_DEBATE),
    ("mlp", SMALL_DEBATE),
    ("mlp", Nim()),
]
IDS = [f"{kind}-{game.name}" for kind, game in KINDS]


def turns_of(game: Game[Any], n: int = 6) -> list[Turn]:
    """The first and the second turn of some games."""
    found = []
    for seed in range(n):
        state = game.start(np.random.default_rng(seed))
        found.append(Turn(game, state, 0))
        state = game.play(state, game.legal(state)[0])
        if game.mover(state) is not None:
            found.append(Turn(game, state, 1))
    return found


def made(kind: str, game: Game[Any]) -> GamePolicy:
    """A policy with weights that are not zero."""
    policy = make_game_policy(kind, game, torch.Generator().manual_seed(0))
    policy(turns_of(game))  # a table grows
    for number, weights in enumerate(policy.parameters()):
        drawn = torch.randn(weights.shape, generator=torch.Generator().manual_seed(number))
        weights.data.add_(drawn)
    return policy


@pytest.mark.parametrize(("kind", "game"), KINDS, ids=IDS)
def test_only_what_is_allowed_has_a_chance(kind: str, game: Game[Any]) -> None:
    turns = turns_of(game)
    chances = made(kind, game).probabilities(turns)
    assert chances.shape == (len(turns), game.n_actions)
    for turn, row in zip(turns, chances, strict=True):
        assert np.flatnonzero(row).tolist() == list(game.legal(turn.state))
        assert row.sum() == pytest.approx(1)


@pytest.mark.parametrize(("kind", "game"), KINDS, ids=IDS)
def test_a_new_policy_takes_all_moves_alike(kind: str, game: Game[Any]) -> None:
    policy = make_game_policy(kind, game, torch.Generator().manual_seed(0))
    (row,) = policy.probabilities(turns_of(game)[:1])
    assert set(row[row > 0].round(6)) == {round(1 / np.count_nonzero(row), 6)}


@pytest.mark.parametrize(("kind", "game"), KINDS, ids=IDS)
def test_what_is_prepared_follows_the_weights(kind: str, game: Game[Any]) -> None:
    policy, turns = made(kind, game), turns_of(game)
    ask = policy.prepare(turns)
    for weights in policy.parameters():
        weights.data.mul_(-1)
    assert torch.equal(ask(), policy(turns))


@pytest.mark.parametrize(("kind", "game"), KINDS, ids=IDS)
def test_a_saved_policy_plays_as_before(kind: str, game: Game[Any], tmp_path: Path) -> None:
    policy, turns = made(kind, game), turns_of(game)
    policy.save(tmp_path / "saved")
    loaded = load_game_policy(tmp_path / "saved")
    assert np.array_equal(loaded.probabilities(turns), policy.probabilities(turns))


def test_weights_follow_from_the_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return next(iter(make_game_policy("mlp", Nim(), generator).parameters()))

    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_table_grows_while_earlier_answers_are_in_use() -> None:
    game = Nim()
    policy = TabularPolicy.for_game(game, torch.Generator())
    states = [Heaps((a, b, c), 0) for a in range(1, 8) for b in range(1, 8) for c in range(1, 4)]
    turns = [Turn(game, state, 0) for state in states]
    early = policy(turns[:1]).log_softmax(1)[0, 0]
    late = policy(turns).log_softmax(1)[-1, 0]
    (early + late).backward()
    first, *_, last = policy.blocks
    assert first.grad is not None
    assert last.grad is not None
    assert len(policy.known) == len(states)


def test_a_table_that_is_not_trained_does_not_grow() -> None:
    game = Nim()
    policy = TabularPolicy.for_game(game, torch.Generator())
    known, new = (Turn(game, Heaps((2, 1, size), 0), 0) for size in (1, 2))
    policy.rows([known])
    policy.blocks[0].data[0] = 1.0 * torch.arange(game.n_actions)
    policy.eval()
    ask = policy.prepare([known, new])
    chances = ask().detach().softmax(1)
    assert policy.rows([known, new]) == [0, -1]
    assert chances[0, 0] < chances[0, 1]
    assert chances[1, [0, 1, 7, 14, 15]].tolist() == [pytest.approx(0.2)] * 5
    policy.extend([*policy.known, str(game.knowledge(new.state, 0))])
    policy.blocks[0].data[1] = 1.0 * torch.arange(game.n_actions)
    assert ask()[1, 1] == 1.0


def test_what_is_alike_to_a_player_shares_a_row() -> None:
    game = KuhnPoker()
    policy = TabularPolicy.for_game(game, torch.Generator())
    hands = [Hand((1, 0), "kb"), Hand((1, 2), "kb"), Hand((2, 0), "kb")]
    assert policy.rows([Turn(game, hand, 0) for hand in hands]) == [0, 0, 1]


@pytest.mark.parametrize(
    ("game", "kind"), [(KuhnPoker(), "tabular"), (SMALL_DEBATE, "linear"), (Nim(), "mlp")]
)
def test_auto_takes_what_suits_a_game(game: Game[Any], kind: str) -> None:
    assert make_game_policy("auto", game, torch.Generator()).kind == kind


def test_greedy_players_take_the_likeliest_move_and_others_draw() -> None:
    game = KuhnPoker()
    policy = TabularPolicy(game.n_actions)
    turn = Turn(game, Hand((2, 0), ""), 0)
    policy.rows([turn])
    policy.blocks[0].data[0] = torch.tensor([0.0, 1.0, 9.0, 9.0])  # bet; the last two are illegal
    rng = np.random.default_rng(0)
    greedy, sampled = GamePolicyPlayer(policy, is_greedy=True), GamePolicyPlayer(policy)
    assert {greedy.act(turn, rng) for _ in range(50)} == {1}
    bets = np.mean([sampled.act(turn, rng) for _ in range(2000)])
    assert bets == pytest.approx(1 / (1 + np.exp(-1)), abs=0.04)


def test_a_saved_policy_is_a_player_and_an_opponent_by_name(tmp_path: Path) -> None:
    made("tabular", KuhnPoker()).save(tmp_path)
    assert isinstance(find_player(f"policy:{tmp_path}"), GamePolicyPlayer)
    env = gym.make("lmgym/KuhnPoker-v0", level="message", opponent=f"policy:{tmp_path}", seat=1)
    assert "Opponent" in str(env.reset(seed=0)[0])


def test_unknown_policies_and_broken_directories_are_told(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match="unknown policy 'tabluar'; known: tabular"):
        make_game_policy("tabluar", KuhnPoker(), torch.Generator())
    with pytest.raises(LmgymError, match="tells no features of actions; take the policy mlp"):
        make_game_policy("linear", KuhnPoker(), torch.Generator())
    with pytest.raises(LmgymError, match="the directory is incomplete"):
        load_game_policy(tmp_path)
    made("mlp", Nim()).save(tmp_path)
    described = json.loads((tmp_path / "policy.json").read_text())
    described["arguments"]["width"] = 7
    (tmp_path / "policy.json").write_text(json.dumps(described))
    with pytest.raises(LmgymError, match="does not hold a mlp policy"):
        load_game_policy(tmp_path)
    described["kind"] = "foo"
    (tmp_path / "policy.json").write_text(json.dumps(described))
    with pytest.raises(LmgymError, match="unknown kind of policy 'foo'"):
        load_game_policy(tmp_path)


def test_a_policy_of_another_game_is_refused(tmp_path: Path) -> None:
    for kind, made_for in (("linear", Debate()), ("mlp", Nim()), ("tabular", KuhnPoker())):
        folder = tmp_path / kind
        make_game_policy(kind, made_for, torch.Generator().manual_seed(0)).save(folder)
        assert find_player(f"policy:{folder}", made_for)
        other = KuhnPoker() if kind != "tabular" else Nim()
        with pytest.raises(LmgymError, match=f"the {kind} policy does not fit {other.name}"):
            find_player(f"policy:{folder}", other)
