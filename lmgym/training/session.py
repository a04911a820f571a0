"""`TrainingSession`: what every learner does around its update.

It loads the policy and the world, measures the test split before and after, validates, keeps the
best checkpoint, logs, shows progress and stops in time. The learner's own file stays an algorithm.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.evaluation import Evaluation, evaluate
from lmgym.factory import episode_of, make_source, make_task
from lmgym.policies.loading import load_policy
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.training.arguments import LearnerArgs
from lmgym.training.presets import (
    default_batch_size,
    default_learning_rate,
    default_limits,
    use_threads,
)
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
        self.generator = torch.Generator().manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.lr = args.lr or default_learning_rate(self.policy.n_parameters)
        self._evaluator = RolloutCollector(self.policy, task, None, **sizes)
        self._check_room(episode_of(task, self.policy.renderer, **sizes))
        use_threads(self.policy.n_parameters, args.threads)
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
        facts = {"args": args, "world": dict(world_args), "lr": self.lr, "reward": _name(reward)}
        self.run.write_record({"status": "running", **facts})

    def __enter__(self) -> TrainingSession:
        """Measure the test split, validate, and start the clock."""
        self._display.print(
            f"policy {self.args.model}: {self.policy.n_parameters:,} parameters on"
            f" {self.policy.device}, learning rate {self.lr:g}, run folder {self.run.path}"
        )
        if self.policy.model.dtype != torch.float32:
            self._display.print(
                f"the weights are {self.policy.model.dtype}: updates much smaller than a weight are"
                " lost in rounding; --dtype float32 keeps them"
            )
        with ExitStack() as stack:
            stack.callback(self.run.close)
            stack.enter_context(self._interrupt)
            with self._told():
                before = self._evaluate("test")
                self._figures["before"] = before.as_dict()
                self._validate()
            self._display.print(f"before, on {before.n} test problems: greedy {before.greedy:.1%}")
            if before.greedy == 0 and not before.pass_at_1:
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

    def log(self, metrics: Mapping[str, float], batch: RolloutBatch) -> None:
        """Log an update and show it with some of its answers."""
        scored = batch.scored
        numbers = {
            "accuracy": float(batch.successes.mean()),
            "completion_length": float(batch.lengths.mean()),
            "unscored": float(1 - scored.mean()),
            **metrics,
            **self._validation,
        }
        if self.collector.schedule.source is not None and scored.any():
            numbers["reward"] = float(batch.rewards[scored].mean())
            parts = batch.parts.items()
            numbers |= {f"reward/{name}": float(part[scored].mean()) for name, part in parts}
        self._validation = {}
        self.run.log(self._n_updates, {**numbers, "seconds": self.seconds})
        self._display.update(self.seconds, numbers, _samples(batch))

    def __exit__(self, kind: Any, exception: BaseException | None, traceback: Any) -> bool:
        """Save, measure the test split with the best checkpoint, and report."""
        self._seconds = self.seconds
        with self._stack, self._told():
            self._display.__exit__(kind, exception, traceback)
            self.policy.save(self.run.path / "last")
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
        args, best = self.args, self.run.path / "best"
        chosen = load_policy(best, device=args.device, dtype=args.dtype)
        self.policy.model.load_state_dict(chosen.model.state_dict())
        before, after = self._figures["before"], self._evaluate("test").as_dict()
        self._figures["after"] = after
        self._record("finished")
        self.run.plot_curve(before=before, after=after)
        title = f"{self.run.env}, test split, {self._n_updates} updates in {self._seconds:.0f} s"
        print_comparison(before, after, title, self._display.console)
        self.say(f"stopped after {self._n_updates} updates: {self._stopped}")
        self.say(f"checkpoint {best}, curve {self.run.path / 'curve.png'}")

    def _reason_to_stop(self) -> str | None:
        args = self.args
        if self._hits >= 2:
            return f"validation reached the target of {args.target:.0%}"
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

    def _check_room(self, episode: Episode) -> None:
        """Raise where a split has no problems, a prompt does not fit, or the model is too short."""
        for split in ("train", "validation", "test"):
            episode.reset(np.random.default_rng(0), split=split)
        most = self.policy.context
        if most is not None and episode.context > most:
            raise LmgymError(
                f"the model has {most} positions and an episode {episode.context}; pass a context"
                f" of {most} or less"
            )

    def _validate(self) -> None:
        found = self._evaluate("validation")
        sampled = found.pass_at_1 or 0.0
        self._validation = {"validation/greedy": found.greedy, "validation/pass@1": sampled}
        self._validated = self._n_updates
        self._hits = self._hits + 1 if min(found.greedy, sampled) >= self.args.target else 0
        if found.greedy + sampled > self._best:
            self._best = found.greedy + sampled
            self._figures["best"] = {"update": self._n_updates, **self._validation}
            self.policy.save(self.run.path / "best")

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

            sizes = default_limits(self.policy.n_parameters)
            given = (args.validation_limit, args.test_limit, args.test_samples)
            few, many, samples = (d if g is None else g for g, d in zip(given, sizes, strict=True))
            return evaluate(
                self._evaluator,
                torch.Generator().manual_seed(args.seed + 1),
                split=split,
                limit=many if is_test else few,
                samples=samples if is_test else 1,
                batch_size=default_batch_size(self.policy.n_parameters),
                on_progress=show,
            )

    def _record(self, status: str) -> None:
        facts = {"seconds": self._seconds, "updates": self._n_updates, "stopped": self._stopped}
        self.run.write_record({"status": status, **facts, **self._figures})
        for name in ("best", "last"):
            if (self.run.path / name).is_dir():
                shutil.copyfile(self.run.path / RECORD_FILE, self.run.path / name / RECORD_FILE)


def require_finite(value: torch.Tensor, name: str, update: int) -> None:
    """Raise where a loss or a gradient norm is not finite, before the step is taken."""
    if not torch.isfinite(value).all():
        raise LmgymError(
            f"the {name} is {value.item()} in update {update}; the step was not taken, and the"
            " weights are those before it. Lower --lr or --max-grad-norm, and look at metrics.jsonl"
            " for what grew before"
        )


def _status(error: BaseException | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"failed: {str(error) or type(error).__name__}"


def _name(reward: Reward) -> str | None:
    """What a reward is called in the record."""
    if reward is None or isinstance(reward, str):
        return reward
    name: str = getattr(reward, "__name__", type(reward).__name__)
    return name


def _samples(batch: RolloutBatch) -> Sequence[Sample]:
    step = max(1, len(batch.transcripts) // 4)
    return [
        Sample(t.prompt_text, t.completion_text, bool(correct))
        for t, correct in zip(batch.transcripts[::step], batch.successes[::step], strict=True)
    ]
