"""KL terms of a loss: values, and the gradients that make them differ."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.policy_gradients.kl_terms import KLKind, kl_terms
from lmgym.rewards.kl import estimate_kl

LOGP, REFERENCE = [-0.2, -1.5, -0.9], [-0.7, -0.4, -0.9]


def by_hand(kind: str, logp: float, reference: float) -> tuple[float, float]:
    """Value and derivative in logp."""
    r = reference - logp
    if kind == "k1":
        return -r, 1.0
    if kind == "k2":
        return r * r / 2, -r
    return math.exp(r) - r - 1, -r if kind == "k3+" else 1 - math.exp(r)


@pytest.mark.parametrize("kind", get_args(KLKind))
def test_values_and_gradients_are_those_of_the_formulas(kind: KLKind) -> None:
    leaf = torch.tensor(LOGP, dtype=torch.float64, requires_grad=True)
    terms = kl_terms(leaf, torch.tensor(REFERENCE, dtype=torch.float64), kind)
    (gradient,) = torch.autograd.grad(terms.sum(), leaf)
    wanted = [by_hand(kind, *pair) for pair in zip(LOGP, REFERENCE, strict=True)]
    assert terms.tolist() == pytest.approx([value for value, _ in wanted])
    assert gradient.tolist() == pytest.approx([slope for _, slope in wanted])


def test_k1_and_k3_estimate_the_divergence_without_bias() -> None:
    policy = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    reference = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
    divergence = float((policy * (policy / reference).log()).sum())
    for kind in ("k1", "k3"):
        mean = (policy * kl_terms(policy.log(), reference.log(), kind)).sum()
        assert float(mean) == pytest.approx(divergence)


@pytest.mark.parametrize("kind", ["k2", "k3+"])
def test_k2_and_k3_plus_have_the_gradient_of_the_divergence(kind: KLKind) -> None:
    logits = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64).log()
    logp = logits.log_softmax(0)
    drawn = logp.exp().detach()
    (mean,) = torch.autograd.grad((drawn * kl_terms(logp, reference, kind)).sum(), logits)
    logp = logits.log_softmax(0)
    (exact,) = torch.autograd.grad((logp.exp() * (logp - reference)).sum(), logits)
    torch.testing.assert_close(mean, exact)


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_penalties_in_the_reward_are_estimated_alike(kind: Any) -> None:
    """The estimators of rollouts, which know no torch, take log pi - log ref."""
    apart = np.array(LOGP) - np.array(REFERENCE)
    terms = kl_terms(torch.tensor(LOGP), torch.tensor(REFERENCE), kind)
    assert estimate_kl(apart, kind) == pytest.approx(terms.tolist(), abs=1e-6)


def test_an_unknown_estimator_is_told() -> None:
    with pytest.raises(LmgymError, match=r"unknown KL estimator 'k4'.*k3\+"):
        kl_terms(torch.zeros(1), torch.zeros(1), "k4")  # type: ignore[arg-type]
