"""The copy world."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.task import Verdict

RNG = np.random.default_rng


@pytest.mark.parametrize("length", [1, 4, 13, 14, 64])
def test_texts_have_their_length(length: int) -> None:
    task = make_task("lmgym/Copy-v0", length=length)
    for seed in range(20):
        text = task.reset(RNG(seed)).gold
        assert text is not None
        assert len(text) == length
        assert text.isalpha()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("{}", "correct"), ("{} ", "incorrect"), ("", "incorrect"), ("{}{}", "incorrect")],
)
def test_only_the_same_text_is_right(said: str, verdict: str) -> None:
    task = make_task("lmgym/Copy-v0")
    state = task.reset(RNG(0)).state
    assert task.reply(state, said.replace("{}", state), RNG(0)).verdict == Verdict(verdict)


def test_all_letters_are_drawn_alike() -> None:
    task = make_task("lmgym/Copy-v0", length=64)
    text = "".join(str(task.reset(RNG(seed)).gold) for seed in range(200))
    counts = [text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert sum(counts) == 12_800
    assert min(counts) > 0.75 * 12_800 / 26
    assert max(counts) < 1.25 * 12_800 / 26


def test_the_alphabet_is_divided_among_the_splits() -> None:
    task = make_task("lmgym/Copy-v0", length=1)
    ids = {split: task.task_ids(split, 100) for split in task.splits}
    assert sum(map(len, ids.values())) == 26
    assert all(ids.values())


@pytest.mark.parametrize("length", [0, 65])
def test_lengths_out_of_range_are_refused(length: int) -> None:
    with pytest.raises(LmgymError, match=f"length {length} is out of range; allowed are 1 to 64"):
        make_task("lmgym/Copy-v0", length=length)


@pytest.mark.parametrize(
    "task_id", ["copy", "copy/4", "copy/5/1", "copy/4/x", "copy/4/" + "1" * 21]
)
def test_unknown_addresses_are_told_with_an_example(task_id: str) -> None:
    with pytest.raises(LmgymError, match="it has the form copy/4/index, as 'copy/4/"):
        make_task("lmgym/Copy-v0").reset(RNG(0), task_id=task_id)
