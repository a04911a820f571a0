"""Sources whose numbers are clipped, shifted, normalised, remembered or disturbed."""

from __future__ import annotations

import timeit
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.rewards import (
    Cached,
    Clip,
    ConstantReward,
    EnsembleReward,
    Gate,
    InvertedReward,
    MajorityVoteReward,
    Noise,
    PotentialShaping,
    RewardBatch,
    RewardLevel,
    RunningNormalization,
    Shift,
    WeightedSum,
    check_reward,
)
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Segment, Transcript, Turn


class Lines:
    """Pays each line its number and each episode its characters; keeps what it was asked."""

    level = RewardLevel.STEP
    is_causal = True

    def __init__(self, std: float | None = 0.5) -> None:
        self.std = std
        self.asked: list[str] = []
        self.cannot: set[str] = set()

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        texts = [t.completion_text for t in transcripts]
        self.asked += texts
        lengths = np.array([len(text) for text in texts], np.float64)
        unscored = np.array([text in self.cannot for text in texts], np.bool_)
        return RewardBatch(
            lengths,
            [np.arange(1.0, 1 + t.n_units("step")) for t in transcripts],
            {"length": lengths},
            unscored if unscored.any() else None,
            None if self.std is None else np.full(len(texts), self.std),
        )


def said(*texts: str) -> list[Transcript]:
    return [Transcript.from_strings("?", text, verdict=Verdict.ENDED) for text in texts]


def lists(batch: RewardBatch) -> list[list[float]]:
    assert batch.dense is not None
    return [units.tolist() for units in batch.dense]


def test_clipping_holds_every_number() -> None:
    batch = Clip(Lines(), low=2.0, high=2.5).score(said("a", "a\nb\nc"))
    assert batch.outcome.tolist() == [2.0, 2.5]
    assert lists(batch) == [[2.0], [2.0, 2.0, 2.5]]
    assert batch.parts["length"].tolist() == [1.0, 5.0]
    assert batch.std == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (float("nan"), 1.0)])
def test_bounds_that_leave_nothing_are_told(low: float, high: float) -> None:
    with pytest.raises(LmgymError, match="leave nothing; low <= high must hold"):
        Clip("verifier", low, high)


def test_shifting_adds_to_every_number() -> None:
    batch = Shift(Lines(), 0.5).score(said("a\nb"))
    assert batch.outcome.tolist() == [3.5]
    assert lists(batch) == [[1.5, 2.5]]


@given(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=5), min_size=1, max_size=4))
def test_statistics_taken_in_batch_by_batch_are_those_of_all(batches: list[list[int]]) -> None:
    source = RunningNormalization("length:characters")
    for lengths in batches:
        source.update(said(*("a" * n for n in lengths)))
    everything = np.concatenate(batches)
    assert source.count == len(everything)
    assert source.mean == pytest.approx(everything.mean())
    assert source.std == pytest.approx(everything.std() or 1.0)


def test_totals_are_normalised_at_any_level() -> None:
    texts = said("a", "a\nb", "a\nb\nc", "abcdef")
    source = RunningNormalization(Lines())
    source.update(texts)
    batch = source.score(texts)
    totals = batch.outcome + [sum(units) for units in lists(batch)]
    assert totals.mean() == pytest.approx(0.0)
    assert totals.std() == pytest.approx(1.0)
    assert batch.std == pytest.approx(0.5 / source.std)


def test_scoring_never_changes_the_statistics() -> None:
    source = RunningNormalization("length:characters")
    source.update(said("a", "abc"))
    before = (source.count, source.mean, source.std)
    check_reward(source, said("a", "abcd", "ab"))
    assert (source.count, source.mean, source.std) == before


def test_nothing_is_normalised_before_the_first_update() -> None:
    assert RunningNormalization("length:characters").score(said("abc")).outcome.tolist() == [3.0]


def test_what_is_unscored_is_not_taken_in() -> None:
    lines = Lines()
    lines.cannot = {"abcdef"}
    source = RunningNormalization(lines)
    source.update(said("abcdef"))
    assert source.count == 0
    source.update(said("a", "abcdef"))
    assert (source.count, source.mean) == (1, 2.0)


