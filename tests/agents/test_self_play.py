"""Self-play: its gradient, its opponents and averages, what it measures, and that it learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lmgym.agents.self_play import SelfPlayArgs, SelfPlayLearner, train
from lmgym.cli import main
from lmgym.envs.debate.rules import Debate, DebateArgs
from lmgym.envs.kuhn_poker.rules import Hand, KuhnPoker
from lmgym.envs.matching_pennies.rules import MatchingPennies, MatchingPenniesArgs
from lmgym.envs.nim.rules import Nim, NimArgs
from lmgym.errors import LmgymError
from lmgym.games.game import Game
from lmgym.games.players import BestPlayer, RandomPlayer
from lmgym.games.policies import load_game_policy, make_game_policy
from lmgym.games.run import Turn
from lmgym.games.tabular import TabularPolicy
from lmgym.search.exact import exploitability
from lmgym.selfplay.arenas import Played, StateArena, TreeArena, make_arena
from lmgym.selfplay.averages import AverageStrategy, AverageWeights
from lmgym.selfplay.opponents import Opponents, make_opponents
from lmgym.selfplay.playing import PlayerChooser, fixed_deals
from lmgym.selfplay.trees import GameTree
from lmgym.selfplay.win_rates import win_rate
from lmgym.training.runs import read_metrics

KUHN = "lmgym/KuhnPoker-v0"
SHORT: dict[str, Any] = {"games": 2560, "checkpoints": 3, "matches": 5}
SMALL_DEBATE = Debate(DebateArgs(sentences=5, distractors=2, quotes=2))
GAMES: list[Game[Any]] = [
    KuhnPoker(),
    MatchingPennies(MatchingPenniesArgs(rounds=2)),
    SMALL_DEBATE,
    Nim(NimArgs(heaps=2, most=3)),  # of 9 starts, some are dealt twice
]


def tree_of(game: Game[Any], n: int = 3) -> GameTree:
    return GameTree(game, fixed_deals(game, n, "test"))


def random_table(tree: GameTree, seed: int) -> TabularPolicy:
    """A policy that knows all turns, with random weights."""
    policy = TabularPolicy(tree.game.n_actions)
    policy.rows(tree.turns)
    for block in policy.blocks:
        block.data = torch.randn(block.shape, generator=torch.Generator().manual_seed(seed)) * 2
    return policy


@pytest.mark.parametrize("game", GAMES, ids=[game.name for game in GAMES])
def test_trees_find_the_same_exploitability_as_playing_through(game: Game[Any]) -> None:
    tree = tree_of(game, 8)
    for seed in range(3):
        policy = random_table(tree, seed)
        chances = policy.probabilities(tree.turns)
        known = {
            turn.state: row[list(game.legal(turn.state))]
            for turn, row in zip(tree.turns, chances, strict=True)
        }
        expected = exploitability(game, known.__getitem__, fixed_deals(game, 8, "test"))
        assert tree.exploitability(chances) == pytest.approx(expected)


def test_trees_that_are_too_large_say_so() -> None:
    assert not GameTree(SMALL_DEBATE, fixed_deals(SMALL_DEBATE, 3, "test"), limit=20).is_whole


def test_the_equilibrium_of_kuhn_poker_is_not_exploited() -> None:
    tree = tree_of(KuhnPoker())
    bets = {"": (0, 0, 0), "k": (1 / 3, 0, 1), "b": (0, 1 / 3, 1), "kb": (0, 1 / 3, 1)}
    chances = np.zeros((len(tree.turns), 4))
    for row, turn in enumerate(tree.turns):
        hand: Hand = turn.state
        share = bets[hand.path][hand.cards[turn.seat]]
        first, second = (0, 1) if hand.path in ("", "k") else (3, 2)
        chances[row, [first, second]] = 1 - share, share
    assert tree.exploitability(chances) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", ["current", "pool", "league"])
def test_arrays_and_states_play_the_same_game(kind: Any) -> None:
    game = KuhnPoker()
    tree = tree_of(game)
    policy, other = random_table(tree, 0), random_table(tree, 1)
    means = []
    for arena in (TreeArena(tree), StateArena(game)):
        rng = np.random.default_rng(0)
        opponents = make_opponents(kind, 2, AverageWeights(policy))
        opponents.keep([other])
        played = arena.play(policy, opponents.draw(rng, 8000), rng)
        assert len(played.games) == len(played.logprobs) == len(played.entropies)
        assert played.is_own[played.games, played.seats].all()
        own = played.returns[played.is_own].mean()
        means.append([own, len(played.games) / 8000, float(played.logprobs.detach().mean())])
    assert means[0] == pytest.approx(means[1], abs=0.03)


def test_small_listed_games_are_played_in_arrays_and_others_as_states() -> None:
    assert isinstance(make_arena(KuhnPoker(), tree_of(KuhnPoker())), TreeArena)
    assert isinstance(make_arena(SMALL_DEBATE, tree_of(SMALL_DEBATE)), StateArena)
    assert isinstance(make_arena(Nim(), None), StateArena)


def test_the_gradient_is_that_of_reinforce_with_a_baseline_for_each_seat() -> None:
    args = SelfPlayArgs(lr=1.0, lr_end=1.0, entropy=0.0, baseline=0.5)
    policy = TabularPolicy(2, ["a", "b"])
    learner = SelfPlayLearner(policy, args, 2)
    learner.baselines = np.array([0.5, -0.5])
    logprobs = policy.blocks[0].log_softmax(1)  # of both rows 1/2, 1/2
    returns = np.array([[1.0, -1.0], [0.0, 0.0]])
    is_own = np.array([[True, True], [True, False]])
    moves = (np.array([0, 0, 1]), np.array([0, 1, 0]))  # games, seats
    taken = logprobs[[0, 1, 0], [0, 0, 1]]
    played = Played(returns, is_own, *moves, taken, torch.zeros(3))
    learner.step(played, 0.0)
    # advantages 0.5, -0.5 and -0.5; gradients of a log-probability 1/2 and -1/2; three episodes
    expected = [[(0.25 + 0.25) / 3, -(0.25 + 0.25) / 3], [-0.25 / 3, 0.25 / 3]]
    assert policy.blocks[0].data[:2].tolist() == [pytest.approx(row) for row in expected]
    assert learner.baselines.tolist() == [0.5, -0.75]  # means are 0.5 and -1


def test_the_bonus_raises_entropy() -> None:
    policy = TabularPolicy(2, ["a"])
    policy.blocks[0].data[0] = torch.tensor([2.0, 0.0])
    learner = SelfPlayLearner(policy, SelfPlayArgs(lr=1.0, entropy=1.0), 2)
    logprobs = policy.blocks[0][:1].log_softmax(1)
    entropy = -(logprobs.exp() * logprobs).sum(1)
    moves = (np.array([0]), np.array([0]))
    played = Played(np.zeros((1, 2)), np.ones((1, 2), np.bool_), *moves, logprobs[:, 0], entropy)
    learner.step(played, 0.0)
    assert policy.blocks[0].data[0, 0] < 2


def test_average_strategies_weigh_by_own_reach_and_age() -> None:
    game = KuhnPoker()
    tree = tree_of(game)
    policies = [random_table(tree, seed) for seed in (0, 1)]
    average = AverageStrategy(policies[0], tree)
    for policy in policies:
        average.add(policy)
    average.refresh()
    first, after = Turn(game, Hand((2, 0), ""), 0), Turn(game, Hand((2, 0), "kb"), 0)

    def row(policy: Any, turn: Turn) -> NDArray[np.float64]:
        return np.asarray(policy.probabilities([turn])[0])

    checks = [row(policy, first)[0] for policy in policies]
    weights = np.array([1 * checks[0], 2 * checks[1]])
    expected = (weights @ [row(policy, after) for policy in policies]) / weights.sum()
    assert row(average.policy, after) == pytest.approx(expected, abs=1e-6)
    plain = (row(policies[0], first) + 2 * row(policies[1], first)) / 3
    assert row(average.policy, first) == pytest.approx(plain, abs=1e-6)


def test_average_weights_count_in_proportion_to_their_age() -> None:
    policy = make_game_policy("linear", SMALL_DEBATE, torch.Generator())
    average = AverageWeights(policy)
    for value in (1.0, 2.0, 4.0):
        next(iter(policy.parameters())).data.fill_(value)
        average.add(policy)
    assert next(iter(average.policy.parameters())).mean() == pytest.approx((1 + 4 + 12) / 6)


def test_a_league_plays_more_often_with_whom_it_loses_to() -> None:
    members = [TabularPolicy(2), TabularPolicy(2)]
    league = make_opponents("league", 2, AverageWeights(members[0]))
    league.keep(members)
    rng = np.random.default_rng(0)
    for _ in range(50):
        pairing = league.draw(rng, 8)
        is_hard = pairing.opponents[0] is members[1]
        league.tell(pairing, np.full(8, 0.0 if is_hard else 0.9))
    drawn = [league.draw(rng, 8).opponents[0] is members[1] for _ in range(200)]
    assert np.mean(drawn) > 0.9


@pytest.mark.parametrize("kind", ["average", "pool"])
def test_a_learner_sits_in_each_seat_as_often(kind: Any) -> None:
    opponents: Opponents = make_opponents(kind, 2, AverageWeights(TabularPolicy(2)))
    opponents.keep([TabularPolicy(2)])
    seats = opponents.draw(np.random.default_rng(0), 10).seats
    assert (seats == 0).sum(0).tolist() == [5, 5]
    assert (seats.sum(1) == 1).all()


def test_win_rates_take_each_deal_in_both_seats() -> None:
    game = Nim()
    starts = [state for _, state in fixed_deals(game, 40, "test")]
    best, random = PlayerChooser(BestPlayer()), PlayerChooser(RandomPlayer())
    found = win_rate(game, best, random, starts, np.random.default_rng(0))
    assert found.games == 80
    assert found.low > 0.9
    itself = win_rate(game, best, best, starts, np.random.default_rng(0))
    assert (itself.rate, itself.gain) == (0.5, 0.0)
    assert itself.low < 0.5 < itself.high


@pytest.mark.learning
@pytest.mark.slow
@pytest.mark.parametrize("opponents", ["current", "league"])
def test_runs_of_so_many_games_give_the_same_weights(tmp_path: Path, opponents: Any) -> None:
    def table(out: str) -> NDArray[np.float32]:
        args = SelfPlayArgs(out=str(tmp_path / out), seed=3, opponents=opponents, **SHORT)
        policy = load_game_policy(train(args, KUHN, {}) / "last")
        assert isinstance(policy, TabularPolicy)
        return np.asarray(policy.table.detach().numpy())

    first = table("a")
    assert np.array_equal(first, table("b"))
    assert first.any()


@pytest.mark.learning
@pytest.mark.slow
def test_regularised_self_play_comes_close_to_an_equilibrium(tmp_path: Path) -> None:
    folder = train(SelfPlayArgs(games=60_000, out=str(tmp_path / "run"), matches=20), KUHN, {})
    rows = [row for row in read_metrics(folder) if "exploitability" in row]
    assert rows[0]["exploitability"] == pytest.approx(0.4583, abs=1e-3)
    assert rows[-1]["exploitability"] < 0.15
    assert rows[-1]["exploitability/average"] < 0.1
    assert len(rows) == len(list((folder / "checkpoints").iterdir())) == 21
    assert (folder / "curve.png").stat().st_size > 10_000
    record = json.loads((folder / "lmgym.json").read_text())
    assert record["status"] == "finished"
    assert record["test"]["best"]["exploitability"] < 0.1
    assert len(record["best_against"]) == 20


@pytest.mark.learning
@pytest.mark.slow
def test_a_debate_is_learned_and_played_against_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    sizes = ["--sentences", "6", "--distractors", "2", "--batch-size", "32", "--games", "960"]
    measures = ["--checkpoints", "2", "--deals", "5", "--matches", "40"]
    words = ["lmgym/Debate-v0", *sizes, *measures, "--out", str(out)]
    assert main(["train", "self-play", *words]) == 0
    told = capsys.readouterr().out
    assert f"--sentences 6 --distractors 2 --opponent policy:{out / 'best'}" in told
    rows = [row for row in read_metrics(out) if "judge_correct" in row]
    assert rows[-1]["exploitability"] < rows[0]["exploitability"] / 2
    assert rows[-1]["win/random/low"] > 0.5


def test_what_self_play_cannot_do_is_told(tmp_path: Path) -> None:
    args = SelfPlayArgs(out=str(tmp_path / "run"))
    with pytest.raises(LmgymError, match="is no game for several players"):
        train(args, "lmgym/Math-v0", {})
    with pytest.raises(LmgymError, match="leave opponent out"):
        train(args, KUHN, {"opponent": "best"})
    with pytest.raises(LmgymError, match="games=0 is out of range"):
        SelfPlayArgs(games=0)
    assert not (tmp_path / "run").exists()
