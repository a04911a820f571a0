"""`LanguagePolicy`: a causal language model that samples and scores token ids."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.policies.cached import CachedDecoder
from lmgym.policies.llama import LlamaDecoder, supports
from lmgym.policies.sampling import Decoder, Drawing, generate
from lmgym.rendering import Renderer

__all__ = ["LanguagePolicy", "Samples"]


@dataclass(frozen=True, slots=True)
class Samples:
    """Completions of a batch of prompts; row j of prompt i is at i * n + j.

    Attributes:
        ids: the drawn ids, the end id included where it was drawn.
        logprobs: the log-probability of each drawn id at the sampling temperature.
        version: the policy's version that drew them.
    """

    ids: list[list[int]]
    logprobs: list[list[float]]
    version: int


class LanguagePolicy:
    """A causal language model with the renderer of its messages.

    The model is in evaluation mode throughout, so that what samples and what is trained compute
    the same probabilities.

    Args:
        model: any `AutoModelForCausalLM` of transformers.
        renderer: turns messages into the model's ids.

    Attributes:
        version: how often a learner has changed the weights; the learner counts it up.
    """

    def __init__(self, model: Any, renderer: Renderer) -> None:
        """Put the model into evaluation mode."""
        self.model = model.eval()
        self.renderer = renderer
        self.version = 0

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def n_parameters(self) -> int:
        """How many numbers the model has; shared ones count once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int = 1,
        *,
        max_tokens: int | Sequence[int],
        temperature: float = 1.0,
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> Samples:
        """Continue each prompt `n` times.

        The model's own sampling defaults (top-p, top-k, penalties) are ignored: an id is drawn
        from the whole distribution at the temperature.

        Args:
            prompts: ids, at least one a prompt.
            max_tokens: how many ids a completion may have; one number, or one for each prompt.
            greedy: take the most likely id; log-probabilities are still those at `temperature`.
            generator: the source of randomness; without one, a fresh seed of the system's.
        """
        budgets = _budgets(prompts, n, max_tokens)
        self._check(prompts, budgets[::n], temperature)
        self.model.eval()
        if generator is None and not greedy:
            generator = torch.Generator()
            generator.seed()
        rows = [prompt for prompt in prompts for _ in range(n)]
        drawing = Drawing(temperature, greedy, generator)
        drawn = generate(self._decoder(), rows, budgets, self.renderer.end_ids, drawing)
        return Samples(*drawn, version=self.version)

    def token_logprobs(
        self, ids: Tensor, attention_mask: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Log-probabilities of `ids[:, 1:]`, each given the ids before it.

        Args:
            ids: shape (B, T).
            attention_mask: 1 for ids, 0 for padding on either side, shape (B, T).
            temperature: logits are divided by it.

        Returns:
            Shape (B, T - 1), fp32, with gradient; 0 where an id or the one before it is padding.
        """
        self.model.eval()
        ids, mask = ids.to(self.device), attention_mask.to(self.device)
        positions = (mask.cumsum(1) - 1).clamp_(min=0)
        out = self.model(ids, attention_mask=mask, position_ids=positions, use_cache=False)
        logprobs = (out.logits[:, :-1].float() / temperature).log_softmax(-1)  # (B, T-1, V)
        taken = logprobs.gather(2, ids[:, 1:, None]).squeeze(2)
        return taken.masked_fill((mask[:, 1:] * mask[:, :-1]) == 0, 0.0)

    def save(self, directory: str | Path) -> None:
        """Write a directory that `AutoModelForCausalLM` and `AutoTokenizer` open.

        It is written beside its place and moved there at the end, so that a directory of this
        name is complete or as it was.
        """
        target = Path(directory).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent:
            written = Path(parent) / "new"
            self._write(written)
            if target.exists():
                os.rename(target, Path(parent) / "old")
            os.rename(written, target)

    def _write(self, directory: Path) -> None:
        model = self.model
        if getattr(model, "hf_quantizer", None) is not None:  # from GGUF: save_pretrained refuses
            plain = type(model)(model.config)
            plain.load_state_dict(model.state_dict())
            plain.generation_config = model.generation_config
            model = plain
        model.save_pretrained(directory)
        tokenizer = getattr(self.renderer, "tokenizer", None) or byte_tokenizer()
        tokenizer.save_pretrained(directory)

    def _decoder(self) -> Decoder:
        """The fastest decoder that computes what the model computes."""
        pad_id = self.renderer.pad_id
        return (LlamaDecoder if supports(self.model) else CachedDecoder)(self.model, pad_id)

    def _check(
        self, prompts: Sequence[Sequence[int]], budgets: Sequence[int], temperature: float
    ) -> None:
        """Raise where a request cannot be met."""
        if not temperature > 0:
            raise LmgymError(
                f"temperature {temperature} is not positive; for the most likely ids use greedy=True"
            )


def _budgets(
    prompts: Sequence[Sequence[int]], n: int, max_tokens: int | Sequence[int]
) -> list[int]:
    """One budget for each row."""
    each = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else list(max_tokens)
    if len(each) != len(prompts):
        raise LmgymError(
            f"max_tokens has {len(each)} entries for {len(prompts)} prompts; give one number, or"
            " one for each prompt"
        )
    return [budget for budget in each for _ in range(n)]
