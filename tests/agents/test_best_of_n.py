"""Best of N: it keeps what is paid best, plays so in evaluations, and learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.agents.best_of_n import BestOfN, BestOfNArgs, best_rows, train
from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.evaluation import evaluate
from lmgym.factory import make_source, make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.training.runs import read_metrics
from lmgym.transcript import Transcript


def share_of_a(prompts: list[str], completions: list[str]) -> list[float]:
    return [text.count("a") / max(1, len(text)) for text in completions]


def varied(prompts: list[str], completions: list[str]) -> list[float]:
    return [float(sum(text.encode("utf-8", "surrogatepass")) % 17) for text in completions]


def sampler(
    world: str = "lmgym/Preference-v0",
    reward: Reward = varied,
    policy: LanguagePolicy | None = None,
) -> RolloutCollector:
    chosen = policy or new_policy(16, 1, 0)
    return RolloutCollector(chosen, make_task(world), make_source(reward), max_tokens=6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def paid(rewards: list[float], scored: list[bool]) -> RolloutBatch:
    transcripts = [Transcript.from_strings("?", str(n)) for n in range(len(rewards))]
    return RolloutBatch(transcripts, np.array(rewards), np.array(scored))


def test_the_best_of_each_group_is_kept_and_of_equals_the_first() -> None:
    batch = paid([1, 3, 3, 0, -2, -1], [True] * 6)
    assert best_rows(batch, 3).tolist() == [1, 3]
    assert best_rows(batch, 1).tolist() == list(range(6))


def test_an_answer_without_a_score_is_kept_only_where_none_has_one() -> None:
    batch = paid([9, -1, 9, 9], [False, True, False, False])
    assert best_rows(batch, 2).tolist() == [1, 2]


def test_it_plays_the_best_of_what_its_collector_samples() -> None:
    best = BestOfN(sampler(), 5).collect(
        np.random.default_rng(0), generator(), n_groups=3, group_size=2
    )
    drawn = sampler().collect(np.random.default_rng(0), generator(), n_groups=3, group_size=10)
    assert best.rewards.tolist() == drawn.rewards.reshape(6, 5).max(1).tolist()
    assert [t.group_id for t in best.transcripts] == [0, 0, 1, 1, 2, 2]
    texts = [t.completion_text for t in best.transcripts]
    assert varied([], texts) == best.rewards.tolist()
    assert best.gold_rewards is not None
    task = make_task("lmgym/Preference-v0")
    assert best.gold_rewards.tolist() == task.gold_rewards(best.transcripts).tolist()
    assert all(len(part) == 6 for part in best.parts.values())


def test_of_one_it_plays_as_its_collector() -> None:
    one = BestOfN(sampler(), 1).collect(np.random.default_rng(0), generator(), n_groups=4)
    plain = sampler().collect(np.random.default_rng(0), generator(), n_groups=4)
    assert [t.messages for t in one.transcripts] == [t.messages for t in plain.transcripts]


def test_greedy_it_plays_the_likeliest_answer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = sampler()
    sizes: list[int] = []
    original = RolloutCollector.collect

    def watched(self: RolloutCollector, *args: Any, **options: Any) -> RolloutBatch:
        sizes.append(options.get("group_size", 1))
        return original(self, *args, **options)

    monkeypatch.setattr(RolloutCollector, "collect", watched)
    greedy = BestOfN(collector, 64).collect(np.random.default_rng(0), None, n_groups=2, greedy=True)
    plain = collector.collect(np.random.default_rng(0), None, n_groups=2, greedy=True)
    assert [t.messages for t in greedy.transcripts] == [t.messages for t in plain.transcripts]
    assert sizes == [1, 1]


def test_a_reward_that_pays_nothing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    args = BestOfNArgs(**small(tmp_path), reward="none")  # type: ignore[arg-type]
    with pytest.raises(LmgymError, match="reward='none' pays nothing to learn from"):
        train(args, "lmgym/Copy-v0", {})
    assert not (tmp_path / "run").exists()


def test_an_evaluation_takes_it_in_place_of_a_collector() -> None:
    policy = new_policy(16, 1, 0)
    collector = sampler("lmgym/Math-v0", "verifier", policy)
    found = evaluate(BestOfN(collector, 4), generator(), limit=8, samples=2)
    assert (found.n, found.samples) == (8, 2)


def test_the_best_of_many_samples_solves_more_than_one_sample() -> None:
    from lmgym.policies.loading import load_policy

    task, source = make_task("lmgym/Math-v0"), make_source("verifier")
    collector = RolloutCollector(load_policy("embedded"), task, source)
    one = evaluate(collector, generator(), limit=64, samples=1)
    many = evaluate(BestOfN(collector, 16), generator(), limit=64, samples=1)
    assert one.pass_at_1 is not None
    assert many.pass_at_1 is not None
    assert many.pass_at_1 > one.pass_at_1 + 0.2
    assert many.greedy == one.greedy


def test_without_a_reward_there_is_nothing_to_choose_by() -> None:
    with pytest.raises(LmgymError, match="compares answers by a reward; the collector has none"):
        BestOfN(sampler(reward=None), 4)
    with pytest.raises(LmgymError, match="best of 0 answers"):
        BestOfN(sampler(), 0)


def small(tmp_path: Path) -> dict[str, object]:
    new_policy(16, 1, 0).save(tmp_path / "policy")
    return {
        "model": str(tmp_path / "policy"),
        "out": str(tmp_path / "run"),
        "test_limit": 8,
        "validation_limit": 8,
        "max_tokens": 4,
    }


@pytest.mark.learning
def test_imitating_the_best_learns_to_write_one_letter(tmp_path: Path) -> None:
    args = BestOfNArgs(**small(tmp_path), updates=60, lr=0.02, groups=16, log_kl=True)  # type: ignore[arg-type]
    *rows, _ = read_metrics(train(args, "lmgym/Copy-v0", {}, share_of_a))
    assert np.mean([row["reward"] for row in rows[:5]]) < 0.1
    assert np.mean([row["reward"] for row in rows[-5:]]) > 0.7
    assert rows[0]["reference_kl"] == pytest.approx(0, abs=1e-4)
    assert rows[-1]["reference_kl_sqrt"] ** 2 == pytest.approx(rows[-1]["reference_kl"])
    assert rows[-1]["reference_kl"] > 1


def test_answers_that_are_all_worth_the_same_teach_nothing(tmp_path: Path) -> None:
    args = BestOfNArgs(**small(tmp_path), updates=2, groups=4)  # type: ignore[arg-type]
    run = train(args, "lmgym/Copy-v0", {}, lambda prompts, completions: [1.0] * len(prompts))
    *rows, _ = read_metrics(run)
    assert [row["signal"] for row in rows] == [0.0, 0.0]
    assert "loss" not in rows[0]


def test_a_run_logs_the_gold_reward_of_its_world(tmp_path: Path) -> None:
    args = BestOfNArgs(**small(tmp_path), updates=1, groups=4, n=4)  # type: ignore[arg-type]
    row = read_metrics(train(args, "lmgym/Preference-v0", {}, varied))[0]
    assert {"reward", "reward/best", "gold_reward", "loss", "signal"} <= set(row)
    assert row["reward/best"] > row["reward"]
    assert "reference_kl" not in row
