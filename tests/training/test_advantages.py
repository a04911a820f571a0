import math

import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.training.advantages import Scale, group_advantages, rloo_advantages

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
