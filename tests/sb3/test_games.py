"""A seat of a game for Stable-Baselines3: steps, seats, opponents, pools, and what is learned."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from pettingzoo.utils.wrappers import OrderEnforcingWrapper
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from lmgym.agents.sb3_self_play import SB3SelfPlayArgs, train
from lmgym.envs.debate import debate_v0
from lmgym.envs.kuhn_poker import kuhn_poker_v0
from lmgym.envs.nim import nim_v0
from lmgym.envs.tic_tac_toe import tic_tac_toe_v0
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.players import RandomPlayer
from lmgym.sb3.game_training import evaluate_seats
from lmgym.sb3.games import OpponentPool, PolicyOpponent, SeatEnv, SelfPlay

from ..games.conftest import NAMES

RunCli = Callable[..., tuple[int, str, str]]
QUICK: dict[str, Any] = {"num_envs": 4, "n_steps": 16, "hidden": (16,), "test_limit": 8}


def learner(env: Any, **words: Any) -> MaskablePPO:
    sizes = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"}
    return MaskablePPO("MlpPolicy", env, **{**sizes, **words})


def play(env: SeatEnv, seed: int) -> tuple[list[Any], float]:
    """The observations and the return of a game of first legal moves."""
    observation, info = env.reset(seed=seed)
    seen, total, is_over = [info["seat"], observation.tolist()], 0.0, False
    while not is_over:
        observation, reward, is_over, _, _ = env.step(int(env.action_masks().argmax()))
        seen.append(observation.tolist())
        total += reward
    return seen, total


@pytest.mark.parametrize("name", NAMES)
def test_every_game_is_an_environment_of_gymnasium(name: str) -> None:
    module = importlib.import_module(f"lmgym.envs.{name}.{name}_v0")
    env = SeatEnv(module.env())
    check_env(env, skip_render_check=True)
    assert isinstance(env.action_space, spaces.Discrete)


def test_the_same_seed_is_the_same_game() -> None:
    first, second = SeatEnv(nim_v0.env()), SeatEnv(nim_v0.env())
    play(second, 8)
    assert play(first, 7) == play(second, 7)
    assert play(first, 7) != play(first, 8)


def test_a_return_is_what_the_seat_has_won() -> None:
    for seat in (0, 1):
        game = kuhn_poker_v0.env()
        env = SeatEnv(game, seat=seat)
        for seed in range(20):
            _, total = play(env, seed)
            assert total == game.run.returns[seat]


def test_seats_are_drawn_unless_one_is_given() -> None:
    env = SeatEnv(tic_tac_toe_v0.env())
    drawn = {env.reset(seed=seed)[1]["seat"] for seed in range(20)}
    assert drawn == {"player_0", "player_1"}
    assert {SeatEnv(tic_tac_toe_v0.env(), seat=1).reset(seed=s)[1]["seat"] for s in range(9)} == {
        "player_1"
    }


def test_the_others_have_moved_when_it_is_ones_turn() -> None:
    env = SeatEnv(tic_tac_toe_v0.env(), opponent="best", seat="player_1")
    env.reset(seed=0)
    assert env.action_masks().sum() == 8
    env.step(int(env.action_masks().argmax()))
    assert env.action_masks().sum() == 6


def test_success_is_told_at_the_end() -> None:
    env = SeatEnv(nim_v0.env(heaps=1, most=1), seat=0)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)


def test_a_wrong_move_is_told_and_the_second_one_loses() -> None:
    env = SeatEnv(tic_tac_toe_v0.env(), opponent="best", seat=1)
    env.reset(seed=0)
    taken = int((~env.action_masks()).argmax())
    _, reward, terminated, _, info = env.step(taken)
    assert (reward, terminated) == (0.0, False)
    assert "not allowed" in info["illegal"]
    _, reward, terminated, _, info = env.step(taken)
    assert (reward, terminated, info["is_success"]) == (-1.0, True, False)


def test_wrapped_games_and_foreign_players_serve() -> None:
    env = SeatEnv(OrderEnforcingWrapper(nim_v0.env()), RandomPlayer())
    assert play(env, 0)[1] in (-1.0, 1.0)


def test_players_need_a_game_of_this_package() -> None:
    class Stranger:
        possible_agents = ["a", "b"]
        metadata: dict[str, Any] = {}

        def observation_space(self, agent: str) -> spaces.Space[Any]:
            return nim_v0.env().observation_space("player_0")

        def action_space(self, agent: str) -> spaces.Discrete:
            return spaces.Discrete(21)

        @property
        def unwrapped(self) -> Stranger:
            return self

    game: Any = Stranger()
    assert SeatEnv(game, "random").seat is None
    with pytest.raises(LmgymError, match="cannot play"):
        SeatEnv(game, "best")


def test_what_cannot_be_played_is_said() -> None:
    with pytest.raises(LmgymError, match="action_mask"):
        SeatEnv(nim_v0.env(actions="text"))
    with pytest.raises(LmgymError, match="seat='player_9' does not exist"):
        SeatEnv(nim_v0.env(), seat="player_9")
    with pytest.raises(LmgymError, match="knows no best moves"):
        SeatEnv(kuhn_poker_v0.env(), "best")
    with pytest.raises(LmgymError, match="latest=2"):
        OpponentPool(latest=2)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.ELU])
def test_a_frozen_policy_computes_what_the_policy_does(activation: type[nn.Module]) -> None:
    env = SeatEnv(debate_v0.env())
    policy = learner(env, policy_kwargs={"activation_fn": activation}).policy
    observation, _ = env.reset(seed=0)
    with torch.no_grad():
        expected = policy.get_distribution(policy.obs_to_tensor(observation)[0])
    logits: Any = expected.distribution
    for is_frozen in (True, False):
        found = PolicyOpponent(policy, is_frozen=is_frozen).logits(observation)
        found = found - np.log(np.exp(found).sum())
        np.testing.assert_allclose(found, logits.logits[0].numpy(), atol=1e-5)


def test_a_frozen_policy_draws_what_is_allowed_by_its_probabilities() -> None:
    env = SeatEnv(tic_tac_toe_v0.env(), seat=0)
    observation, _ = env.reset(seed=0)
    opponent = PolicyOpponent(learner(env).policy)
    mask = np.zeros(9, np.bool_)
    mask[[2, 5]] = True
    rng = np.random.default_rng(0)
    drawn = [opponent.choose(observation, mask, rng) for _ in range(2000)]
    assert set(drawn) == {2, 5}
    weights = np.exp(opponent.logits(observation)[[2, 5]])
    assert drawn.count(2) / 2000 == pytest.approx(weights[0] / weights.sum(), abs=0.05)


def test_a_pool_keeps_the_latest_copies_and_training_leaves_them_alone() -> None:
    pool = OpponentPool(size=2, every=64)
    env = DummyVecEnv([lambda: SeatEnv(tic_tac_toe_v0.env(), pool)] * 4)
    algorithm = learner(env)
    algorithm.learn(256, callback=SelfPlay(pool))
    assert len(pool) == 2
    observation = np.zeros(27, np.float32)
    old, new = (member.logits(observation) for member in pool.members)
    assert not np.allclose(old, new)
    algorithm.learn(64)
    assert np.array_equal(pool.members[1].logits(observation), new)


def test_freezing_draws_nothing() -> None:
    policy = learner(SeatEnv(nim_v0.env())).policy
    before = torch.get_rng_state()
    PolicyOpponent(policy)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pool_draws_the_latest_as_often_as_it_is_told() -> None:
    policy = learner(SeatEnv(nim_v0.env())).policy
    pool = OpponentPool(size=4, latest=0.5)
    for _ in range(4):
        pool.add(policy)
    rng = np.random.default_rng(0)
    drawn = [pool.draw(rng) for _ in range(1000)]
    share = sum(member is pool.members[-1] for member in drawn) / 1000
    assert share == pytest.approx(0.5 + 0.5 / 4, abs=0.05)


def test_a_pool_that_no_environment_draws_from_is_refused() -> None:
    env = DummyVecEnv([lambda: SeatEnv(nim_v0.env(), OpponentPool())])
    with pytest.raises(LmgymError, match="another opponent"):
        learner(env).learn(16, callback=SelfPlay(OpponentPool()))


def test_an_algorithm_plays_as_it_stands_and_others_need_an_actor() -> None:
    algorithm = PPO("MlpPolicy", SeatEnv(nim_v0.env()), n_steps=16, batch_size=16, device="cpu")
    assert play(SeatEnv(nim_v0.env(), algorithm), 0)[1] in (-1.0, 1.0)
    with pytest.raises(LmgymError, match="no actor"):
        PolicyOpponent(nn.Linear(2, 2))


def test_evaluation_counts_what_is_won_drawn_and_lost() -> None:
    algorithm = learner(SeatEnv(tic_tac_toe_v0.env()))
    task: Any = make_task("lmgym/TicTacToe-v0", opponent="best")
    found = evaluate_seats(algorithm, task, limit=20, samples=1)
    assert found.greedy == 0
    assert found.figures["drawn"] + found.figures["lost"] == 1
    assert found.gold_reward == pytest.approx(-found.figures["lost"])


def test_a_run_is_recorded_and_its_seed_repeats_it(tmp_path: Path) -> None:
    words: dict[str, Any] = {**QUICK, "steps": 128, "pool_every": 64, "validation_limit": 4}
    weights: list[Any] = []
    for name in ("a", "b"):
        folder = train(SB3SelfPlayArgs(out=str(tmp_path / name), **words), "lmgym/Nim-v0", {})
        loaded = MaskablePPO.load(folder / "best" / "sb3.zip", device="cpu")
        weights.append(loaded.policy.action_net.weight)
    assert torch.equal(*weights)
    record = json.loads((tmp_path / "a" / "lmgym.json").read_text(encoding="utf-8"))
    assert record["stopped"] == "128 moves are done"
    assert set(record["after"]["figures"]) == {"drawn", "lost"}


def test_the_command_says_what_it_needs(run_cli: RunCli) -> None:
    code, _, err = run_cli("train", "sb3-self-play", "lmgym/Math-v0")
    assert code == 2
    assert "no game for several players" in err
    code, _, err = run_cli("train", "sb3-self-play", "lmgym/Nim-v0", "--minibatches", "7")
    assert code == 2
    assert "even parts" in err


@pytest.mark.learning
def test_self_play_learns_nim_without_a_teacher() -> None:
    pool = OpponentPool(every=1_000)
    env = DummyVecEnv([lambda: SeatEnv(nim_v0.env(heaps=2, most=3), pool)] * 16)
    words = {"n_steps": 32, "batch_size": 128, "n_epochs": 4, "learning_rate": 5e-3, "gamma": 1.0}
    algorithm = learner(env, **words)
    task: Any = make_task("lmgym/Nim-v0", heaps=2, most=3, seat=0)
    before = evaluate_seats(algorithm, task, limit=100).greedy
    algorithm.learn(4_096, callback=SelfPlay(pool))
    assert evaluate_seats(algorithm, task, limit=100).greedy > max(0.7, before + 0.2)
