"""`LanguagePolicy`: a causal language model that samples and scores token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.cached import CachedDecoder
from lmgym.policies.llama import LlamaDecoder, supports
from lmgym.policies.merging import adapter_parameters, base_of
from lmgym.policies.packing import can_pack, pack_rows, reach_of
from lmgym.policies.sampling import Decoder, Drawing, batches, generate
from lmgym.policies.saving import save_model
from lmgym.policies.scoring import Scorer, check_checkpointing
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
        autocast: the type that matrices are multiplied in, where it is not that of the weights:
            bfloat16 halves the time of large models whose weights stay in float32.

    Attributes:
        version: how often a learner has changed the weights; the learner counts it up.
        source: where the weights came from.

    Example:
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> from lmgym.rendering import ByteRenderer
        >>> sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
        >>> config = LlamaConfig(vocab_size=262, num_hidden_layers=1, **sizes)
        >>> policy = LanguagePolicy(LlamaForCausalLM(config), ByteRenderer())
        >>> samples = policy.sample([[259, 49, 257, 260]], n=3, max_tokens=5)
        >>> len(samples.ids), max(map(len, samples.ids)) <= 5
        (3, True)
    """

    def __init__(
        self,
        model: Any,
        renderer: Renderer,
        *,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Put the model into evaluation mode."""
        width = model.get_input_embeddings().weight.shape[0]
        # Large models carry a few unused ids; the byte renderer has no text for any.
        most = renderer.vocab_size if renderer.name == "byte" else width
        if not renderer.vocab_size <= width <= most:
            raise LmgymError(
                f"the model has {width} ids, its renderer {renderer.name!r} {renderer.vocab_size};"
                " give the renderer of the model's own tokenizer"
            )
        self.model = model.eval()
        self.renderer = renderer
        self.autocast = autocast
        self._recomputes = False
        self.version = 0
        self.source = str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
        self._scorer: Scorer | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = base_of(self.model).device
        return device

    @property
    def n_parameters(self) -> int:
        """How many numbers the model has; shared ones count once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def n_base_parameters(self) -> int:
        """How many of them are the model's own: those of an adapter are left out."""
        return self.n_parameters - sum(p.numel() for p in adapter_parameters(self.model))

    @property
    def n_trainable(self) -> int:
        """How many of them are trained: of a policy with an adapter, those of the adapter."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def context(self) -> int | None:
        """How many positions the model was made for; None where its config does not say."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return positions if isinstance(positions, int) and positions > 0 else None

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
            n: completions of each prompt; the prompt is read once for all of them.
            max_tokens: how many ids a completion may have; one number, or one for each prompt.
            temperature: logits are divided by it.
            greedy: take the most likely id; log-probabilities are still those at `temperature`.
            generator: the source of randomness; without one, a fresh seed of the system's.
        """
        budgets = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else list(max_tokens)
        self._check(prompts, n, budgets, temperature)
        self._leave_training_mode()
        if generator is None and not greedy:
            generator = torch.Generator()
            generator.seed()
        drawing = Drawing(temperature, greedy, generator, self.renderer.vocab_size)
        ids: list[list[int]] = [[] for _ in range(n * len(prompts))]
        logprobs: list[list[float]] = [[] for _ in ids]
        is_fast = supports(self.model)
        reads_ragged = is_fast or CachedDecoder.pads_for(self.model)
        for indices in batches(prompts, reads_ragged=reads_ragged):
            rows = [index * n + copy for index in indices for copy in range(n)]
            decoder: Decoder
            if is_fast:
                decoder = LlamaDecoder(self.model, self.renderer.pad_id, self.autocast)
            else:
                decoder = CachedDecoder(self.model, self.renderer.pad_id)
            with self.autocasting(not is_fast):
                drawn = generate(
                    decoder,
                    [prompts[row // n] for row in rows],
                    [budgets[row // n] for row in rows],
                    self.renderer.end_ids,
                    drawing,
                )
            for row, row_ids, row_logprobs in zip(rows, *drawn, strict=True):
                ids[row], logprobs[row] = row_ids, row_logprobs
        return Samples(ids, logprobs, self.version)

    def token_logprobs(
        self, ids: Tensor, attention_mask: Tensor, temperature: float = 1.0, *, first: int = 1
    ) -> Tensor:
        """Log-probabilities of `ids[:, 1:]`, each given the ids before it.

        For a wide vocabulary the logits of a bounded number of positions are held at a time, and
        computed again for the gradient. The log-softmax is in fp32 whatever the model's type.

        Args:
            ids: shape (B, T).
            attention_mask: 1 for ids, 0 for padding on either side, shape (B, T).
            temperature: logits are divided by it.
            first: position of the first id that is scored. The vocabulary is wide, so a learner
                that skips the prompts saves time, and most of the memory of a large model.

        Returns:
            Shape (B, T - 1), fp32, with gradient; 0 where an id or the one before it is padding,
            and before `first`.
        """
        with self.autocasting():
            return self._ready_scorer().score(
                ids.to(self.device),
                attention_mask.to(self.device),
                temperature,
                first,
                recompute=self._recomputes,
            )

    def packed_logprobs(
        self, ids: Tensor, attention_mask: Tensor, loss_mask: Tensor, temperature: float = 1.0
    ) -> Tensor | None:
        """As `token_logprobs`, with what several rows begin with computed once.

        Args:
            ids: shape (B, T), padded on the right.
            attention_mask: 1 for ids, 0 for padding, shape (B, T).
            loss_mask: 1 for the ids that are scored, shape (B, T).
            temperature: logits are divided by it.

        Returns:
            Shape (B, T - 1), fp32, with gradient; 0 where the loss mask is 0. None where the model
            cannot read packed rows, or where that would save little.
        """
        if not can_pack(self.model):
            return None
        ids, mask = ids.to(self.device), attention_mask.to(self.device)
        pack = pack_rows(ids, mask, loss_mask, self.renderer.pad_id, reach_of(self.model))
        if pack is None:
            return None
        with self.autocasting():
            return self._ready_scorer().score_pack(pack, temperature, recompute=self._recomputes)

    def _ready_scorer(self) -> Scorer:
        """The scorer of the model as it is, in evaluation mode."""
        self._leave_training_mode()
        if self._scorer is None or self._scorer.model is not self.model:
            self._scorer = Scorer(self.model, self.renderer.vocab_size)
        return self._scorer

    def recompute_layers(self, wanted: bool = True) -> None:
        """Compute each layer a second time for the gradient, in place of keeping what it computed.

        Known as gradient checkpointing: it saves most of the memory of training, and takes about a
        third more time.

        Raises:
            LmgymError: where the model has no layers that can be computed again.
        """
        if wanted:
            check_checkpointing(self.model)
        self._recomputes = wanted

    def save(self, directory: str | Path) -> None:
        """Write a directory that `AutoModelForCausalLM` and `AutoTokenizer` open.

        Of a policy with an adapter it holds the model with the adapter merged into it, in the type
        of the model's weights, and the adapter itself in the folder `adapter`, as peft reads it.

        It is written beside its place and moved there at the end, so that the weights in a
        directory of this name are complete or as they were. Other files in it stay.
        """
        save_model(self.model, self.renderer, self.source, Path(directory))

    def autocasting(self, wanted: bool = True) -> torch.autocast:
        """The type that matrices are multiplied in, inside, where the policy has one."""
        return torch.autocast(
            self.device.type, self.autocast, enabled=wanted and self.autocast is not None
        )

    def _leave_training_mode(self) -> None:
        if self.model.training:
            self.model.eval()

    def _check(
        self, prompts: Sequence[Sequence[int]], n: int, budgets: list[int], temperature: float
    ) -> None:
        """Raise where a request cannot be met."""
        if len(budgets) != len(prompts):
            raise LmgymError(
                f"max_tokens has {len(budgets)} entries for {len(prompts)} prompts; give one"
                " number, or one for each prompt"
            )
        if n < 1 or min(budgets, default=0) < 0:
            raise LmgymError(f"n is {n} and max_tokens {budgets}; n starts at 1, max_tokens at 0")
        if not temperature > 0:
            raise LmgymError(
                f"temperature {temperature} is not positive; use greedy=True for the likeliest ids"
            )
        width, context = self.model.get_input_embeddings().weight.shape[0], self.context
        for index, (prompt, budget) in enumerate(zip(prompts, budgets, strict=True)):
            if not prompt:
                raise LmgymError(
                    f"prompt {index} is empty; a model needs at least one id to go on from"
                )
            low, high = min(prompt), max(prompt)
            if low < 0 or high >= width:
                raise LmgymError(
                    f"prompt {index} has the id {low if low < 0 else high}; ids go from 0 to"
                    f" {width - 1}"
                )
            if context is not None and len(prompt) + budget > context:
                raise LmgymError(
                    f"prompt {index} has {len(prompt)} ids and may draw {budget}, but the model has"
                    f" {context} positions; shorten the prompt or lower max_tokens"
                )
