"""What `reward=` takes."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_episode, make_source
from lmgym.registry import REWARD_ARGUMENTS, REWARDS
from lmgym.rewards import (
    FunctionReward,
    RewardBatch,
    RewardLevel,
    VerifierReward,
    WeightedSum,
    check_reward,
)
from lmgym.transcript import Transcript


class Half:
    """A source of one's own."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(np.full(len(transcripts), 0.5))


def played(world: str, *answers: str) -> list[Transcript]:
    """Episodes with ids of one problem, graded, one for each answer."""
    episode = make_episode(world)
    transcripts = []
    for answer in answers:
        episode.reset(np.random.default_rng(0))
        while episode.verdict is None:
            episode.write([*answer.encode(), 257])
        transcripts.append(replace(episode.transcript(), gold_reward=float(len(answer))))
    return transcripts


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What some reward sources need behind their names."""
    from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
    from lmgym.reward_models import fit_reward_model

    pairs = [PreferencePair.of(f"{i}+{i}=", str(2 * i), f"{i}, I think") for i in range(20)]
    folder = tmp_path_factory.mktemp("rewards") / "model"
    fit_reward_model(PreferenceDataset.of(pairs)).save(folder)
    return {"pattern": "[0-9]", "rm": str(folder), "dpo": "embedded", "judge": "embedded"}


@pytest.mark.parametrize("name", REWARDS)
def test_every_registered_source_keeps_its_promises(
    name: str, arguments: Mapping[str, str]
) -> None:
    source = make_source(f"{name}:{arguments[name]}" if name in arguments else name)
    assert source is not None
    said = played("lmgym/Math-v0", "1", "22", "\\boxed{3}", "it is 1", "")
    check_reward(source, said)
    check_reward(source, played("lmgym/GuessNumber-v0", "50", "25", "1"))
    again = pickle.loads(pickle.dumps(source))  # noqa: S301 - ours
    assert again.score(said).outcome.tolist() == source.score(said).outcome.tolist()


def test_every_argument_that_is_needed_is_of_a_registered_source() -> None:
    assert set(REWARD_ARGUMENTS) <= set(REWARDS)


@pytest.mark.parametrize("reward", [None, "none"])
def test_no_reward_is_no_source(reward: str | None) -> None:
    assert make_source(reward) is None


def test_a_source_is_taken_as_it_is() -> None:
    half = Half()
    assert make_source(half) is half


class Worded(Half):
    """Says its level in a word."""

    def __init__(self, level: Any) -> None:
        self.level = level


@pytest.mark.parametrize("level", ["outcome", "sentence"])
def test_a_level_that_is_a_word_is_told(level: str) -> None:
    told = rf"Worded.level is '{level}', no RewardLevel; give one of RewardLevel.OUTCOME, "
    with pytest.raises(LmgymError, match=told):
        make_source(Worded(level))
    with pytest.raises(LmgymError, match=told):
        WeightedSum({"a": Worded(level), "b": "verifier"})


def test_a_function_becomes_a_source() -> None:
    source = make_source(lambda prompts, completions: [1.0] * len(prompts))
    assert isinstance(source, FunctionReward)


def test_an_unknown_name_is_told_with_the_nearest_first() -> None:
    with pytest.raises(LmgymError, match=r"reward .verifir.; known: verifier, .*none.*; or"):
        make_source("verifir")


def test_a_class_is_refused() -> None:
    with pytest.raises(LmgymError, match="VerifierReward is a class; pass an instance"):
        make_source(VerifierReward)  # type: ignore[arg-type]


def test_anything_else_is_refused() -> None:
    with pytest.raises(LmgymError, match=r"reward=0\.5 is no reward; allowed are a name"):
        make_source(0.5)  # type: ignore[arg-type]
