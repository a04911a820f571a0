r"""Rewards for TRL's `GRPOTrainer`: right answers, and a part for form that never outweighs them.

A trainer calls a reward with a batch: `completions`, and the columns of the data set as lists.
Nothing of TRL is imported here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from lmgym.errors import LmgymError
from lmgym.verification.extraction import extract
from lmgym.verification.phrases import Phrase
from lmgym.verification.verifier import Policy, Verdict, read_gold, verify_batch

__all__ = ["Completion", "Judge", "Reward", "format_reward", "text_of", "trl_reward", "weighted"]

Completion = str | Sequence[Mapping[str, Any]]
"""What a model wrote: a text, or the messages of a conversation."""

Judge = Callable[[Sequence[str], Sequence[str]], Sequence[Verdict]]
"""Judges responses against their golds: `verify_batch`, or that of a pool of processes."""

GOLDS = ("gold", "answer", "solution")
"""Columns that hold gold answers; where there are several, the first of these counts."""

_LONGEST_PHRASE = 40
"""Words of a gold that is no mathematics; a longer one is a solution without a final answer."""


class Reward(Protocol):
    """A reward as a trainer calls it."""

    __name__: str

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> list[float]:
        """One number for each completion."""
        ...


def trl_reward(completions: Sequence[Completion], **columns: Any) -> list[float]:
    r"""1.0 for each completion whose answer is worth its gold, else 0.0.

    Args:
        completions: texts, or lists of messages; the last one counts if it is the assistant's.
        columns: of the batch, each as long. The golds are `gold`, else `answer`, else `solution`:
            plain, LaTeX, in a box, or behind ``####``. No other column is looked at.

    Raises:
        LmgymError: where there are no golds, or one that cannot be read: never a silent 0.

    Example:
        >>> trl_reward([r"So it is \boxed{\frac12}.", "I think 3."], answer=["0.5", "#### 4"])
        [1.0, 0.0]
    """
    return _accuracies(completions, columns, verify_batch)


def format_reward(completions: Sequence[Completion], **columns: Any) -> list[float]:
    r"""1.0 for each completion that gives its answer in a box, right or not, else 0.0.

    Thoughts between think tags don't count, nor does an empty box.

    Example:
        >>> format_reward([r"\boxed{5}", "5", r"\boxed{}", r"<think>\boxed{5}</think> 5"])
        [1.0, 0.0, 0.0, 0.0]
    """
    return [float(_is_boxed(text_of(completion))) for completion in completions]


def weighted(
    *,
    accuracy: float = 1.0,
    format: float = 0.1,  # noqa: A002 - the name of the part
    policy: Policy | None = None,
    judge: Judge | None = None,
) -> Reward:
    r"""A reward of two parts; every right answer earns more than any wrong one.

    A trainer that hands over `log_metric` is told the mean of each part.

    Args:
        accuracy: what a right answer earns.
        format: what an answer in a box earns besides, right or wrong; less than `accuracy`.
        policy: what is let pass; None is strict.
        judge: judges the batch in place of `verify_batch`, with a policy of its own: the
            `verify_batch` of a `VerifierPool`.

    Raises:
        LmgymError: where a weight is out of range, or a policy would go unheard.

    Example:
        >>> reward = weighted(accuracy=1.0, format=0.25)
        >>> reward([r"\boxed{7}", "7", r"\boxed{8}", "8"], gold=["7"] * 4)
        [1.25, 1.0, 0.25, 0.0]
        >>> weighted(accuracy=1.0, format=1.0)
        Traceback (most recent call last):
        lmgym.errors.LmgymError: format=1.0 must be less than accuracy=1.0, else a wrong answer ...
    """
    _check_weights(accuracy, format)
    if judge is not None and policy is not None:
        raise LmgymError("a judge has its own policy; give VerifierPool(policy=...), and none here")
    judged_by = judge or partial(verify_batch, policy=policy or Policy())

    def accuracy_and_format(completions: Sequence[Completion], **columns: Any) -> list[float]:
        right = _accuracies(completions, columns, judged_by)
        formed = format_reward(completions)
        _log(columns, {"accuracy": right, "format": formed})
        return [accuracy * r + format * f for r, f in zip(right, formed, strict=True)]

    return accuracy_and_format


def text_of(completion: Completion) -> str:
    """What the assistant said last; nothing where the conversation ends with another's message.

    Raises:
        LmgymError: for what is neither a text nor messages.

    Example:
        >>> text_of([{"role": "assistant", "content": "5"}])
        '5'
    """
    if isinstance(completion, str):
        return completion
    last = completion[-1] if isinstance(completion, Sequence) and completion else {}
    if not isinstance(completion, Sequence) or not isinstance(last, Mapping):
        raise LmgymError(
            f"a completion is a {type(completion).__name__}; give a text, or a list of messages as"
            " {'role': 'assistant', 'content': ...}"
        )
    if last.get("role", "assistant") != "assistant":
        return ""
    content = last.get("content")
    if content is None or isinstance(content, str):
        return content or ""  # a call of a tool has no content
    return "".join(part["text"] for part in content if part.get("type", "text") == "text")


def _accuracies(
    completions: Sequence[Completion], columns: Mapping[str, Any], judge: Judge
) -> list[float]:
    golds = _golds(len(completions), columns)
    verdicts = judge([text_of(completion) for completion in completions], golds)
    return [float(verdict.correct) for verdict in verdicts]


def _golds(n: int, columns: Mapping[str, Any]) -> list[str]:
    """The gold of each completion, as a text that can be read."""
    name = next((name for name in GOLDS if columns.get(name) is not None), None)
    if name is None:
        given = ", ".join(k for k, v in columns.items() if isinstance(v, Sequence)) or "no column"
        raise LmgymError(
            f"no column of gold answers; given {given}; the data set needs one of"
            f" {', '.join(GOLDS)}: rename yours with rename_column"
        )
    values = columns[name]
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != n:
        size = f"{len(values)} long" if isinstance(values, Sequence) else "no list"
        raise LmgymError(f"{name} is {size}; it needs one gold answer for each of {n} completions")
    return [_gold(value, f"{name}[{place}]") for place, value in enumerate(values)]


def _gold(value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise LmgymError(f"{where} is {value!r}; a gold answer is a text or a number")
    text = str(value)
    try:
        target = read_gold(text)
    except LmgymError as error:
        raise LmgymError(f"{where}: {error}") from None
    if isinstance(target, Phrase) and len(target.words) > _LONGEST_PHRASE:
        raise LmgymError(
            f"{where} is a text of {len(target.words)} words, {text[:60]!r}...; give the final"
            " answer alone, in \\boxed{} or after '####'"
        )
    return text


def _is_boxed(text: str) -> bool:
    found = extract(text)
    return found is not None and found.method == "box" and bool(found.text.strip())


def _check_weights(accuracy: float, format_: float) -> None:
    if not (math.isfinite(accuracy) and accuracy > 0):
        raise LmgymError(f"accuracy={accuracy} is out of range; it must be above 0")
    if not format_ >= 0:
        raise LmgymError(f"format={format_} is out of range; it must be 0 or more")
    if format_ >= accuracy:
        raise LmgymError(
            f"format={format_} must be less than accuracy={accuracy}, else a wrong answer in a box"
            f" would earn as much as a right one without; give {accuracy / 10:g}, say"
        )


def _log(columns: Mapping[str, Any], parts: Mapping[str, Sequence[float]]) -> None:
    log = columns.get("log_metric")
    if not callable(log):
        return
    for name, values in parts.items():
        if values:
            log(f"reward_parts/{name}", sum(values) / len(values))
