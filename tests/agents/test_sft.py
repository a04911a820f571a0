"""Supervised fine-tuning: it imitates demonstrations, and its control imitates itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from lmgym.agents.embedded import new_policy
from lmgym.agents.sft import SFTArgs, supervised_step, train
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.rollouts import demonstrations
from lmgym.training.runs import read_metrics


def test_the_loss_is_the_mean_over_the_ids_the_agent_wrote() -> None:
    policy = new_policy(16, 1, 0)
    episodes = demonstrations(
        make_task("lmgym/GuessNumber-v0"), policy.renderer, np.random.default_rng(0), 3
    )
    losses = []
    for episode in episodes:
        segment = episode.segments[0]
        ids = torch.tensor([segment.ids])
        with torch.no_grad():
            logits = policy.model(ids).logits[0, :-1].log_softmax(-1)
        losses += [
            -float(logits[t, segment.ids[t + 1]])
            for t in range(len(segment.ids) - 1)
            if segment.loss_mask[t + 1]
        ]
    optimizer = torch.optim.SGD(policy.model.parameters(), 0.0)
    assert supervised_step(policy, optimizer, episodes) == pytest.approx(np.mean(losses), rel=1e-5)


def test_micro_batches_give_the_same_loss() -> None:
    policy = new_policy(16, 1, 0)
    episodes = demonstrations(
        make_task("lmgym/GuessNumber-v0"), policy.renderer, np.random.default_rng(0), 6
    )
    optimizer = torch.optim.SGD(policy.model.parameters(), 0.0)
    whole = supervised_step(policy, optimizer, episodes)
    assert supervised_step(policy, optimizer, episodes, micro_tokens=200) == pytest.approx(whole)


@pytest.mark.learning
@pytest.mark.parametrize("source", ["demonstrations", "samples"])
def test_demonstrations_lower_the_loss_and_samples_change_no_answer(
    source: str, tmp_path: Path
) -> None:
    new_policy(32, 1, 0).save(tmp_path / "policy")
    args = SFTArgs(
        model=str(tmp_path / "policy"),
        out=str(tmp_path / "run"),
        source="samples" if source == "samples" else "demonstrations",
        batch_size=32,
        updates=40,
        lr=1e-2,
        test_limit=8,
        validation_limit=8,
    )
    *rows, _ = read_metrics(train(args, "lmgym/Math-v0", {}))  # the last is a validation
    if source == "demonstrations":
        assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    else:
        assert rows[-1]["accuracy"] == 0.0


def test_a_world_without_demonstrations_is_refused() -> None:
    task = make_task("lmgym/Math-v0")
    task.demonstrate = lambda state: None  # type: ignore[method-assign]
    policy = new_policy(16, 1, 0)
    with pytest.raises(LmgymError, match="shows no demonstrations"):
        demonstrations(task, policy.renderer, np.random.default_rng(0), 1)


def test_problems_without_a_demonstration_are_passed_over() -> None:
    task = make_task("lmgym/Math-v0")
    shown, asked = task.demonstrate, itertools.count()
    task.demonstrate = lambda state: shown(state) if next(asked) % 5 == 4 else None  # type: ignore[method-assign]
    played = demonstrations(task, new_policy(16, 1, 0).renderer, np.random.default_rng(0), 3)
    assert [t.verdict for t in played] == ["correct"] * 3
    assert next(asked) == 15


def test_a_world_without_demonstrations_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"Greet guest {n}." for n in range(60)), encoding="utf-8")
    args = SFTArgs(out=str(tmp_path / "run"))
    with pytest.raises(LmgymError, match="shows no demonstrations"):
        train(args, "lmgym/Preference-v0", {"prompts": str(prompts)})
    assert not (tmp_path / "run").exists()
