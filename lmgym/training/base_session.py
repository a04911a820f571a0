"""`BaseSession`: what surrounds the updates of every learner, whatever it is that learns.

It measures the test split before and after, validates, keeps the best checkpoint, logs, shows
progress and stops in time. Subclasses say what is measured, saved and taken back.

Where a run can be resumed, it also writes down where it stands, always between two updates: the
state of the subclass, of all that the learner keeps (`keep`), and what has been measured so far. A
new best checkpoint is written right after such a state, so that a run that goes on from it can
write the same one again; so what is the best is never that of updates that are lost.

The best checkpoint is the one of the highest accuracy on validation; where learning is paid
something other than verdicts, it is the one of the highest mean reward there, so that no ground
truth decides that the learner is not to know.
"""

from __future__ import annotations

import math
import shutil
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from lmgym.training.arguments import LearnerArgs
from lmgym.training.checkpoints import Checkpoints, Stateful
from lmgym.training.examination import SHARES, Examination, check_splits, judges
from lmgym.training.progress import Sample, TrainingDisplay
from lmgym.training.report import print_comparison
from lmgym.training.resuming import RunFinished, StoredRun, cannot_resume, check_kept, resume_facts
from lmgym.training.runs import RECORD_FILE, STATE_FILE, Interrupt, Position, RunFolder

__all__ = ["BaseSession", "check_splits", "judges"]

_COUNTERS = (
    "_best",
    "_hits",
    "_n_updates",
    "_validated",
    "_next_validation",
    "_stopped",
    "_validation",
    "_figures",
)
"""What a checkpoint says of the session itself."""


