import math
import statistics

import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.policy_gradients.advantages import (
    Scale,
    group_advantages,
    rloo_advantages,
    summed_advantages,
    turn_advantages,
)

REWARDS = [[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 2.0]]
FIRST_STD = math.sqrt(4 * 0.25 / 3)  # mean 1/2
SECOND_STD = math.sqrt((3 * 0.25 + 1.5**2) / 3)  # mean 1/2
BATCH_STD = math.sqrt((5 * 0.25 + 2 * 0.25 + 1.5**2) / 7)  # mean 1/2


def test_grpo_divides_by_the_unbiased_std_of_the_group() -> None:
    got = group_advantages(torch.tensor(REWARDS), eps=1e-4)
    first = 0.5 / (FIRST_STD + 1e-4)
    second = [-0.5 / (SECOND_STD + 1e-4)] * 3 + [1.5 / (SECOND_STD + 1e-4)]
    want = torch.tensor([[first, -first, -first, first], second])
    torch.testing.assert_close(got, want)


def test_dr_grpo_only_centres() -> None:
    got = group_advantages(torch.tensor(REWARDS), scale="none")
    want = torch.tensor([[0.5, -0.5, -0.5, 0.5], [-0.5, -0.5, -0.5, 1.5]])
    torch.testing.assert_close(got, want)


def test_batch_scale_divides_by_the_std_of_all_rewards() -> None:
    got = group_advantages(torch.tensor(REWARDS), scale="batch", eps=0.0)
    want = torch.tensor([[0.5, -0.5, -0.5, 0.5], [-0.5, -0.5, -0.5, 1.5]]) / BATCH_STD
    torch.testing.assert_close(got, want)


def test_rloo_compares_with_the_others() -> None:
    got = rloo_advantages(torch.tensor([[3.0, 0.0, 1.0]]))
    torch.testing.assert_close(got, torch.tensor([[3 - 0.5, 0 - 2.0, 1 - 1.5]]))


def test_group_ids_in_any_order_equal_rows() -> None:
    flat = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 0.0])
    ids = torch.tensor([7, 7, -3, 7, -3, -3, 7, -3])
    rows = group_advantages(torch.tensor(REWARDS))
    got = group_advantages(flat, ids)
    torch.testing.assert_close(got[ids == 7].sort()[0], rows[0].sort()[0])
    torch.testing.assert_close(got[ids == -3].sort()[0], rows[1].sort()[0])


def test_groups_of_different_size() -> None:
    got = group_advantages(
        torch.tensor([1.0, 0.0, 3.0, 0.0, 0.0]), torch.tensor([0, 0, 1, 1, 1]), scale="none"
    )
    torch.testing.assert_close(got, torch.tensor([0.5, -0.5, 2.0, -1.0, -1.0]))


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_unscored_samples_count_nowhere(scale: Scale) -> None:
    rewards = torch.tensor([[1.0, 0.0, math.nan, 0.0]])
    scored = torch.tensor([[True, True, False, True]])
    got = group_advantages(rewards, scale=scale, scored=scored)
    without = group_advantages(torch.tensor([[1.0, 0.0, 0.0]]), scale=scale)
    torch.testing.assert_close(got[:, [0, 1, 3]], without)
    assert got[0, 2] == 0


def test_rloo_leaves_unscored_samples_out() -> None:
    scored = torch.tensor([[True, True, False]])
    got = rloo_advantages(torch.tensor([[1.0, 0.0, 9.0]]), scored=scored)
    torch.testing.assert_close(got, torch.tensor([[1.0, -1.0, 0.0]]))


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_group_of_one_gets_zero(scale: Scale) -> None:
    rewards, ids = torch.tensor([5.0, 1.0, 0.0]), torch.tensor([0, 1, 1])
    assert group_advantages(rewards, ids, scale=scale)[0] == 0
    assert rloo_advantages(rewards, ids)[0] == 0


def test_a_group_with_one_scored_sample_gets_zero() -> None:
    scored = torch.tensor([[True, False]])
    assert group_advantages(torch.tensor([[1.0, 0.0]]), scored=scored).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_equal_rewards_get_zero(scale: Scale) -> None:
    assert group_advantages(torch.ones(3, 4), scale=scale).abs().max() == 0


def test_integer_rewards_are_read_as_numbers() -> None:
    got = group_advantages(torch.tensor([[1, 0]]), scale="none")
    assert got.tolist() == [[0.5, -0.5]]


def test_no_rewards_give_no_advantages() -> None:
    assert group_advantages(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)


