"""`LanguagePolicy`: a causal language model that samples and scores token ids."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lmgym.errors import LmgymError
from lmgym.policies.byte_tokenizer import byte_tokenizer
from lmgym.policies.cached import CachedDecoder, accepted
from lmgym.policies.llama import LlamaDecoder, supports
from lmgym.policies.quiet import no_progress_bars
from lmgym.policies.sampling import Drawing, batches, generate
from lmgym.rendering import Renderer

__all__ = ["LanguagePolicy", "Samples"]

_SCORED_AT_ONCE = 2**24
"""How many logits are brought to fp32 at a time: 64 MiB."""


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

    def __init__(self, model: Any, renderer: Renderer) -> None:
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
        make_decoder = LlamaDecoder if supports(self.model) else CachedDecoder
        for indices in batches(prompts, reads_ragged=make_decoder.pads_for(self.model)):
            rows = [index * n + copy for index in indices for copy in range(n)]
            drawn = generate(
                make_decoder(self.model, self.renderer.pad_id),
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

        Beside the model's own logits, which stay for the gradient, the vocabulary is held in fp32
        for a bounded number of positions at a time; the gradient computes it again.

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
        self._leave_training_mode()
        ids, mask = ids.to(self.device), attention_mask.to(self.device)
        kept = ids.shape[1] - first + 1
        inputs = {
            "attention_mask": mask,
            "position_ids": (mask.cumsum(1) - 1).clamp_(min=0),
            "use_cache": False,
            "logits_to_keep": kept,
        }
        takes = accepted(self.model)
        out = self.model(ids, **{name: inputs[name] for name in takes & inputs.keys()})
        logits = out.logits[:, -kept:-1, : self.renderer.vocab_size]
        taken = _selected_logprobs(logits, ids[:, first:], temperature)  # (B, T - first)
        taken = torch.nn.functional.pad(taken, (first - 1, 0))
        return taken.masked_fill((mask[:, 1:] * mask[:, :-1]) == 0, 0.0)

    def save(self, directory: str | Path) -> None:
        """Write a directory that `AutoModelForCausalLM` and `AutoTokenizer` open.

        It is written beside its place and moved there at the end, so that the weights in a
        directory of this name are complete or as they were. Other files in it stay.
        """
        target = Path(directory).resolve()  # a link stays a link to what is written
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() and _old(target).exists():  # a save was cut off between two moves
            os.rename(_old(target), target)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent:
            new = Path(parent) / "new"
            self._write(new)
            if target.exists():
                _carry_over(target, new)
            _put_in_place(new, target)

    def _write(self, directory: Path) -> None:
        with no_progress_bars():
            self.model.save_pretrained(directory)
        generation = copy.deepcopy(self.model.generation_config)
        generation.pad_token_id = self.renderer.pad_id
        generation.eos_token_id = sorted(self.renderer.end_ids)
        generation.save_pretrained(directory)
        tokenizer = getattr(self.renderer, "tokenizer", None) or byte_tokenizer()
        # One file less, which no packaging rule can drop: the template goes into the config.
        tokenizer.save_pretrained(directory, save_jinja_files=False)

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
        for index, (prompt, budget) in enumerate(zip(prompts, budgets, strict=True)):
            self._check_prompt(index, prompt, budget)

    def _check_prompt(self, index: int, prompt: Sequence[int], budget: int) -> None:
        if not prompt:
            raise LmgymError(
                f"prompt {index} is empty; a model needs at least one id to go on from"
            )
        width = self.model.get_input_embeddings().weight.shape[0]
        strange = [i for i in (min(prompt), max(prompt)) if not 0 <= i < width]
        if strange:
            raise LmgymError(
                f"prompt {index} has the id {strange[0]}; ids go from 0 to {width - 1}"
            )
        needed, context = len(prompt) + budget, self.context
        if context is not None and needed > context:
            raise LmgymError(
                f"prompt {index} has {len(prompt)} ids and may draw {budget}, but the model has"
                f" {context} positions; shorten the prompt or lower max_tokens"
            )


def _selected_logprobs(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Log-probabilities of `ids`, shape (B, T), under `logits`, shape (B, T, V), in fp32."""
    if logits.numel() <= _SCORED_AT_ONCE:
        return _selected_block(logits, ids, temperature)
    B, T, V = logits.shape
    n_rows = min(B, max(1, _SCORED_AT_ONCE // V))
    n_columns = min(T, max(1, _SCORED_AT_ONCE // (n_rows * V)))
    rows = []
    # `split` and not slices: its gradient is put together once.
    for some_logits, some_ids in zip(
        torch.split(logits, n_rows), torch.split(ids, n_rows), strict=True
    ):
        blocks = zip(
            torch.split(some_logits, n_columns, 1),
            torch.split(some_ids, n_columns, 1),
            strict=True,
        )
        taken = [
            checkpoint(
                _selected_block, *block, temperature, use_reentrant=False, preserve_rng_state=False
            )
            for block in blocks
        ]
        rows.append(torch.cat(taken, 1))
    return torch.cat(rows)


def _selected_block(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    logprobs = (logits.float() / temperature).log_softmax(-1)
    return logprobs.gather(2, ids[:, :, None]).squeeze(2)


_MODEL_FILES = ("model", "tokenizer", "chat_template", "special_tokens_map")


def _carry_over(old: Path, new: Path) -> None:
    """Give `new` the files of `old` that it lacks, those of the old model excepted.

    Linked, not copied: a log that is being written goes on.
    """
    for path in old.rglob("*"):
        place = new / path.relative_to(old)
        if path.is_file() and not place.exists() and not path.name.startswith(_MODEL_FILES):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, place)
            except OSError:  # a file system without hard links
                shutil.copy2(path, place)


def _put_in_place(new: Path, target: Path) -> None:
    """Move `new` to `target`; the old directory goes only once the new one stands."""
    if not target.exists():
        os.rename(new, target)
        return
    old = _old(target)
    shutil.rmtree(old, ignore_errors=True)
    os.rename(target, old)
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
