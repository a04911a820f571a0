"""The language model inside a policy of Stable-Baselines3: made, checked, read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from lmgym.errors import LmgymError
from lmgym.policies.cached import accepted
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer, Renderer

__all__ = [
    "CRITIC_FILE",
    "FRAGMENTS",
    "PLACES",
    "ROWS",
    "ActionHead",
    "Sizes",
    "build_model",
    "fragment_states",
    "last_states",
    "load_critic",
]

CRITIC_FILE = "critic.safetensors"
"""Beside a language model: what else its policy has learned."""

FRAGMENTS, ROWS, PLACES = "fragments", "rows", "places"
"""Keys of a minibatch of trajectories: `fragments` (F, T), ids padded on the right; `rows` (B,),
the fragment of each step; `places` (B,), where in it stands the last id that the step has seen."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a fresh Llama.

    Attributes:
        vocab: ids.
        context: positions.
        hidden: width.
        layers: how many.
        heads: of the attention.
    """

    vocab: int
    context: int
    hidden: int
    layers: int
    heads: int


def build_model(given: Any, sizes: Sizes) -> tuple[Any, Renderer | None]:
    """A model of its own, in evaluation mode, and the renderer of its ids where one is known.

    Args:
        given: None for a fresh Llama; a name as for `lmgym.policies.loading.load_policy`; a
            `LanguagePolicy` or a causal language model of transformers, which is copied.
        sizes: what the environment needs and what a fresh model is made of.
    """
    model, renderer = _copy_of(given, sizes)
    width = model.get_input_embeddings().weight.shape[0]
    positions = getattr(model.config, "max_position_embeddings", None) or sizes.context
    if width < sizes.vocab:
        raise LmgymError(
            f"the model has {width} ids, the environment {sizes.vocab}; make the environment with"
            " tokenizer= the name of the model, so that both count the same ids"
        )
    if positions < sizes.context:
        raise LmgymError(
            f"the model has {positions} positions, the environment's context {sizes.context};"
            f" make the environment with context={positions} or less"
        )
    return model.eval(), renderer


def _copy_of(given: Any, sizes: Sizes) -> tuple[Any, Renderer | None]:
    if given is None:
        is_byte = sizes.vocab == ByteRenderer.vocab_size
        return _fresh(sizes), ByteRenderer() if is_byte else None
    if isinstance(given, str | Path):
        from lmgym.policies.loading import load_policy

        given = load_policy(given)
        return given.model, given.renderer
    if isinstance(given, LanguagePolicy):
        return copy.deepcopy(given.model), given.renderer
    if not hasattr(given, "get_output_embeddings"):
        raise LmgymError(
            f"model={given!r} is no language model; give None for a fresh one, 'embedded', a model"
            " directory, a LanguagePolicy or a causal language model of transformers"
        )
    return copy.deepcopy(given), None


def _fresh(sizes: Sizes) -> Any:
    """A Llama with random weights from torch's generator, which the algorithm has seeded."""
    from transformers import LlamaConfig, LlamaForCausalLM

    if min(sizes.hidden, sizes.layers, sizes.heads) < 1 or sizes.hidden % (2 * sizes.heads):
        raise LmgymError(
            f"hidden_size={sizes.hidden}, n_layers={sizes.layers}, n_heads={sizes.heads}: each is"
            " 1 or more, and the heads share the hidden size in even parts"
        )
    config = LlamaConfig(
        vocab_size=sizes.vocab,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.hidden * 5 // 2,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        max_position_embeddings=sizes.context,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config)


def load_critic(critic: nn.Module, given: Any) -> bool:
    """Take the critic of a checkpoint; whether there was one of the same shape.

    Args:
        critic: gets the weights.
        given: what the policy starts from.
    """
    if not isinstance(given, str | Path) or not (Path(given) / CRITIC_FILE).is_file():
        return False
    saved = load_file(Path(given) / CRITIC_FILE)
    found = {n.removeprefix("critic."): t for n, t in saved.items() if n.startswith("critic.")}
    own = critic.state_dict()
    if {n: t.shape for n, t in found.items()} != {n: t.shape for n, t in own.items()}:
        return False
    critic.load_state_dict(found)
    return True


def last_states(model: Any, tokens: Tensor, lengths: Tensor) -> Tensor:
    """What a model has after each row's last id, shape (B, C).

    Args:
        model: causal, so that padding on the right changes nothing before it.
        tokens: ids, padded on the right, shape (B, T).
        lengths: ids of each row, shape (B,).
    """
    last = lengths.long() - 1
    states = _states(model, tokens[:, : int(last.max()) + 1])
    return states[torch.arange(len(last), device=last.device), last]


def fragment_states(model: Any, observations: Mapping[str, Tensor]) -> Tensor:
    """The same for the steps of a minibatch of trajectories, shape (B, C), each id read once."""
    return _states(model, observations[FRAGMENTS])[observations[ROWS], observations[PLACES]]


def _states(model: Any, tokens: Tensor) -> Tensor:
    """What a model has after each id, shape (B, T, C)."""
    base = model.base_model
    words = {"use_cache": False} if "use_cache" in accepted(base) else {}
    states: Tensor = base(tokens.long(), **words)[0]
    return states


class ActionHead:
    """The rows of a model's output matrix that belong to the actions.

    Args:
        model: a causal language model whose logits are a linear map of its last hidden states.
        action_ids: the id that each action stands for, shape (A,).
    """

    def __init__(self, model: Any, action_ids: Tensor) -> None:
        """Check that the rows are what the model computes its logits with."""
        self.linear = model.get_output_embeddings()
        self.is_whole = torch.equal(
            action_ids, torch.arange(len(action_ids), device=action_ids.device)
        )
        is_capped = getattr(model.config, "final_logit_softcapping", None) is not None
        is_plain = type(self.linear) is nn.Linear and not is_capped
        if not is_plain or not self._is_what_computes(model, action_ids):
            raise LmgymError(
                f"the logits of {type(model).__name__} are no linear map of its last hidden"
                " states; choose a model without adapters, scaled or capped logits"
            )

    def logits(self, states: Tensor, action_ids: Tensor) -> Tensor:
        """Of the actions, shape (B, A), fp32, after hidden states of shape (B, C)."""
        weight, bias = self.linear.weight, self.linear.bias
        rows = slice(len(action_ids)) if self.is_whole else action_ids
        return F.linear(states, weight[rows], None if bias is None else bias[rows]).float()

    @torch.no_grad()
    def _is_what_computes(self, model: Any, action_ids: Tensor) -> bool:
        probes = action_ids[:: len(action_ids) // 8 + 1, None]  # a few ids, each alone
        expected = model(probes).logits[:, -1, action_ids].float()
        found = self.logits(last_states(model, probes, torch.ones_like(probes[:, 0])), action_ids)
        return torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
