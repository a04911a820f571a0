"""The reward that a policy trained on preferences implies (DPO; Rafailov et al., 2023).

r = beta * (log pi(answer) - log ref(answer)), up to a constant of the prompt. It is a sum over the
ids of the answer, so it can be paid id by id as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from lmgym.errors import LmgymError
from lmgym.rewards.kl import MICRO_TOKENS, log_ratios
from lmgym.rewards.source import RewardBatch, RewardLevel
from lmgym.task import ROLE_IDS, Role
from lmgym.transcript import Segment, Transcript

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy
    from lmgym.rendering import Renderer

__all__ = ["DPOImplicitReward", "load_dpo_reward"]


class DPOImplicitReward:
    """`beta` times the log-ratio of a policy to its reference, over the ids that were drawn.

    The ids of a transcript are scored as they are, so the policy has to share the tokenizer of
    what it scores. At level outcome a transcript that was made from strings is rendered by the
    policy's own renderer: its last message is the answer, and the id that ends it counts.

    Args:
        policy: the one that was trained on preferences.
        reference: the one it started from.
        beta: as in its training.
        level: "outcome", or "token", where the ids' rewards sum to the outcome.
        temperature: of both policies' probabilities.
        micro_tokens: ids of one forward pass, padding included.

    Example:
        >>> from lmgym.policies.loading import load_policy
        >>> policy = load_policy("embedded")
        >>> reward = DPOImplicitReward(policy, policy, beta=0.1)
        >>> reward.score([Transcript.from_strings("1+1=", "2")]).outcome
        array([0.])
    """

    is_causal = True

    def __init__(
        self,
        policy: LanguagePolicy,
        reference: LanguagePolicy,
        beta: float = 0.1,
        *,
        level: RewardLevel | str = RewardLevel.OUTCOME,
        temperature: float = 1.0,
        micro_tokens: int = MICRO_TOKENS,
    ) -> None:
        """Check the arguments."""
        if not (isfinite(beta) and beta > 0):
            raise LmgymError(f"beta={beta} is not positive and finite; give DPO's, such as 0.1")
        if level not in (RewardLevel.OUTCOME, RewardLevel.TOKEN):
            raise LmgymError(f"level={str(level)!r}: an implicit reward is of 'outcome' or 'token'")
        if policy.renderer.vocab_size != reference.renderer.vocab_size:
            raise LmgymError(
                f"the policy has {policy.renderer.vocab_size} ids, the reference"
                f" {reference.renderer.vocab_size}; give the policy that training started from"
            )
        self.policy = policy
        self.reference = reference
        self.beta = beta
        self.level = RewardLevel(level)
        self.temperature = temperature
        self.micro_tokens = micro_tokens

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        """The log-ratios, in two passes over the batch: one a policy.

        Raises:
            LmgymError: at level token, for transcripts without ids.
        """
        is_dense = self.level is RewardLevel.TOKEN
        given = [t if t.has_ids or is_dense else self._rendered(t) for t in transcripts]
        ratios = log_ratios(
            given,
            self.reference,
            self.policy,
            temperature=self.temperature,
            micro_tokens=self.micro_tokens,
        )
        rewards = [self.beta * ratio for ratio in ratios]
        sums = np.array([row.sum() for row in rewards], np.float64)
        if is_dense:
            return RewardBatch(np.zeros(len(sums)), dense=rewards)
        return RewardBatch(sums, parts={"dpo": sums})

    def _rendered(self, transcript: Transcript) -> Transcript:
        if not transcript.messages or transcript.messages[-1].role is not Role.ASSISTANT:
            raise LmgymError(
                f"the transcript of {transcript.task_id or transcript.prompt_text!r} does not end"
                " with an answer, so there is nothing to score; end it with an assistant's message"
            )
        return replace(transcript, segments=(_segment(transcript, self.policy.renderer),))


def load_dpo_reward(argument: str) -> DPOImplicitReward:
    """The reward "POLICY,REFERENCE": two directories or names that `load_policy` takes.

    Without REFERENCE it is the embedded policy. Beta is 1: give it as a weight, as in
    "0.1*dpo:POLICY,REFERENCE".
    """
    from lmgym.policies.loading import load_policy

    policy, _, reference = argument.partition(",")
    if not policy.strip():
        raise LmgymError(
            f"'dpo:{argument}' names no policy; write dpo:POLICY or dpo:POLICY,REFERENCE, both"
            " directories or names of policies"
        )
    start = load_policy(reference.strip() or "embedded")
    return DPOImplicitReward(load_policy(policy.strip()), start, beta=1.0)


def _segment(transcript: Transcript, renderer: Renderer) -> Segment:
    """What an agent that wrote the last message had read and drawn."""
    prompt, roles = renderer.open(transcript.messages[:-1])
    answer = [*renderer.encode(transcript.messages[-1].content), renderer.end_id]
    return Segment(
        ids=(*prompt, *answer),
        role_ids=(*roles, *[ROLE_IDS[Role.ASSISTANT]] * len(answer)),
        loss_mask=(0,) * len(prompt) + (1,) * len(answer),
        prompt_length=len(prompt),
        turns=(),
    )
