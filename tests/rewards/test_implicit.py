from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.factory import make_env, make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rewards.implicit import DPOImplicitReward, load_dpo_reward
from lmgym.rewards.source import RewardLevel, RewardSource
from lmgym.rollouts import RolloutCollector
from lmgym.task import Message, Role
from lmgym.transcript import Segment, Transcript

MakePolicy = Callable[[int], LanguagePolicy]
PROMPT = (259, 49, 257, 260)


def written(*ids: int) -> Transcript:
    mask = (0,) * len(PROMPT) + (1,) * len(ids)
    return Transcript((), (Segment((*PROMPT, *ids), mask, mask, len(PROMPT), ()),), task_id="t")


def log_ratio_by_hand(
    policy: LanguagePolicy,
    reference: LanguagePolicy,
    ids: list[int],
    first: int,
    temperature: float = 1.0,
) -> list[float]:
    tables = []
    for model in (policy.model, reference.model):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].double() / temperature
            tables.append(torch.log_softmax(logits, -1))
    ours, theirs = tables
    return [(ours - theirs)[i - 1, ids[i]].item() for i in range(first, len(ids))]


def test_the_reward_is_beta_times_the_log_ratio(make_policy: MakePolicy) -> None:
    policy, reference = make_policy(0), make_policy(1)
    reward = DPOImplicitReward(policy, reference, beta=0.3)
    found = reward.score([written(70, 71, 257), written(72)])
    expected = [
        0.3 * sum(log_ratio_by_hand(policy, reference, [*PROMPT, *ids], len(PROMPT)))
        for ids in ([70, 71, 257], [72])
    ]
    assert found.outcome.tolist() == pytest.approx(expected, abs=1e-5)
    assert found.parts["dpo"] is found.outcome


def test_both_policies_are_read_at_the_temperature(make_policy: MakePolicy) -> None:
    policy, reference = make_policy(0), make_policy(1)
    found = DPOImplicitReward(policy, reference, 1.0, temperature=0.5).score([written(70, 257)])
    ratios = log_ratio_by_hand(policy, reference, [*PROMPT, 70, 257], len(PROMPT), 0.5)
    assert found.outcome.tolist() == pytest.approx([sum(ratios)], abs=1e-4)


def test_token_rewards_sum_to_the_outcome(make_policy: MakePolicy) -> None:
    policy, reference = make_policy(0), make_policy(1)
    transcripts = [written(70, 71, 257), written(72)]
    outcome = DPOImplicitReward(policy, reference).score(transcripts).outcome
    by_token = DPOImplicitReward(policy, reference, level="token").score(transcripts)
    assert by_token.dense is not None
    assert [len(row) for row in by_token.dense] == [3, 1]
    assert by_token.outcome.tolist() == [0.0, 0.0]
    assert [row.sum() for row in by_token.dense] == pytest.approx(outcome.tolist())


def test_strings_are_rendered_by_the_policy_with_the_id_that_ends_the_answer(
    make_policy: MakePolicy,
) -> None:
    policy, reference = make_policy(0), make_policy(1)
    found = DPOImplicitReward(policy, reference, 1.0).score([Transcript.from_strings("1", "23")])
    ids = [259, 49, 257, 260, 50, 51, 257]
    expected = sum(log_ratio_by_hand(policy, reference, ids, 4))
    assert found.outcome.tolist() == pytest.approx([expected], abs=1e-5)


def test_a_score_does_not_depend_on_the_batch(make_policy: MakePolicy) -> None:
    reward = DPOImplicitReward(make_policy(0), make_policy(1))
    alone = reward.score([written(70)]).outcome[0]
    together = reward.score([written(70), written(*range(60, 90))]).outcome[0]
    assert together == pytest.approx(alone, abs=1e-5)


def test_the_difference_is_the_logit_of_dpo(make_policy: MakePolicy) -> None:
    policy, reference = make_policy(0), make_policy(1)
    chosen, rejected = written(70, 257), written(80, 257)
    scores = DPOImplicitReward(policy, reference, beta=0.2).score([chosen, rejected]).outcome
    pi = [sum(log_ratio_by_hand(policy, reference, [*PROMPT, i, 257], 4)) for i in (70, 80)]
    loss = -np.log(1 / (1 + np.exp(-0.2 * (pi[0] - pi[1]))))
    assert -np.log(1 / (1 + np.exp(scores[1] - scores[0]))) == pytest.approx(loss, abs=1e-5)


