"""`TrainingSession`: what every learner does around its update.

It loads the policy and the world, measures the test split before and after, validates, keeps the
best checkpoint, logs, shows progress and stops in time. The learner's own file stays an algorithm.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from lmgym.errors import LmgymError
from lmgym.evaluation import Evaluation, evaluate
from lmgym.factory import episode_of, make_source, make_task
from lmgym.policies.loading import load_policy
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.training.arguments import LearnerArgs
from lmgym.training.presets import default_batch_size, default_learning_rate, use_threads
from lmgym.training.progress import Sample, TrainingDisplay
from lmgym.training.report import print_comparison
from lmgym.training.runs import RECORD_FILE, Interrupt, RunFolder

__all__ = ["TrainingSession", "require_finite"]


class TrainingSession:
    """One training run.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        world_args: arguments of the world.
        reward: what the collector's rollouts are paid.

    Attributes:
        policy: being trained.
        collector: samples rollouts with it.
        rng: draws problems.
        generator: draws ids.
        run: the run folder.
        lr: the learning rate to use.
    """

    def __init__(
        self,
        agent: str,
        args: LearnerArgs,
        env: str,
        world_args: Mapping[str, Any],
        reward: Reward = None,
    ) -> None:
        """Check all that can be checked before anything is written."""
        self.args = args
        task = make_task(env, **world_args)
        source = make_source(reward)
        self.policy = load_policy(args.model, device=args.device, dtype=args.dtype)
        sizes = {"context": args.context, "max_tokens": args.max_tokens}
        self.collector = RolloutCollector(self.policy, task, source, **sizes)
        self.rng = np.random.default_rng(args.seed)
        self.generator = torch.Generator().manual_seed(args.seed)
        self.lr = args.lr or default_learning_rate(self.policy.n_parameters)
        self._evaluator = RolloutCollector(self.policy, task, None, **sizes)
        use_threads(self.policy.n_parameters, args.threads)
        for split in ("train", "validation", "test"):  # each has problems, and they fit
            episode_of(task, self.policy.renderer, **sizes).reset(self.rng, split=split)
        self.rng = np.random.default_rng(args.seed)
        self.run = RunFolder(agent, env, args.out, seed=args.seed, track=args.track)
        self.run.write_record(
            {"status": "running", "args": args, "world": dict(world_args), "lr": self.lr}
        )
        self._display = TrainingDisplay(f"{agent} on {env}", args.seconds, "seconds")
        self._interrupt = Interrupt()
        self._best = -math.inf
        self._hits = 0
        self._n_updates = 0
        self._seconds = 0.0
        self._validation: dict[str, float] = {}

    def __enter__(self) -> TrainingSession:
        """Measure the test split and start the clock."""
        self._display.print(
            f"policy {self.args.model}: {self.policy.n_parameters:,} parameters on"
            f" {self.policy.device}, learning rate {self.lr:g}, run folder {self.run.path}"
        )
        with ExitStack() as stack:
            stack.callback(self.run.close)
            stack.enter_context(self._interrupt)
            self._before = self._measure()
            found = self._before
            self._display.print(f"before, on {found.n} test problems: greedy {found.greedy:.1%}")
            stack.enter_context(self._display)
            self._stack = stack.pop_all()
        self._started = time.perf_counter()
        self._next_validation = 0.0
        return self

    def updates(self) -> Iterator[int]:
        """Numbers of updates, until the budget is spent, the target is reached or Ctrl-C."""
        limit = self.args.updates
        while not self._interrupt.interrupted and (limit is None or self._n_updates < limit):
            if self.seconds >= self._next_validation:
                self._validate()
                self._next_validation = self.seconds + self.args.validate_every
            if self._hits >= 2 or self.seconds >= self.args.seconds:
                return
            yield self._n_updates
            self._n_updates += 1

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far."""
        return time.perf_counter() - self._started

    def log(self, metrics: Mapping[str, float], batch: RolloutBatch) -> None:
        """Log an update and show it with some of its answers."""
        numbers = {
            "reward": float(batch.rewards.mean()),
            "accuracy": float(batch.successes.mean()),
            "completion_length": float(batch.lengths.mean()),
            "unscored": float(1 - batch.scored.mean()),
            **{f"reward/{name}": float(values.mean()) for name, values in batch.parts.items()},
            **metrics,
            **self._validation,
        }
        self._validation = {}
        self.run.log(self._n_updates, {**numbers, "seconds": self.seconds})
        self._display.update(self.seconds, numbers, _samples(batch))

    def __exit__(self, kind: Any, exception: BaseException | None, traceback: Any) -> bool:
        """Save, measure the test split with the best checkpoint, and report."""
        self._seconds = self.seconds
        with self._stack:
            self._display.__exit__(kind, exception, traceback)
            is_interrupted = self._interrupt.interrupted or kind is KeyboardInterrupt
            if exception is None and not is_interrupted:
                self._finish()
                return False
            self._stop("interrupted" if is_interrupted else f"failed: {exception}")
            return is_interrupted

    def _finish(self) -> None:
        self._validate()
        self._save("last")
        best = self.run.path / "best"
        chosen = load_policy(best, device=self.args.device, dtype=self.args.dtype)
        self.policy.model.load_state_dict(chosen.model.state_dict())
        after = self._measure()
        before = self._before
        figures = {"before": before.as_dict(), "after": after.as_dict()}
        self._record("finished", figures)
        self.run.plot_curve(before=before.as_dict(), after=after.as_dict())
        title = f"{self.run.env}, test split, {self._seconds:.0f} s of training"
        print_comparison(before.as_dict(), after.as_dict(), title, self._display.console)
        self._display.print(f"checkpoint {best}, curve {self.run.path / 'curve.png'}")

    def _stop(self, status: str) -> None:
        """Keep what there is: the last good weights, and the record of how it ended."""
        self._save("last")
        self._record(status, {"before": self._before.as_dict()})
        self.run.plot_curve(before=self._before.as_dict())
        self._display.print(f"{status}; the last weights are in {self.run.path / 'last'}")

    def _measure(self) -> Evaluation:
        """Evaluate the test split; a failure is written down before it goes on its way."""
        try:
            return self._evaluate("test")
        except BaseException as error:
            is_interrupted = isinstance(error, KeyboardInterrupt)
            self._record("interrupted" if is_interrupted else f"failed: {error}", {})
            raise

    def _validate(self) -> None:
        found = self._evaluate("validation")
        sampled = found.pass_at_1 or 0.0
        self._validation = {"validation/greedy": found.greedy, "validation/pass@1": sampled}
        self._hits = self._hits + 1 if min(found.greedy, sampled) >= self.args.target else 0
        if found.greedy + sampled > self._best:
            self._best = found.greedy + sampled
            self._save("best")

    def _evaluate(self, split: str) -> Evaluation:
        args, is_test = self.args, split == "test"
        console = self._display.console
        is_shown = is_test and console.is_terminal
        with Progress(console=console, transient=True, disable=not is_shown) as bar:
            task = bar.add_task("test split")

            def show(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)
                if self._interrupt.interrupted:
                    raise KeyboardInterrupt

            return evaluate(
                self._evaluator,
                torch.Generator().manual_seed(args.seed + 1),
                split=split,
                limit=args.test_limit if is_test else args.validation_limit,
                samples=args.test_samples if is_test else 1,
                batch_size=default_batch_size(self.policy.n_parameters),
                on_progress=show,
            )

    def _save(self, name: str) -> None:
        self.policy.save(self.run.path / name)

    def _record(self, status: str, figures: Mapping[str, Any]) -> None:
        facts = {"status": status, "seconds": self._seconds, "updates": self._n_updates}
        self.run.write_record({**facts, **figures})
        for name in ("best", "last"):
            if (self.run.path / name).is_dir():
                shutil.copyfile(self.run.path / RECORD_FILE, self.run.path / name / RECORD_FILE)


def require_finite(value: torch.Tensor, name: str, update: int) -> None:
    """Raise where a loss or a gradient norm is not finite, before any weight is changed."""
    if not torch.isfinite(value).all():
        raise LmgymError(
            f"the {name} is {value.item()} in update {update}; no weight was changed. Lower --lr or"
            " --max-grad-norm, and look at metrics.jsonl for what grew before"
        )


def _samples(batch: RolloutBatch) -> Sequence[Sample]:
    step = max(1, len(batch.transcripts) // 4)
    return [
        Sample(t.prompt_text, t.completion_text, bool(correct))
        for t, correct in zip(batch.transcripts[::step], batch.successes[::step], strict=True)
    ]
