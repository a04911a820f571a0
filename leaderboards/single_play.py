"""Episodes of a single-player track: which problems a seed draws, and what written texts score.

Scores come from replaying the agent's texts through the world, with the same tokenizer for all, in
evaluation and in verification alike; so a score can be checked by anybody, without the agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmgym.episode import Episode as Course
from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_task
from lmgym.rendering import Renderer
from lmgym.task import Message, Task, Verdict
from lmgym.transcript import with_gold_rewards

from .results.rows import Episode, Failure
from .season import SingleTrack

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = [
    "Contestant",
    "PolicyContestant",
    "SingleWorld",
    "Speaker",
    "SpeakerContestant",
    "Written",
]

_SEEDS = 1 << 62  # as `RolloutCollector` draws them
_SMALL = 10_000_000  # parameters of policies that write for a whole seed at once
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Written:
    """What an agent wrote in an episode.

    Attributes:
        texts: its messages.
        failure: why there are no more, where the agent failed.
    """

    texts: tuple[str, ...]
    failure: Failure | None = None


class SingleWorld:
    """The world of a track.

    Example:
        >>> world = SingleWorld(SingleTrack("sums", "Sums", "lmgym/Math-v0", problems=2))
        >>> [course.messages[0].content for course in world.starts(seed=0)]
        ['47+28=', '45+37=']
        >>> [e.score for e in world.scored(0, [Written(("75",)), Written(("no",))])]
        [1.0, 0.0]
    """

    def __init__(self, track: SingleTrack) -> None:
        self.track = track
        self.task: Task[Any] = make_task(track.env, **track.args)
        self.task.check_split(track.split)
        if track.metric == "gold_reward" and not self.task.has_gold_reward:
            raise LmgymError(
                f'track {track.id}: {track.env} has no gold reward; set metric = "success"'
            )

    @property
    def sizes(self) -> dict[str, int]:
        """The budget and the context of an episode."""
        spare = max(0, self.track.most_bytes - self.task.max_tokens)
        return {"max_tokens": self.track.most_bytes, "context": self.task.context + spare}

    def starts(self, seed: int, renderer: Renderer | None = None) -> Iterator[Course]:
        """An episode at the start of each problem of a seed; valid until the next one is taken."""
        course = episode_of(self.task, renderer, **self.sizes)
        draws = np.random.default_rng(seed).integers(_SEEDS, size=self.track.problems).tolist()
        for draw in draws:
            course.reset(np.random.default_rng((draw, 0)), split=self.track.split)
            yield course

    def scored(self, seed: int, written: Sequence[Written]) -> list[Episode]:
        """The episodes of a seed, each with the score of what was written.

        Raises:
            LmgymError: where more or fewer episodes were written than the seed has problems.
        """
        if len(written) != self.track.problems:
            raise LmgymError(
                f"there are {len(written)} episodes, and {self.track.problems} problems"
            )
        pairs = zip(self.starts(seed), written, strict=True)
        return [self._scored(course, each) for course, each in pairs]

    def conversation(self, seed: int, place: int, texts: Sequence[str]) -> list[Message]:
        """All that was said in an episode of a seed."""
        course = next(c for i, c in enumerate(self.starts(seed)) if i == place)
        _write(course, texts)
        return course.messages

    def _scored(self, course: Course, written: Written) -> Episode:
        n_read = _write(course, written.texts)
        (transcript,) = with_gold_rewards(self.task, [course.transcript()])
        assert course.verdict is not None
        score: float | None = float(course.verdict is Verdict.CORRECT)
        if self.track.metric == "gold_reward":
            score = transcript.gold_reward
        assert score is not None, "a world that grades has graded no finished episode"
        return Episode(
            task_id=course.opening.task_id,
            texts=written.texts[:n_read],
            score=float(score),
            verdict=str(course.verdict),
            failure=written.failure,
        )


def _write(course: Course, texts: Sequence[str]) -> int:
    """Play messages, and empty ones after them until the end; returns how many were read."""
    n_read = 0
    while course.verdict is None:
        text = texts[n_read] if n_read < len(texts) else ""
        n_read += n_read < len(texts)
        course.write([*course.renderer.encode(text), course.renderer.end_id])
    return n_read


class Contestant(Protocol):
    """Writes in single-player tracks."""

    def play(self, world: SingleWorld, seed: int) -> list[Written]:
        """What it writes in each episode of a seed; the same each time."""
        ...


class PolicyContestant:
    """A language policy; it writes in all episodes of a seed at once."""

    def __init__(self, policy: LanguagePolicy) -> None:
        self.policy = policy

    def play(self, world: SingleWorld, seed: int) -> list[Written]:
        """What it writes, by a generator of the seed's own."""
        import torch

        from lmgym.rollouts import RolloutCollector

        track, generator = world.track, torch.Generator().manual_seed(seed)
        sizes: dict[str, int] = (
            world.sizes if self.policy.renderer.name == "byte" else {"max_tokens": track.most_bytes}
        )
        collector = RolloutCollector(self.policy, world.task, None, **sizes)
        is_small = sum(p.numel() for p in self.policy.model.parameters()) <= _SMALL
        batch = track.problems if is_small else _BATCH
        rng = np.random.default_rng(seed)
        written: list[Written] = []
        while len(written) < track.problems:
            played = collector.collect(
                rng,
                generator,
                n_groups=min(batch, track.problems - len(written)),
                split=track.split,
                temperature=track.temperature or 1.0,
                greedy=track.temperature == 0,
            )
            written += [
                Written(tuple(_plain(turn.text) for part in t.segments for turn in part.turns))
                for t in played.transcripts
            ]
        return written


class Speaker(Protocol):
    """Writes a message at a time."""

    def begin(self, number: int, seed: int) -> None:
        """A new episode starts."""
        ...

    def say(self, course: Course) -> str:
        """A message.

        Raises:
            PlayerFailure: where there is none.
        """
        ...

    def end(self, score: float) -> None:
        """The episode is over."""
        ...


class SpeakerContestant:
    """Lets a speaker write, one episode after the other."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker

    def play(self, world: SingleWorld, seed: int) -> list[Written]:
        """What it writes in each episode."""
        return [
            self._episode(course, number, seed) for number, course in enumerate(world.starts(seed))
        ]

    def _episode(self, course: Course, number: int, seed: int) -> Written:
        from lmgym.games.players import PlayerFailure

        texts: list[str] = []
        try:
            self.speaker.begin(number, seed)
            while course.verdict is None:
                texts.append(_plain(self.speaker.say(course)))
                course.write([*course.renderer.encode(texts[-1]), course.renderer.end_id])
            self.speaker.end(float(course.verdict is Verdict.CORRECT))
        except PlayerFailure as failure:
            return Written(tuple(texts), Failure(failure.cause, str(failure)[:300]))
        return Written(tuple(texts))


def _plain(text: str) -> str:
    """The text as UTF-8 can hold it."""
    return text.encode("utf-8", "replace").decode()
