"""Importance weights where sampler and trainer differ, by hand."""

import math

import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.policy_gradients.corrections import Correction, importance_weights

OLD = [[-1.0, -0.5, 9.0], [-2.0, -0.1, -0.3]]
DRAWN = [[-2.5, -0.5, -7.0], [-0.5, -0.1, -0.2]]
MASK = [[1, 1, 0], [1, 1, 1]]
FLOOR, CAP = 0.3, 3.0


def wanted(kind: str) -> list[list[float]]:
    rows = []
    for old, drawn, mask in zip(OLD, DRAWN, MASK, strict=True):
        apart = [a - b if m else 0.0 for a, b, m in zip(old, drawn, mask, strict=True)]
        if kind.startswith("sequence"):
            apart = [sum(apart)] * 3
        weights = [math.exp(value) for value in apart]
        if kind.endswith("truncate"):
            weights = [min(w, CAP) for w in weights]
        else:
            weights = [w if FLOOR <= w <= CAP else 0.0 for w in weights]
        rows.append([w if m else 1.0 for w, m in zip(weights, mask, strict=True)])
    return rows


@pytest.mark.parametrize(
    "kind", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
)
def test_weights_are_those_of_the_formulas(kind: Correction) -> None:
    found = importance_weights(
        torch.tensor(OLD), torch.tensor(DRAWN), torch.tensor(MASK), kind, floor=FLOOR, cap=CAP
    )
    torch.testing.assert_close(found, torch.tensor(wanted(kind)))
    assert {float(w) for w in found.flatten()} != {1.0}


def test_none_leaves_everything_at_one() -> None:
    found = importance_weights(torch.tensor(OLD), torch.tensor(DRAWN), torch.tensor(MASK), "none")
    assert (found == 1).all()


def test_the_mean_under_the_sampler_becomes_that_under_the_trainer() -> None:
    sampler, trainer = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.4, 0.2])
    weights = importance_weights(trainer.log()[:, None], sampler.log()[:, None], torch.ones(3, 1))
    gains = torch.tensor([1.0, -2.0, 5.0])
    torch.testing.assert_close((sampler * weights[:, 0] * gains).sum(), (trainer * gains).sum())


def test_strange_limits_and_names_are_told() -> None:
    one = torch.ones(1, 1)
    with pytest.raises(LmgymError, match="floor"):
        importance_weights(one, one, one, floor=4.0)
    with pytest.raises(LmgymError, match="unknown correction 'tis'"):
        importance_weights(one, one, one, "tis")  # type: ignore[arg-type]
