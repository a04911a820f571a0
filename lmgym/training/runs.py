"""`RunFolder`: what a training run leaves behind; `Interrupt`: how it is stopped.

A run folder holds

- `metrics.jsonl`: one JSON object a line with "step", "seconds" since the start and the metrics;
- `tensorboard/`: the same as TensorBoard events, and samples of text;
- `lmgym.json`: how the run was made: versions, command, start, seed, machine, and what the
  learner adds;
- `state.safetensors`: where a run that can be resumed stands;
- `curve.png`: the learning curve, once it is drawn.

A metric that is not finite is written as `null`, because `NaN` is no JSON and a string in a
column of numbers breaks the readers of the column; `read_metrics` gives it back as NaN. TensorBoard
shows which of NaN and infinity it was.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import math
import os
import re
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from lmgym.errors import LmgymError
from lmgym.training.curves import draw_curve
from lmgym.training.records import plain_value, run_facts
from lmgym.training.trackers import TensorBoardEvents, Tracker, open_tracker

__all__ = [
    "METRICS_FILE",
    "RECORD_FILE",
    "STATE_FILE",
    "Interrupt",
    "Position",
    "RunFolder",
    "read_metrics",
    "read_record",
    "recorded_world",
]

METRICS_FILE = "metrics.jsonl"
RECORD_FILE = "lmgym.json"
STATE_FILE = "state.safetensors"

_HELD = (errno.EACCES, errno.EAGAIN)
"""How a lock fails that somebody else holds."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run is gone on with.

    Attributes:
        step: the first update that is made anew.
        size: of the metrics up to there, in bytes.
    """

    step: int
    size: int


class RunFolder:
    """The folder of one training run.

    Args:
        agent: names the algorithm, as "grpo".
        env: the id of the world, as "lmgym/Math-v0".
        directory: the folder to use; None for `root/<agent>-<env>-<timestamp>`.
        root: where folders without a name are made.
        exist_ok: go on in a folder that isn't empty: metrics are appended and the seconds go on.
        seed: written into the record.
        track: also log to "wandb" or "trackio", which must be installed.
        tensorboard: write TensorBoard events; None for "where TensorBoard is installed".
        resumed_at: go on with the run in `directory` from there: its record is kept, and what the
            logs hold beyond is taken away.

    Raises:
        LmgymError: where the directory isn't empty or no directory, `track` can't be used, or
            another process is writing there.

    Example:
        >>> import tempfile
        >>> root = tempfile.TemporaryDirectory()
        >>> with RunFolder("grpo", "lmgym/Math-v0", root=root.name, tensorboard=False) as run:
        ...     run.log(1, {"reward": 0.25, "seconds": 2.0})
        >>> read_metrics(run.path)
        [{'step': 1, 'seconds': 2.0, 'reward': 0.25}]
        >>> root.cleanup()
    """

    def __init__(
        self,
        agent: str,
        env: str,
        directory: str | Path | None = None,
        *,
        root: str | Path = "runs",
        exist_ok: bool = False,
        seed: int | None = None,
        track: str | None = None,
        tensorboard: bool | None = None,
        resumed_at: Position | None = None,
    ) -> None:
        """Make the folder and open its files."""
        self.agent, self.env = agent, env
        self._started = time.monotonic()
        self._record = run_facts(agent, env, seed)
        tracker_class = open_tracker(track)  # a missing tracker is told before a folder is made
        goes_on = exist_ok or resumed_at is not None
        named = None if directory is None else _use_directory(Path(directory), goes_on)
        self.path = named or _new_directory(Path(root), f"{_slug(agent)}-{_slug(env)}")
        metrics = self.path / METRICS_FILE
        self._metrics = metrics.open("a", encoding="utf-8", newline="\n")
        _lock(self._metrics, self.path)
        if resumed_at is not None:
            self._record = read_record(self.path)
            os.truncate(metrics, min(metrics.stat().st_size, resumed_at.size))
        _cut_torn_line(metrics)
        self._seconds_before = _last_seconds(metrics)
        self._events = TensorBoardEvents.open(
            self.path / "tensorboard", tensorboard, None if resumed_at is None else resumed_at.step
        )
        self._tracker: Tracker | None = tracker_class and tracker_class(self.path, self._record)
        if self._tracker is not None:
            self._record["tracker"] = self._tracker.facts

    @property
    def seconds(self) -> float:
        """Seconds of the run, those before it was resumed included."""
        return self._seconds_before + time.monotonic() - self._started

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Write one line of numbers to every log.

        Args:
            step: the update, counted from 0 or 1, never falling.
            metrics: numbers (Python's, numpy's or tensors of one element) by name; "seconds"
                replaces `self.seconds`, for a learner that keeps its own clock.
        """
        numbers = {"seconds": self.seconds} | {k: _number(k, v) for k, v in metrics.items()}
        finite = {k: v if math.isfinite(v) else None for k, v in numbers.items()}
        line = json.dumps({"step": int(step), **finite}, allow_nan=False)
        self._metrics.write(line + "\n")
        self._metrics.flush()
        if self._events is not None:
            self._events.scalars(step, numbers)
        if self._tracker is not None:
            self._tracker.log(step, numbers)

    def sync(self) -> int:
        """Bring the metrics to the disk; returns their size in bytes."""
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        return os.fstat(self._metrics.fileno()).st_size

    def log_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Write samples of text to TensorBoard, shown as they are and not as Markdown."""
        if self._events is not None:
            self._events.texts(step, texts)

    def write_record(
        self, record: Mapping[str, Any] | None = None, *, without: Collection[str] = ()
    ) -> dict[str, Any]:
        """Add `record` to what is known of the run, write all of it to `lmgym.json`, return it.

        What is known by the names of `without` is forgotten first.

        The file is replaced in one step, so a reader never sees half of it. Paths below the home
        folder are written with `~`; no user's or machine's name is added.
        """
        kept = {name: value for name, value in self._record.items() if name not in without}
        self._record = kept | plain_value(dict(record or {}))
        text = json.dumps(self._record, indent=2, allow_nan=False, ensure_ascii=False)
        _replace_file(self.path / RECORD_FILE, text + "\n")
        return dict(self._record)

    def plot_curve(
        self,
        path: str | Path | None = None,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> Path:
        """Draw the learning curve from `metrics.jsonl` and return where it lies.

        Args:
            path: the PNG to write; None for `curve.png` in the folder.
            before: evaluation on the test split before training, to be marked.
            after: the same after training.
        """
        target = self.path / "curve.png" if path is None else Path(path)
        title = f"{self.agent} on {self.env}"
        draw_curve(read_metrics(self.path), target, title=title, before=before, after=after)
        return target

    def close(self) -> None:
        """Close the files; calling it twice does no harm."""
        self._metrics.close()
        if self._events is not None:
            self._events.close()
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None

    def __enter__(self) -> RunFolder:
        """The folder itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the files."""
        self.close()


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`, or of the one in a run folder; `null` becomes NaN.

    A last line without its line break is still being written, and is left out.

    Raises:
        LmgymError: where there are none, or a line is no object of numbers.
    """
    file = Path(path) / METRICS_FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise LmgymError(f"no metrics at {str(path)!r}; give a run folder or its {METRICS_FILE}")
    return list(_rows(file))


