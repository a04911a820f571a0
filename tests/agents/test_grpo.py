"""GRPO: what it learns, what it refuses, and that a seed is a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.agents.grpo import GRPOArgs, GRPOLearner, train
from lmgym.errors import LmgymError
from lmgym.factory import make_source, make_task
from lmgym.policies.adapters import with_adapter
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rewards.kl import KLPenalty, sequence_kl
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.training.runs import read_metrics


def share_of_a(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [text.count("a") / max(1, len(text)) for text in completions]


def varied(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(sum(text.encode("utf-8", "surrogatepass")) % 17) for text in completions]


def rollouts(policy: LanguagePolicy, seed: int, reward: Reward = share_of_a) -> RolloutBatch:
    collector = RolloutCollector(
        policy, make_task("lmgym/Copy-v0"), make_source(reward), max_tokens=4
    )
    generator = torch.Generator().manual_seed(seed)
    return collector.collect(np.random.default_rng(seed), generator, n_groups=8, group_size=8)


def learn(args: GRPOArgs, seed: int, updates: int) -> tuple[LanguagePolicy, list[float]]:
    policy = new_policy(16, 1, seed)
    learner = GRPOLearner(policy, args, args.lr or 0.02, 4)
    rewards = []
    for update in range(updates):
        batch = rollouts(policy, 1000 * seed + update)
        learner.step(batch, update)
        rewards.append(float(batch.rewards.mean()))
    return policy, rewards


@pytest.mark.learning
@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo", "gspo", "cispo"])
def test_every_loss_learns_to_write_one_letter(loss: Any) -> None:
    args = GRPOArgs(loss=loss, scale="none" if loss == "dr_grpo" else "group")
    for seed in range(2):
        _, rewards = learn(args, seed, updates=60)
        assert np.mean(rewards[:5]) < 0.05
        assert np.mean(rewards[-5:]) > 0.8


@pytest.mark.learning
def test_several_epochs_and_minibatches_learn_too() -> None:
    _, rewards = learn(GRPOArgs(epochs=2, minibatches=2, clip_high=0.28), 0, updates=40)
    assert np.mean(rewards[-5:]) > 0.6


@pytest.mark.learning
def test_a_kl_penalty_holds_the_policy_back() -> None:
    free, _ = learn(GRPOArgs(), 0, updates=25)
    held, _ = learn(GRPOArgs(beta=1.0), 0, updates=25)
    start = new_policy(16, 1, 0)

    def distance(policy: LanguagePolicy) -> float:
        ids = torch.tensor([rollouts(start, 7).transcripts[0].segments[0].ids])
        mask = torch.ones_like(ids)
        with torch.no_grad():
            moved = policy.token_logprobs(ids, mask) - start.token_logprobs(ids, mask)
        return float(moved.abs().mean())

    assert distance(held) < 0.5 * distance(free)


@pytest.mark.learning
@pytest.mark.parametrize("kl_in", ["loss", "reward"])
def test_the_logged_kl_grows_as_the_penalty_shrinks(kl_in: Literal["loss", "reward"]) -> None:
    distances = []
    for beta in (0.0, 0.02, 1.0):
        args = GRPOArgs(beta=beta, kl_in=kl_in, log_kl=True)
        policy = new_policy(16, 1, 0)
        learner = GRPOLearner(policy, args, 0.02, 4)
        metrics = [learner.step(rollouts(policy, update), update) for update in range(25)]
        assert metrics[0]["reference_kl"] == pytest.approx(0, abs=1e-4)
        distances.append(metrics[-1]["reference_kl"])
    assert distances[0] > distances[1] > 2 * distances[2]


def test_the_kl_is_the_mean_log_ratio_of_whole_answers() -> None:
    policy = new_policy(16, 1, 0)
    learner = GRPOLearner(policy, GRPOArgs(log_kl=True), 0.02, 4)
    for update in range(3):
        learner.step(rollouts(policy, update), update)
    batch = rollouts(policy, 7)
    expected = sequence_kl(batch.transcripts, new_policy(16, 1, 0)).k1.mean()
    metrics = learner.step(batch, 3)
    assert metrics["reference_kl"] == pytest.approx(expected, abs=1e-4)
    assert metrics["reference_kl_sqrt"] == pytest.approx(max(0, expected) ** 0.5, abs=1e-4)


def test_the_kl_to_an_adapter_that_was_trained_before_starts_at_0() -> None:
    pytest.importorskip("peft")
    policy = with_adapter(new_policy(16, 1, 0), rank=2)
    for _ in range(2):  # the second learner starts from what the first has trained
        learner = GRPOLearner(policy, GRPOArgs(log_kl=True), 0.2, 4)
        distances = [
            learner.step(rollouts(policy, update), update)["reference_kl"] for update in range(4)
        ]
        assert distances[0] == pytest.approx(0, abs=1e-4)
        assert abs(distances[-1]) > 1e-2


@pytest.mark.parametrize("options", [{"clip_low": 0.1}, {"dual_clip": 3.0}])
def test_clips_that_cispo_does_not_read_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(LmgymError, match="is not read with loss=cispo"):
        GRPOArgs(loss="cispo", **options)  # type: ignore[arg-type]
    GRPOArgs(loss="cispo", clip_high=4.0)


def test_a_penalty_in_the_reward_moves_the_advantages() -> None:
    def weights(beta: float) -> list[torch.Tensor]:
        policy = new_policy(16, 1, 0)
        learner = GRPOLearner(policy, GRPOArgs(beta=beta, kl_in="reward", log_kl=True), 0.02, 4)
        for update in range(2):  # in the first, policy and reference are one
            learner.step(rollouts(policy, update), update)
        return list(policy.model.parameters())

    same = zip(weights(0.0), weights(0.0), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert any(not torch.equal(a, b) for a, b in zip(weights(0.0), weights(5.0), strict=True))


def test_a_penalty_in_the_reward_is_counted_once() -> None:
    def weights(args: GRPOArgs, penalty: float) -> list[torch.Tensor]:
        policy, start = new_policy(16, 1, 0), new_policy(16, 1, 0)
        learner = GRPOLearner(policy, args, 0.02, 4)
        for update in range(2):  # in the first, policy and reference are one
            batch = KLPenalty(start, penalty).apply(rollouts(policy, update))
            learner.step(batch, update)
        return list(policy.model.parameters())

    by_learner = weights(GRPOArgs(beta=0.5, kl_in="reward"), 0.0)
    by_hand = weights(GRPOArgs(), 0.5)
    pairs = zip(by_learner, by_hand, strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_the_penalty_in_the_reward_is_taken_at_the_temperature_of_sampling() -> None:
    policy = new_policy(16, 1, 0)
    args = GRPOArgs(beta=1.0, kl_in="reward", temperature=0.5)
    collector = RolloutCollector(policy, make_task("lmgym/Copy-v0"), share_of_a, max_tokens=4)
    batch = collector.collect(
        np.random.default_rng(0), torch.Generator().manual_seed(0), n_groups=8, temperature=0.5
    )
    for given in (batch, replace(batch, temperature=None)):  # policy and reference are one
        penalised = GRPOLearner(policy, args, 0.02, 4).steps.penalised(given)
        assert penalised.rewards == pytest.approx(batch.rewards, abs=1e-4)


def test_the_kl_is_logged_for_a_batch_without_signal_too() -> None:
    policy = new_policy(16, 1, 0)
    learner = GRPOLearner(policy, GRPOArgs(log_kl=True), 0.02, 4)
    for update in range(3):
        learner.step(rollouts(policy, update), update)
    batch = rollouts(policy, 7, "verifier")
    metrics = learner.step(batch, 3)
    assert metrics["signal"] == 0.0
    expected = sequence_kl(batch.transcripts, new_policy(16, 1, 0)).k1.mean()
    assert metrics["reference_kl"] == pytest.approx(expected, abs=1e-4)


def test_without_a_penalty_no_reference_is_kept() -> None:
    learner = GRPOLearner(new_policy(16, 1, 0), GRPOArgs(), 0.02, 4)
    assert learner.steps.reference is None
    assert "reference_kl" not in learner.step(rollouts(learner.steps.policy, 0), 0)


def test_shuffled_rewards_teach_nothing() -> None:
    policy = new_policy(16, 1, 0)
    learner = GRPOLearner(policy, GRPOArgs(), 0.02, 4)
    from lmgym.rewards import FunctionReward, ShuffledReward

    source = ShuffledReward(FunctionReward(share_of_a))
    rewards = []
    for update in range(40):
        learner.step(rollouts(policy, update, source), update)
        rewards.append(float(rollouts(policy, update).rewards.mean()))
    assert np.mean(rewards[-5:]) < 0.3


def test_the_same_seed_gives_the_same_weights() -> None:
    first, _ = learn(GRPOArgs(), 3, updates=3)
    second, _ = learn(GRPOArgs(), 3, updates=3)
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_micro_batches_give_the_same_step() -> None:
    whole, _ = learn(GRPOArgs(), 1, updates=1)
    split, _ = learn(GRPOArgs(micro_tokens=64), 1, updates=1)
    pairs = zip(whole.model.parameters(), split.model.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_the_sampler_and_the_trainer_agree() -> None:
    policy = new_policy(16, 1, 0)
    metrics = GRPOLearner(policy, GRPOArgs(), 0.01, 4).step(rollouts(policy, 0), 0)
    assert metrics["sampler_divergence"] < 1e-5
    assert metrics["approximate_kl"] == pytest.approx(0.0, abs=1e-6)


def test_a_batch_without_signal_changes_no_weight() -> None:
    policy = new_policy(16, 1, 0)
    before = [p.clone() for p in policy.model.parameters()]
    metrics = GRPOLearner(policy, GRPOArgs(), 0.01, 4).step(rollouts(policy, 0, "verifier"), 0)
    assert metrics == {"signal": 0.0}
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


def test_unscored_episodes_carry_no_gradient() -> None:
    policy = new_policy(16, 1, 0)

    def unscored(prompts: list[str], completions: list[str]) -> list[None]:
        return [None for _ in completions]

    batch = rollouts(policy, 0, unscored)
    assert not batch.scored.any()
    assert GRPOLearner(policy, GRPOArgs(), 0.01, 4).step(batch, 0) == {"signal": 0.0}


def test_a_non_finite_loss_is_told_and_no_weight_is_changed() -> None:
    policy = new_policy(16, 1, 0)
    batch = rollouts(policy, 0)
    with torch.no_grad():
        next(policy.model.parameters())[97] = float("nan")
    before = [p.clone() for p in policy.model.parameters()]
    with pytest.raises(LmgymError, match="the step was not taken"):
        GRPOLearner(policy, GRPOArgs(), 0.01, 4).step(batch, 5)
    pairs = zip(before, policy.model.parameters(), strict=True)
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Any]:
    new_policy(16, 1, 0).save(tmp_path / "policy")
    return {
        "model": str(tmp_path / "policy"),
        "out": str(tmp_path / "run"),
        "groups": 4,
        "test_limit": 8,
        "validation_limit": 8,
    }


def test_training_leaves_a_complete_run_folder(small: dict[str, Any]) -> None:
    run = train(GRPOArgs(**small, updates=3, lr=0.01), "lmgym/Copy-v0", {}, share_of_a)
    names = {path.name for path in run.iterdir()}
    assert {"best", "last", "curve.png", "lmgym.json", "metrics.jsonl", "tensorboard"} <= names
    rows = read_metrics(run)
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    shares = {"validation/greedy", "validation/pass@1"}
    assert set(rows[3]) == {"step", "seconds", "validation/reward"} | shares
    assert {"reward", "accuracy", "entropy", "tokens_per_second", "signal"} <= set(rows[0])


def test_the_gold_reward_of_a_world_is_logged_beside_the_reward(small: dict[str, Any]) -> None:
    args = GRPOArgs(**small, updates=1, log_kl=True)
    row = read_metrics(train(args, "lmgym/Preference-v0", {}, varied))[0]
    assert {"reward", "gold_reward", "reference_kl", "reference_kl_sqrt"} <= set(row)


@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_training_samples_and_scores_at_one_temperature(
    small: dict[str, Any], temperature: float
) -> None:
    args = GRPOArgs(**small, updates=1, temperature=temperature)
    row = read_metrics(train(args, "lmgym/Copy-v0", {}, varied))[0]
    assert row["signal"] > 0
    assert row["sampler_divergence"] < 1e-4


def test_training_stops_in_good_order_where_there_is_nothing_to_learn_from(
    small: dict[str, Any],
) -> None:
    run = train(GRPOArgs(**small, patience=3), "lmgym/Copy-v0", {})
    record = json.loads((run / "lmgym.json").read_text())
    assert record["status"] == "finished"
    assert record["updates"] == 3
    assert record["stopped"].startswith("3 batches without a learning signal: no learning signal")
    assert {"before", "after"} <= set(record)


def test_a_non_finite_loss_keeps_the_last_good_checkpoint(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(self: GRPOLearner, rollouts: RolloutBatch, update: int) -> dict[str, float]:
        from lmgym.training.session import require_finite

        require_finite(torch.tensor(float("nan")), "loss", update)
        return {}

    monkeypatch.setattr(GRPOLearner, "step", explode)
    with pytest.raises(LmgymError, match="the loss is nan in update 0"):
        train(GRPOArgs(**small), "lmgym/Copy-v0", {})
    record = (Path(small["out"]) / "lmgym.json").read_text()
    assert '"status": "failed: the loss is nan' in record
    assert (Path(small["out"]) / "best" / "model.safetensors").is_file()
