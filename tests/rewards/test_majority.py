"""The answer of the majority as the reward."""

from __future__ import annotations

import numpy as np

from lmgym.factory import make_task
from lmgym.rewards import MajorityVoteReward
from lmgym.rewards.majority import final_answer
from lmgym.rollouts import RolloutCollector
from lmgym.transcript import Transcript


def paid(*texts: str, group_id: int = 0) -> list[float]:
    said = [Transcript.from_strings("1+1=", text, group_id=group_id) for text in texts]
    outcome: list[float] = MajorityVoteReward().score(said).outcome.tolist()
    return outcome


def test_the_most_frequent_answer_is_paid_in_any_writing() -> None:
    assert paid("2", "So it is 2.0", r"\boxed{4/2}", "3", "22") == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_all_answers_are_paid_where_no_one_has_the_majority() -> None:
    assert paid("1", "2", "2", "1", "3") == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_no_answer_is_never_paid() -> None:
    assert paid("", "  ", "") == [0.0, 0.0, 0.0]


def test_texts_without_a_number_are_answers_too() -> None:
    assert paid("cat", " cat\n", "dog") == [1.0, 1.0, 0.0]


def test_groups_vote_for_themselves() -> None:
    answers = [("2", 0), ("2", 0), ("3", 0), ("3", 1), ("3", 1), ("2", 1)]
    said = [Transcript.from_strings("1+1=", text, group_id=group) for text, group in answers]
    assert MajorityVoteReward().score(said).outcome.tolist() == [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]


def test_other_prompts_are_other_groups() -> None:
    said = [Transcript.from_strings(*pair) for pair in zip("pppq", "2233", strict=True)]
    assert MajorityVoteReward().score(said).outcome.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_answers_can_be_read_in_another_way() -> None:
    said = [Transcript.from_strings("?", text) for text in ("A. yes", "A. no", "B. yes")]
    source = MajorityVoteReward(extract=lambda text: text[0])
    assert source.score(said).outcome.tolist() == [1.0, 1.0, 0.0]


def test_a_box_that_is_no_number_is_its_text() -> None:
    assert final_answer(r"\boxed{x}") == r"\boxed{x}"


def test_rollouts_are_paid_by_vote() -> None:
    import torch

    from lmgym.policies.loading import load_policy

    task = make_task("lmgym/Math-v0")
    collector = RolloutCollector(load_policy("embedded"), task, MajorityVoteReward())
    generator = torch.Generator().manual_seed(0)
    batch = collector.collect(np.random.default_rng(0), generator, n_groups=4, group_size=5)
    groups = batch.rewards.reshape(4, 5)
    assert (groups.max(axis=1) == 1).all()
    answers = [final_answer(t.completion_text) for t in batch.transcripts]
    for group in range(4):
        winners = {a for a, r in zip(answers[5 * group :][:5], groups[group], strict=True) if r}
        assert len(winners) >= 1
