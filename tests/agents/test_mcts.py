"""Tree search as a player, and as a teacher of policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.agents.mcts import MCTSArgs, MCTSPlayer, Teacher, policy_prior, train
from lmgym.envs.debate.rules import Debate, DebateArgs
from lmgym.envs.kuhn_poker.rules import Hand, KuhnPoker
from lmgym.envs.nim.rules import Heaps, Nim
from lmgym.envs.tic_tac_toe.rules import TicTacToe
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.game import Game
from lmgym.games.players import BestPlayer, find_player
from lmgym.games.policies import GamePolicyPlayer, load_game_policy, make_game_policy
from lmgym.games.run import Turn
from lmgym.search.mcts import MCTSOptions
from lmgym.selfplay.playing import PlayerChooser, PolicyChooser, deal_states, fixed_deals
from lmgym.selfplay.trees import GameTree
from lmgym.selfplay.win_rates import win_rate
from lmgym.training.runs import read_metrics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def exploited(game: Any, policy: Any) -> float:
    tree = GameTree(game, fixed_deals(game, 6, "test"))
    return tree.exploitability(policy.probabilities(tree.turns))


def test_it_is_a_player_by_name() -> None:
    player = find_player("mcts:100")
    turn = Turn(Nim(), Heaps((7, 5, 4), 0), 0)
    assert player.act(turn, rng()) == BestPlayer().act(turn, rng())
    for wrong in ("mcts:0", "mcts:many", "mcts:-1", "mcts:1.5"):
        with pytest.raises(LmgymError, match=f"{wrong} is no player; .* mcts:100"):
            find_player(wrong)
    with pytest.raises(LmgymError, match="mcts:SIMULATIONS"):
        find_player("mcts")


def test_it_never_loses_to_the_best_moves() -> None:
    game, player = TicTacToe(), MCTSPlayer(100)
    starts = deal_states(game, rng(), 10, "test")
    found = win_rate(game, PlayerChooser(player), PlayerChooser(BestPlayer()), starts, rng(1))
    assert found.rate == 0.5  # all are drawn


def test_a_world_with_it_as_opponent_plays_the_same_game_again() -> None:
    task = make_task("lmgym/Nim-v0", opponent="mcts:20")
    openings = [task.reset(rng(seed), task_id="nim/7/1") for seed in range(3)]
    assert len({opening.state for opening in openings}) == 1
    replies = [task.reply(openings[0].state, "take 1 from heap 1", rng(s)) for s in range(3)]
    assert len({reply.state for reply in replies}) == 1


def test_games_that_hide_something_are_refused() -> None:
    with pytest.raises(LmgymError, match="kuhn_poker hides something"):
        MCTSPlayer(5).act(Turn(KuhnPoker(), Hand((0, 1), ""), 0), rng())


def test_temperature_varies_the_moves() -> None:
    turn = Turn(Debate(), Debate().start(rng(1)), 0)
    options = MCTSOptions(noise=0.5)
    moves = {MCTSPlayer(4, temperature=2.0, options=options).act(turn, rng(s)) for s in range(20)}
    assert len(moves) > 2


def test_a_player_goes_from_game_to_game() -> None:
    player = MCTSPlayer(10, options=MCTSOptions(reuses_tree=True))
    games: list[Game[Any]] = [Nim(), TicTacToe(), Nim()]
    for game in games:
        state: Any = game.start(rng(2))
        while (seat := game.mover(state)) is not None:
            state = game.play(
                state, game.check_action(state, player.act(Turn(game, state, seat), rng()))
            )


def test_a_policy_is_a_prior_of_legal_moves() -> None:
    game, state = Nim(), Heaps((2, 0, 3), 1)
    policy = make_game_policy("mlp", game, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weights in policy.parameters():
            weights.add_(torch.arange(weights.numel()).reshape(weights.shape).sin(), alpha=0.1)
    found = np.asarray(policy_prior(policy, game)(state))
    chances = policy.probabilities([Turn(game, state, 1)])[0]
    assert found == pytest.approx(chances[[0, 1, 14, 15, 16]])
    assert found.sum() == pytest.approx(1)
    assert found.std() > 0


def test_lessons_are_what_the_search_found() -> None:
    game = Nim()
    teacher = Teacher(game, make_game_policy("tabular", game, torch.Generator()), MCTSArgs())
    lessons = [
        lesson for seed in range(5) for lesson in teacher.play(game.start(rng(seed)), rng(seed))
    ]
    assert lessons
    for turn, target in lessons:
        assert target.sum() == pytest.approx(1)
        assert set(target.nonzero()[0]) <= set(game.legal(turn.state))
        assert sum(turn.state.sizes) != 0


def test_where_all_moves_are_worth_the_same_there_is_no_lesson() -> None:
    game = Nim()
    teacher = Teacher(game, make_game_policy("tabular", game, torch.Generator()), MCTSArgs())
    assert teacher.play(Heaps((1, 1, 0), 0), rng()) == []  # every move loses, then wins
    assert teacher.teach([]) == {}


@pytest.mark.parametrize("kind", ["tabular", "mlp"])
def test_a_policy_learns_its_lessons(kind: str) -> None:
    game = Nim()
    policy = make_game_policy(kind, game, torch.Generator().manual_seed(0))
    teacher = Teacher(game, policy, MCTSArgs(steps=60))
    turn = Turn(game, Heaps((3, 4, 5), 0), 0)
    target = np.zeros(game.n_actions)
    target[1] = 1.0
    first = teacher.teach([(turn, target)])["loss"]
    assert first == pytest.approx(np.log(12))  # twelve moves, equally likely
    assert policy.probabilities([turn])[0][1] > 0.9


def test_lessons_of_earlier_batches_are_repeated_for_a_while() -> None:
    game = Nim()
    policy = make_game_policy("mlp", game, torch.Generator().manual_seed(0))
    teacher = Teacher(game, policy, MCTSArgs(steps=1, kept_batches=2))
    lessons = []
    for action in (0, 1, 2):
        target = np.zeros(game.n_actions)
        target[action] = 1.0
        lessons.append((Turn(game, Heaps((7, action, 1), 0), 0), target))
    losses = [teacher.teach([lesson])["loss"] for lesson in lessons]
    n_moves = [8, 9, 10]
    assert losses[0] == pytest.approx(np.log(n_moves[0]))
    assert losses[1] != pytest.approx(np.log(n_moves[1]))  # the mean of both


@pytest.mark.learning
def test_lessons_make_a_debater_harder_to_beat(tmp_path: Path) -> None:
    args = MCTSArgs(
        "linear", 40, seed=1, checkpoints=1, deals=1, matches=2, out=str(tmp_path / "run")
    )
    folder = train(args, "lmgym/Debate-v0", {"sentences": 8})
    game = Debate(DebateArgs(sentences=8))
    first = make_game_policy("linear", game, torch.Generator())
    last = load_game_policy(folder / "last")
    assert exploited(game, last) < exploited(game, first) / 2
    metrics = [row["loss"] for row in read_metrics(folder) if "loss" in row]
    assert metrics[-1] < metrics[0]


@pytest.mark.learning
def test_search_makes_a_policy_win_more_often() -> None:
    game = Debate()
    policy = make_game_policy("linear", game, torch.Generator())
    starts = deal_states(game, rng(3), 25, "test")
    searcher = PlayerChooser(MCTSPlayer(30, policy_prior(policy, game)))
    found = win_rate(game, searcher, PolicyChooser(policy), starts, rng(4))
    alone = PlayerChooser(GamePolicyPlayer(policy))
    assert found.low > 0.5
    assert found.rate > win_rate(game, alone, PolicyChooser(policy), starts, rng(4)).rate


@pytest.mark.learning
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    weights = []
    for name in ("one", "other"):
        args = MCTSArgs(
            "linear", 4, simulations=10, batch_size=2, checkpoints=1, deals=1, matches=2,
            out=str(tmp_path / name),
        )  # fmt: skip
        folder = train(args, "lmgym/Debate-v0", {"sentences": 6, "distractors": 1})
        weights.append((folder / "last" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_numbers_out_of_range_are_errors() -> None:
    for name, value in (("simulations", 0), ("noise", 2.0), ("kept_batches", 0)):
        with pytest.raises(LmgymError, match=f"{name}={value} is out of range"):
            MCTSArgs(**{name: value})  # type: ignore[arg-type]  # what the test is about
