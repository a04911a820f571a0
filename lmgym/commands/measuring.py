"""The work behind `lmgym eval`; apart from its options, because it loads torch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from lmgym.answers import Answer, Answers, Part, Problem, gather, open_problems, parts_of, play
from lmgym.commands.journal import Journal, partial_file
from lmgym.commands.protocol import (
    check_source,
    check_votes,
    check_world,
    is_judged,
    metrics_of,
    settings_of,
)
from lmgym.commands.summary import Summary, summarize
from lmgym.commands.worth import BestOf, RecordingCollector, measure_best_of
from lmgym.factory import episode_of
from lmgym.metrics import Metric
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.rewards.names import as_source
from lmgym.rewards.source import RewardSource
from lmgym.rollouts import RolloutCollector
from lmgym.task import Task
from lmgym.training.presets import default_batch_size, is_large, use_threads
from lmgym.training.progress import TrainingDisplay

if TYPE_CHECKING:
    from lmgym.commands.evaluate import EvalArgs

__all__ = ["Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation and what it took.

    Attributes:
        evaluation: the figures.
        n_parameters: of the policy.
        seconds: without loading the policy.
        n_tokens: ids that were drawn, greedy and sampled.
        settings: what decides which answers there are; nothing for the best of N.
        answers: all answers by problem; nothing for the best of N.
    """

    evaluation: Summary | BestOf
    n_parameters: int
    seconds: float
    n_tokens: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    answers: Sequence[Answers] = ()

    @property
    def tokens_per_second(self) -> float:
        """Ids drawn a second."""
        return self.n_tokens / self.seconds


def measure(args: EvalArgs, env: str, world_args: Any, task: Task[Any], title: str) -> Measured:
    """Run the evaluation while the standard error shows how far it is."""
    source = None if args.reward is None else as_source(args.reward)
    if args.best_of is None:
        check_world(args, task, task.task_ids(args.split, args.limit or 64))
        check_source(args, source)
    policy = load_policy(args.model, device=args.device, dtype=args.dtype)
    use_threads(policy.n_base_parameters)
    limit = args.limit or (50 if is_large(policy.n_base_parameters) else 512)
    evaluation = _Evaluation(
        args,
        task,
        policy,
        source,
        task.task_ids(args.split, limit),
        args.batch_size or default_batch_size(policy.n_base_parameters),
        title,
    )
    return evaluation.of_metrics(env, world_args) if args.best_of is None else evaluation.of_best()


@dataclass(frozen=True)
class _Evaluation:
    """A policy that is loaded, a world, and the problems that it is asked."""

    args: EvalArgs
    task: Task[Any]
    policy: LanguagePolicy
    source: RewardSource | None
    task_ids: Sequence[str]
    batch_size: int
    title: str

    @property
    def _sizes(self) -> dict[str, int | None]:
        return {"context": self.args.context, "max_tokens": self.args.max_tokens}

    def of_metrics(self, env: str, world_args: Any) -> Measured:
        """Answer what is not answered yet, and measure."""
        args, policy = self.args, self.policy
        knows = is_judged(self.task, self.task_ids)
        default = 4 if knows and not is_large(policy.n_base_parameters) else 0
        metrics, samples = metrics_of(args, default)
        is_greedy = Metric("greedy") in metrics
        episode = episode_of(self.task, policy.renderer, **self._sizes)
        problems, prompts = open_problems(episode, self.task_ids)
        check_votes(metrics, [problem.gold for problem in problems], type(self.task).__name__)
        settings = settings_of(
            env, args, world_args, policy, prompts=prompts, n_problems=len(problems)
        )
        settings["sampling"] |= {
            "n": samples,
            "max_tokens": episode.max_tokens,
            "context": episode.context,
            "batch_size": self.batch_size,
        }
        file = None if args.out is None else partial_file(args.out)
        journal = Journal(file, settings | {"greedy": is_greedy})
        parts = parts_of(len(problems), samples, self.batch_size, is_greedy=is_greedy)
        self._play(parts, journal, is_best=any(metric.kind == "best" for metric in metrics))
        answers = _gathered(problems, journal)
        summary = summarize(
            answers,
            metrics if knows else [metric for metric in metrics if metric.kind == "best"],
            self.task,
            split=args.split,
            temperature=args.temperature,
            is_judged=knows,
            is_paid=self.source is not None,
        )
        n_tokens = sum(answer.n_tokens for _, some, _ in journal.played for answer in some)
        seconds = sum(seconds for *_, seconds in journal.played)
        return Measured(summary, policy.n_parameters, seconds, n_tokens, settings, answers)

    def of_best(self) -> Measured:
        """Measure the best of N answers, and keep these."""
        args = self.args
        collector = RecordingCollector(self.policy, self.task, self.source, **self._sizes)
        start = time.perf_counter()

        def show(done: int, total: int) -> None:
            del total
            rate = collector.n_tokens / (time.perf_counter() - start)
            display.update(done, {"tokens_per_second": rate})

        n = args.best_of or 1
        with self._display(len(self.task_ids) * n) as display:
            found = measure_best_of(
                collector,
                torch.Generator().manual_seed(args.seed),
                n,
                split=args.split,
                limit=len(self.task_ids),
                temperature=args.temperature,
                batch_size=self.batch_size,
                on_progress=show,
            )
        seconds = time.perf_counter() - start
        return Measured(found, self.policy.n_parameters, seconds, collector.n_tokens)

    def _play(self, parts: Sequence[Part], journal: Journal, *, is_best: bool) -> None:
        """The parts that the journal lacks, while the display shows how far it is."""
        done = sum(part.n_episodes for part in parts[: len(journal.played)])
        total = sum(part.n_episodes for part in parts)
        with self._display(total) as display:
            if done:
                display.print(f"going on after {done:,} of {total:,} episodes")
            try:
                for answers, seconds in self._parts(parts, journal, is_best=is_best):
                    done += len(answers)
                    rate = sum(answer.n_tokens for answer in answers) / seconds
                    display.update(done, {"tokens_per_second": rate})
            except KeyboardInterrupt:
                if journal.file is not None:
                    display.print(f"{journal.file} has what is done; the same command goes on")
                raise

    def _parts(
        self, parts: Sequence[Part], journal: Journal, *, is_best: bool
    ) -> Iterator[tuple[list[Answer], float]]:
        """Answers of each part and the time they took; samples are paid where the best count."""
        paid = RolloutCollector(self.policy, self.task, self.source, **self._sizes)
        unpaid = paid.unpaid()
        args = self.args
        for part in parts[len(journal.played) :]:
            start = time.perf_counter()
            answers = play(
                paid if is_best or part.place < 0 else unpaid,
                self.task_ids,
                part,
                seed=args.seed,
                temperature=args.temperature,
            )
            seconds = time.perf_counter() - start
            journal.add(part, answers, seconds)
            yield answers, seconds

    def _display(self, total: int) -> TrainingDisplay:
        return TrainingDisplay(self.title, total, "episodes", console=Console(stderr=True))


def _gathered(problems: Sequence[Problem], journal: Journal) -> list[Answers]:
    return gather(problems, ((part, answers) for part, answers, _ in journal.played))
