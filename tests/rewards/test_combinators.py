"""Sums, rubrics and gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

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
    RewardSchedule,
    RewardSource,
    Rubric,
    RunningNormalization,
    Shift,
    ShuffledReward,
    VerifierReward,
    WeightedSum,
    check_reward,
)
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Transcript


def conversation(n_turns: int, *, is_over: bool = True) -> Transcript:
    """A number of turns, told apart by their texts."""
    messages = [Message(Role.USER, f"{n_turns} turns")]
    for turn in range(n_turns):
        messages += [Message(Role.ASSISTANT, str(turn)), Message(Role.USER, "go on")]
    return Transcript(tuple(messages), verdict=Verdict.CORRECT if is_over else None)


class Given:
    """Pays each turn its number, an outcome, and says how sure it is; keeps what it was asked."""

    is_causal = True

    def __init__(
        self,
        outcome: float = 0.0,
        level: RewardLevel = RewardLevel.TURN,
        std: float | None = None,
        unscored: Sequence[int] = (),
    ) -> None:
        self.outcome, self.level, self.std, self.unscored = outcome, level, std, unscored
        self.asked: list[int] = []

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        n = len(transcripts)
        self.asked.append(n)
        is_dense = self.level is not RewardLevel.OUTCOME
        dense = [np.arange(1.0, 1 + t.n_units(self.level)) for t in transcripts]
        return RewardBatch(
            np.full(n, self.outcome),
            dense if is_dense else None,
            {"given": np.full(n, self.outcome)},
            np.isin(np.arange(n), self.unscored) if self.unscored else None,
            None if self.std is None else np.full(n, self.std),
        )


def outcome(value: float = 1.0, **facts: object) -> Given:
    return Given(value, RewardLevel.OUTCOME, **facts)  # type: ignore[arg-type]


def lists(batch: RewardBatch) -> list[list[float]]:
    assert batch.dense is not None
    return [units.tolist() for units in batch.dense]


TWO = [conversation(1), conversation(2)]


def test_a_sum_adds_outcomes_and_units_by_weight() -> None:
    source = WeightedSum({"turns": (2.0, Given(0.5)), "one": outcome(1.0), "more": Given(1.0)})
    batch = source.score(TWO)
    assert source.level is RewardLevel.TURN
    assert batch.outcome.tolist() == [3.0, 3.0]
    assert lists(batch) == [[3.0], [3.0, 6.0]]
    parts = {name: values.tolist() for name, values in batch.parts.items()}
    assert parts == {"turns": [1.0, 1.0], "one": [1.0, 1.0], "more": [1.0, 1.0]}


def test_the_parts_of_a_part_are_told_too() -> None:
    inner = WeightedSum({"a": outcome(1.0), "b": (3.0, outcome(1.0))})
    batch = WeightedSum({"both": (0.5, inner), "c": outcome(2.0)}).score(TWO)
    parts = {name: values[0] for name, values in batch.parts.items()}
    assert parts == {"both": 2.0, "both/a": 0.5, "both/b": 1.5, "c": 2.0}
    assert batch.outcome.tolist() == [4.0, 4.0]


def test_stds_add_up_as_of_independent_errors() -> None:
    source = WeightedSum(
        {"a": (2.0, outcome(std=3.0)), "b": (-1.0, outcome(std=8.0)), "sure": outcome()}
    )
    assert source.score(TWO).std == pytest.approx([10.0, 10.0])
    assert WeightedSum({"sure": outcome()}).score(TWO).std is None


def test_what_one_source_cannot_score_is_unscored() -> None:
    terms = {"a": outcome(unscored=[0]), "b": outcome(), "c": outcome(unscored=[0])}
    unscored = WeightedSum(terms).score(TWO).unscored
    assert unscored is not None
    assert unscored.tolist() == [True, False]
    assert WeightedSum({"b": outcome()}).score(TWO).unscored is None


def test_beside_dense_rewards_outcomes_are_asked_for_at_the_end_only() -> None:
    judge = outcome(5.0, std=1.0)
    source = WeightedSum({"turns": Given(), "judge": judge})
    running, over = conversation(1, is_over=False), conversation(2)
    batch = source.score([running, over])
    assert batch.outcome.tolist() == [0.0, 5.0]
    assert judge.asked == [1]
    assert batch.std == pytest.approx([0.0, 1.0])
    source.score([running])
    assert judge.asked == [1]


class Odd(Given):
    """Returns too few units, or none at all."""

    def __init__(self, n_units: int | None, unscored: Sequence[int] = ()) -> None:
        super().__init__(unscored=unscored)
        self.n_units = n_units

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        batch = super().score(transcripts)
        dense = None if self.n_units is None else [np.ones(self.n_units)] * len(transcripts)
        return replace(batch, dense=dense)


def test_dense_rewards_that_are_left_out_are_zeros() -> None:
    assert lists(WeightedSum({"none": Odd(None), "turns": Given()}).score(TWO)) == [
        [1.0],
        [1.0, 2.0],
    ]
    assert lists(WeightedSum({"none": Odd(None)}).score(TWO)) == [[0.0], [0.0, 0.0]]


def test_units_of_what_is_unscored_may_be_missing() -> None:
    source = WeightedSum({"odd": Odd(0, unscored=[0, 1]), "turns": Given()})
    assert lists(source.score(TWO)) == [[1.0], [1.0, 2.0]]


def test_units_that_are_missing_elsewhere_are_told() -> None:
    with pytest.raises(
        LmgymError, match=r"of shape \(1,\) for a transcript of 2 units of level turn"
    ):
        WeightedSum({"odd": Odd(1), "turns": Given()}).score(TWO)


def test_without_dense_rewards_everything_is_asked_for() -> None:
    running = [conversation(1, is_over=False)]
    assert WeightedSum({"judge": outcome(5.0)}).score(running).outcome.tolist() == [5.0]


def test_two_dense_levels_cannot_be_added() -> None:
    terms = {"steps": Given(level=RewardLevel.STEP), "turns": Given(), "one": outcome()}
    with pytest.raises(LmgymError, match=r"levels step and turn cannot be paid together; combine"):
        WeightedSum(terms)


def test_a_sum_waits_for_its_slowest_source() -> None:
    assert WeightedSum({"a": outcome()}).is_causal
    assert not WeightedSum({"a": outcome(), "majority": MajorityVoteReward()}).is_causal


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_told(weight: float) -> None:
    with pytest.raises(LmgymError, match=f"the weight {weight} of 'a' is not finite"):
        WeightedSum({"a": (weight, "verifier")})


def test_an_empty_sum_is_told() -> None:
    with pytest.raises(LmgymError, match="a sum needs at least one source"):
        WeightedSum({})


def test_a_sum_keeps_its_promises() -> None:
    source = WeightedSum({"turns": (0.5, Given(1.0)), "right": "verifier"})
    check_reward(source, [conversation(n) for n in range(1, 5)])


def test_a_rubric_is_a_weighted_mean() -> None:
    def short(prompts: list[str], completions: list[str]) -> list[float]:
        return [float(len(text) < 3) for text in completions]

    rubric = Rubric({"right": (3, "verifier"), "short": short})
    said = [
        Transcript.from_strings("1+1=", text, verdict=verdict)
        for text, verdict in [("2", Verdict.CORRECT), ("3", Verdict.INCORRECT), ("three", None)]
    ]
    batch = rubric.score(said)
    assert batch.outcome.tolist() == [1.0, 0.25, 0.0]
    assert batch.parts["right"].tolist() == [0.75, 0.0, 0.0]
    assert batch.parts["short"].tolist() == [0.25, 0.25, 0.0]


@pytest.mark.parametrize("weight", [0, -1])
def test_a_check_needs_a_positive_weight(weight: float) -> None:
    with pytest.raises(LmgymError, match=f"the check 'a' has the weight {weight}.0; give a pos"):
        Rubric({"a": (weight, "verifier")})


def test_a_gate_asks_each_source_for_its_own() -> None:
    then, otherwise = outcome(2.0, std=0.5), outcome(-1.0)
    said = [Transcript.from_strings("?", text) for text in ("1", "a", "2")]
    batch = Gate("format:[0-9]", then, otherwise).score(said)
    assert batch.outcome.tolist() == [2.0, -1.0, 2.0]
    assert batch.parts["gate"].tolist() == [1.0, 0.0, 1.0]
    assert batch.parts["given"].tolist() == [2.0, -1.0, 2.0]
    assert batch.std == pytest.approx([0.5, 0.0, 0.5])
    assert (then.asked, otherwise.asked) == ([2], [1])


def test_a_gate_that_is_closed_to_all_asks_nobody() -> None:
    then = outcome(2.0)
    assert Gate(ConstantReward(0.0), then).score(TWO).outcome.tolist() == [0.0, 0.0]
    assert then.asked == []


def test_a_threshold_must_be_passed() -> None:
    gate = Gate("length:characters", ConstantReward(1.0), threshold=2)
    said = [Transcript.from_strings("?", "a" * n) for n in (1, 2, 3)]
    assert gate.score(said).outcome.tolist() == [0.0, 0.0, 1.0]


def test_a_dense_condition_is_judged_by_its_total() -> None:
    gate = Gate(Given(-2.0), ConstantReward(1.0))  # totals -1 and 1
    assert gate.score(TWO).outcome.tolist() == [0.0, 1.0]
    assert gate.is_causal
    assert gate.level is RewardLevel.OUTCOME


def test_a_gate_of_dense_rewards_is_known_at_the_end() -> None:
    gate = Gate("verifier", then=Given(1.0), otherwise=-1.0)
    assert gate.level is RewardLevel.TURN
    assert not gate.is_causal
    wrong = Transcript.from_strings("?", "x", verdict=Verdict.INCORRECT)
    batch = gate.score([*TWO, wrong])
    assert batch.outcome.tolist() == [1.0, 1.0, -1.0]
    assert lists(batch) == [[1.0], [1.0, 2.0], [0.0]]


def test_a_gate_is_unscored_where_its_condition_or_its_source_is() -> None:
    gate = Gate(outcome(1.0, unscored=[1]), outcome(unscored=[0]))
    unscored = gate.score(TWO).unscored
    assert unscored is not None
    assert unscored.tolist() == [True, True]


def test_a_gate_asks_nobody_about_what_its_condition_cannot_score() -> None:
    then, otherwise = outcome(3.0), outcome(-3.0)
    condition = ByTurns({1: np.nan, 2: 1.0, 3: 0.0}, unscored=[1])
    batch = Gate(condition, then, otherwise).score([*TWO, conversation(3)])
    assert batch.outcome.tolist() == [0.0, 3.0, -3.0]
    assert batch.parts["gate"].tolist() == [0.0, 1.0, 0.0]
    assert batch.unscored is not None
    assert batch.unscored.tolist() == [True, False, False]
    assert (then.asked, otherwise.asked) == ([1], [1])


class ByTurns:
    """Pays each episode by its number of turns."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, worth: Mapping[int, float], unscored: Sequence[int] = ()) -> None:
        self.worth, self.unscored = worth, unscored

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        counts = [t.n_units("turn") for t in transcripts]
        paid = np.array([self.worth[count] for count in counts])
        return RewardBatch(paid, unscored=np.isin(counts, self.unscored))


