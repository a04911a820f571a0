"""KL to a reference policy, where the log-probabilities are: in rollouts, never in an environment.

With d = log pi(id) - log ref(id) of an id that pi drew, three estimators of KL(pi || ref)
(Schulman, 2020): k1 = d, unbiased; k2 = d^2 / 2, biased with the right gradient; and
k3 = e^-d - 1 + d, unbiased and never negative. All are in nats, at the temperature of sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy
    from lmgym.rollouts import RolloutBatch

__all__ = [
    "Estimator",
    "KLPenalty",
    "SequenceKL",
    "drawn_logprobs",
    "estimate_kl",
    "log_ratios",
    "sampled_logprobs",
    "sequence_kl",
]

Estimator = Literal["k1", "k2", "k3"]
"""The estimators by name."""

MICRO_TOKENS = 16_384
"""Ids of one forward pass, padding included, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class SequenceKL:
    """Estimates of each sequence's KL to a reference, in nats, each of shape (n,).

    Attributes:
        k1: the log-ratio of the whole sequence; its mean estimates the KL without bias.
        k3: the sum of its ids' k3; the same mean, as a rule with less variance, never
            negative.
    """

    k1: NDArray[np.float64]
    k3: NDArray[np.float64]


class KLPenalty:
    """Takes `beta` times the KL to a reference from what rollouts were paid, id by id.

    Args:
        reference: what the policy should stay near; reads the same ids.
        beta: price of a nat.
        estimator: k1 (the usual one in a reward), k2 or k3.
        temperature: at which the rollouts were sampled; by default what they say, else 1.
        micro_tokens: ids of one forward pass, padding included.

    Example:
        >>> import numpy as np
        >>> from lmgym.policies.loading import load_policy
        >>> from lmgym.rollouts import RolloutBatch, demonstrations
        >>> from lmgym.factory import make_task
        >>> policy = load_policy("embedded")
        >>> task = make_task("lmgym/Math-v0")
        >>> shown = demonstrations(task, policy.renderer, np.random.default_rng(0), 2)
        >>> batch = RolloutBatch(shown, np.ones(2), np.ones(2, np.bool_))
        >>> KLPenalty(policy, beta=0.1).apply(batch, policy).rewards
        array([1., 1.])
    """

    def __init__(
        self,
        reference: LanguagePolicy,
        beta: float,
        estimator: Estimator = "k1",
        *,
        temperature: float | None = None,
        micro_tokens: int = MICRO_TOKENS,
    ) -> None:
        """Check the arguments."""
        if not (isfinite(beta) and beta >= 0):
            raise LmgymError(f"beta={beta} is no price of a nat; give a finite number from 0 up")
        if estimator not in get_args(Estimator):
            raise unknown("estimator", estimator, get_args(Estimator))
        self.reference = reference
        self.beta = beta
        self.estimator: Estimator = estimator
        self.temperature = temperature
        self.micro_tokens = micro_tokens

    def apply(self, batch: RolloutBatch, policy: LanguagePolicy | None = None) -> RolloutBatch:
        """The batch with each drawn id penalised in `token_rewards`, and the sums in `rewards`.

        What an episode was paid without token rewards stands at its last id. `parts["kl_penalty"]`
        is what the penalties sum to; the other parts stay as they were.

        Args:
            batch: of rollouts with ids.
            policy: gives the log-probabilities; by default they are those the sampler recorded.

        Raises:
            LmgymError: for transcripts without ids, or without log-probabilities where no policy
                is given; for rollouts that were sampled at another temperature.
        """
        ratios = log_ratios(
            batch.transcripts,
            self.reference,
            policy,
            temperature=self._temperature(batch),
            micro_tokens=self.micro_tokens,
        )
        penalties = [-self.beta * estimate_kl(ratio, self.estimator) for ratio in ratios]
        sums = _sums(penalties)
        paid = batch.rewards_by_token()
        tokens = [before + penalty for before, penalty in zip(paid, penalties, strict=True)]
        parts = {**batch.parts, "kl_penalty": sums}
        return replace(batch, rewards=batch.rewards + sums, token_rewards=tokens, parts=parts)

    def _temperature(self, batch: RolloutBatch) -> float:
        known = [t for t in (self.temperature, batch.temperature) if t is not None]
        if len(set(known)) == 2:
            raise LmgymError(
                f"the rollouts were sampled at temperature {batch.temperature}, and the penalty"
                f" was given temperature={self.temperature}; give the same, or leave it out"
            )
        return known[0] if known else 1.0


