"""Where metrics go besides the run folder's own file: TensorBoard, Weights & Biases, trackio.

TensorBoard's event file is written here record by record, because the usual writer puts the
machine's name into the file's name, and run folders are shared.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError, unknown

__all__ = ["TensorBoardEvents", "Tracker", "open_tracker"]

_TRACKERS = ("trackio", "wandb")


class TensorBoardEvents:
    """A TensorBoard event file in `directory`.

    Args:
        directory: is made.
        go_on_from: of a run that is resumed, the first step that is logged anew; what other files
            hold of it and later ones is no longer shown.
    """

    def __init__(self, directory: Path, go_on_from: int | None = None) -> None:
        """Open a new event file."""
        self._summaries: Any = importlib.import_module("torch.utils.tensorboard.summary")
        self._protos: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
        records: Any = importlib.import_module("tensorboard.summary.writer.record_writer")
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() / 1e9:.6f}.lmgym"
        self._writer: Any = records.RecordWriter((directory / name).open("xb"))
        self._write(0, file_version="brain.Event:2")
        if go_on_from is not None:
            start = self._protos.SessionLog(status=self._protos.SessionLog.START)
            self._write(go_on_from, session_log=start)

    @classmethod
    def open(
        cls, directory: Path, wanted: bool | None, go_on_from: int | None = None
    ) -> TensorBoardEvents | None:
        """Events in `directory`, or None where they aren't wanted or TensorBoard is missing.

        Args:
            directory: made where it doesn't exist.
            wanted: None for "where it is installed".
            go_on_from: see the class.

        Raises:
            LmgymError: where it is wanted and not installed.
        """
        is_installed = importlib.util.find_spec("tensorboard") is not None
        if wanted and not is_installed:
            raise LmgymError("TensorBoard is not installed; run: pip install tensorboard")
        return cls(directory, go_on_from) if is_installed and wanted is not False else None

    def scalars(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add numbers by name."""
        for name, value in metrics.items():
            self._write(step, summary=self._summaries.scalar(name, value))
        self._writer.flush()

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Add texts by name, indented so that they are shown as they are."""
        for name, text in texts.items():
            shown = "\n".join(
                f"    {line}" for line in text.encode(errors="replace").decode().split("\n")
            )
            self._write(step, summary=self._summaries.text(name, shown))
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if not self._writer.closed:
            self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        event = self._protos.Event(wall_time=time.time(), step=int(step), **content)
        self._writer.write(event.SerializeToString())


class Tracker:
    """Weights & Biases or trackio; the two share the calls that are needed.

    Weights & Biases goes on with a run by its id, trackio by its name. Where neither knows the run
    any more a new one begins, rather than that training ends.

    Args:
        name: of the library.
        folder: names the run.
        facts: of the record; the tracker of a run that is resumed is named there.

    Attributes:
        facts: what finds the run again, for the record.
    """

    def __init__(self, name: str, folder: Path, facts: Mapping[str, Any]) -> None:
        """Begin a run named as the folder, or go on with it."""
        self._module: Any = importlib.import_module(name)
        before = facts.get("tracker") or {}
        is_known = before.get("name") == name
        self.facts = dict(before) if is_known else {"name": name, "id": uuid.uuid4().hex[:12]}
        config = {key: facts.get(key) for key in ("agent", "env", "seed", "versions")}
        options: dict[str, Any] = {"resume": "allow"} if is_known else {"config": config}
        if name == "wandb":
            options["id"] = self.facts["id"]
        self._module.init(project="lmgym", name=folder.name, **options)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add numbers by name."""
        self._module.log(dict(metrics), step=int(step))

    def close(self) -> None:
        """End the run."""
        self._module.finish()


def open_tracker(name: str | None) -> Any:
    """A function of a folder and its facts that begins a `Tracker`; None where `name` is None.

    Raises:
        LmgymError: for an unknown tracker, or one that isn't installed.
    """
    if name is None:
        return None
    if name not in _TRACKERS:
        raise unknown("tracker", name, _TRACKERS)
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise LmgymError(f"{name} is not installed; run: pip install {name}") from error
    return lambda folder, facts: Tracker(name, folder, facts)