BROKEN: dict[str, dict[str, Any]] = {
    r"outcomes of shape \(1,\) for 2": {"outcome": np.ones(1)},
    r"outcomes of shape \(3,\) for 2": {"outcome": np.ones(3)},
    r"outcomes of shape \(\) for 2": {"outcome": 1.0},
    "returned nan, which is not finite; mark": {"outcome": [np.nan, 1.0]},
    "returned inf, which is not finite; mark": {"outcome": [0.0, np.inf]},
    "outcomes 'ab'; they must be arrays of numbers": {"outcome": "ab"},
    r"unscored=array\(\[0\]\) for 2": {"unscored": np.array([0])},
    r"unscored=\[0, 1\] for 2": {"unscored": [0, 1]},
    r"unscored=array\(\[ True\]\) for 2": {"unscored": np.ones(1, np.bool_)},
    r"parts 'a' of shape \(\) for 2": {"parts": {"a": 1.0}},
    r"parts 'a' of shape \(3,\) for 2": {"parts": {"a": np.ones(3)}},
    "which is not finite.*parts 'a'": {"parts": {"a": np.array([1.0, np.nan])}},
    "must return a RewardBatch, with parts": {"parts": None},
    r"stds of shape \(1,\) for 2": {"std": np.ones(1)},
    "level outcome and returned dense": {"dense": [np.ones(1), np.ones(2)]},
}
COMPOUNDS: dict[str, Callable[[RewardSource], RewardSource]] = {
    "sum": lambda source: WeightedSum({"a": source, "b": "verifier"}),
    "condition": lambda source: Gate(source, "verifier"),
    "gate": lambda source: Gate(ConstantReward(), source),
    "clip": lambda source: Clip(source, -1.0, 1.0),
    "shift": lambda source: Shift(source, 1.0),
    "normalised": RunningNormalization,
    "ensemble": lambda source: EnsembleReward([source, "verifier"]),
    "noise": lambda source: Noise(source, scale=1.0),
    "cached": Cached,
    "inverted": InvertedReward,
    "shuffled": ShuffledReward,
    "shaped": lambda source: PotentialShaping(lambda states: [0.0] * len(states), source),
    "potential": PotentialShaping,
}


