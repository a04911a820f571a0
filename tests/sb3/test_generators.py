"""Global generators are lent and given back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from lmgym.sb3.generators import seeded_globals


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_what_is_drawn_inside_depends_on_the_seed_alone() -> None:
    with seeded_globals(5):
        first = draw()
    draw()
    with seeded_globals(5):
        again = draw()
    with seeded_globals(6):
        other = draw()
    assert first == again
    assert not set(first) & set(other)


def leave_with_an_error() -> None:
    with seeded_globals(1):
        draw()
        raise KeyError


def test_nobody_outside_notices_even_after_an_error() -> None:
    with seeded_globals(0):
        expected = [draw(), draw()]
    with seeded_globals(0):
        found = [draw()]
        with pytest.raises(KeyError):
            leave_with_an_error()
        found.append(draw())
    assert found == expected
