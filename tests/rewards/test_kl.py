from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rewards.kl import (
    KLPenalty,
    drawn_logprobs,
    estimate_kl,
    log_ratios,
    sampled_logprobs,
    sequence_kl,
)
from lmgym.rollouts import RolloutBatch
from lmgym.transcript import Segment, Transcript

MakePolicy = Callable[[int], LanguagePolicy]
PROMPT = (259, 49, 257, 260)


def segment(prompt: Sequence[int], mask: Sequence[int], ids: Sequence[int]) -> Segment:
    whole, marks = (*prompt, *ids), (*[0] * len(prompt), *mask)
    return Segment(whole, (1,) * len(whole), marks, len(prompt), ())


def written(*ids: int) -> Transcript:
    return Transcript((), (segment(PROMPT, [1] * len(ids), ids),), task_id="t")


def with_a_reply() -> Transcript:
    """Two segments, the first of them with ids of the world between those of the agent."""
    first = segment(PROMPT, (1, 1, 0, 0, 1), (50, 51, 52, 53, 54))
    return Transcript((), (first, segment((259, 60), (1, 1), (61, 62))), task_id="t")


def logprobs_by_hand(
    policy: LanguagePolicy, transcript: Transcript, temperature: float
) -> NDArray[np.float64]:
    found = []
    for row in transcript.segments:
        with torch.no_grad():
            logits = policy.model(torch.tensor([row.ids])).logits[0].double() / temperature
        table = torch.log_softmax(logits, -1)
        drawn = [i for i, mark in enumerate(row.loss_mask) if mark]
        found += [table[i - 1, row.ids[i]].item() for i in drawn]
    return np.array(found)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_logprobs_are_those_of_a_log_softmax(make_policy: MakePolicy, temperature: float) -> None:
    policy = make_policy(0)
    transcripts = [written(70, 71, 257), with_a_reply(), written(72)]
    found = drawn_logprobs(policy, transcripts, temperature=temperature)
    for transcript, logprobs in zip(transcripts, found, strict=True):
        expected = logprobs_by_hand(policy, transcript, temperature)
        np.testing.assert_allclose(logprobs, expected, atol=1e-5)


