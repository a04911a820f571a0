"""`BaseSession`: what surrounds the updates of every learner, whatever it is that learns.

It measures the test split before and after, validates, keeps the best checkpoint, logs, shows
progress and stops in time. Subclasses say what is measured, saved and taken back.

The best checkpoint is the one of the highest accuracy on validation; where learning is paid
something other than verdicts, it is the one of the highest mean reward there, so that no ground
truth decides that the learner is not to know.
"""

from __future__ import annotations

import math
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

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
from lmgym.training.progress import Sample, TrainingDisplay
from lmgym.training.report import print_comparison
from lmgym.training.runs import RECORD_FILE, Interrupt, RunFolder
from lmgym.training.uncertainty import mean_interval

__all__ = ["BaseSession", "check_splits", "judges"]

_SHARES = ("greedy", "pass@1")
_PROBLEMS = 64


class BaseSession(ABC):
    """One training run.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        facts: what else stands in the record.

    Attributes:
        run: the run folder.
    """

    def __init__(
        self, agent: str, args: LearnerArgs, env: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Make the run folder; subclasses check all that can be checked before."""
        self.args = args
        self._display = TrainingDisplay(f"{agent} on {env}", args.seconds, "seconds")
        self._interrupt = Interrupt()
        self._best = -math.inf
        self._hits = 0
        self._n_updates = 0
        self._validated = -1
        self._seconds = 0.0
        self._stopped: str | None = None
        self._validation: dict[str, float] = {}
        self._figures: dict[str, Any] = {}
        self.run = RunFolder(agent, env, args.out, seed=args.seed, track=args.track)
        self.run.write_record({"status": "running", "args": args, **(facts or {})})

    @property
    @abstractmethod
    def _n_parameters(self) -> int:
        """How many numbers are learned."""

    @property
    @abstractmethod
    def _evaluator(self) -> Collector:
        """Plays the episodes of evaluations."""

    @abstractmethod
    def _save(self, directory: Path) -> None:
        """Write what has been learned."""

    @abstractmethod
    def _take_back(self, directory: Path) -> None:
        """Go back to what `_save` wrote."""

    @abstractmethod
    def _introduce(self) -> None:
        """Say what is trained, and what may go wrong."""

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

    def _further_figures(self) -> dict[str, Any]:
        """What else is measured of the best checkpoint, by name."""
        return {}

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
            self.say(f"split {split}: success {evaluation.greedy:.1%} [{low:.1%}, {high:.1%}]")
        return {"splits": found} if found else {}

    def _is_better(self, score: float) -> bool:
        """Whether a checkpoint of this score takes the place of the best so far.

        Where verdicts don't decide, of equals the later one does: it has seen more.
        """
        is_by_verdict = self._is_judged and not self._is_paid_by_more
        return score > self._best or (score == self._best and not is_by_verdict)

    def __enter__(self) -> Self:
        """Measure the test split, validate, and start the clock."""
        self._introduce()
        with ExitStack() as stack:
            stack.callback(self.run.close)
            stack.enter_context(self._interrupt)
            with self._told():
                before = self._figures["before"] = self._figures_of(self._evaluate("test"))
                self._validate()
            self._display.print(f"before, on {before['n']} test problems: {_in_short(before)}")
            is_hopeless = not any(before.get(name) for name in _SHARES)
            if self._is_judged and is_hopeless and not self.args.learns_from_failure:
                self._display.print("nothing is right yet: a verified reward may have no signal")
            stack.enter_context(self._display)
            self._stack = stack.pop_all()
        self._started = time.perf_counter()
        self._next_validation = self.args.validate_every
        return self

    def updates(self) -> Iterator[int]:
        """Numbers of updates, until the budget is spent, the target is reached or Ctrl-C."""
        while not self._interrupt.interrupted:
            if self.seconds >= self._next_validation:
                start = self.seconds
                self._validate()
                pause = max(self.args.validate_every, 9 * (self.seconds - start))
                self._next_validation = self.seconds + pause
            self._stopped = self._stopped or self._reason_to_stop()
            if self._stopped is not None:
                return
            yield self._n_updates
            self._n_updates += 1

    def stop(self, reason: str) -> None:
        """End training after this update, in good order."""
        self._stopped = reason

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        self._display.print(text)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far."""
        return time.perf_counter() - self._started

    def log_numbers(self, metrics: Mapping[str, float], samples: Sequence[Sample] = ()) -> None:
        """Log an update and show it with some answers."""
        numbers = {**metrics, **self._validation}
        self._validation = {}
        self.run.log(self._n_updates, {**numbers, "seconds": self.seconds})
        self._display.update(self.seconds, numbers, samples)

    def __exit__(self, kind: Any, exception: BaseException | None, traceback: Any) -> bool:
        """Save, measure the test split with the best checkpoint, and report."""
        self._seconds = self.seconds
        with self._stack, self._told():
            self._display.__exit__(kind, exception, traceback)
            self._save(self.run.path / "last")
            is_interrupted = self._interrupt.interrupted or kind is KeyboardInterrupt
            if exception is None and not is_interrupted:
                self._finish()
            else:
                self._record("interrupted" if is_interrupted else _status(exception))
                self.run.plot_curve(before=self._figures["before"])
                self.say(f"stopped; the last weights are in {self.run.path / 'last'}")
            return is_interrupted

    def _finish(self) -> None:
        """Measure the best checkpoint on the test split and report."""
        if self._n_updates != self._validated:
            self._validate()
            self.run.log(self._n_updates, {**self._validation, "seconds": self._seconds})
        best = self.run.path / "best"
        self._take_back(best)
        before, after = self._figures["before"], self._figures_of(self._evaluate("test"))
        self._figures |= {"after": after, **self._further_figures()}
        self._record("finished")
        self.run.plot_curve(before=before, after=after)
        title = f"{self.run.env}, test split, {self._n_updates} updates in {self._seconds:.0f} s"
        print_comparison(before, after, title, self._display.console)
        self.say(f"stopped after {self._n_updates} updates: {self._stopped}")
        chosen = ", best by its mean reward on validation" if self._is_paid_by_more else ""
        self.say(f"checkpoint {best}{chosen}, curve {self.run.path / 'curve.png'}")

    def _reason_to_stop(self) -> str | None:
        args = self.args
        if self._hits >= 2:
            split = self._validation_split
            where = "" if split == "validation" else f" on the {split} split"
            return f"validation{where} reached the target of {args.target:.0%}"
        if self.seconds >= args.seconds and self._n_updates:
            return f"the budget of {args.seconds:g} seconds is spent"
        if args.updates is not None and self._n_updates >= args.updates:
            return f"{args.updates} updates are done"
        return None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A failure is written into the record before it goes on its way."""
        try:
            yield
        except BaseException as error:
            self._record(_status(error))
            raise

    def _validate(self) -> None:
        found = self._figures_of(self._evaluate(self._validation_split))
        shares = [found[name] for name in _SHARES if name in found]
        measured = (*_SHARES, "reward", "gold_reward") if self._is_paid_by_more else _SHARES
        self._validation = {f"validation/{k}": found[k] for k in measured if k in found}
        self._validated = self._n_updates
        self._hits = self._hits + 1 if shares and min(shares) >= self.args.target else 0
        score = found.get("reward", -math.inf) if self._is_paid_by_more else sum(shares)
        if self._is_better(score):
            self._best = score
            self._figures["best"] = {"update": self._n_updates, **self._validation}
            self._save(self.run.path / "best")

    def _figures_of(self, found: Evaluation) -> dict[str, Any]:
        """The figures of an evaluation, and what its greedy answers are paid besides verdicts."""
        figures = found.as_dict()
        if not self._is_judged:
            figures = {k: v for k, v in figures.items() if not k.startswith(_SHARES)}
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

    def _record(self, status: str) -> None:
        facts = {"seconds": self._seconds, "updates": self._n_updates, "stopped": self._stopped}
        self.run.write_record({"status": status, **facts, **self._figures})
        for name in ("best", "last"):
            if (self.run.path / name).is_dir():
                shutil.copyfile(self.run.path / RECORD_FILE, self.run.path / name / RECORD_FILE)


def check_splits(episode: Episode) -> None:
    """Raise where a split has no problems, or a prompt does not fit."""
    for split in ("train", "validation", "test"):
        episode.reset(np.random.default_rng(0), split=split)


def judges(task: Task[Any]) -> bool:
    """Whether a world says what is right: whether an empty answer to some problem is judged."""
    rng = np.random.default_rng(0)
    states = (task.reset(rng).state for _ in range(_PROBLEMS))
    return any(task.reply(state, "", rng).verdict is not Verdict.ENDED for state in states)


def _in_short(figures: Mapping[str, Any]) -> str:
    """What an evaluation found, in short."""
    shown = {"greedy": "greedy {:.1%}", "reward": "reward {:.3f}", "gold_reward": "gold {:.3f}"}
    return ", ".join(form.format(figures[k]) for k, form in shown.items() if k in figures)


def _status(error: BaseException | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"failed: {str(error) or type(error).__name__}"
