"""Settings that follow from the size of a model."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from lmgym.errors import LmgymError

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy
    from lmgym.training.arguments import LearnerArgs

    A = TypeVar("A", bound=LearnerArgs)

__all__ = [
    "Preset",
    "default_batch_size",
    "default_learning_rate",
    "default_limits",
    "describe",
    "is_large",
    "prepare_policy",
    "preset",
    "use_threads",
]

_ONE_THREAD = 1_000_000
_LARGE = 10_000_000
_ADAPTER_RATE = 10
"""How many times the rate of all weights an adapter takes (Schulman et al., 2025)."""


@dataclass(frozen=True)
class Preset:
    """What suits models of some size, wherever a user says nothing else.

    The names are those of learners' arguments.

    Attributes:
        lr: learning rate of AdamW for policy gradients.
        lora_rank: of the adapter; 0 trains all weights.
        gradient_checkpointing: compute layers a second time for the gradient.
        autocast: the type that matrices are multiplied in, on a GPU.
        micro_tokens: ids of one forward pass of training.
        groups: problems a batch.
        group_size: answers to each problem.
        max_tokens: of an episode's agent; None for what the world needs.
        batch_size: episodes that are evaluated at a time.
        validation_limit: problems of a validation.
        test_limit: problems of a test.
        test_samples: sampled answers for each of those.
    """

    lr: float = 5e-4
    lora_rank: int = 0
    gradient_checkpointing: Literal["on", "off"] = "off"
    autocast: Literal["none", "bf16"] = "none"
    micro_tokens: int = 16_384
    groups: int = 64
    group_size: int = 4
    max_tokens: int | None = None
    batch_size: int = 512
    validation_limit: int = 256
    test_limit: int = 512
    test_samples: int = 4


_SMALL = Preset()
_MIDDLE = replace(_SMALL, lr=1e-5, batch_size=16, validation_limit=32, test_limit=50)
_MIDDLE = replace(_MIDDLE, test_samples=1, groups=16, group_size=8, micro_tokens=8192)
_BIG = replace(_MIDDLE, lr=1e-6, autocast="bf16", micro_tokens=4096)
_HUGE = replace(_BIG, lora_rank=16, gradient_checkpointing="on")
_TABLE = (
    (200_000, _SMALL),
    (5_000_000, replace(_SMALL, lr=1e-4)),
    (_LARGE, replace(_SMALL, lr=1e-5)),
    (50_000_000, _MIDDLE),
    (1_000_000_000, _BIG),
)
"""Up to how many parameters which preset holds; `_HUGE` above."""


def preset(n_parameters: int, uses_lora: bool | None = None) -> Preset:
    """What suits a model of this size.

    The usable learning rate falls with size: Adam moves every weight by about the rate, and the
    more weights feed one output, the further their aligned moves carry it. Pretrained weights also
    have more to lose than small ones trained for one world. 5e-4 up to 200,000 parameters (six
    times that makes a policy of 100,000 collapse), 1e-4 up to 5 million, 1e-5 up to 50 million, and
    1e-6 above, as is customary for reinforcement learning of large models. Adapters take ten times
    as much.

    Args:
        n_parameters: of the model, without an adapter.
        uses_lora: whether an adapter is trained; by default from a billion parameters on.

    Example:
        >>> preset(135_000_000, uses_lora=True).lr, preset(135_000_000).lora_rank
        (1e-05, 0)
    """
    if n_parameters < 1:
        raise LmgymError(f"a model has at least one parameter; given {n_parameters}")
    found = next((row for size, row in _TABLE if n_parameters <= size), _HUGE)
    if not (found.lora_rank > 0 if uses_lora is None else uses_lora):
        return replace(found, lora_rank=0)
    lr = round(found.lr * _ADAPTER_RATE, 9)  # 1e-05, and not 9.999999999999999e-06
    return replace(found, lr=lr, lora_rank=found.lora_rank or _HUGE.lora_rank)


def prepare_policy(policy: LanguagePolicy, args: A) -> A:
    """Give a policy the adapter and the savings that the arguments ask for, or its size.

    Returns:
        The arguments, with those of the preset where they are None.
    """
    import torch

    from lmgym.policies.adapters import with_adapter
    from lmgym.policies.merging import adapter_rank

    rank = adapter_rank(policy.model)
    found = preset(policy.n_base_parameters, _wants_adapter(args, rank))
    if rank:
        found = replace(found, lora_rank=rank)
    if policy.device.type != "cuda":
        found = replace(found, autocast="none")
    args = _filled_in(args, found)
    if args.lora_rank and not rank:
        with_adapter(policy, args.lora_rank, args.lora_alpha, args.seed)
    policy.autocast = torch.bfloat16 if args.autocast == "bf16" else None
    policy.recompute_layers(args.gradient_checkpointing == "on")
    return args


def describe(args: LearnerArgs, n_parameters: int) -> str:
    """What holds for a run, in one line; `args` are of `prepare_policy`.

    Example:
        >>> from lmgym.training.arguments import LearnerArgs
        >>> describe(LearnerArgs(lr=1e-5, lora_rank=8), 135_000_000)
        'preset for 135 M parameters: learning rate 1e-05, LoRA of rank 8'
    """
    parts = [f"learning rate {args.lr:g}"]
    parts.append(f"LoRA of rank {args.lora_rank}" if args.lora_rank else "all weights")
    parts += ["bf16 autocast"] * (args.autocast == "bf16")
    parts += ["gradient checkpointing"] * (args.gradient_checkpointing == "on")
    groups, size = getattr(args, "groups", None), getattr(args, "group_size", None)
    micro_tokens = getattr(args, "micro_tokens", None)
    if groups and size:
        parts.append(f"{groups} x {size} answers a batch")
    if micro_tokens:
        parts.append(f"{micro_tokens:,} ids a forward pass")
    return f"preset for {_in_short(n_parameters)} parameters: {', '.join(parts)}"


def default_learning_rate(n_parameters: int) -> float:
    """The learning rate of AdamW for policy gradients on all weights of a language model.

    Example:
        >>> default_learning_rate(100_000)
        0.0005
    """
    return preset(n_parameters, uses_lora=False).lr


def is_large(n_parameters: int) -> bool:
    """Whether a model is so large that sampling takes seconds: above 10 million parameters."""
    return n_parameters > _LARGE


def default_limits(n_parameters: int) -> tuple[int, int, int]:
    """Problems of a validation, problems of a test, and sampled answers for each of the latter."""
    found = preset(max(1, n_parameters))
    return found.validation_limit, found.test_limit, found.test_samples


def default_batch_size(n_parameters: int) -> int:
    """Episodes that are evaluated at a time."""
    return preset(max(1, n_parameters)).batch_size


def use_threads(n_parameters: int, threads: int | None = None) -> None:
    """Let torch use `threads` CPU threads; by default one for up to a million parameters, else all.

    A small model gains little from a second core, and loses much where the core is busy.
    """
    import torch

    if threads is None and n_parameters <= _ONE_THREAD:
        threads = 1
    if threads is not None:
        torch.set_num_threads(threads)


def _wants_adapter(args: LearnerArgs, rank: int) -> bool | None:
    """None where the size of the model decides; `rank` is that of the adapter it has already."""
    if rank and args.lora_rank not in (None, rank):
        raise LmgymError(
            f"--lora-rank {args.lora_rank}, but the model has an adapter of rank {rank}, which is"
            " trained on; leave --lora-rank out, or start from the model without the adapter"
        )
    return True if rank else None if args.lora_rank is None else args.lora_rank > 0


def _filled_in(args: A, found: Preset) -> A:
    """The arguments, with those of a preset where they are None."""
    names = {f.name for f in fields(found)} & {f.name for f in fields(args)}
    lacking = [name for name in names if getattr(args, name) is None]
    return replace(args, **{name: getattr(found, name) for name in lacking})


def _in_short(n_parameters: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if n_parameters >= size:
            return f"{n_parameters / size:.3g} {unit}"
    return str(n_parameters)