def test_logprobs_do_not_depend_on_the_micro_batches(make_policy: MakePolicy) -> None:
    policy = make_policy(0)
    transcripts = [written(70, 71, 257), with_a_reply(), written(72)]
    at_once = drawn_logprobs(policy, transcripts)
    one_by_one = drawn_logprobs(policy, transcripts, micro_tokens=1)
    for left, right in zip(at_once, one_by_one, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


def test_no_transcripts_have_no_logprobs(make_policy: MakePolicy) -> None:
    assert drawn_logprobs(make_policy(0), []) == []


def test_the_sampler_and_the_policy_agree_on_samples(make_policy: MakePolicy) -> None:
    policy = make_policy(0)
    generator = torch.Generator().manual_seed(0)
    samples = policy.sample([PROMPT], 3, max_tokens=5, temperature=0.7, generator=generator)
    transcripts = [
        written(*ids).with_logprobs(logprobs)
        for ids, logprobs in zip(samples.ids, samples.logprobs, strict=True)
    ]
    again = drawn_logprobs(policy, transcripts, temperature=0.7)
    for left, right in zip(sampled_logprobs(transcripts), again, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)


def test_the_estimators_average_to_the_exact_kl(make_policy: MakePolicy) -> None:
    policy, reference = make_policy(0), make_policy(1)
    every_answer = [written(i) for i in range(policy.renderer.vocab_size)]
    ours = np.concatenate(drawn_logprobs(policy, every_answer))
    theirs = np.concatenate(drawn_logprobs(reference, every_answer))
    exact = float((np.exp(ours) * (ours - theirs)).sum())
    estimates = sequence_kl(every_answer, reference, policy)
    assert exact > 0.1
    assert float((np.exp(ours) * estimates.k1).sum()) == pytest.approx(exact, abs=1e-5)
    assert float((np.exp(ours) * estimates.k3).sum()) == pytest.approx(exact, abs=1e-5)


def test_k3_varies_less_than_k1(make_policy: MakePolicy) -> None:
    policy, reference = make_policy(0), make_policy(0)
    with torch.no_grad():
        for parameter in reference.model.parameters():
            parameter.mul_(1.02)
    every_answer = [written(i) for i in range(policy.renderer.vocab_size)]
    weights = np.exp(np.concatenate(drawn_logprobs(policy, every_answer)))
    estimates = sequence_kl(every_answer, reference, policy)
    k1, k3 = (float((weights * k**2).sum()) for k in (estimates.k1, estimates.k3))
    assert k3 < k1


@given(st.lists(st.floats(-20, 20), max_size=8))
def test_estimators_follow_their_formulas(values: list[float]) -> None:
    d = np.array(values)
    np.testing.assert_array_equal(estimate_kl(d, "k1"), d)
    np.testing.assert_allclose(estimate_kl(d, "k2"), 0.5 * d * d, atol=1e-300)
    np.testing.assert_allclose(estimate_kl(d, "k3"), np.exp(-d) - 1 + d, rtol=1e-9, atol=1e-9)
    assert (estimate_kl(d, "k3") >= 0).all()


def test_a_policy_is_at_no_distance_from_itself(make_policy: MakePolicy) -> None:
    policy = make_policy(0)
    estimates = sequence_kl([written(70, 71), with_a_reply()], policy, policy)
    assert estimates.k1.tolist() == estimates.k3.tolist() == [0.0, 0.0]


def rollouts(policy: LanguagePolicy, **changes: object) -> RolloutBatch:
    transcripts = [written(70, 71, 257), with_a_reply()]
    logprobs = drawn_logprobs(policy, transcripts)
    transcripts = [
        t.with_logprobs(found.tolist()) for t, found in zip(transcripts, logprobs, strict=True)
    ]
    facts = {"rewards": np.array([1.0, 0.5]), "scored": np.ones(2, np.bool_)}
    return RolloutBatch(transcripts, **(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_the_penalty_is_paid_id_by_id_and_in_total(make_policy: MakePolicy, estimator: str) -> None:
    policy, reference = make_policy(0), make_policy(1)
    before = rollouts(policy, parts={"rm": np.array([1.0, 0.5])})
    after = KLPenalty(reference, 0.1, estimator).apply(before)  # type: ignore[arg-type]
    ratios = log_ratios(before.transcripts, reference)
    expected = [-0.1 * estimate_kl(r, estimator) for r in ratios]  # type: ignore[arg-type]
    assert after.token_rewards is not None
    for paid, penalty, reward in zip(after.token_rewards, expected, before.rewards, strict=True):
        np.testing.assert_allclose(paid[:-1], penalty[:-1])
        np.testing.assert_allclose(paid[-1], penalty[-1] + reward)  # the outcome's place
    sums = np.array([penalty.sum() for penalty in expected])
    np.testing.assert_allclose(after.rewards, before.rewards + sums)
    np.testing.assert_allclose(after.parts["kl_penalty"], sums)
    assert after.parts["rm"].tolist() == [1.0, 0.5]


def with_chances(policy: LanguagePolicy, temperature: float) -> list[Transcript]:
    """Transcripts as a policy would have sampled them at a temperature."""
    made = [written(70, 71, 257), with_a_reply()]
    return [t.with_logprobs(logprobs_by_hand(policy, t, temperature).tolist()) for t in made]


@pytest.mark.parametrize("is_given", [True, False])
def test_the_distance_is_that_of_both_policies_at_the_temperature_of_sampling(
    make_policy: MakePolicy, is_given: bool
) -> None:
    policy, reference = make_policy(0), make_policy(1)
    made = with_chances(policy, 0.5)
    expected = [
        float((logprobs_by_hand(policy, t, 0.5) - logprobs_by_hand(reference, t, 0.5)).sum())
        for t in made
    ]
    given = policy if is_given else None
    found = sequence_kl(made, reference, given, temperature=0.5)
    np.testing.assert_allclose(found.k1, expected, atol=1e-4)


def test_the_penalty_is_taken_at_the_temperature_that_rollouts_tell(
    make_policy: MakePolicy,
) -> None:
    policy, reference = make_policy(0), make_policy(1)
    batch = rollouts(policy, temperature=0.5)
    batch.transcripts[:] = with_chances(policy, 0.5)
    expected = -0.1 * sequence_kl(batch.transcripts, reference, temperature=0.5).k1
    for penalty in (KLPenalty(reference, 0.1), KLPenalty(reference, 0.1, temperature=0.5)):
        np.testing.assert_allclose(penalty.apply(batch).parts["kl_penalty"], expected)
    with pytest.raises(LmgymError, match=r"sampled at temperature 0\.5.*given temperature=1\.0"):
        KLPenalty(reference, 0.1, temperature=1.0).apply(batch)


def test_the_penalty_is_added_to_token_rewards_and_changes_no_input(
    make_policy: MakePolicy,
) -> None:
    policy, reference = make_policy(0), make_policy(1)
    paid = [np.array([0.25, 0.5, 0.25]), np.full(5, 0.1)]
    before = rollouts(policy, token_rewards=[row.copy() for row in paid])
    after = KLPenalty(reference, 0.1).apply(before)
    first = log_ratios(before.transcripts, reference)[0]
    assert after.token_rewards is not None
    np.testing.assert_allclose(after.token_rewards[0], paid[0] - 0.1 * first)
    np.testing.assert_allclose([row.sum() for row in after.token_rewards], after.rewards)
    assert before.rewards.tolist() == [1.0, 0.5]
    assert before.token_rewards is not None
    assert before.token_rewards[0].tolist() == paid[0].tolist()


def test_the_penalty_takes_the_policy_where_the_sampler_recorded_nothing(
    make_policy: MakePolicy,
) -> None:
    policy, reference = make_policy(0), make_policy(1)
    batch = rollouts(policy)
    silent = rollouts(policy)
    silent.transcripts[:] = [written(70, 71, 257), with_a_reply()]
    recorded = KLPenalty(reference, 0.1).apply(batch).rewards
    np.testing.assert_allclose(KLPenalty(reference, 0.1).apply(silent, policy).rewards, recorded)
    with pytest.raises(LmgymError, match=r"'t' has no log-probabilities.*give the policy"):
        KLPenalty(reference, 0.1).apply(silent)


def test_transcripts_of_strings_are_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(LmgymError, match="made from strings"):
        sequence_kl([Transcript.from_strings("1+1=", "2")], make_policy(0))


def test_ids_of_another_tokenizer_are_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(LmgymError, match=r"id 5000.*share a tokenizer"):
        drawn_logprobs(make_policy(0), [written(5000)])


def test_a_temperature_of_zero_is_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(LmgymError, match="temperature=0"):
        sequence_kl([written(70)], make_policy(0), make_policy(1), temperature=0)


@pytest.mark.parametrize("beta", [-0.1, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(make_policy: MakePolicy, beta: float) -> None:
    with pytest.raises(LmgymError, match="beta="):
        KLPenalty(make_policy(0), beta)


def test_an_unknown_estimator_is_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(LmgymError, match="unknown estimator 'k4'; known: k1"):
        KLPenalty(make_policy(0), 0.1, "k4")  # type: ignore[arg-type]
