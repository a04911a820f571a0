"""The claim about copied `done` flags: its world, and a small run from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env

Script = Callable[[str], Any]


def test_forms_change_until_they_are_closed(script: Script) -> None:
    form = script("claims.done_relabelling").Form(4)
    check_env(form)
    first, _ = form.reset(seed=1)
    turned = form.step(2)[0]["observation"]
    assert np.flatnonzero(turned != first["observation"]).tolist() == [2]
    form.step(4)
    assert form.step(1)[0]["achieved_goal"].tolist() == turned[:4].tolist()


@pytest.mark.parametrize(("before", "once"), [(0.0, 1.0), (-1.0, 0.0)])
def test_the_goal_ends_an_episode_and_is_paid_as_it_is_computed(
    script: Script, before: float, once: float
) -> None:
    form = script("claims.done_relabelling").Form(4, before)
    observation, _ = form.reset(seed=0)
    wrong = np.flatnonzero(observation["achieved_goal"] != observation["desired_goal"])
    steps = [form.step(place) for place in wrong.tolist()]
    assert [reward for _, reward, *_ in steps] == [before] * (len(wrong) - 1) + [once]
    assert [is_over for _, _, is_over, _, _ in steps] == [False] * (len(wrong) - 1) + [True]


@pytest.mark.learning
@pytest.mark.slow
def test_a_small_run_writes_its_outcomes(script: Script, tmp_path: Path) -> None:
    out = tmp_path / "done.json"
    words = ["--seeds", "2", "--steps", "1200", "--switches", "3", "--out", str(out)]
    benchmark = script("claims.done_relabelling")
    benchmark.main(words)
    written = json.loads(out.read_text())
    assert list(written["outcomes"]) == list(benchmark.ARMS)
    ours, theirs = (written["outcomes"][name] for name in (benchmark.OURS, benchmark.THEIRS))
    assert max(o["value"] for o in ours) < min(o["value"] for o in theirs)
