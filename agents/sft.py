"""Supervised fine-tuning: maximum likelihood of what an expert, or the policy itself, wrote.

`source="demonstrations"` learns from the world's own right answers. `source="samples"` learns from
the policy's own answers, unfiltered: a control that must not improve anything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from lmgym.factory import make_task
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer
from lmgym.rollouts import RolloutBatch, demonstrations
from lmgym.training.arguments import LearnerArgs, Range
from lmgym.training.batches import batch_transcripts, split_by_tokens, target_logprobs
from lmgym.training.session import TrainingSession, require_finite
from lmgym.transcript import Transcript

__all__ = ["SFTArgs", "supervised_step", "train"]


@dataclass(frozen=True)
class SFTArgs(LearnerArgs):
    """Arguments of supervised fine-tuning."""

    source: Literal["demonstrations", "samples"] = "demonstrations"
    """What to imitate: the world's demonstrations, or the policy's own unfiltered samples."""
    batch_size: int = 256
    """Episodes a batch."""
    temperature: float = 1.0
    """Of sampling, where the source is samples."""
    micro_tokens: int = 16_384
    """Tokens of one forward pass, padding included; lower it when memory runs out."""

    ranges: ClassVar[dict[str, Range]] = LearnerArgs.ranges | {
        "batch_size": (1, math.inf),
        "temperature": (0.01, 100),
        "micro_tokens": (1, math.inf),
    }


def train(args: SFTArgs, env: str, world_args: Mapping[str, Any]) -> Path:
    """Train on a world; returns the run folder."""
    if args.source == "demonstrations":
        demonstrations(make_task(env, **world_args), ByteRenderer(), np.random.default_rng(0), 1)
    with TrainingSession("sft", args, env, world_args) as session:
        policy = session.policy
        optimizer = torch.optim.AdamW(
            policy.model.parameters(), session.lr, betas=(0.9, 0.95), weight_decay=0.0
        )
        session.keep("optimizer", optimizer)
        for update in session.updates():
            start = time.perf_counter()
            batch = _episodes(session, args)
            loss = supervised_step(
                policy,
                optimizer,
                batch.transcripts,
                max_grad_norm=args.max_grad_norm,
                micro_tokens=args.micro_tokens,
                update=update,
            )
            tokens = batch.lengths.sum()
            rate = tokens / (time.perf_counter() - start)
            session.log({"loss": loss, "tokens_per_second": rate}, batch)
    return session.run.path


def supervised_step(
    policy: LanguagePolicy,
    optimizer: torch.optim.Optimizer,
    transcripts: Sequence[Transcript],
    *,
    max_grad_norm: float = 1.0,
    micro_tokens: int = 16_384,
    update: int = 0,
) -> float:
    """One step on the ids that the agent wrote; returns the mean loss of an id, in nats.

    Raises:
        LmgymError: where the loss or its gradient is not finite; no weight is changed then.
    """
    batch = batch_transcripts(
        transcripts, policy.renderer.pad_id, policy.device, needs_logprobs=False
    )
    n_tokens = batch.n_loss_tokens
    total = torch.zeros(())
    optimizer.zero_grad()
    for _, micro in split_by_tokens(batch, micro_tokens):
        logprobs = target_logprobs(policy, micro)
        loss = -(logprobs * micro.target_mask).sum() / n_tokens
        torch.autograd.backward(loss)
        total = total + loss.detach().cpu()
    norm = torch.nn.utils.clip_grad_norm_(policy.model.parameters(), max_grad_norm)
    require_finite(total, "loss", update)
    require_finite(norm, "gradient norm", update)
    optimizer.step()
    policy.version += 1
    return float(total)


def _episodes(session: TrainingSession, args: SFTArgs) -> RolloutBatch:
    if args.source == "samples":
        return session.collector.collect(
            session.rng,
            session.generator,
            n_groups=args.batch_size,
            temperature=args.temperature,
        )
    task, renderer = session.collector.task, session.policy.renderer
    transcripts = demonstrations(task, renderer, session.rng, args.batch_size)
    return RolloutBatch(transcripts, np.zeros(len(transcripts)), np.ones(len(transcripts), bool))
