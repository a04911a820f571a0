"""`Examination`: how a session measures what it trains, and what it needs to know for that."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.evaluation import Collector, Evaluation, evaluate
from lmgym.rewards.schedule import RewardSchedule
from lmgym.rewards.source import VerdictSource
from lmgym.task import Task, Verdict
from lmgym.training.arguments import LearnerArgs
from lmgym.training.presets import default_batch_size, default_limits
from lmgym.training.progress import TrainingDisplay
from lmgym.training.runs import Interrupt
from lmgym.training.uncertainty import mean_interval

__all__ = ["SHARES", "Examination", "check_splits", "judges"]

SHARES = ("greedy", "pass@1")
"""Figures that are shares of right answers."""
_PROBLEMS = 64


class Examination(ABC):
    """The part of a session that plays episodes of a split and tells what came of them.

    No generator of training is moved by it.
    """

    args: LearnerArgs
    _display: TrainingDisplay
    _interrupt: Interrupt

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        self._display.print(text)

    @property
    @abstractmethod
    def _n_parameters(self) -> int:
        """The size of what is trained, in numbers; an adapter does not count."""

    @property
    @abstractmethod
    def _evaluator(self) -> Collector:
        """Plays the episodes of evaluations."""

    @property
    def _is_sampled(self) -> bool:
        """Whether answers can be drawn, and not only the likeliest taken."""
        return True

    @property
    def _schedule(self) -> RewardSchedule:
        """What learning is paid by."""
        return RewardSchedule(None)

    @property
    def _is_judged(self) -> bool:
        """Whether the world says which answers are right."""
        return True

    @property
    def _is_paid_by_more(self) -> bool:
        """Whether learning is paid something other than verdicts."""
        source = self._schedule.source
        return source is not None and not isinstance(source, VerdictSource)

    @property
    def _validation_split(self) -> str:
        """What checkpoints are chosen by."""
        return "validation"

    def _figures_of(self, found: Evaluation) -> dict[str, Any]:
        """The figures of an evaluation, and what its greedy answers are paid besides verdicts."""
        figures = found.as_dict()
        if not self._is_judged:
            figures = {k: v for k, v in figures.items() if not k.startswith(SHARES)}
        if self._is_paid_by_more:
            payments = self._schedule.pay(found.transcripts)
            rewards = [payment.reward for payment in payments if payment.is_scored]
            if rewards:
                mean = mean_interval(rewards)
                figures |= {"reward": mean.mean, "unscored": 1 - len(rewards) / len(payments)}
                if math.isfinite(mean.low):
                    figures["reward_interval"] = [mean.low, mean.high]
        return figures

    def _evaluate(self, split: str) -> Evaluation:
        is_test = split == "test"
        return self._measure(split, *self._limits(is_test), is_shown=is_test)

    def _measure(self, split: str, limit: int, samples: int, *, is_shown: bool) -> Evaluation:
        """The first `limit` problems of a split, with a progress bar on a terminal."""
        console = self._display.console
        is_drawn = is_shown and console.is_terminal
        with Progress(console=console, transient=True, disable=not is_drawn) as bar:
            task = bar.add_task(f"{split} split")

            def show(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)
                if self._interrupt.interrupted:
                    raise KeyboardInterrupt

            return evaluate(
                self._evaluator,
                torch.Generator().manual_seed(self.args.seed + 1),
                split=split,
                limit=limit,
                samples=samples,
                batch_size=default_batch_size(self._n_parameters),
                on_progress=show,
            )

    def _limits(self, is_test: bool) -> tuple[int, int]:
        """Problems of an evaluation, and sampled answers for each."""
        args, defaults = self.args, default_limits(self._n_parameters)
        given = (args.validation_limit, args.test_limit, args.test_samples)
        few, many, samples = (d if g is None else g for g, d in zip(given, defaults, strict=True))
        n_samples = samples if is_test else 1
        return many if is_test else few, n_samples if self._is_sampled else 0

    def _figures_of_splits(self, task: Task[Any]) -> dict[str, Any]:
        """Greedy success on the splits that a world has besides the usual ones."""
        usual = {task.check_split(split) for split in ("train", "validation", "test")}
        found = {}
        for split in task.splits:
            if split in usual:
                continue
            try:
                evaluation = self._measure(split, self._limits(is_test=True)[0], 0, is_shown=True)
            except LmgymError as error:  # a split that the world's arguments leave empty
                self.say(f"split {split}: {error}")
                continue
            found[split] = evaluation.as_dict()
            low, high = evaluation.greedy_interval
            self._display.print(
                f"split {split}: success {evaluation.greedy:.1%} [{low:.1%}, {high:.1%}]"
            )
        return {"splits": found} if found else {}


def check_splits(episode: Episode) -> None:
    """Raise where a split has no problems, or a prompt does not fit."""
    for split in ("train", "validation", "test"):
        episode.reset(np.random.default_rng(0), split=split)


def judges(task: Task[Any]) -> bool:
    """Whether a world says what is right: whether an empty answer to some problem is judged."""
    rng = np.random.default_rng(0)
    states = (task.reset(rng).state for _ in range(_PROBLEMS))
    return any(task.reply(state, "", rng).verdict is not Verdict.ENDED for state in states)
