"""What `reward=` takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.registry import REWARDS
from lmgym.rewards import FunctionReward, RewardBatch, RewardLevel, RewardSource, VerifierReward
from lmgym.transcript import Transcript


class Half:
    """A source of one's own."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(np.full(len(transcripts), 0.5))


@pytest.mark.parametrize("name", REWARDS)
def test_every_registered_name_is_a_source(name: str) -> None:
    source = make_source(name)
    assert isinstance(source, RewardSource)
    assert source.score([Transcript.from_strings("1+1=", "2")]).outcome.shape == (1,)


@pytest.mark.parametrize("reward", [None, "none"])
def test_no_reward_is_no_source(reward: str | None) -> None:
    assert make_source(reward) is None


def test_a_source_is_taken_as_it_is() -> None:
    half = Half()
    assert make_source(half) is half


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
