"""The adaptive sampler, with learners that are simulated."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.curriculum import AdaptiveSampler
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.policies.loading import load_policy
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Opening, Task, Verdict
from lmgym.transcript import Transcript

GROUP = 8
N = 24
UPDATES = 100
Chance = Callable[[Opening[Any]], float]


def played(
    task: Task[Any], task_ids: Sequence[str], chance: Chance, rng: np.random.Generator
) -> RolloutBatch:
    """A batch of a learner that solves each problem with some chance."""
    transcripts = []
    for group, task_id in enumerate(task_ids):
        opening = task.reset(rng, task_id=task_id)
        for solves in rng.random(GROUP) < chance(opening):
            transcripts.append(
                Transcript(
                    opening.messages,
                    task_id=opening.task_id,
                    verdict=Verdict.CORRECT if solves else Verdict.INCORRECT,
                    group_id=group,
                    columns=opening.columns,
                )
            )
    return RolloutBatch(transcripts, np.zeros(len(transcripts)), np.ones(len(transcripts), bool))


def of_level(skill: float) -> Chance:
    """Solves what is easier than its skill."""
    return lambda opening: 1 / (1 + np.exp(2 * (opening.columns["level"] - skill)))


def rates(batch: RolloutBatch) -> Any:
    return batch.successes.reshape(-1, GROUP).mean(1)


def signal(batch: RolloutBatch) -> float:
    """The share of groups from which something can be learned."""
    found = rates(batch)
    return float(((found > 0) & (found < 1)).mean())


def swept(
    sampler: AdaptiveSampler | None, task: Task[Any], seed: int, n: int = UPDATES
) -> list[RolloutBatch]:
    """Batches of a learner whose skill rises from 0.5 to 8.5; without a sampler drawn uniformly."""
    rng, batches = np.random.default_rng(seed), []
    for skill in np.linspace(0.5, 8.5, n):
        if sampler is None:
            ids = [opening.task_id for opening in task.draw_many(rng, N)]
        else:
            ids = sampler.draw(rng, N)
        batches.append(played(task, ids, of_level(skill), rng))
        if sampler is not None:
            sampler.update(batches[-1])
    return batches


@pytest.fixture(scope="module")
def ladder() -> Task[Any]:
    return make_task("lmgym/Math-v0", problems="addition/1-9,modular/1-9")


@pytest.fixture(scope="module")
def sweep(ladder: Task[Any]) -> list[RolloutBatch]:
    return swept(AdaptiveSampler(ladder), ladder, 1)


def test_the_solve_rate_stays_in_the_range_while_the_skill_sweeps(
    sweep: list[RolloutBatch],
) -> None:
    means = np.array([batch.successes.mean() for batch in sweep[10:]])  # the first ones look around
    assert means.min() > 0.2
    assert (means < 0.8).mean() > 0.95
    assert means.max() < 0.9  # it learns on between two updates


def test_more_groups_have_a_signal_than_of_problems_drawn_uniformly(
    sweep: list[RolloutBatch], ladder: Task[Any]
) -> None:
    uniform = swept(None, ladder, 1)
    ours, theirs = (np.array([signal(b) for b in batches[8:]]) for batches in (sweep, uniform))
    assert ours.mean() > 1.5 * theirs.mean()
    assert (ours > theirs).mean() > 0.95


def test_no_stratum_is_starved(sweep: list[RolloutBatch]) -> None:
    for start in range(0, UPDATES, 20):
        window = [t for batch in sweep[start : start + 20] for t in batch.transcripts]
        assert len({(t.columns["family"], t.columns["level"]) for t in window}) == 18


def test_with_all_draws_for_exploration_each_is_of_another_stratum_where_nothing_suits(
    ladder: Task[Any],
) -> None:
    sampler, rng = AdaptiveSampler(ladder, exploration=1.0), np.random.default_rng(0)
    for _ in range(8):  # nothing is ever solved, so that nothing suits
        batch = played(ladder, sampler.draw(rng, 6), lambda _: 0.0, rng)
        sampler.update(batch)
        assert len({(t.columns["family"], t.columns["level"]) for t in batch.transcripts}) == 6


def test_the_same_generator_draws_the_same_problems(ladder: Task[Any]) -> None:
    first, second = (swept(AdaptiveSampler(ladder), ladder, 5, n=10) for _ in range(2))
    ids = [[[t.task_id for t in b.transcripts] for b in batches] for batches in (first, second)]
    assert ids[0] == ids[1]


def test_it_goes_on_from_its_state_as_if_it_had_not_stopped(ladder: Task[Any]) -> None:
    sampler = AdaptiveSampler(ladder)
    swept(sampler, ladder, 2, n=10)
    resumed = AdaptiveSampler(ladder)
    resumed.load_state_dict(json.loads(json.dumps(sampler.state_dict(), sort_keys=True)))
    assert resumed.metrics() == sampler.metrics()
    for seed in range(5):
        batches = []
        for each in (sampler, resumed):
            rng = np.random.default_rng(seed)
            ids = each.draw(rng, N)
            batches.append(played(ladder, ids, of_level(4), rng))
            each.update(batches[-1])
        assert [t.task_id for t in batches[0].transcripts] == [
            t.task_id for t in batches[1].transcripts
        ]
    assert resumed.state_dict() == sampler.state_dict()


def test_a_world_without_strata_is_told_apart_by_problem() -> None:
    task = make_task("lmgym/Copy-v0", length=1)  # some twenty letters
    letters = {task.reset(np.random.default_rng(i)).gold for i in range(500)}
    solved = set(sorted(filter(None, letters))[::3])

    def chance(opening: Opening[Any]) -> float:
        return 0.5 if opening.gold in solved else 0.0

    sampler, rng = AdaptiveSampler(task), np.random.default_rng(0)
    shares = []
    for _ in range(30):
        batch = played(task, sampler.draw(rng, 6), chance, rng)
        sampler.update(batch)
        shares.append(signal(batch))
    assert np.mean(shares[-10:]) > 1.5 * np.mean(shares[:5])
    assert not any(name.startswith("curriculum/rate") for name in sampler.metrics())


def test_fewer_problems_than_are_asked_for_come_again() -> None:
    task = make_task("lmgym/Math-v0", num_problems=1)
    ids = AdaptiveSampler(task).draw(np.random.default_rng(0), 5)
    assert ids == task.task_ids("train", 1) * 5
    two = make_task("lmgym/Math-v0", num_problems=2)
    counts = Counter(AdaptiveSampler(two).draw(np.random.default_rng(0), 5))
    assert sorted(counts.values()) == [2, 3]


def test_problems_that_are_always_solved_are_left_for_others() -> None:
    task = make_task("lmgym/Math-v0", num_problems=20)
    easy = set(task.task_ids("train", 10))
    sampler, rng = AdaptiveSampler(task, exploration=0), np.random.default_rng(0)
    for _ in range(5):
        ids = sampler.draw(rng, 10)
        sampler.update(played(task, ids, lambda o: 1.0 if o.task_id in easy else 0.5, rng))
    assert len(set(sampler.draw(rng, 10)) & easy) <= 2


def test_rollouts_of_a_policy_are_taken_in() -> None:
    task = make_task("lmgym/Math-v0", problems="four/1-2")
    collector = RolloutCollector(load_policy("embedded"), task, "verifier")
    sampler, rng = AdaptiveSampler(task), np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        ids = sampler.draw(rng, 6)
        batch = collector.collect(rng, generator, task_ids=ids, group_size=4)
        assert [t.task_id for t in batch.transcripts[::4]] == ids
        sampler.update(batch)
        assert sampler.metrics()["curriculum/solve_rate"] == batch.successes.mean()


def test_metrics_tell_of_the_last_batch(ladder: Task[Any]) -> None:
    sampler, rng = AdaptiveSampler(ladder), np.random.default_rng(0)
    assert sampler.metrics() == {}
    batch = played(ladder, sampler.draw(rng, N), of_level(3), rng)
    sampler.update(batch)
    found = sampler.metrics()
    assert found["curriculum/solve_rate"] == batch.successes.mean()
    assert found["curriculum/signal"] == signal(batch)
    assert found["curriculum/in_range"] == np.mean((rates(batch) >= 0.2) & (rates(batch) <= 0.8))
    assert sum(v for k, v in found.items() if "/share " in k) == pytest.approx(1)
    assert found["curriculum/rate addition/1"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.8, "high": 0.2}, "low=0.8, high=0.2: use 0 <= low < high <= 1"),
        ({"decay": 0.0}, "decay=0.0 is out of range"),
        ({"problem_decay": 1.5}, "problem_decay=1.5 is out of range"),
        ({"exploration": -1}, "exploration=-1 is out of range"),
        ({"split": "tset"}, "unknown split 'tset'; known: test"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        AdaptiveSampler(make_task("lmgym/Math-v0"), **arguments)


def test_a_state_that_is_none_is_refused(ladder: Task[Any]) -> None:
    with pytest.raises(LmgymError, match="this is no state of an AdaptiveSampler"):
        AdaptiveSampler(ladder).load_state_dict({"now": 1})
