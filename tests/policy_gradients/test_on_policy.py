"""Where batches come from: groups with a signal, punished lengths, and a curriculum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from lmgym.agents.grpo import GRPOArgs, GRPOLearner, train
from lmgym.errors import LmgymError
from lmgym.factory import make_source, make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.policy_gradients.on_policy import BatchSource
from lmgym.policy_gradients.on_policy_args import OnPolicyArgs
from lmgym.rewards.combinators import WeightedSum
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Role, Verdict
from lmgym.training.runs import read_metrics
from lmgym.transcript import Transcript


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    return load_policy("embedded")


def source(
    policy: LanguagePolicy, args: OnPolicyArgs, reward: Any = "verifier", **options: Any
) -> BatchSource:
    task = make_task("lmgym/Math-v0", **{"problems": "addition/1-2"} | options)
    session: Any = SimpleNamespace(
        collector=RolloutCollector(policy, task, reward),
        rng=np.random.default_rng(0),
        generator=torch.Generator().manual_seed(0),
    )
    return BatchSource(session, args)


class Lengths:
    """Pays each turn for what was said in it."""

    level = RewardLevel.TURN
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        said = [[m for m in t.messages if m.role is Role.ASSISTANT] for t in transcripts]
        dense = [np.array([float(sum(map(ord, m.content)) % 7) for m in turns]) for turns in said]
        return RewardBatch(np.zeros(len(transcripts)), dense)


def brevity(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [-0.001 * len(text) for text in completions]


def spreads(batch: RolloutBatch, size: int) -> list[float]:
    found: list[float] = np.ptp(batch.rewards.reshape(-1, size), axis=1).tolist()
    return found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kl": "k2"}, "kl=k2 is not read with kl_in=reward"),
        ({"kl_ratio": True}, "kl_ratio=True is not read with kl_in=reward"),
    ],
)
def test_what_a_penalty_in_the_reward_does_not_read_is_refused(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(LmgymError, match=told):
        OnPolicyArgs(beta=0.1, kl_in="reward", **options)
    OnPolicyArgs(beta=0.1, kl_in="reward", kl="k1")
    OnPolicyArgs(beta=0.1, **options)


def test_an_open_range_is_told_as_one() -> None:
    with pytest.raises(LmgymError, match=r"dual_clip=1.0 is out of range; allowed is more than 1$"):
        OnPolicyArgs(dual_clip=1.0)
    with pytest.raises(LmgymError, match=r"lr=0.0 is out of range; allowed is more than 0$"):
        OnPolicyArgs(lr=0.0)


def test_dynamic_sampling_fills_a_batch_with_groups_that_differ(policy: LanguagePolicy) -> None:
    plain = source(policy, OnPolicyArgs(groups=16, group_size=4)).draw()
    assert min(spreads(plain, 4)) == 0
    drawn = source(policy, OnPolicyArgs(groups=16, group_size=4, dynamic_sampling=5))
    batch = drawn.draw()
    assert spreads(batch, 4) == [1.0] * 16
    groups = [t.group_id for t in batch.transcripts]
    assert len(set(groups)) == 16
    assert groups == [group for group in dict.fromkeys(groups) for _ in range(4)]
    for group in set(groups):
        assert len({t.task_id for t in batch.transcripts if t.group_id == group}) == 1
    assert drawn.metrics()["groups/drawn"] > drawn.metrics()["groups/kept"] == 16


def test_where_no_group_differs_the_batch_is_left_as_it_was_drawn(policy: LanguagePolicy) -> None:
    drawn = source(policy, OnPolicyArgs(groups=4, group_size=2, dynamic_sampling=2), "none")
    assert len(drawn.draw().transcripts) == 8
    found = drawn.metrics()
    assert (found["groups/drawn"], found["groups/kept"]) == (12.0, 0.0)


def test_overlong_answers_are_punished_and_told_as_a_part(policy: LanguagePolicy) -> None:
    batch = source(policy, OnPolicyArgs(groups=16, group_size=2, overlong_buffer=16)).draw()
    lengths, longest = batch.lengths, 16
    wanted = -np.minimum(lengths, longest) / longest
    assert batch.parts["overlong"] == pytest.approx(wanted)
    assert batch.rewards == pytest.approx(batch.successes + wanted)


def test_answers_that_ran_out_of_tokens_can_be_left_out(policy: LanguagePolicy) -> None:
    drawn = source(policy, OnPolicyArgs(groups=32, group_size=2, mask_truncated=True))
    drawn.session.collector = RolloutCollector(
        policy, drawn.session.collector.task, "verifier", max_tokens=2
    )
    batch = drawn.draw()
    is_whole = np.array([t.verdict is not Verdict.UNFINISHED for t in batch.transcripts])
    assert 0 < is_whole.sum() < 64
    assert (batch.scored == is_whole).all()


def test_an_adaptive_curriculum_draws_what_is_sometimes_solved(policy: LanguagePolicy) -> None:
    args = OnPolicyArgs(groups=32, group_size=4, curriculum="adaptive")
    drawn = source(policy, args, problems="addition/1-6")
    levels = [[t.columns["level"] for t in drawn.draw().transcripts] for _ in range(6)]
    assert np.mean(levels[0]) > 2.5
    assert np.mean(levels[-1]) < 2.5
    again = source(policy, args, problems="addition/1-6")
    again.load_state_dict(drawn.state_dict())
    assert again.state_dict() == drawn.state_dict()


def test_credit_by_turns_reaches_the_loss(policy: LanguagePolicy) -> None:
    """A reward that is paid within an episode, on a world of several turns."""
    task = make_task("lmgym/GuessNumber-v0")
    collector = RolloutCollector(policy, task, Lengths())
    batch = collector.collect(
        np.random.default_rng(0), torch.Generator().manual_seed(0), n_groups=4, group_size=4
    )
    assert batch.token_rewards is not None
    learner = GRPOLearner(load_policy("embedded"), GRPOArgs(credit="turn"), 1e-4, 64)
    metrics = learner.step(batch, 0)
    assert metrics["signal"] > 0
    assert metrics["gradient_norm"] > 0


def test_parts_can_be_compared_one_by_one(policy: LanguagePolicy) -> None:
    reward = WeightedSum({"right": "verifier", "brief": brevity})
    task = make_task("lmgym/Math-v0")
    batch = RolloutCollector(policy, task, reward).collect(
        np.random.default_rng(0),
        torch.Generator().manual_seed(0),
        n_groups=64,
        group_size=4,
        temperature=1.5,
    )
    signals, found = {}, torch.zeros(0)
    kinds: tuple[Literal["sum", "parts"], ...] = ("sum", "parts")
    for aggregate in kinds:
        args = GRPOArgs(aggregate=aggregate)
        learner = GRPOLearner(load_policy("embedded"), args, 1e-4, 16, reward)
        found = learner._advantages(batch, torch.tensor(batch.scored))
        lengths, right = torch.tensor(batch.lengths), torch.tensor(batch.successes)
        same = (right[:, None] == right) & (lengths[:, None] != lengths)
        groups = torch.arange(len(right)) // 4
        mixed = right.reshape(-1, 4).amax(1) > right.reshape(-1, 4).amin(1)
        same &= (groups[:, None] == groups) & mixed[groups]
        first, second = same.nonzero()[0].tolist()
        signals[aggregate] = abs(float(found[first] - found[second]))
    assert signals["parts"] > 10 * signals["sum"]
    groups_alike = np.ptp(batch.rewards.reshape(-1, 4), axis=1) == 0
    assert groups_alike.any()
    assert (found.reshape(-1, 4)[torch.tensor(groups_alike)] == 0).all()
    with pytest.raises(LmgymError, match="terms of a sum"):
        GRPOLearner(policy, GRPOArgs(aggregate="parts"), 1e-4, 16, make_source("verifier"))


@pytest.mark.parametrize("options", [{"beta": 0.1, "kl_in": "reward"}, {"overlong_buffer": 4}])
def test_parts_refuse_penalties_that_they_would_not_read(options: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match="would not be read"):
        GRPOArgs(aggregate="parts", **options)


def test_parts_without_a_sum_are_told_before_anything_is_written(tmp_path: Path) -> None:
    args = GRPOArgs(aggregate="parts", out=str(tmp_path / "run"))
    with pytest.raises(LmgymError, match="terms of a sum"):
        train(args, "lmgym/Math-v0", {})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_batch_without_parts_joins_one_with_parts(
    policy: LanguagePolicy, order: tuple[int, int]
) -> None:
    batch = source(policy, OnPolicyArgs(groups=2, group_size=2)).draw()
    unscored = replace(batch, scored=np.zeros(4, np.bool_), parts={}, rewards=np.zeros(4))
    first, second = [(batch, unscored)[place] for place in order]
    joined = first.join(second)
    wanted = [batch.parts["verifier"], np.zeros(4)]
    assert joined.parts["verifier"].tolist() == [*wanted[order[0]], *wanted[order[1]]]
    assert [t.group_id for t in joined.transcripts] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_resumed_run_stops_where_nothing_teaches_as_before(tmp_path: Path) -> None:
    world = {"problems": "addition/9"}
    args = GRPOArgs(
        out=str(tmp_path / "run"), patience=2, groups=2, updates=20, validation_limit=4,
        test_limit=4, test_samples=1, validate_every=1000,
    )  # fmt: skip
    folder = train(args, "lmgym/Math-v0", world)
    stopped = [row["step"] for row in read_metrics(folder)]
    again = train(replace(args, updates=40, resume=str(folder), out=None), "lmgym/Math-v0", world)
    assert len(stopped) <= 4
    assert len(read_metrics(again)) <= len(stopped) + 3
