"""Advantages of single tokens against plain loops, holes of the world's words included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policy_gradients.agent_tokens import AgentTokens
from lmgym.policy_gradients.returns import generalized_advantages, returns_to_go, whiten
from lmgym.training.batches import Batch

# Two episodes: one of two segments with a hole in the first, one of a single segment.
MASKS = [[0, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0]]
TRANSCRIPT = [0, 0, 1]


def batch() -> Batch:
    ids = torch.arange(21).reshape(3, 7)
    mask = torch.tensor(MASKS, dtype=torch.float32)
    return Batch(ids, torch.ones_like(ids), mask, torch.zeros(3, 7), torch.tensor(TRANSCRIPT))


def drawn(values: Tensor, episode: int) -> list[float]:
    """Values of the targets of an episode's drawn ids, by plain loops."""
    found = []
    for row in range(3):
        for column in range(1, 7):
            if TRANSCRIPT[row] == episode and MASKS[row][column]:
                found.append(float(values[row, column - 1]))
    return found


def gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """By the definition: sums of discounted temporal differences."""
    values = [*values, 0.0]
    deltas = [r + gamma * values[t + 1] - values[t] for t, r in enumerate(rewards)]
    return [
        sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas)))
        for t in range(len(deltas))
    ]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8), (1.0, 0.0)])
def test_gae_skips_what_the_agent_did_not_write(gamma: float, lam: float) -> None:
    tokens = AgentTokens.of(batch())
    rng = torch.Generator().manual_seed(0)
    rewards, values = torch.rand(3, 6, generator=rng), torch.rand(3, 6, generator=rng)
    advantages, returns = generalized_advantages(
        tokens.gather(rewards), tokens.gather(values), tokens.mask, gamma=gamma, lam=lam
    )
    placed = tokens.scatter(advantages, values)
    for episode in (0, 1):
        wanted = gae(drawn(rewards, episode), drawn(values, episode), gamma, lam)
        assert drawn(placed, episode) == pytest.approx(wanted, abs=1e-6)
        targets = [a + v for a, v in zip(wanted, drawn(values, episode), strict=True)]
        assert drawn(tokens.scatter(returns, values), episode) == pytest.approx(targets, abs=1e-6)
    assert (placed[torch.tensor(MASKS)[:, 1:] == 0] == 0).all()


def test_gae_equals_the_masked_recursion_of_trainers() -> None:
    """The recursion over a row with holes, as trainers of multi-turn agents write it."""
    rng = torch.Generator().manual_seed(1)
    rewards, values = torch.rand(3, 6, generator=rng), torch.rand(3, 6, generator=rng)
    tokens = AgentTokens.of(batch())
    found, _ = generalized_advantages(
        tokens.gather(rewards), tokens.gather(values), tokens.mask, gamma=0.95, lam=0.9
    )
    row, later, following = 2, 0.0, 0.0
    wanted = []
    for t in range(5, -1, -1):
        m = MASKS[row][t + 1]
        delta = float(rewards[row, t]) + 0.95 * following - float(values[row, t])
        later = delta + 0.95 * 0.9 * later if m else later
        following = float(values[row, t]) if m else following
        wanted.append(later if m else 0.0)
    got = tokens.scatter(found, values)[row].tolist()
    assert got == pytest.approx(wanted[::-1], abs=1e-6)


def test_returns_discount_by_the_tokens_of_the_agent_alone() -> None:
    tokens = AgentTokens.of(batch())
    rewards = tokens.rewards([np.array([0.0, 0.0, 0.0, 0.0, 1.0]), np.array([0.0, 2.0, 0.0, 1.0])])
    found = returns_to_go(rewards, tokens.mask, gamma=0.5)
    assert found[0].tolist() == pytest.approx([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
    assert found[1].tolist() == pytest.approx([1.125, 2.25, 0.5, 1.0, 0.0])


def test_turns_are_runs_of_the_agents_ids() -> None:
    tokens = AgentTokens.of(batch())
    assert tokens.turns[0].tolist() == [0, 0, 1, 2, 2]
    assert tokens.turns[1].tolist() == [0, 0, 0, 0, 0]
    assert tokens.mask[1].tolist() == [True, True, True, True, False]


def test_whitening_has_mean_0_and_unbiased_variance_1_over_the_mask() -> None:
    values = torch.rand(3, 6, generator=torch.Generator().manual_seed(2)) * 7
    mask = torch.tensor(MASKS)[:, 1:]
    found = whiten(values, mask)
    kept = found[mask == 1]
    assert float(kept.mean()) == pytest.approx(0, abs=1e-6)
    assert float(kept.var()) == pytest.approx(1, abs=1e-5)
    assert (found[mask == 0] == 0).all()


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [0.1, 0.1, 0.1]])
def test_equal_values_whiten_to_exactly_nothing(values: list[float]) -> None:
    assert (whiten(torch.tensor(values), torch.ones(3)) == 0).all()


@pytest.mark.parametrize("options", [{"gamma": 1.1}, {"lam": -0.1}])
def test_discounts_out_of_range_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(LmgymError, match="0 to 1"):
        generalized_advantages(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1), **options)
