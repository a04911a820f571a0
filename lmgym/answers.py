"""Answers to the problems of an evaluation: played in parts, and kept as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lmgym.episode import Episode
from lmgym.rollouts import RolloutBatch, RolloutCollector
from lmgym.task import Task, Verdict
from lmgym.transcript import Transcript, conversation_text
from lmgym.verification import last_number

if TYPE_CHECKING:
    import torch

__all__ = [
    "EXTRACTOR",
    "Answer",
    "Answers",
    "Part",
    "Problem",
    "gather",
    "open_problems",
    "parts_of",
    "play",
    "value_of",
]

EXTRACTOR = "boxed-or-last-number/1"
"""How the value of an answer is read, and the version of it: see `value_of`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One episode of an evaluation.

    Attributes:
        text: the agent's last message.
        verdict: the world's.
        n_tokens: ids that the agent drew.
        value: the number that the answer is, None where there is none.
        reward: what it was paid, None where nothing was or could be.
        gold_reward: the world's grade, where it has one.
        turns: all finished messages of the agent, where there may be more than one.
    """

    text: str
    verdict: str
    n_tokens: int
    value: str | None = None
    reward: float | None = None
    gold_reward: float | None = None
    turns: tuple[str, ...] | None = None

    @property
    def is_correct(self) -> bool:
        """Whether the world judged it so."""
        return self.verdict == Verdict.CORRECT

    def as_dict(self) -> dict[str, Any]:
        """What is known, as plain values."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in named.items() if value is not None}

    @classmethod
    def of_dict(cls, values: Mapping[str, Any]) -> Answer:
        """The answer that `as_dict` told."""
        named = dict(values)
        turns = named.pop("turns", None)
        return cls(**named, turns=None if turns is None else tuple(turns))


class Problem(NamedTuple):
    """What is asked.

    Attributes:
        task_id: its address.
        question: what the agent reads first.
        gold: the right answer, where there is one.
        family: the kind of problem, where the world names it.
    """

    task_id: str
    question: str
    gold: str | None
    family: str | None


class Answers(NamedTuple):
    """A problem, and what was answered.

    Attributes:
        problem: what was asked.
        greedy: the likeliest answer, where it was wanted.
        samples: the sampled ones.
    """

    problem: Problem
    greedy: Answer | None
    samples: tuple[Answer, ...]

    def as_dict(self, *, has_samples: bool = False) -> dict[str, Any]:
        """The problem, the greedy answer (else the first sample) and, on request, all samples."""
        problem, shown = self.problem, self.greedy or self.samples[0]
        told = shown.as_dict()
        found = {
            "task_id": problem.task_id,
            "question": problem.question,
            "gold": problem.gold,
            "answer": told.pop("text"),
            **told,
        }
        if problem.family is not None:
            found["family"] = problem.family
        if has_samples:
            found["samples"] = [answer.as_dict() for answer in self.samples]
        return found


class Part(NamedTuple):
    """Episodes that are played together: `n` of each of the problems `first` to `last` - 1.

    Attributes:
        place: which of a problem's samples the first is; -1 for the greedy answer.
    """

    first: int
    last: int
    place: int
    n: int

    @property
    def n_episodes(self) -> int:
        """How many they are."""
        return (self.last - self.first) * self.n


def open_problems(episode: Episode, task_ids: Sequence[str]) -> tuple[list[Problem], str]:
    """The problems, and a hash of all prompts as the model reads them, as ids.

    Args:
        episode: is started once for each problem.
        task_ids: their addresses.
    """
    digest, problems = hashlib.sha256(), []
    for task_id in task_ids:
        episode.reset(np.random.default_rng(0), task_id=task_id)
        digest.update(np.array([episode.length, *episode.ids], "<i8").tobytes())
        opening = episode.opening
        question = conversation_text(opening.messages)
        family = opening.columns.get("family")
        problems.append(
            Problem(task_id, question, opening.gold, None if family is None else str(family))
        )
    return problems, f"sha256:{digest.hexdigest()[:16]}"


def parts_of(n_problems: int, samples: int, batch_size: int, *, is_greedy: bool) -> list[Part]:
    """The parts of an evaluation, none with more than `batch_size` episodes.

    Example:
        >>> parts_of(3, 2, 4, is_greedy=True)  # doctest: +NORMALIZE_WHITESPACE
        [Part(first=0, last=3, place=-1, n=1), Part(first=0, last=2, place=0, n=2),
         Part(first=2, last=3, place=0, n=2)]
    """
    groups = [(-1, 1)] if is_greedy else []
    groups += [(i, min(batch_size, samples - i)) for i in range(0, samples, batch_size)]
    found = []
    for place, count in groups:
        size = batch_size // count
        for first in range(0, n_problems, size):
            found.append(Part(first, min(first + size, n_problems), place, count))
    return found


def play(
    collector: RolloutCollector,
    task_ids: Sequence[str],
    part: Part,
    *,
    seed: int,
    temperature: float,
) -> list[Answer]:
    """Play a part; the answers of one problem stand together.

    Which ids are drawn follows from `seed` and the part alone, so an evaluation that goes on after
    an interruption ends as one that was not interrupted.
    """
    rng = np.random.default_rng((0, part.place + 1))  # of the worlds' replies
    rng.integers(1 << 62, size=part.first)  # those of the problems before
    batch = collector.collect(
        rng,
        _generator(seed, part),
        task_ids=task_ids[part.first : part.last],
        group_size=part.n,
        temperature=temperature,
        greedy=part.place < 0,
    )
    return list(_answers(batch, collector.task, is_paid=collector.schedule.source is not None))


def gather(
    problems: Sequence[Problem], played: Iterable[tuple[Part, Sequence[Answer]]]
) -> list[Answers]:
    """The answers to each problem, of all parts that were played."""
    greedy: dict[int, Answer] = {}
    samples: dict[int, list[Answer]] = {}
    for part, answers in played:
        for row, answer in enumerate(answers):
            problem = part.first + row // part.n
            if part.place < 0:
                greedy[problem] = answer
            else:
                samples.setdefault(problem, []).append(answer)
    return [
        Answers(problem, greedy.get(i), tuple(samples.get(i, ())))
        for i, problem in enumerate(problems)
    ]


def value_of(transcript: Transcript) -> str | None:
    r"""The number that an episode's last message answers with, by its value: "1/2" for 0.50.

    The last complete box holds it, or else it is the last number of the message, as the verifier
    reads it. A message that the agent did not end has none.

    Example:
        >>> value_of(Transcript.from_strings("1/4+1/4=", "0.25 + 0.25 is \\boxed{0.50}"))
        '1/2'
    """
    turns = transcript.segments[-1].turns if transcript.segments else ()
    if turns and not turns[-1].is_finished:
        return None
    number = last_number(transcript.completion_text)
    return None if number is None else str(number)


def _answers(batch: RolloutBatch, task: Task[Any], *, is_paid: bool) -> Iterator[Answer]:
    for row, transcript in enumerate(batch.transcripts):
        turns = [t.text for s in transcript.segments for t in s.turns if t.is_finished]
        yield Answer(
            text=transcript.completion_text,
            verdict=str(transcript.verdict),
            n_tokens=transcript.n_tokens,
            value=value_of(transcript),
            reward=float(batch.rewards[row]) if is_paid and batch.scored[row] else None,
            gold_reward=transcript.gold_reward,
            turns=tuple(turns) if task.max_turns > 1 or task.has_figures else None,
        )


def _generator(seed: int, part: Part) -> torch.Generator:
    import torch

    words = np.random.SeedSequence((seed, part.first, part.place + 1)).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