class BaseSession(Examination):
    """One training run.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        facts: what else stands in the record.
        stored: the run to go on with, where `args.resume` names one.

    Attributes:
        run: the run folder.
    """

    def __init__(
        self,
        agent: str,
        args: LearnerArgs,
        env: str,
        facts: Mapping[str, Any] | None = None,
        stored: StoredRun | None = None,
    ) -> None:
        """Make the run folder; subclasses check all that can be checked before."""
        if not self._is_resumable and (args.resume or args.checkpoint_every is not None):
            raise cannot_resume(agent)
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
        self._next_validation = args.validate_every
        self._started = time.perf_counter()
        self._kept: dict[str, Stateful] = {}
        self._is_underway = self._is_midway = self._is_over = False
        self._restored = None if stored is None else stored.checkpoint()
        position = None if stored is None else self._recall(stored)
        self.run = RunFolder(
            agent,
            env,
            args.resume or args.out,
            seed=args.seed,
            track=args.track,
            resumed_at=position,
        )
        record = {"status": "running", "args": args, **(facts or {})}
        if stored is not None:
            told = {"update": self._n_updates, "seconds": self._seconds, **resume_facts()}
            record |= stored.resumed_record(args, told)
        self._checkpoints = Checkpoints(self.run.path / STATE_FILE, args.checkpoint_every)
        self._checkpoints.tidy()
        self._resumption: dict[str, Any] = {}
        if stored is None:
            self.run.write_record(record)
        else:
            self._resumption = record  # the old record stands until all is taken back

    def keep(self, name: str, what: Stateful) -> None:
        """Have the state of `what` in each checkpoint, and give it back where a run is resumed."""
        self._kept[name] = what

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
    def _is_resumable(self) -> bool:
        """Whether checkpoints are written that a run can go on from."""
        return False

    @property
    def _identity(self) -> dict[str, Any]:
        """What must be the same where a run is resumed, besides its arguments."""
        return {}

    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds besides what is kept: weights and generators."""
        return {}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `_state` gave."""
        del state

    def _further_figures(self) -> dict[str, Any]:
        """What else is measured of the best checkpoint, by name."""
        return {}

    def _is_better(self, score: float) -> bool:
        """Whether a checkpoint of this score takes the place of the best so far.

        Where verdicts don't decide, of equals the later one does: it has seen more.
        """
        is_by_verdict = self._is_judged and not self._is_paid_by_more
        return score > self._best or (score == self._best and not is_by_verdict)

    def __enter__(self) -> Self:
        """Measure the test split, validate, and start the clock; go on with it on a resume."""
        self._introduce()
        with ExitStack() as stack:
            stack.callback(self.run.close)
            stack.enter_context(self._interrupt)
            if self._restored is None:
                self._measure_before()
            else:
                self.say(f"going on after {self._n_updates} updates and {self._seconds:.0f} s")
            stack.enter_context(self._display)
            self._stack = stack.pop_all()
        self._started = time.perf_counter() - self._seconds
        return self

    def _measure_before(self) -> None:
        with self._told():
            before = self._figures["before"] = self._figures_of(self._evaluate("test"))
            self._validate()
        self.say(f"before, on {before['n']} test problems: {_in_short(before)}")
        is_hopeless = not any(before.get(name) for name in SHARES)
        is_paid = self._schedule.source is not None
        if self._is_judged and is_paid and is_hopeless and not self.args.learns_from_failure:
            self.say("nothing is right yet: a verified reward may have no signal")

    def updates(self) -> Iterator[int]:
        """Numbers of updates, until the budget is spent, the target is reached or Ctrl-C."""
        self._get_underway()
        while not self._interrupt.interrupted:
            if self._is_time_to_validate():
                start = self.seconds
                self._validate()
                pause = max(self.args.validate_every, 9 * (self.seconds - start))
                self._next_validation = self.seconds + pause
            self._stopped = self._stopped or self._reason_to_stop()
            if self._stopped is not None:
                return
            self._is_midway = True
            yield self._n_updates
            self._is_midway = False
            self._n_updates += 1
            if self._checkpoints.is_due():
                self._checkpoint()

    def _is_time_to_validate(self) -> bool:
        every = self.args.validate_updates
        if every is None:
            return self.seconds >= self._next_validation
        return self._n_updates % every == 0 and self._n_updates != self._validated

    def _get_underway(self) -> None:
        """Take back what the checkpoint holds; the first one where there is none."""
        if self._restored is None:
            self._is_underway = True
            self._checkpoint()
            return
        state = self._restored.state()
        check_kept(self._restored.file, state["kept"], self._kept)
        self._load_state(state["own"])
        for name, what in self._kept.items():
            what.load_state_dict(state["kept"][name])
        self._is_underway, self._restored = True, None
        self.run.write_record(self._resumption, without=("after",))
        if self._figures["best"]["update"] == self._n_updates:  # perhaps it was not written yet
            self._save(self.run.path / "best")

    def _checkpoint(self) -> None:
        """Write down where the run stands, unless that is in the middle of an update."""
        if not self._is_resumable or not self._is_underway or self._is_midway:
            return
        facts = {
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            "seconds": self.seconds,
            "metrics": self.run.sync(),
            "identity": self._identity,
        }
        kept = {name: what.state_dict() for name, what in self._kept.items()}
        self._checkpoints.save(facts, {"own": self._state(), "kept": kept})

    def _recall(self, stored: StoredRun) -> Position:
        """Where a stored run stands.

        Raises:
            LmgymError: where it is not of this policy and world, or has nothing left to do.
        """
        assert self._restored is not None
        facts = self._restored.facts
        stored.check_identity(facts["identity"], self._identity)
        for name, value in facts["counters"].items():
            setattr(self, name, value)
        self._seconds = facts["seconds"]
        self._started -= self._seconds
        self._next_validation = min(self._next_validation, self._seconds + self.args.validate_every)
        if stored.record["args"]["target"] != self.args.target:
            self._hits = 0
        if stored.has_new_budget(self.args):
            self._stopped = self._reason_to_stop()
        if stored.is_finished and self._stopped is not None:
            raise RunFinished(
                f"the run in {str(stored.path)!r} is finished: {self._stopped}. To go on give it"
                " more --updates or --seconds"
            )
        return Position(self._n_updates, facts["metrics"])

    def stop(self, reason: str) -> None:
        """End training after this update, in good order."""
        self._stopped = reason

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training so far."""
        return self._seconds if self._is_over else time.perf_counter() - self._started

    def log_numbers(self, metrics: Mapping[str, float], samples: Sequence[Sample] = ()) -> None:
        """Log an update and show it with some answers."""
        numbers = {**metrics, **self._validation}
        self._validation = {}
        self.run.log(self._n_updates, {**numbers, "seconds": self.seconds})
        self._display.update(self.seconds, numbers, samples)

    def __exit__(self, kind: Any, exception: BaseException | None, traceback: Any) -> bool:
        """Save, measure the test split with the best checkpoint, and report."""
        self._seconds, self._is_over = self.seconds, True
        with self._stack, self._told():
            self._display.__exit__(kind, exception, traceback)
            if self._restored is not None:  # nothing was taken back, so the run is as it was
                return False
            self._save(self.run.path / "last")
            self._checkpoint()
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
        if self._validation:
            self.run.log(self._n_updates, {**self._validation, "seconds": self._seconds})
            self._validation = {}
            self._checkpoint()
        best = self.run.path / "best"
        self._take_back(best)
        before, after = self._figures["before"], self._figures_of(self._evaluate("test"))
        self._figures |= {"after": after, **self._further_figures()}
        self._record("finished")
        self.run.plot_curve(before=before, after=after)
        title = f"{self.run.env}, test split, {self._n_updates} updates in {self._seconds:.0f} s"
        print_comparison(before, after, title, self._display.console)
        self.say(f"stopped after {self._n_updates} updates: {self._stopped}")
        self.say(f"checkpoint {best}{self._chosen()}, curve {self.run.path / 'curve.png'}")

    def _chosen(self) -> str:
        """How the checkpoint was chosen, where it isn't by right answers."""
        return ", best by its mean reward on validation" if self._is_paid_by_more else ""

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
        shares = [found[name] for name in SHARES if name in found]
        measured = (*SHARES, "reward", "gold_reward") if self._is_paid_by_more else SHARES
        self._validation = {f"validation/{k}": found[k] for k in measured if k in found}
        self._validated = self._n_updates
        self._hits = self._hits + 1 if shares and min(shares) >= self.args.target else 0
        score = found.get("reward", -math.inf) if self._is_paid_by_more else sum(shares)
        if self._is_better(score):
            self._best = score
            self._figures["best"] = {"update": self._n_updates, **self._validation}
            self._checkpoint()
            self._save(self.run.path / "best")

    def _record(self, status: str) -> None:
        facts = {"seconds": self._seconds, "updates": self._n_updates, "stopped": self._stopped}
        self.run.write_record({"status": status, **facts, **self._figures})
        for name in ("best", "last"):
            if (self.run.path / name).is_dir():
                shutil.copyfile(self.run.path / RECORD_FILE, self.run.path / name / RECORD_FILE)


def _in_short(figures: Mapping[str, Any]) -> str:
    """What an evaluation found, in short."""
    shown = {"greedy": "greedy {:.1%}", "reward": "reward {:.3f}", "gold_reward": "gold {:.3f}"}
    return ", ".join(form.format(figures[k]) for k, form in shown.items() if k in figures)


def _status(error: BaseException | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"failed: {str(error) or type(error).__name__}"
