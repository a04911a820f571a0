"""The figures of an evaluation, from its answers alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmgym.answers import Answer, Answers
from lmgym.metrics import Estimate, Metric, best_at_k, majority_at_k, pass_at_k
from lmgym.task import Task

__all__ = ["Family", "Summary", "figures_of", "summarize"]

Estimates = dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Family:
    """The metrics on `n` problems of one kind."""

    n: int
    metrics: Estimates


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a policy on `n` problems of a split.

    Attributes:
        split: which problems.
        n: how many.
        samples: sampled answers to each.
        temperature: of these.
        mean_length: ids of an answer, of the greedy ones where there are any.
        metrics: what was asked for, by name.
        worth: what the greedy answers are paid and graded, where they are.
        n_unscored: greedy answers that the reward could not score; None without a reward.
        figures: further figures of the greedy answers, where the world has any.
        families: the same metrics by kind of problem, where the world names kinds.
    """

    split: str
    n: int
    samples: int
    temperature: float
    mean_length: float
    metrics: Estimates
    worth: Estimates = field(default_factory=dict)
    n_unscored: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    families: Mapping[str, Family] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The figures, as `--out` keeps them."""
        found: dict[str, Any] = {
            "split": self.split,
            "n": self.n,
            "mean_length": self.mean_length,
            "samples": self.samples,
            "temperature": self.temperature,
            **_plain(self.metrics),
            **_plain(self.worth),
        }
        if self.n_unscored is not None:
            found["unscored"] = self.n_unscored
        if self.figures:
            found["figures"] = dict(self.figures)
        if self.families:
            found["families"] = {
                name: {"n": family.n, **_plain(family.metrics)}
                for name, family in self.families.items()
            }
        return found


def summarize(
    answers: Sequence[Answers],
    metrics: Sequence[Metric],
    task: Task[Any],
    *,
    split: str,
    temperature: float,
    is_judged: bool,
    is_paid: bool,
) -> Summary:
    """The figures of all answers.

    Args:
        answers: one entry for each problem.
        metrics: what is asked for.
        task: the world, which may tell further figures.
        split: which problems they are.
        temperature: of the samples.
        is_judged: whether the world says what is right.
        is_paid: whether the greedy answers were paid by a reward.
    """
    greedy = [each.greedy for each in answers if each.greedy is not None]
    played = greedy or [answer for each in answers for answer in each.samples]
    rewards = _known(answer.reward for answer in greedy)
    return Summary(
        split,
        len(answers),
        len(answers[0].samples),
        temperature,
        float(np.mean([answer.n_tokens for answer in played])),
        figures_of(answers, metrics, is_judged=is_judged),
        _worth(greedy, rewards),
        len(greedy) - len(rewards) if is_paid and greedy else None,
        task.figures([_journey(task, each) for each in answers])
        if task.has_figures and greedy
        else {},
        _families(answers, metrics, is_judged=is_judged),
    )


def figures_of(
    answers: Sequence[Answers], metrics: Iterable[Metric], *, is_judged: bool = True
) -> Estimates:
    """Metrics by name; best@k has up to three, of success, of the reward and of the gold reward."""
    found: Estimates = {}
    for metric in metrics:
        if metric.kind == "best":
            found |= _best(answers, metric, is_judged=is_judged)
        else:
            rate = _RATES[metric.kind]
            found[metric.name] = Estimate.of_shares([rate(each, metric.k) for each in answers])
    return found


def _greedy(answers: Answers, k: int) -> float:
    del k
    return float(answers.greedy is not None and answers.greedy.is_correct)


def _passed(answers: Answers, k: int) -> float:
    n_right = sum(answer.is_correct for answer in answers.samples)
    return pass_at_k(len(answers.samples), n_right, k)


def _voted(answers: Answers, k: int) -> float:
    values = [answer.value for answer in answers.samples]
    rates = majority_at_k(values, [answer.is_correct for answer in answers.samples])
    return float(rates[k - 1])


_RATES = {"greedy": _greedy, "pass": _passed, "maj": _voted}


def _best(answers: Sequence[Answers], metric: Metric, *, is_judged: bool) -> Estimates:
    """Of the best of k: success, the reward, and the gold reward, where they are known."""
    k, name = metric.k, metric.name
    rewards = [[answer.reward for answer in each.samples] for each in answers]
    pairs = list(zip(rewards, answers, strict=True))
    found: Estimates = {}
    if is_judged:
        rates = [best_at_k(paid, [a.is_correct for a in each.samples], k) for paid, each in pairs]
        found[name] = Estimate.of_shares(rates)
    scored = [row for row in map(_known, rewards) if len(row) == len(answers[0].samples)]
    if scored:
        found[f"{name}_reward"] = Estimate.of_numbers([best_at_k(r, r, k) for r in scored])
    golds = [_known(answer.gold_reward for answer in each.samples) for each in answers]
    if all(golds):
        graded = [best_at_k(*row, k) for row in zip(rewards, golds, strict=True)]
        found[f"{name}_gold_reward"] = Estimate.of_numbers(graded)
    return found


def _worth(greedy: Sequence[Answer], rewards: Sequence[float]) -> Estimates:
    means = {"reward": rewards, "gold_reward": _known(answer.gold_reward for answer in greedy)}
    return {name: Estimate.of_numbers(values) for name, values in means.items() if values}


def _families(
    answers: Sequence[Answers], metrics: Sequence[Metric], *, is_judged: bool
) -> dict[str, Family]:
    kinds: dict[str, list[Answers]] = {}
    for each in answers:
        if each.problem.family is not None:
            kinds.setdefault(each.problem.family, []).append(each)
    return {
        name: Family(len(some), figures_of(some, metrics, is_judged=is_judged))
        for name, some in sorted(kinds.items())
    }


def _journey(task: Task[Any], answers: Answers) -> list[Any]:
    """The states of a greedy episode, found by playing its messages again."""
    rng = np.random.default_rng(0)  # worlds with figures draw nothing
    states = [task.reset(rng, task_id=answers.problem.task_id).state]
    turns = answers.greedy.turns if answers.greedy is not None else None
    for text in turns or ():
        states.append(task.reply(states[-1], text, rng).state)
    return states


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _plain(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, estimate in estimates.items():
        found |= estimate.as_dict(name)
    return found