class Returning:
    """Returns what it was given."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        batch: RewardBatch = self.batch
        return batch


@pytest.mark.parametrize("compound", COMPOUNDS)
@pytest.mark.parametrize("message", BROKEN)
def test_broken_batches_are_told_in_every_compound(compound: str, message: str) -> None:
    fields = {"outcome": np.zeros(2), **BROKEN[message]}
    source = COMPOUNDS[compound](Returning(RewardBatch(**fields)))
    opening = Transcript((Message(Role.USER, "?"),), verdict=Verdict.ENDED)
    turn = Transcript.from_strings("?", "!", verdict=Verdict.ENDED)
    asked = [turn] if compound == "potential" else [turn, replace(turn, task_id="x")]
    with pytest.raises(LmgymError, match=message):
        source.score(asked)
    with pytest.raises(LmgymError, match=message):
        RewardSchedule(Returning(RewardBatch(**fields))).pay([opening, turn])


@pytest.mark.parametrize("returned", [None, [1.0, 2.0], np.zeros(2)])
@pytest.mark.parametrize("compound", COMPOUNDS)
def test_what_is_no_batch_is_told(compound: str, returned: object) -> None:
    source = COMPOUNDS[compound](Returning(returned))
    with pytest.raises(LmgymError, match="its score must return a RewardBatch"):
        source.score([replace(turn, verdict=Verdict.ENDED) for turn in TWO])


def test_lists_are_arrays_to_compounds() -> None:
    listed: Any = RewardBatch([1, 2], parts={"a": [1, 2]})  # type: ignore[arg-type, dict-item]
    for compound in (Shift(Returning(listed), 1.0), RunningNormalization(Returning(listed))):
        assert compound.score(TWO).outcome.dtype == np.float64


@pytest.mark.parametrize("otherwise", [float("nan"), float("inf")])
def test_a_gate_pays_finite_numbers(otherwise: float) -> None:
    with pytest.raises(LmgymError, match="is not finite; give a number"):
        Gate("verifier", "verifier", otherwise)


def test_a_gate_keeps_its_promises() -> None:
    said = [Transcript.from_strings("?", text, verdict=Verdict.ENDED) for text in ("1", "ab", "2")]
    check_reward(Gate("format:[0-9]", "length:characters", VerifierReward()), said)
