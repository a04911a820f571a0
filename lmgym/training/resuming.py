"""Going on with a run: what its folder says of it, and whether that is what is asked for."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lmgym.errors import LmgymError
from lmgym.registry import RESUMABLE
from lmgym.training.records import command_line, plain_value, versions, with_home
from lmgym.training.runs import RECORD_FILE, STATE_FILE, read_record

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy
    from lmgym.training.arguments import LearnerArgs
    from lmgym.training.checkpoints import Checkpoint

__all__ = [
    "RunFinished",
    "StoredRun",
    "cannot_resume",
    "check_kept",
    "policy_digests",
    "resume_facts",
]

A = TypeVar("A")

_BUDGET = ("seconds", "updates", "target")
_OF_THE_FOLDER = ("resume", "out")
_PARTS = {"agent": str, "env": str, "args": dict, "world": dict}
"""What a record must hold, and as what."""
_TOLD = {"tokenizer": "another tokenizer", "weights": "other weights"}
_LOOKED_AT = 256
"""Numbers of each tensor that tell it from others."""


class RunFinished(LmgymError):  # noqa: N818 - nothing is wrong
    """There is nothing left to do in a run."""


@dataclass(frozen=True)
class StoredRun:
    """A run as its folder tells of it.

    Attributes:
        path: the folder.
        record: its `lmgym.json`.
    """

    path: Path
    record: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> StoredRun:
        """The run in a folder.

        Raises:
            LmgymError: where it is no run folder, or its record is none of a run.
        """
        record = read_record(path)
        for name, kind in _PARTS.items():
            if not isinstance(record.get(name), kind):
                raise LmgymError(
                    f"{str(Path(path) / RECORD_FILE)!r} is no record of a run: {name!r} is"
                    f" {'not there' if name not in record else repr(record[name])}"
                )
        return cls(Path(path), record)

    @property
    def agent(self) -> str:
        """Name of the learner."""
        return str(self.record["agent"])

    @property
    def env(self) -> str:
        """Id of the world."""
        return str(self.record["env"])

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end."""
        return bool(self.record.get("status") == "finished")

    def arguments(self, args_class: type[A]) -> A:
        """The learner's arguments."""
        return _rebuilt(args_class, self.record["args"], self.path)

    def world_arguments(self, args_class: type[A]) -> A:
        """The world's arguments."""
        return _rebuilt(args_class, self.record["world"], self.path)

    def checkpoint(self) -> Checkpoint:
        """Where it stands.

        Raises:
            LmgymError: where there is no checkpoint, or a broken one.
        """
        from lmgym.training.checkpoints import Checkpoints

        file = self.path / STATE_FILE
        if not file.is_file():
            raise LmgymError(
                f"the run in {str(self.path)!r} cannot be resumed: it has no {STATE_FILE}, so it"
                " ended before its first update; start it again"
            )
        return Checkpoints(file).read()

    def check(self, agent: str, env: str, args: LearnerArgs, reward: str | None) -> None:
        """Raise where these are not what the run was started with."""
        self.check_same("agent", self.agent, agent)
        self.check_same("env", self.env, env)
        free = (*args.may_change, *_OF_THE_FOLDER)
        before, now = self.record["args"], plain_value(args)
        for name in now:
            if name in before and name not in free:
                self.check_same(name, before[name], now[name], args.may_change)
        self.check_same("reward", self.record.get("reward"), plain_value(reward))
        if args.out is not None and Path(args.out).resolve() != self.path.resolve():
            raise LmgymError(f"out={args.out!r}: a run goes on in its own folder; leave it out")

    def check_same(self, name: str, before: Any, now: Any, free: Sequence[str] = ()) -> None:
        """Raise where something differs."""
        if before != now:
            may = f". What may change on the way: {', '.join(free)}" if free else ""
            raise LmgymError(
                f"{name} is {now!r}, and the run in {str(self.path)!r} was started with {before!r};"
                f" leave it out to go on, or start another run{may}"
            )

    def check_identity(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise where policy or world are others than those that the run was started with."""
        for name, told in _TOLD.items():
            if before[name] != now[name]:
                raise LmgymError(
                    f"this policy has {told} than {self.record['args']['model']!r} had, from which"
                    f" the run in {str(self.path)!r} started; it goes on with the same policy only"
                    " (--model PATH says where that is now)"
                )
        for name in {**before["world"], **now["world"]}:
            self.check_same(name, before["world"].get(name), now["world"].get(name))

    def has_new_budget(self, args: LearnerArgs) -> bool:
        """Whether it may now run on for longer, or not as long."""
        before, now = self.record["args"], plain_value(args)
        return any(before[name] != now[name] for name in _BUDGET)

    def resumed_record(self, args: LearnerArgs, told: Mapping[str, Any]) -> dict[str, Any]:
        """What the record says once the run goes on.

        Args:
            args: of now.
            told: of this resume: where and how it went on.
        """
        before, now = self.record["args"], plain_value(args)
        changed = {name: now[name] for name in args.may_change if before.get(name) != now.get(name)}
        kept = {name: before.get(name) for name in _OF_THE_FOLDER}
        resumes = [*self.record.get("resumes", []), {**told, "changed": changed}]
        start = self.record.get("started_from", before["model"])
        facts = {"status": "running", "args": {**now, **kept}, "resumes": resumes}
        return facts if start == now["model"] else {**facts, "started_from": start}


def cannot_resume(agent: str) -> LmgymError:
    """What is said where a learner writes no checkpoints."""
    return LmgymError(
        f"runs of {agent} cannot be resumed, and write no checkpoints to resume from; these can:"
        f" {', '.join(RESUMABLE)}"
    )


def check_kept(file: Path, stored: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Raise where a checkpoint holds states of other things than the learner keeps."""
    if stored.keys() != kept.keys():
        raise LmgymError(
            f"the checkpoint {str(file)!r} holds the states {sorted(stored)}, and the learner keeps"
            f" {sorted(kept)}; go on with the version of lmgym that lmgym.json names"
        )


def resume_facts() -> dict[str, Any]:
    """What a record says of a resume besides where it was: when, and by what."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"started": started, "command": command_line(), "versions": versions()}


def policy_digests(policy: LanguagePolicy) -> dict[str, str]:
    """What tells a policy from others: its tokenizer, and a few numbers of each of its weights."""
    renderer = policy.renderer
    tokenizer = getattr(renderer, "tokenizer", None)
    ids = (renderer.vocab_size, sorted(renderer.end_ids), renderer.pad_id)
    words = blake2b(repr(ids).encode())
    if tokenizer is not None:
        words.update(repr(sorted(tokenizer.get_vocab().items())).encode())
        words.update(repr(tokenizer.chat_template).encode())
    weights = blake2b()
    for name, parameter in policy.model.named_parameters():
        numbers = parameter.detach().flatten()
        some = numbers[:: max(1, len(numbers) // _LOOKED_AT)].double().cpu()
        weights.update(f"{name} {tuple(parameter.shape)}".encode() + some.numpy().tobytes())
    return {"tokenizer": words.hexdigest()[:32], "weights": weights.hexdigest()[:32]}


def _rebuilt(args_class: type[A], record: Mapping[str, Any], path: Path) -> A:
    """Arguments from their record."""
    hints = get_type_hints(args_class)
    names = {field.name for field in fields(args_class)}  # type: ignore[arg-type]
    strange = sorted(record.keys() - names)
    if strange:
        raise LmgymError(
            f"the run in {str(path)!r} was started with an argument {strange[0]!r}, which"
            f" {args_class.__qualname__} of this version of lmgym does not have; go on with the"
            " version that lmgym.json names"
        )
    return args_class(**{name: _typed(with_home(v), hints[name]) for name, v in record.items()})


def _typed(value: Any, hint: Any) -> Any:
    """A value of a record as its field has it: JSON knows no infinity and no tuples."""
    is_union = get_origin(hint) in (Union, types.UnionType)
    kinds = get_args(hint) if is_union else (hint,)
    if value is None and types.NoneType not in kinds and float in kinds:
        return math.inf
    is_tuple = any(get_origin(kind) is tuple or kind is tuple for kind in kinds)
    return tuple(value) if isinstance(value, list) and is_tuple else value
