"""What the world judges by, whatever is paid: the taste, or a reward source that grades texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.rewards.source import RewardBatch, RewardLevel, RewardSource
from lmgym.task import Verdict
from lmgym.transcript import Transcript

from .cheers import words_of
from .taste import Liking, liking

__all__ = ["TASTE", "TasteReward", "gold_source"]

TASTE = "taste"
"""The name of the hidden taste."""

_TOLERANCE = 1e-4


class TasteReward:
    """The hidden taste for generated prompts as a source: for evaluation and for tests.

    Example:
        >>> TasteReward().score([Transcript.from_strings("say kelo rami", "kelo!")]).outcome
        array([1.24305556])
    """

    level = RewardLevel.OUTCOME
    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """How much readers like each answer."""
        likings = [liking(words_of(t.prompt_text), t.completion_text) for t in transcripts]
        columns = np.array(likings, np.float64).reshape(-1, len(Liking._fields)).T
        parts = dict[str, NDArray[np.float64]](zip(Liking._fields, columns, strict=True))
        return RewardBatch(columns.sum(0), parts=parts)


def gold_source(gold: str | None, *, is_generated: bool) -> RewardSource | None:
    """The source that `gold` names; by default the taste for generated prompts, none for others.

    Raises:
        LmgymError: for the taste with prompts of a file, and for a source that pays on the way, or
            grades by more than texts: by verdicts, ids or chance.
    """
    if gold is None:
        return TasteReward() if is_generated else None
    if gold == TASTE:
        if not is_generated:
            raise LmgymError(
                "gold='taste' knows generated prompts only; with a file of prompts give the name of"
                " a reward, as gold='rm:DIR', or gold='none'"
            )
        return TasteReward()
    source = make_source(gold)
    if source is not None and (source.level is not RewardLevel.OUTCOME or not source.is_causal):
        raise LmgymError(
            f"gold={gold!r} gives no number for a single finished answer; the gold reward needs an"
            " outcome reward that is causal, such as rm:DIR"
        )
    if source is not None:
        _check_grades(gold, source)
    return source


def _check_grades(gold: str, source: RewardSource) -> None:
    """Raise where one text is not graded, or not always the same."""
    facts: list[dict[str, Any]] = [{"verdict": verdict} for verdict in Verdict]
    facts += [{"verdict": Verdict.ENDED, "task_id": f"probe/{n}", "group_id": n} for n in range(4)]
    probes = [Transcript.from_strings("say kelo rami", "kelo!", **each) for each in facts]
    try:
        batch = source.score(probes)
    except LmgymError as error:
        raise _no_grade(gold, f"it cannot: {error}") from None
    if batch.unscored is not None and batch.unscored.any():
        raise _no_grade(gold, "it gives none")
    if np.ptp(batch.outcome) > _TOLERANCE:
        raise _no_grade(gold, "equal texts get different ones")


def _no_grade(gold: str, why: str) -> LmgymError:
    return LmgymError(
        f"gold={gold!r} has to give a number for the text of an answer alone, and {why}; give a"
        " reward that reads texts, such as rm:DIR, pattern:REGEX or length:characters"
    )
