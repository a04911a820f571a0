"""What tests of Stable-Baselines3 share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import lmgym

assert lmgym  # registers the environments


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Models this small lose time to a second thread, and much of it on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
