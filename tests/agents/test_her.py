"""Hindsight: what is asked for may be missed, and something is learned all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import DQN
from stable_baselines3.her import HerReplayBuffer

from lmgym.agents.her import HERArgs, HERGoalArgs, arguments_for, dqn, train
from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_task
from lmgym.policies.loading import load_policy
from lmgym.registry import WORLDS
from lmgym.sb3 import GoalReplayBuffer, MaskedDQN
from lmgym.sb3.goal_training import GoalBench
from lmgym.training.runs import read_metrics

GOAL, TEXT = "lmgym/WebGoal-v0", "lmgym/Web-v0"
ONE_FACT = {"sites": 1, "difficulty": 1}
SMALL = {"test_limit": 2, "validation_limit": 2, "test_samples": 1, "max_tokens": 200}


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "lmgym.json").read_text(encoding="utf-8"))
    return record


def test_the_world_decides_what_learns() -> None:
    assert arguments_for(WORLDS[GOAL]) is HERGoalArgs
    assert arguments_for(WORLDS[TEXT]) is HERArgs


class TestGoals:
    @pytest.mark.learning
    def test_relabelled_goals_teach_what_was_never_reached(self, tmp_path: Path) -> None:
        args = HERGoalArgs(
            out=str(tmp_path / "run"),
            steps=5_000,
            learning_starts=600,
            exploration_steps=2_500,
            target_update_interval=250,
            gradient_steps=8,
            hidden=(64, 64),
            lr=2e-3,
            validate_every=60,
            validation_limit=30,
            test_limit=50,
        )
        record = record_of(train(args, GOAL, ONE_FACT))
        assert record["before"]["greedy"] <= 0.1
        assert record["after"]["greedy"] >= 0.2
        assert record["stopped"] == "5,000 commands are done"
        assert set(record["splits"]) == {"words"}  # one fact makes no pair, so comp is empty
        assert {"path efficiency", "side effects"} <= set(record["after"]["figures"])

    @pytest.mark.parametrize(
        ("relabel", "algorithm", "buffer"),
        [
            ("future_change", MaskedDQN, GoalReplayBuffer),
            ("none", MaskedDQN, None),
            ("future", DQN, HerReplayBuffer),
        ],
    )
    def test_the_parts_can_be_exchanged(
        self, relabel: Any, algorithm: type[DQN], buffer: type[HerReplayBuffer] | None
    ) -> None:
        args = HERGoalArgs(relabel=relabel, num_envs=2, learning_starts=60, buffer_size=200)
        bench = GoalBench(args, GOAL, ONE_FACT)
        parts = {} if buffer is None else {"buffer": buffer}
        learner = dqn(args, bench, algorithm, **parts).learn(120)
        assert type(learner) is algorithm
        assert isinstance(learner.replay_buffer, HerReplayBuffer) == (buffer is not None)
        assert learner._n_updates > 0
        bench.env.close()

    def test_language_models_and_tokens_are_refused(self) -> None:
        with pytest.raises(LmgymError, match="model='embedded': on goal worlds a small network"):
            HERGoalArgs(model="embedded")
        with pytest.raises(LmgymError, match="context=64: goal worlds have no tokens"):
            HERGoalArgs(context=64)


class TestText:
    def run(self, folder: Path, **changed: Any) -> Path:
        words: dict[str, Any] = {
            "out": str(folder),
            "explore_episodes": 150,
            "play_every": 20,
            "play_episodes": 4,
            "hidden_size": 32,
            "n_layers": 1,
            "warmup": 0,
            "reading": 0.0,
            "vocabulary": 512,
            "updates": 60,
            **SMALL,
        }
        return train(HERArgs(**words | changed), TEXT, ONE_FACT)

    @pytest.mark.learning
    def test_a_new_policy_learns_from_what_random_commands_reached(self, tmp_path: Path) -> None:
        folder = self.run(tmp_path / "run")
        rows = [row for row in read_metrics(folder) if "loss" in row]
        assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
        assert rows[0]["examples"] > 100
        assert next(i for i, row in enumerate(rows) if "accuracy" in row) == 20  # it has played
        assert set(record_of(folder)["splits"]) == {"words", "site"}

    @pytest.mark.learning
    def test_the_saved_policy_plays_with_the_tokenizer_it_learned(self, tmp_path: Path) -> None:
        policy = load_policy(str(self.run(tmp_path / "run", updates=3) / "best"))
        task = make_task(TEXT, **ONE_FACT)
        assert 256 < policy.renderer.vocab_size <= 512
        assert episode_of(task, policy.renderer).task is task
        again = self.run(tmp_path / "again", updates=3, model=str(tmp_path / "run" / "best"))
        assert record_of(again)["status"] == "finished"

    def test_without_relabelling_and_success_there_is_nothing_to_learn(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(LmgymError, match="no example in 1 episodes; give --explore-episodes"):
            self.run(tmp_path / "run", relabel="none", explore_episodes=1)

    def test_worlds_that_cannot_be_told_again_are_refused(self) -> None:
        with pytest.raises(LmgymError, match="lmgym/Copy-v0 cannot tell its episodes again"):
            train(HERArgs(), "lmgym/Copy-v0", {})
        with pytest.raises(LmgymError, match="teaches one page at a time"):
            train(HERArgs(), TEXT, {"history": True})
