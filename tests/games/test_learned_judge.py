"""The judge that has learned: what it reads, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.envs.debate import debate_v0
from lmgym.envs.debate.judges import find_judge, question_of
from lmgym.envs.debate.learned_judge import (
    FitJudgeArgs,
    LearnedJudge,
    fit_judge,
    load_judge,
    random_hearings,
)
from lmgym.envs.debate.rules import Debate, DebateArgs, Position
from lmgym.errors import LmgymError
from lmgym.games.reader_network import draw_weights
from lmgym.preferences.pairs import Trial
from lmgym.reward_models import FitArgs, fit_reward_model

GAME = Debate()


def drawn() -> LearnedJudge:
    judge = LearnedJudge()
    draw_weights(judge, torch.Generator().manual_seed(0))
    return judge.requires_grad_(False)


def hearings(n: int, seed: int = 0, split: str = "train") -> list[Position]:
    return random_hearings(GAME, n, np.random.default_rng(seed), split)


class TestReading:
    def test_what_was_not_said_is_not_seen(self) -> None:
        (one,) = hearings(1)
        document = one.document
        told = tuple(
            sentence if place in one.quotes else "Nobody knows anything."
            for place, sentence in enumerate(document.sentences)
        )
        other = replace(document, targets=document.targets[::-1], is_true=not document.is_true)
        other.__dict__["_written"] = (document.claim, told)
        same = one._replace(document=other)
        assert same.as_text() == one.as_text()
        assert torch.equal(drawn()([one]), drawn()([same]))

    def test_words_beside_the_quotes_are_read(self) -> None:
        start = hearings(1)[0]._replace(quotes=(), messages=())
        sentence = start.document.sentences[0]
        plain = GAME.tell(start, f'"{sentence}"')
        urged = GAME.tell(start, f'Believe me: "{sentence}"')
        assert drawn()([plain]) != drawn()([urged])

    def test_quotes_by_number_are_read_out(self) -> None:
        start = hearings(1)[0]._replace(quotes=(), messages=())
        assert drawn()([GAME.tell(start, "[2]")]) != drawn()([GAME.tell(start, "[3]")])

    def test_hearings_are_judged_alike_alone_and_together(self) -> None:
        some, judge = hearings(3), drawn()
        alone = torch.cat([judge([one]) for one in some])
        torch.testing.assert_close(judge(some), alone)

    def test_nothing_said_is_a_hearing_too(self) -> None:
        start = hearings(1)[0]._replace(quotes=(), messages=())
        assert drawn().accepts(start) in (True, False)


class TestNames:
    def test_a_saved_judge_decides_as_before(self, tmp_path: Path) -> None:
        drawn().save(tmp_path)
        some = hearings(4)
        assert torch.equal(load_judge(tmp_path)(some), drawn()(some))

    def test_debates_are_held_before_a_judge_from_a_directory(self, tmp_path: Path) -> None:
        drawn().save(tmp_path)
        env = debate_v0.env(judge=f"learned:{tmp_path}")
        env.reset(seed=1)
        told: dict[str, Any] = {}
        for _ in env.agent_iter():
            observation, _, ends, stops, told = env.last()
            assert isinstance(observation, dict)
            legal = np.flatnonzero(observation["action_mask"])
            env.step(None if ends or stops else int(legal[0]))
        assert {"judge_accepts", "is_true", "judge_correct"} <= set(told)

    def test_other_directories_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(LmgymError, match="does not exist; the directory is incomplete"):
            find_judge(f"learned:{tmp_path}")

    def test_a_reward_model_of_hearings_is_a_judge(self) -> None:
        trials = [Trial.of(question_of(h), "Yes", h.document.is_true) for h in hearings(60)]
        args = FitArgs(objective="classification", inputs="conversation", components=8)
        game = Debate(DebateArgs(judge=fit_reward_model(trials, args)))  # type: ignore[arg-type]
        verdicts = {game.accepts(hearing) for hearing in hearings(40, seed=1)}
        assert verdicts == {True, False}


class TestLearning:
    @pytest.mark.parametrize("change", [{"hearings": 0}, {"lr": 0.0}, {"target": "votes"}])
    def test_arguments_are_checked(self, change: dict[str, object]) -> None:
        with pytest.raises(LmgymError):
            FitJudgeArgs(**change)  # type: ignore[arg-type]

    def test_the_same_seed_gives_the_same_judge(self) -> None:
        args = FitJudgeArgs(hearings=64, epochs=1, batch_size=32)
        one, other = fit_judge(GAME, args).state_dict(), fit_judge(GAME, args).state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)

    @pytest.mark.slow
    @pytest.mark.learning
    def test_hearings_teach_what_the_grounded_judge_says(self) -> None:
        game = Debate(DebateArgs(sentences=5, distractors=2, depth=2, quotes=1, phrasings=1))
        judge = fit_judge(game, FitJudgeArgs(hearings=3000, target="verdict", epochs=3))
        heard = random_hearings(game, 400, np.random.default_rng(1), "test")
        right = [judge.accepts(hearing) == game.accepts(hearing) for hearing in heard]
        assert np.mean(right) > 0.85
