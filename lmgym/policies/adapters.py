"""Adapters of low rank (LoRA; Hu et al., 2021): train few weights, and keep the model beneath.

An adapter adds B A * alpha / rank to each matrix of a model whose own weights are frozen. It stays
in float32 whatever the type of the frozen weights, so that small updates are not lost. Needs peft:
pip install 'lmgym[lora]'.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.adapter_files import base_problem, read_adapter
from lmgym.policies.language_policy import LanguagePolicy, Samples
from lmgym.policies.loading import check_peft, load_policy
from lmgym.policies.merging import has_adapter, is_plain, lora_layers
from lmgym.policies.saving import ADAPTER

__all__ = [
    "attach_adapter",
    "frozen_copy",
    "reference_policy",
    "restore_weights",
    "with_adapter",
]


def with_adapter(
    policy: LanguagePolicy, rank: int, alpha: float | None = None, seed: int = 0
) -> LanguagePolicy:
    """Put a new adapter on a policy; its weights alone are trained from then on.

    The policy says what it said before until it is trained, since B is 0.

    Args:
        policy: without an adapter.
        rank: of the matrices that are added to every linear layer but the head; at most the width
            of the widest of them.
        alpha: the adapter's scale is `alpha / rank`; by default twice the rank.
        seed: of A. No generator of torch's is moved.

    Returns:
        The same policy.
    """
    if has_adapter(policy.model):
        raise LmgymError("the policy has an adapter already; start from a model without one")
    check_peft("an adapter (--lora-rank)")
    from peft import LoraConfig

    _check_rank(policy, rank, alpha)
    options: Any = {"r": rank, "lora_alpha": 2 * rank if alpha is None else alpha}
    config = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM", **options)
    model = _wrapped(policy, config)
    _draw(model, torch.Generator().manual_seed(seed))
    policy.model = model.eval()
    return policy


def attach_adapter(policy: LanguagePolicy, directory: Path) -> LanguagePolicy:
    """Put an adapter on a policy that was saved in peft's format; returns the policy.

    Args:
        policy: of the model that the adapter was trained on.
        directory: holds adapter_config.json and adapter_model.safetensors.

    Raises:
        LmgymError: where the adapter is of another kind or belongs to another model.
    """
    check_peft(f"the adapter {directory}")
    config, weights = read_adapter(directory)
    try:
        model = _wrapped(policy, config)
        _fill(model, weights)
    except (ValueError, RuntimeError, KeyError) as error:
        raise _misfit(directory, policy, str(error)) from error
    layers = list(lora_layers(model))
    if not all(map(is_plain, layers)):
        raise _misfit(directory, policy, "it is a variant of LoRA, which is not supported")
    if any(end in layers for end in (model.get_input_embeddings(), model.get_output_embeddings())):
        raise _misfit(directory, policy, "it changes embeddings or the head, which may be one")
    problem = base_problem(model, policy.renderer.vocab_size, directory)
    if problem is not None:
        raise _misfit(directory, policy, problem)
    policy.model = model.eval()
    return policy


def restore_weights(policy: LanguagePolicy, directory: Path) -> None:
    """Give a policy the weights that its own `save` wrote: its adapter's, where it has one."""
    if has_adapter(policy.model):
        _fill(policy.model, read_adapter(directory / ADAPTER)[1])
        return
    dtype = str(policy.model.dtype).removeprefix("torch.")
    saved = load_policy(directory, str(policy.device), dtype)
    policy.model.load_state_dict(saved.model.state_dict())


def reference_policy(policy: LanguagePolicy) -> LanguagePolicy:
    """The policy as it is now; nothing trains it.

    Where an adapter is new and so says nothing yet, it is the model beneath: it scores and samples
    with the adapter disabled, which is enabled again whatever happens. Else it is a `frozen_copy`,
    which shares the weights beneath an adapter.

    Example:
        >>> from lmgym.policies.loading import check_peft, load_policy
        >>> policy = load_policy()
        >>> reference = reference_policy(policy)
        >>> ids = torch.tensor([[259, 49, 257, 260]])
        >>> reference.token_logprobs(ids, torch.ones_like(ids)).requires_grad
        False
    """
    is_new = has_adapter(policy.model) and _says_nothing(policy.model)
    return _WithoutAdapter.of(policy) if is_new else frozen_copy(policy)


def frozen_copy(policy: LanguagePolicy) -> LanguagePolicy:
    """A policy of the same weights, those of an adapter too, which nothing trains.

    What lies frozen beneath an adapter is shared, and not copied.
    """
    shared = policy.model.parameters() if has_adapter(policy.model) else ()
    memo: dict[int, Any] = {id(weight): weight for weight in shared if not weight.requires_grad}
    copied = copy.copy(policy)
    copied.model = copy.deepcopy(policy.model, memo).requires_grad_(False)
    return copied


