"""SFT."""
from __future__ import annotations
from collections.abc import Sequence
import torch
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.training.batches import batch_transcripts
from lmgym.transcript import Transcript

def supervised_step(policy: LanguagePolicy, optimizer: torch.optim.Optimizer, transcripts: Sequence[Transcript], *, max_grad_norm: float) -> float:
    """One step of maximum likelihood on the ids that the agent wrote; returns the mean loss a token."""
    batch = batch_transcripts(transcripts, policy.renderer.pad_id, policy.device, needs_logprobs=False)
    logprobs = policy.token_logprobs(batch.ids, batch.attention_mask)
    mask = batch.target_mask
    loss = -(logprobs * mask).sum() / mask.sum()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.model.parameters(), max_grad_norm)
    optimizer.step()
    policy.version += 1
    return loss.item()