def read_record(path: str | Path) -> dict[str, Any]:
    """The record of a run folder.

    Raises:
        LmgymError: where there is none, it cannot be read, or it is the copy that stands beside a
            run's policy.
    """
    file = Path(path) / RECORD_FILE
    if not file.is_file():
        raise LmgymError(f"{str(path)!r} is no run folder: it has no {RECORD_FILE}")
    _check_is_no_copy(Path(path))
    try:
        record: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LmgymError(f"{str(file)!r} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise LmgymError(f"{str(file)!r} is no record of a run: it is no JSON object")
    return record


def recorded_world(checkpoint: str | Path) -> dict[str, Any]:
    """The arguments of the world that a checkpoint was trained in, by the copy of its run's record.

    Empty where there is none, as for a model that was not trained here.
    """
    file = Path(checkpoint) / RECORD_FILE
    if not file.is_file():
        return {}
    try:
        world = json.loads(file.read_text(encoding="utf-8"))["world"]
    except (ValueError, LookupError, TypeError):
        world = None
    return world if isinstance(world, dict) else {}


class Interrupt:
    """Turns Ctrl-C, or SIGTERM, into a flag that a loop checks; the second one stops at once.

    Off the main thread, where Python delivers no signals, it does nothing.

    Example:
        >>> with Interrupt() as interrupt:
        ...     interrupt.interrupted
        False
    """

    def __init__(self) -> None:
        """Not interrupted yet."""
        self.interrupted = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back to whoever had them."""
        for number, previous in self._previous.items():
            # None: the handler was not set from Python and cannot be set from it
            signal.signal(number, _DEFAULTS[number] if previous is None else previous)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


_DEFAULTS: Mapping[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


def _rows(file: Path) -> Iterator[dict[str, float]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            where = f"line {number} of {file.name}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # UTF-8 among them
                raise LmgymError(f"{where} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise LmgymError(f"{where} is {row!r:.80}, which is no object of numbers")
            for name, value in row.items():
                if value is not None and type(value) not in (int, float):
                    raise LmgymError(f"{where}: metric {name!r} is {value!r:.80}, no number")
            yield {name: math.nan if value is None else value for name, value in row.items()}


def _check_is_no_copy(path: Path) -> None:
    """Raise where a folder is what a run keeps as `best` or `last`."""
    folder = path.resolve()
    is_kept = folder.name in ("best", "last") and not (folder / METRICS_FILE).exists()
    if is_kept and (folder.parent / RECORD_FILE).is_file():
        run = path.parent if path.name == folder.name else folder.parent
        raise LmgymError(f"{str(path)!r} is a policy of the run in {str(run)!r}; name {str(run)!r}")


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LmgymError(
            f"metric {name!r} is {value!r:.80}, which is not one number; texts go to log_texts"
        ) from error


def _slug(name: str) -> str:
    """The part of an id that can be in a folder's name: lmgym/Math-v0 is Math-v0."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name.rsplit("/", 1)[-1]).strip("._-") or "run"


def _use_directory(path: Path, exist_ok: bool) -> Path:
    if path.exists() and not path.is_dir():
        raise LmgymError(f"{str(path)!r} is a file; give a folder for the run")
    if path.is_dir() and any(path.iterdir()) and not exist_ok:
        raise LmgymError(f"the folder {str(path)!r} is not empty; choose another one")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _new_directory(root: Path, stem: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names: Sequence[str] = [f"{stem}-{stamp}", *(f"{stem}-{stamp}-{n}" for n in range(2, 1000))]
    for name in names:  # two runs may start in the same second
        try:
            (root / name).mkdir(parents=True)
        except FileExistsError:
            continue
        return root / name
    raise LmgymError(f"too many runs started in {str(root)!r} in one second; name a directory")


def _lock(file: IO[str], folder: Path) -> None:
    """Raise where another process writes this file; the system unlocks it when a process dies."""
    if importlib.util.find_spec("fcntl") is None:
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:  # else a file system that knows no locks
            file.close()
            raise LmgymError(
                f"another process is writing to the run in {str(folder)!r}; wait for its end, or"
                " stop it with Ctrl-C or SIGTERM"
            ) from error


def _cut_torn_line(file: Path) -> None:
    """Remove a last line that a crash left unfinished, so that the next one starts afresh."""
    if file.is_file():
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(file, len(whole))


def _last_seconds(file: Path) -> float:
    rows = read_metrics(file) if file.is_file() else []
    return max((row.get("seconds", 0.0) for row in rows), default=0.0)


def _replace_file(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
