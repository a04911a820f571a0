"""Near misses of generated problems: five of each, and all of them are refused."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.envs.math_problems.distractors import distractors
from lmgym.envs.math_problems.families import FAMILIES
from lmgym.factory import make_task
from lmgym.task import Verdict
from lmgym.verification import verify

N = 12


@pytest.mark.parametrize("family", FAMILIES)
def test_the_near_misses_of_a_problem_are_refused_and_its_gold_is_not(family: str) -> None:
    task = make_task("lmgym/Math-v0", problems=f"{family}/1-9")
    rng = np.random.default_rng(0)
    for opening in task.draw_many(rng, 9 * N):
        assert opening.gold is not None
        wrong = distractors(opening.state)
        assert len(set(wrong)) == 5
        assert task.reply(opening.state, opening.gold, rng).verdict is Verdict.CORRECT
        for text in (*wrong, *(f"It is \\boxed{{{text}}}." for text in wrong)):
            assert task.reply(opening.state, text, rng).verdict is Verdict.INCORRECT, text


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "countdown"])
def test_the_verifier_of_all_mathematics_agrees(family: str) -> None:
    task = make_task("lmgym/Math-v0", problems=f"{family}/1-9")
    for opening in task.draw_many(np.random.default_rng(1), 9):
        assert opening.gold is not None
        assert verify(f"The answer is {opening.gold}.", opening.gold).correct
        assert not any(verify(text, opening.gold).correct for text in distractors(opening.state))