def test_a_reward_that_is_not_finite_shows() -> None:
    got = group_advantages(torch.tensor([[math.nan, 0.0], [1.0, 0.0]]), scale="none")
    assert got[0].isnan().all()
    assert got[1].isfinite().all()


def test_flat_rewards_need_group_ids() -> None:
    with pytest.raises(LmgymError, match=r"shape \(3,\) came with no group_ids"):
        group_advantages(torch.zeros(3))


def test_unknown_scale_is_told() -> None:
    with pytest.raises(LmgymError, match="unknown scale 'std'; known: "):
        group_advantages(torch.zeros(1, 2), scale="std")  # type: ignore[arg-type]


def test_scored_must_have_the_shape_of_rewards() -> None:
    with pytest.raises(LmgymError, match="scored has shape"):
        group_advantages(torch.zeros(2, 2), scored=torch.ones(2, dtype=torch.bool))


@pytest.mark.parametrize("reward", [0.7, 0.9, 1 / 3, 0.1, 1e-3, 123.456])
@pytest.mark.parametrize("size", [2, 3, 6, 7, 8, 10])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_equal_rewards_have_exactly_no_advantage(reward: float, size: int, scale: Scale) -> None:
    rewards = torch.full((4, size), reward)
    assert group_advantages(rewards, scale=scale).tolist() == [[0.0] * size] * 4
    assert rloo_advantages(rewards).tolist() == [[0.0] * size] * 4


def test_parts_are_normalised_one_by_one_before_they_are_summed() -> None:
    """TRL's normalize_then_sum, by plain arithmetic."""
    right = [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    brief = [[-0.01, -0.03, -0.02], [-0.02, -0.02, -0.05]]
    weights = (1.0, 0.5)
    sums: list[float] = []
    for row in range(2):
        normed = []
        for part in (right[row], brief[row]):
            spread = statistics.stdev(part)
            normed.append([(v - statistics.mean(part)) / (spread + 1e-4) for v in part])
        sums += [weights[0] * a + weights[1] * b for a, b in zip(*normed, strict=True)]
    mean, spread = statistics.mean(sums), statistics.stdev(sums)
    wanted = [(value - mean) / (spread + 1e-4) for value in sums]
    parts = list(zip(weights, map(torch.tensor, (right, brief)), strict=True))
    assert summed_advantages(parts).flatten().tolist() == pytest.approx(wanted, abs=1e-5)


def test_a_part_of_small_spread_keeps_its_say_only_where_parts_are_normalised() -> None:
    right = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    brief = torch.tensor([[0.001, 0.0, 0.001, 0.0]])
    together = group_advantages(right + brief)[0]
    apart = summed_advantages([(1.0, right), (1.0, brief)])[0]
    assert abs(together[0] - together[1]) < 0.01
    assert apart[0] - apart[1] > 0.5


def test_unscored_samples_count_in_no_part() -> None:
    part = torch.tensor([[1.0, 0.0, float("nan")]])
    scored = torch.tensor([[True, True, False]])
    found = summed_advantages([(1.0, part), (2.0, part)], scored=scored)
    assert found[0, 2] == 0
    assert found[0, 0] > 0 > found[0, 1]


def test_a_sum_needs_parts() -> None:
    with pytest.raises(LmgymError, match="at least one part"):
        summed_advantages([])


def test_a_turn_is_credited_with_what_it_and_later_turns_are_paid() -> None:
    # Two episodes of one group: turns of 2, 1 and 1 ids; the second ends after two turns.
    turns = torch.tensor([[0, 0, 1, 2], [0, 0, 1, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    rewards = torch.tensor([[0.0, 0.2, 0.0, 1.0], [0.0, 0.0, 0.4, 9.0]])
    found = turn_advantages(rewards, turns, mask, torch.tensor([0, 0]), scale="none")
    # Returns from turn 0 on: 1.2 and 0.4; from turn 1 on: 1.0 and 0.4; turn 2 has no other.
    assert found[0].tolist() == pytest.approx([0.4, 0.4, 0.3, 0.0])
    assert found[1].tolist() == pytest.approx([-0.4, -0.4, -0.3, 0.0])


def test_with_one_turn_credit_by_turns_is_that_of_episodes() -> None:
    rewards = torch.tensor([[0.0, 1.0], [0.5, 0.0], [0.0, 0.25]])
    mask = torch.tensor([[1, 1], [1, 0], [1, 1]])
    groups = torch.tensor([0, 0, 0])
    by_turn = turn_advantages(rewards, torch.zeros(3, 2, dtype=torch.long), mask, groups)
    whole = group_advantages(rewards.sum(1), groups)
    torch.testing.assert_close(by_turn, whole[:, None] * mask)