def test_an_environment_pays_it(make_policy: MakePolicy) -> None:
    reward = DPOImplicitReward(make_policy(0), make_policy(1))
    assert isinstance(reward, RewardSource)
    env = make_env("lmgym/Math-v0", reward=reward)
    env.reset(seed=0)
    _, paid, terminated, _, _ = env.step(257)
    assert terminated
    played = env.get_wrapper_attr("transcript")()
    assert float(paid) == pytest.approx(float(reward.score([played]).outcome[0]))


def test_an_environment_pays_it_id_by_id(make_policy: MakePolicy) -> None:
    policies = make_policy(0), make_policy(1)
    env = make_env("lmgym/Math-v0", reward=DPOImplicitReward(*policies, level="token"))
    env.reset(seed=0)
    steps = [env.step(action) for action in (49, 50, 257)]
    assert [step[2] for step in steps] == [False, False, True]
    played = env.get_wrapper_attr("transcript")()
    dense = DPOImplicitReward(*policies, level="token").score([played]).dense
    assert dense is not None
    assert [float(step[1]) for step in steps] == pytest.approx(dense[0].tolist(), abs=1e-5)


def test_rollouts_carry_it_id_by_id(make_policy: MakePolicy) -> None:
    policies = make_policy(0), make_policy(1)
    source = DPOImplicitReward(*policies, level="token")
    collector = RolloutCollector(policies[0], make_task("lmgym/Math-v0"), source, max_tokens=6)
    generator = torch.Generator().manual_seed(0)
    batch = collector.collect(np.random.default_rng(0), generator, n_groups=3)
    outcome = DPOImplicitReward(*policies).score(batch.transcripts).outcome
    assert batch.token_rewards is not None
    assert [row.sum() for row in batch.token_rewards] == pytest.approx(outcome.tolist(), abs=1e-5)
    assert batch.rewards.tolist() == pytest.approx(outcome.tolist(), abs=1e-5)


def test_the_token_level_needs_ids(make_policy: MakePolicy) -> None:
    reward = DPOImplicitReward(make_policy(0), make_policy(1), level=RewardLevel.TOKEN)
    with pytest.raises(LmgymError, match="made from strings"):
        reward.score([Transcript.from_strings("1+1=", "2")])


def test_a_conversation_without_an_answer_is_refused(make_policy: MakePolicy) -> None:
    question = Transcript((Message(Role.USER, "1+1="),))
    with pytest.raises(LmgymError, match="does not end with an answer"):
        DPOImplicitReward(make_policy(0), make_policy(1)).score([question])


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan")])
def test_a_beta_that_is_none_is_refused(make_policy: MakePolicy, beta: float) -> None:
    with pytest.raises(LmgymError, match="beta="):
        DPOImplicitReward(make_policy(0), make_policy(1), beta)


def test_levels_it_cannot_have_are_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(LmgymError, match="level='turn'"):
        DPOImplicitReward(make_policy(0), make_policy(1), level="turn")


def test_policies_are_loaded_by_name(make_policy: MakePolicy, tmp_path: Path) -> None:
    policy = make_policy(0)
    policy.save(tmp_path / "dpo")
    answer = Transcript.from_strings("1+1=", "2")
    named = load_dpo_reward(f"{tmp_path / 'dpo'}, embedded").score([answer])
    default = load_dpo_reward(str(tmp_path / "dpo")).score([answer])
    assert named.outcome.tolist() == default.outcome.tolist()
    assert named.outcome[0] != 0
    itself = load_dpo_reward(f"{tmp_path / 'dpo'},{tmp_path / 'dpo'}").score([answer])
    assert itself.outcome.tolist() == [0.0]


def test_a_name_without_a_policy_is_refused() -> None:
    with pytest.raises(LmgymError, match="names no policy"):
        load_dpo_reward(",embedded")
