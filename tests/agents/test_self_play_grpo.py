"""Self-play of language policies: imitation, opponents, what is refused, and what is learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.agents.grpo import GRPOLearner
from lmgym.agents.self_play_grpo import (
    SelfPlayGRPOArgs,
    imitate,
    legal_share,
    starting_policy,
    train,
)
from lmgym.envs.nim.rules import Nim
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.games.collecting import GameCollector, rollout_batch
from lmgym.games.message_policy import MessagePolicy
from lmgym.games.players import RandomPlayer
from lmgym.policies.loading import load_policy
from lmgym.search.exact import expected_returns, uniform
from lmgym.training.runs import read_metrics

RunCli = Callable[..., tuple[int, str, str]]
KUHN = "lmgym/KuhnPoker-v0"
QUICK: dict[str, Any] = {
    "hidden_size": 16,
    "n_layers": 1,
    "groups": 2,
    "group_size": 4,
    "minibatches": 2,
    "imitation": 2,
    "message_tokens": 4,
    "test_limit": 4,
    "test_samples": 1,
    "validation_limit": 2,
    "seconds": 1e6,
    "validate_every": 1e6,
    "max_tokens": 24,
}


def test_a_run_imitates_and_then_plays_and_keeps_the_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = SelfPlayGRPOArgs(updates=4, out=str(tmp_path / "run"), **QUICK)
    folder = train(args, KUHN, {})
    assert "best, the last one, curve" in capsys.readouterr().out.replace("\n", "")
    rows = read_metrics(folder)
    assert ["legal" in row for row in rows[:4]] == [False, False, True, True]
    assert all(0 <= row["legal"] <= 1 for row in rows[2:4])
    record = json.loads((folder / "lmgym.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert 0 < record["exploitability"] < 1
    assert 0 <= record["coverage"] <= 1
    best, last = (load_policy(folder / name).model.state_dict() for name in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)


def test_the_reference_of_an_adapter_is_the_policy_after_imitation(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    words = {**QUICK, "lora_rank": 2, "imitation_lr": 0.5, "out": str(tmp_path / "run")}
    rows = read_metrics(train(SelfPlayGRPOArgs(updates=3, **words), KUHN, {}))
    assert rows[2]["reference_kl"] == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_and_a_pool_serves(tmp_path: Path) -> None:
    weights: list[Any] = []
    for name in ("a", "b"):
        words = {**QUICK, "opponents": "pool", "pool_every": 1, "out": str(tmp_path / name)}
        model = load_policy(train(SelfPlayGRPOArgs(updates=4, **words), KUHN, {}) / "last").model
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


def test_what_is_no_game_is_refused(run_cli: RunCli) -> None:
    code, _, err = run_cli("train", "self-play-grpo", "lmgym/Math-v0")
    assert code == 2
    assert "no game for several players" in err
    with pytest.raises(LmgymError, match="imitation=-1"):
        SelfPlayGRPOArgs(imitation=-1)


def test_legal_messages_are_counted_of_one_policy() -> None:
    policy, other = new_policy(8, 1, 0), new_policy(8, 1, 1)
    collector = GameCollector(Nim(), max_tokens=2)
    lineups: list[Any] = [(policy, RandomPlayer()), (RandomPlayer(), other)]
    games = collector.play(lineups, np.random.default_rng(0), torch.Generator().manual_seed(0))
    assert legal_share(games, policy) == 0
    assert legal_share([], policy) == 0


@pytest.mark.learning
def test_imitation_learns_legal_moves_and_self_play_good_ones() -> None:
    task: Any = make_task(KUHN)
    game, args = task.game, SelfPlayGRPOArgs(imitation=120, n_layers=1, minibatches=4)
    policy, collector = starting_policy(args, task), GameCollector(task.game)
    optimizer = torch.optim.AdamW(policy.model.parameters(), betas=(0.9, 0.95))
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def won_against_random() -> float:
        own, other = MessagePolicy(policy, game), uniform(game)
        first, second = expected_returns(game, [own, other]), expected_returns(game, [other, own])
        return float(first[0] + second[1]) / 2

    for update in range(120):
        imitate(policy, optimizer, collector, args, rng, update / 120)
    games = collector.play([(policy, policy)] * 64, rng, generator)
    before = won_against_random()
    assert legal_share(games, policy) > 0.8
    learner = GRPOLearner(policy, args, 1e-3, 96)
    for update in range(10):
        learner.step(rollout_batch(games, policy), update)
        games = collector.play([(policy, policy)] * 64, rng, generator)
    assert won_against_random() > before + 0.05