def sequence_kl(
    transcripts: Sequence[Transcript],
    reference: LanguagePolicy,
    policy: LanguagePolicy | None = None,
    *,
    temperature: float = 1.0,
    micro_tokens: int = MICRO_TOKENS,
) -> SequenceKL:
    """Estimates of the KL of the policy that drew the transcripts against a reference.

    Args:
        transcripts: n episodes with ids.
        reference: reads the same ids.
        policy: gives the log-probabilities; by default they are those the sampler recorded.
        temperature: at which the transcripts were sampled.
        micro_tokens: ids of one forward pass, padding included.
    """
    ratios = log_ratios(
        transcripts, reference, policy, temperature=temperature, micro_tokens=micro_tokens
    )
    return SequenceKL(_sums(ratios), _sums([estimate_kl(ratio, "k3") for ratio in ratios]))


def estimate_kl(log_ratio: NDArray[np.float64], estimator: Estimator = "k1") -> NDArray[np.float64]:
    """An estimate of the KL for each id, of the shape of `log_ratio` = log pi - log ref.

    Example:
        >>> estimate_kl(np.array([0.0, 2.0]), "k2")
        array([0., 2.])
    """
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return log_ratio**2 / 2
    if estimator == "k3":
        return np.expm1(-log_ratio) + log_ratio
    raise unknown("estimator", estimator, get_args(Estimator))


def log_ratios(
    transcripts: Sequence[Transcript],
    reference: LanguagePolicy,
    policy: LanguagePolicy | None = None,
    *,
    temperature: float = 1.0,
    micro_tokens: int = MICRO_TOKENS,
) -> list[NDArray[np.float64]]:
    """Log pi - log ref of the ids that were drawn, one array a transcript, in their order."""
    if policy is None:
        ours = sampled_logprobs(transcripts)
    else:
        ours = drawn_logprobs(
            policy, transcripts, temperature=temperature, micro_tokens=micro_tokens
        )
    theirs = drawn_logprobs(
        reference, transcripts, temperature=temperature, micro_tokens=micro_tokens
    )
    return [ours_i - theirs_i for ours_i, theirs_i in zip(ours, theirs, strict=True)]


def sampled_logprobs(transcripts: Sequence[Transcript]) -> list[NDArray[np.float64]]:
    """The sampler's log-probabilities of the ids it drew, one array a transcript.

    Raises:
        LmgymError: where it recorded none.
    """
    return [_recorded(transcript) for transcript in transcripts]


def drawn_logprobs(
    policy: LanguagePolicy,
    transcripts: Sequence[Transcript],
    *,
    temperature: float = 1.0,
    micro_tokens: int = MICRO_TOKENS,
) -> list[NDArray[np.float64]]:
    """A policy's log-probabilities of the ids that were drawn, one array a transcript.

    Ids of all segments, in their order; without gradient, in micro-batches.

    Raises:
        LmgymError: for transcripts without ids, or with ids that the policy does not have.
    """
    if not temperature > 0:
        raise LmgymError(f"temperature={temperature} is not positive; give that of the sampling")
    if not transcripts:
        return []
    import torch

    from lmgym.training.batches import batch_transcripts, split_by_tokens, target_logprobs

    batch = batch_transcripts(
        transcripts, policy.renderer.pad_id, policy.device, needs_logprobs=False
    )
    _check_ids(int(batch.ids.max()), policy)
    drawn: list[NDArray[np.float64]] = [np.zeros(0)] * len(batch)
    with torch.no_grad():
        for rows, micro in split_by_tokens(batch, micro_tokens):
            found = target_logprobs(policy, micro, temperature)  # (B', T' - 1)
            masks = micro.target_mask > 0
            for row, logprobs, mask in zip(rows.tolist(), found, masks, strict=True):
                drawn[row] = logprobs[mask].double().cpu().numpy()
    of_rows = iter(drawn)  # rows are the segments of the transcripts, in order
    return [np.concatenate([next(of_rows) for _ in t.segments]) for t in transcripts]


def _recorded(transcript: Transcript) -> NDArray[np.float64]:
    found: list[float] = []
    for segment in transcript.require_ids():
        if segment.logprobs is None:
            raise LmgymError(
                f"the transcript of {transcript.task_id or transcript.prompt_text!r} has no"
                " log-probabilities of its ids; sample through a LanguagePolicy, which records"
                " them, or give the policy that drew it"
            )
        pairs = zip(segment.logprobs, segment.loss_mask, strict=True)
        found += [logprob for logprob, drawn in pairs if drawn]
    return np.array(found, np.float64)


def _check_ids(largest: int, policy: LanguagePolicy) -> None:
    if largest >= policy.renderer.vocab_size:
        raise LmgymError(
            f"the transcripts have the id {largest}, the policy's ids end at"
            f" {policy.renderer.vocab_size - 1}; compare policies that share a tokenizer"
        )


def _sums(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array([row.sum() for row in rows], np.float64)
