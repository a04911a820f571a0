"""Evaluation: figures of a split, from verdicts and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lmgym.agents.embedded import new_policy
from lmgym.envs.math_problems.task import MathArgs, MathTask
from lmgym.evaluation import evaluate
from lmgym.factory import make_source, make_task
from lmgym.policies.language_policy import LanguagePolicy, Samples
from lmgym.rewards.judge import PairwiseJudge
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Reply, Verdict
from lmgym.training.uncertainty import mean_interval
from lmgym.transcript import Transcript


class Clever(LanguagePolicy):
    """Adds correctly when greedy, and every second time when sampling."""

    def sample(
        self, prompts: Sequence[Sequence[int]], n: int = 1, *, greedy: bool = False, **_: Any
    ) -> Samples:
        ids = []
        for row, prompt in enumerate(prompts):
            question = bytes(i for i in prompt if i < 256).decode()
            left, right = question.rstrip("=").split("+")
            is_right = greedy or row % 2 == 0
            answer = str(int(left) + int(right)) if is_right else "0"
            ids.append([*answer.encode(), 257])
        return Samples(ids, [[0.0] * len(row) for row in ids], 0)


@pytest.fixture
def collector() -> RolloutCollector:
    base = new_policy(16, 1, 0)
    clever = Clever(base.model, base.renderer)
    return RolloutCollector(clever, make_task("lmgym/Math-v0"), None)


def test_greedy_and_sampled_are_told_apart(collector: RolloutCollector) -> None:
    found = evaluate(collector, None, split="test", limit=50, samples=4)
    assert (found.n, found.greedy, found.pass_at_1) == (50, 1.0, 0.5)
    assert found.greedy_interval[0] > 0.9
    low, high = found.as_dict()["pass@1_interval"]
    assert 0.3 < low < 0.5 < high < 0.7


def test_without_samples_there_is_no_pass_at_1(collector: RolloutCollector) -> None:
    found = evaluate(collector, None, split="validation", limit=8, samples=0)
    assert found.pass_at_1 is None
    assert "pass@1" not in found.as_dict()


def test_the_batch_size_changes_nothing(collector: RolloutCollector) -> None:
    one = evaluate(collector, None, limit=30, samples=2, batch_size=4)
    other = evaluate(collector, None, limit=30, samples=2, batch_size=100)
    assert one.as_dict() == other.as_dict()


def test_progress_counts_every_episode(collector: RolloutCollector) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(
        collector, None, limit=10, samples=2, batch_size=10, on_progress=lambda *a: seen.append(a)
    )
    assert seen[-1] == (30, 30)
    assert seen == sorted(seen)


@pytest.mark.parametrize("reward", ["verifier", PairwiseJudge(print, against="group")])
def test_the_reward_plays_no_part_and_is_not_asked(
    collector: RolloutCollector, reward: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    paid = RolloutCollector(collector.policy, collector.task, reward)
    found = evaluate(paid, None, limit=16, samples=2)
    assert found.as_dict() == evaluate(collector, None, limit=16, samples=2).as_dict()
    assert capsys.readouterr().out == ""
    assert paid.schedule.source is not None


def test_what_plays_in_place_of_a_collector_keeps_its_reward(collector: RolloutCollector) -> None:
    class Recording(RolloutCollector):
        paid = 0.0

        def collect(self, *args: Any, **options: Any) -> RolloutBatch:
            batch = super().collect(*args, **options)
            self.paid += float(batch.rewards.sum())
            return batch

    recording = Recording(collector.policy, collector.task, "verifier")
    evaluate(recording, None, limit=8, samples=0)
    assert recording.paid == 8.0


def test_evaluation_uses_distinct_problems_of_its_split() -> None:
    task = make_task("lmgym/Math-v0")
    splits = {split: task.task_ids(split, 300) for split in task.splits}
    rng = np.random.default_rng(0)
    questions = {
        split: {
            "+".join(sorted(task.reset(rng, task_id=i).columns["question"].strip("=").split("+")))
            for i in ids
        }
        for split, ids in splits.items()
    }
    assert all(len(found) == len(splits[split]) for split, found in questions.items())
    assert not questions["train"] & questions["test"]
    assert not questions["validation"] & (questions["test"] | questions["train"])


def test_an_interval_of_no_success_has_a_width(collector: RolloutCollector) -> None:
    never = RolloutCollector(new_policy(16, 1, 0), collector.task, None)
    found = evaluate(never, torch.Generator().manual_seed(0), limit=8, samples=2)
    assert found.pass_at_1 == 0.0
    assert found.pass_at_1_interval is not None
    assert found.pass_at_1_interval[0] == 0.0
    assert 0.2 < found.pass_at_1_interval[1] < 0.5


class Graded(MathTask):
    """Grades answers by their length."""

    has_gold_reward = True

    def gold_rewards(self, transcripts: Sequence[Transcript]) -> NDArray[np.float64]:
        return np.array([float(len(t.completion_text)) for t in transcripts])


@pytest.mark.parametrize("reward", [None, "verifier"])
def test_gold_rewards_are_means_with_intervals_under_any_reward(
    collector: RolloutCollector, reward: str | None
) -> None:
    graded = RolloutCollector(collector.policy, Graded(MathArgs()), make_source(reward))
    found = evaluate(graded, None, limit=40, samples=2, batch_size=16)
    lengths = [len(t.completion_text) for t in found.transcripts]
    assert [t.gold_reward for t in found.transcripts] == lengths
    expected = mean_interval(lengths)
    assert found.as_dict()["gold_reward"] == expected.mean
    assert found.as_dict()["gold_reward_interval"] == [expected.low, expected.high]


def test_one_episode_has_a_gold_reward_and_no_interval(collector: RolloutCollector) -> None:
    graded = RolloutCollector(collector.policy, Graded(MathArgs()), None)
    figures = evaluate(graded, None, limit=1, samples=0).as_dict()
    assert "gold_reward" in figures
    assert "gold_reward_interval" not in figures


def test_without_gold_rewards_none_are_told(collector: RolloutCollector) -> None:
    found = evaluate(collector, None, limit=4, samples=0)
    assert found.gold_reward is None
    assert "gold_reward" not in found.as_dict()


class Coin(MathTask):
    """Judges by the world's own luck."""

    def reply(self, state: Any, text: str, rng: np.random.Generator) -> Reply[Any]:
        del text
        return Reply(state, verdict=Verdict.CORRECT if rng.random() < 0.5 else Verdict.INCORRECT)


def test_a_stochastic_world_does_not_depend_on_the_batch_size(collector: RolloutCollector) -> None:
    coin = RolloutCollector(collector.policy, Coin(MathArgs()), None)
    found = [evaluate(coin, None, limit=24, samples=2, batch_size=n).as_dict() for n in (1, 5, 99)]
    assert found[0] == found[1] == found[2]
    assert 0.2 < found[0]["greedy"] < 0.8