class _WithoutAdapter(LanguagePolicy):
    """A view of a policy that scores and samples with the adapter disabled."""

    @classmethod
    def of(cls, policy: LanguagePolicy) -> _WithoutAdapter:
        view = cls(policy.model, policy.renderer, autocast=policy.autocast)
        view.version, view.source = policy.version, policy.source
        return view

    def sample(self, prompts: Sequence[Sequence[int]], n: int = 1, **options: Any) -> Samples:
        """As of every policy."""
        with _disabled(self.model):
            return super().sample(prompts, n, **options)

    def token_logprobs(
        self, ids: Tensor, attention_mask: Tensor, temperature: float = 1.0, *, first: int = 1
    ) -> Tensor:
        """As of every policy, without gradient."""
        with torch.no_grad(), _disabled(self.model):
            return super().token_logprobs(ids, attention_mask, temperature, first=first)

    def packed_logprobs(
        self, ids: Tensor, attention_mask: Tensor, loss_mask: Tensor, temperature: float = 1.0
    ) -> Tensor | None:
        """As of every policy, without gradient."""
        with torch.no_grad(), _disabled(self.model):
            return super().packed_logprobs(ids, attention_mask, loss_mask, temperature)

    def save(self, directory: str | Path) -> None:
        """Raise: the model beneath was not changed, so there is nothing to save."""
        raise LmgymError(f"the model beneath an adapter is {self.source}; save the policy instead")


@contextmanager
def _disabled(model: Any) -> Iterator[None]:
    """A model without its adapter, inside; afterwards as before, trainable weights too."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    try:
        with model.disable_adapter():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        for parameter in frozen:  # peft makes them trainable as it enables the adapter
            parameter.requires_grad_(False)


def _wrapped(policy: LanguagePolicy, config: Any) -> Any:
    """The policy's model, with adapters in the layers that the config names."""
    from peft import get_peft_model

    devices = [policy.device] if policy.device.type == "cuda" else []
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")  # peft sets it right
        return get_peft_model(policy.model, config)


def _fill(model: Any, weights: dict[str, Tensor]) -> None:
    """Load weights into the adapter of a model.

    Raises:
        KeyError: where some are missing, or too many.
        RuntimeError: where shapes differ.
    """
    from peft import set_peft_model_state_dict

    report: Any = set_peft_model_state_dict(model, weights)
    missing = [name for name in report.missing_keys if "lora_" in name]
    if missing or report.unexpected_keys:
        raise KeyError(f"{[*missing, *report.unexpected_keys][0]} is on one side only")


def _check_rank(policy: LanguagePolicy, rank: int, alpha: float | None) -> None:
    """Raise where an adapter cannot be of this rank, or would be wider than every layer."""
    if rank < 1 or (alpha is not None and not alpha > 0):
        raise LmgymError(f"rank {rank} and alpha {alpha}; both have to be positive")
    model = policy.model
    ends = [end.weight for end in (model.get_input_embeddings(), model.get_output_embeddings())]
    matrices = [w for w in model.parameters() if w.dim() == 2 and not any(w is e for e in ends)]
    width = max((min(matrix.shape) for matrix in matrices), default=rank)
    if rank > width:
        raise LmgymError(
            f"rank {rank} is above the width of the model's layers, {width}, which is the highest"
            f" rank of what an adapter can add; give {width} or less (--lora-rank)"
        )


def _says_nothing(model: Any) -> bool:
    """Whether B of an adapter is 0 everywhere, as it is until it is trained."""
    layers = list(lora_layers(model))
    if not all(is_plain(layer) and len(layer.lora_B) for layer in layers):
        return False
    return not any(b.weight.any() for layer in layers for b in layer.lora_B.values())


def _draw(model: Any, generator: torch.Generator) -> None:
    """Initial weights as peft draws them, from a generator of ours: uniform A, and B is 0."""
    for layer in lora_layers(model):
        for name in layer.active_adapters:
            a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
            bound = 1 / math.sqrt(a.shape[1])  # Kaiming's with a = sqrt(5)
            drawn = torch.rand(a.shape, generator=generator, dtype=torch.float32)
            with torch.no_grad():
                a.copy_((2 * drawn - 1) * bound)
                b.zero_()


def _misfit(directory: Path, policy: LanguagePolicy, reason: str) -> LmgymError:
    return LmgymError(
        f"the adapter {directory} does not fit the model {policy.source}: {reason[:300]}; open it"
        " with the model that it was trained on"
    )
