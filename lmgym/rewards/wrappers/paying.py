"""What the wrappers share: plays in, payments and infos out, in one call of a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.rewards.schedule import Payment, RewardSchedule
from lmgym.rewards.source import Reward
from lmgym.rewards.wrappers.play import Play, TranscriptOf, text_transcript
from lmgym.transcript import Transcript

__all__ = ["PlayRewards", "payment_info", "without_payment"]

_KEYS = ("env_reward", "reward_parts", "unscored")


class PlayRewards:
    """Pays plays as our own environments pay their episodes.

    Args:
        reward: a name, a source or a function; None pays nothing.
        transcript_of: makes transcripts of plays; by default of texts.

    Raises:
        LmgymError: for a reward that cannot be paid in a step.
    """

    def __init__(self, reward: Reward, transcript_of: TranscriptOf | None = None) -> None:
        """Find the source."""
        source = make_source(reward)
        if source is not None and not source.is_causal:
            raise LmgymError(
                f"reward={reward!r} needs complete batches and cannot be paid in step(); choose a"
                " causal reward"
            )
        self._schedule = RewardSchedule(source)
        self._transcript_of = transcript_of or text_transcript

    def pay(self, plays: Sequence[Play]) -> list[Payment]:
        """What is due to plays whose agents have just acted or come to an end, in their order."""
        schedule = self._schedule
        payments = [Payment()] * len(plays)
        due = [i for i, play in enumerate(plays) if play.is_over or schedule.is_dense]
        if schedule.source is None or not due:
            return payments
        transcripts = [self._transcript(plays[i]) for i in due]
        paid = schedule.pay(transcripts, [plays[i].n_paid for i in due])
        for index, payment in zip(due, paid, strict=True):
            plays[index].n_paid += len(payment.units)
            payments[index] = payment
        return payments

    def _transcript(self, play: Play) -> Transcript:
        """The transcript of a play; that it is over follows from the play, whoever made it."""
        transcript = self._transcript_of(play)
        if not isinstance(transcript, Transcript):
            raise LmgymError(
                f"transcript_of returned {transcript!r:.80}; it must make a Transcript"
            )
        if (transcript.verdict is not None) == play.is_over:
            return transcript
        return replace(transcript, verdict=play.verdict)


def payment_info(play: Play, payment: Payment, env_reward: Any) -> dict[str, Any]:
    """What a step's info says of its reward."""
    info: dict[str, Any] = {"env_reward": float(env_reward)}
    if play.is_over:
        info["reward_parts"] = dict(payment.parts)
    if not payment.is_scored:
        info["unscored"] = True
    return info


def without_payment(info: Mapping[str, Any]) -> dict[str, Any]:
    """An info without what an earlier payer said of the reward it paid."""
    return {key: value for key, value in info.items() if key.removeprefix("_") not in _KEYS}
