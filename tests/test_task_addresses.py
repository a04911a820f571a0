"""Problems by address: the same in every process, and in one split only."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.addresses import mix, split_of
from lmgym.factory import make_task
from lmgym.registry import WORLDS

IDS = [world for world in WORLDS if world.startswith("lmgym/")]
_LIST = """
from lmgym.factory import make_task
from lmgym.registry import WORLDS
for world in WORLDS:
    for split in ("train", "validation", "test"):
        print(world, split, *make_task(world).task_ids(split, 20))
"""


def test_mixing_is_fixed() -> None:
    assert [mix(i) for i in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


@given(st.integers(0, 2**64 - 1))
def test_mixing_stays_within_64_bits(value: int) -> None:
    assert 0 <= mix(value) < 2**64


def test_every_tenth_problem_is_for_validation_and_for_test() -> None:
    counts = Counter(split_of(f"{i}+{i + 1}") for i in range(20_000))
    assert counts["test"] == pytest.approx(2000, rel=0.1)
    assert counts["validation"] == pytest.approx(2000, rel=0.1)


@given(st.text())
def test_any_text_has_a_split(text: str) -> None:
    assert split_of(text) == split_of(text)


def test_addresses_are_the_same_in_every_process() -> None:
    listed = set()
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", _LIST],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        listed.add(done.stdout)
    (lines,) = listed
    for line in lines.splitlines():
        world, split, *ids = line.split()
        assert make_task(world).task_ids(split, 20) == ids


@pytest.mark.parametrize("world", IDS)
def test_drawing_uses_the_generator_that_is_handed_in_only(world: str) -> None:
    task = make_task(world)
    drawn = [[task.reset(np.random.default_rng(s)) for s in range(10)] for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("world", IDS)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_limit_of_nothing_lists_nothing(world: str, split: str) -> None:
    assert make_task(world).task_ids(split, 0) == []