@pytest.mark.parametrize("value", [0.1, -0.3, 1e6 + 0.1])
def test_rounding_is_no_spread(value: float) -> None:
    source = RunningNormalization(ConstantReward(value))
    source.update(said("a", "b", "c"))
    source.update(said("d", "e", "f", "g"))
    assert source.std == 1.0
    source.source = ConstantReward(value + 0.1)
    assert source.score(said("h")).outcome == pytest.approx([0.1])


def test_a_small_spread_is_one() -> None:
    source = RunningNormalization(lambda prompts, completions: [1e-6 * len(c) for c in completions])
    source.update(said("a", "abc"))
    assert source.score(said("a", "abc")).outcome == pytest.approx([-1.0, 1.0])


@pytest.mark.parametrize("by", [float("nan"), float("inf")])
def test_a_shift_is_finite(by: float) -> None:
    with pytest.raises(LmgymError, match="is not finite; give a number"):
        Shift("verifier", by)


def test_a_bound_hides_nothing_that_is_not_finite() -> None:
    source = Clip(lambda prompts, completions: [1.0] * len(completions), 0.0, 1.0)
    source.source = Infinite()
    with pytest.raises(LmgymError, match="returned inf, which is not finite"):
        source.score(said("a"))


class Infinite:
    """Pays without end."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(np.full(len(transcripts), np.inf))


def test_a_transcript_is_scored_once() -> None:
    lines = Lines()
    source = Cached(lines)
    first = source.score(said("a", "a\nb", "a"))
    again = source.score(said("a\nb", "c"))
    assert lines.asked == ["a", "a\nb", "c"]
    assert (source.hits, source.misses) == (2, 3)
    assert first.outcome.tolist() == [1.0, 3.0, 1.0]
    assert again.outcome.tolist() == [3.0, 1.0]
    assert lists(again) == [[1.0, 2.0], [1.0]]
    assert again.parts["length"].tolist() == [3.0, 1.0]
    assert again.std == pytest.approx([0.5, 0.5])


def test_the_one_used_least_recently_is_forgotten() -> None:
    lines = Lines()
    source = Cached(lines, maxsize=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        source.score(said(text))
    assert lines.asked == ["a", "b", "c", "b"]


def test_what_was_not_scored_is_asked_for_again() -> None:
    lines = Lines()
    lines.cannot = {"a"}
    source = Cached(lines)
    first = source.score(said("a", "b"))
    assert first.unscored is not None
    assert first.unscored.tolist() == [True, False]
    lines.cannot = set()
    assert source.score(said("a", "b")).unscored is None
    assert lines.asked == ["a", "b", "a"]


def test_a_memory_that_is_changed_outside_stays_as_it_was() -> None:
    source = Cached(Lines())
    dense = source.score(said("a\nb")).dense
    assert dense is not None
    dense[0][:] = 7.0
    assert lists(source.score(said("a\nb"))) == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": None},
        {"gold": "1"},
        {"task_id": "x"},
        {"draft": "b"},
        {"gold_reward": 1.0},
        {"n_opening": 2},
        {"columns": {"facts": np.arange(2000)}},
        {"messages": (Message(Role.SYSTEM, "?"), Message(Role.ASSISTANT, "a"))},
        {"segments": (Segment((1, 2), (1, 2), (0, 1), 1, ()),)},
    ],
)
def test_another_transcript_is_scored_anew(change: dict[str, object]) -> None:
    source = Cached("length:characters")
    (first,) = said("a")
    source.score([first])
    source.score([replace(first, **change)])  # type: ignore[arg-type]
    assert source.misses == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.arange(2000), np.where(np.arange(2000) == 1000, 0, np.arange(2000))),
        (np.array([1.0]), np.array([1.0 + 1e-12])),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_columns_tell_transcripts_apart(first: object, second: object) -> None:
    source = Cached("length:characters")
    (text,) = said("a")
    for column in (first, second, first):
        source.score([replace(text, columns={"facts": column})])
    assert (source.misses, source.hits) == (2, 1)


MADE_OF = {
    "sum": lambda lines: WeightedSum({"lines": (2.0, lines), "right": "verifier"}),
    "condition": lambda lines: Gate(lines, "verifier"),
    "clip": Clip,
    "shift": lambda lines: Shift(lines, 1.0),
    "noise": Noise,
    "inverted": InvertedReward,
    "ensemble": lambda lines: EnsembleReward([lines, Lines()]),
    "shaped": lambda lines: PotentialShaping(
        lambda states: [0.0] * len(states), lines, level="step"
    ),
    "normalised": RunningNormalization,
    "remembered": Cached,
}


@pytest.mark.parametrize("kind", MADE_OF)
def test_what_is_made_of_a_source_that_was_fitted_anew_is_asked_anew(kind: str) -> None:
    lines = Lines()
    made: Any = MADE_OF[kind]
    source = Cached(Shift(made(lines), 0.0))
    n_asked = []
    for fingerprint in ("1", "1", "2"):
        lines.fingerprint = fingerprint  # type: ignore[attr-defined]
        source.score(said("a"))
        n_asked.append(source.misses)
    assert n_asked == [1, 1, 2]


def test_what_was_normalised_before_an_update_is_forgotten() -> None:
    inner = RunningNormalization("length:characters")
    source = Cached(inner)
    assert source.score(said("abc")).outcome.tolist() == [3.0]
    inner.update(said("a", "abc"))
    assert source.score(said("abc")).outcome.tolist() == [1.0]


def test_a_source_that_was_fitted_anew_is_asked_anew() -> None:
    lines = Lines()
    source = Cached(lines)
    for fingerprint in ("1", "1", "2"):
        lines.fingerprint = fingerprint  # type: ignore[attr-defined]
        source.score(said("a"))
    assert lines.asked == ["a", "a"]


def test_what_depends_on_the_batch_cannot_be_remembered() -> None:
    with pytest.raises(LmgymError, match="MajorityVoteReward is not causal"):
        Cached(MajorityVoteReward())


def test_a_memory_of_nothing_is_told() -> None:
    with pytest.raises(LmgymError, match="maxsize=0 remembers nothing; give 1 or more"):
        Cached("verifier", maxsize=0)


@pytest.mark.parametrize(
    "source",
    [
        Clip(Lines(), 0.0, 2.0),
        Shift(Lines(), 0.5),
        RunningNormalization(Lines()),
        Cached(Lines()),
        Noise(Lines(), scale=1.0, flip=0.1),
    ],
)
def test_changed_sources_keep_their_promises(source: Clip) -> None:
    assert source.level is RewardLevel.STEP
    check_reward(source, said("a", "a\nb", "\n\n", "", "c\n"))


def numbered(n: int) -> list[Transcript]:
    return said(*map(str, range(n)))


def test_noise_has_its_scale() -> None:
    texts = numbered(20_000)
    added = Noise("verifier", scale=0.3).score(texts).outcome
    assert abs(added.mean()) < 0.01
    assert added.std() == pytest.approx(0.3, rel=0.02)


def test_flips_are_as_frequent_as_told() -> None:
    assert Noise("verifier", flip=0.25).score(numbered(20_000)).outcome.mean() == pytest.approx(
        0.25, abs=0.012
    )


def test_noise_is_pure_and_follows_the_seed() -> None:
    texts = numbered(50)
    first, again, other = (Noise("verifier", scale=1.0, seed=s).score(texts) for s in (0, 0, 1))
    assert (first.outcome == again.outcome).all()
    assert (first.outcome != other.outcome).all()


def test_flips_and_noise_are_drawn_apart() -> None:
    texts = numbered(2000)
    flipped = Noise("verifier", flip=0.5).score(texts).outcome
    added = Noise("verifier", scale=1.0).score(texts).outcome
    assert abs(np.corrcoef(flipped, added)[0, 1]) < 0.1
    assert abs(np.corrcoef(flipped, np.abs(added))[0, 1]) < 0.1


def test_units_that_a_source_leaves_out_are_disturbed_too() -> None:
    lines = Lines()
    lines.score = lambda transcripts: RewardBatch(np.zeros(len(transcripts)))  # type: ignore[method-assign]
    (units,) = lists(Noise(lines, scale=1.0).score(said("a\nb\nc")))
    assert len(set(units)) == 3


def test_no_noise_changes_nothing() -> None:
    assert lists(Noise(Lines()).score(said("a\nb"))) == [[1.0, 2.0]]


def ids(written: Sequence[int], *, is_over: bool = False) -> Transcript:
    """A running or finished episode of one message, as ids."""
    place = (0, *[1] * len(written))
    turns = (Turn("agent_0", 1, len(place), "", len(written), True),) if is_over else ()
    segment = Segment((9, *written), place, place, 1, turns)
    said_last = (Message(Role.ASSISTANT, ""),) if is_over else ()
    verdict = Verdict.ENDED if is_over else None
    return Transcript((Message(Role.USER, "?"), *said_last), (segment,), verdict=verdict)


class Ones:
    """Pays 1 for each id."""

    level = RewardLevel.TOKEN
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(
            np.zeros(len(transcripts)), [np.ones(t.n_units("token")) for t in transcripts]
        )


def test_the_noise_on_an_id_stays_while_the_episode_goes_on() -> None:
    source = Noise(Ones(), scale=1.0)
    (whole,) = lists(source.score([ids([1, 2, 3, 4], is_over=True)]))
    for n in range(5):
        assert lists(source.score([ids([1, 2, 3, 4][:n])])) == [whole[:n]]
    (other,) = lists(source.score([ids([1, 2, 9, 4])]))
    assert [a == b for a, b in zip(whole, other, strict=True)] == [True, True, False, False]


def test_the_noise_on_ids_is_drawn_anew_for_each_seed_problem_and_segment() -> None:
    (drawn,) = (t.segments[0] for t in [ids([1, 2, 3])])
    twice = replace(ids([1, 2, 3]), segments=(drawn, drawn))
    source, other = Noise(Ones(), scale=1.0), Noise(Ones(), scale=1.0, seed=1)
    (units,) = lists(source.score([twice]))
    (seeded,) = lists(other.score([twice]))
    (problem,) = lists(source.score([replace(twice, task_id="x")]))
    assert len({*units, *seeded, *problem}) == 18
    assert lists(source.score([replace(twice, group_id=3)])) == [units]


@pytest.mark.slow
def test_noise_on_ids_takes_time_in_proportion() -> None:
    def seconds(n: int) -> float:
        episode = ids([i % 250 for i in range(n)])
        return min(timeit.repeat(lambda: Noise(Ones(), scale=1.0).score([episode]), number=1))

    assert seconds(20_000) < 150 * seconds(1000)  # 400 times were it quadratic


@pytest.mark.parametrize("n_envs", [1, 3])
def test_batches_of_environments_draw_the_noise_of_single_ones(n_envs: int) -> None:
    reward = Noise("verifier", scale=1.0)
    tasks = [f"addition/2/0/{i}" for i in range(n_envs)]
    env = gym.make("lmgym/Math-v0", level="message", reward=reward)
    single = []
    for task in tasks:
        env.reset(options={"task_id": task})
        single.append(float(env.step("5")[1]))
    envs = gym.make_vec("lmgym/Math-v0", n_envs, level="message", reward=reward)
    envs.reset(options={"task_id": tasks})
    assert envs.step(["5"] * n_envs)[1].tolist() == pytest.approx(single)


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"scale": -1.0}, "scale=-1.0 is no standard deviation"),
        ({"scale": float("nan")}, "is no standard deviation"),
        ({"flip": 1.5}, "flip=1.5 is no probability"),
    ],
)
def test_bad_amounts_of_noise_are_told(amounts: dict[str, float], message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        Noise("verifier", **amounts)  # type: ignore[arg-type]
