"""Settings that follow from the size of a model."""

from __future__ import annotations

from lmgym.errors import LmgymError

__all__ = [
    "default_batch_size",
    "default_learning_rate",
    "default_limits",
    "is_large",
    "use_threads",
]

_SMALL = 1_000_000
_LARGE = 10_000_000
_RATES = ((200_000, 5e-4), (5_000_000, 1e-4), (50_000_000, 1e-5))


def default_learning_rate(n_parameters: int) -> float:
    """The learning rate of Adam for policy gradients on all weights of a language model.

    The usable rate falls with size: Adam moves every weight by about the rate, and the more
    weights feed one output, the further their aligned moves carry it. Pretrained weights also
    have more to lose than small ones trained for one world. 5e-4 up to 200,000 parameters
    (six times that makes a policy of 100,000 collapse), 1e-4 up to 5 million, 1e-5 up
    to 50 million, and 1e-6 above, as is customary for reinforcement learning of large models.
    Adapters (LoRA) take about ten times as much.

    Example:
        >>> default_learning_rate(100_000)
        0.0005
    """
    if n_parameters < 1:
        raise LmgymError(f"a model has at least one parameter; given {n_parameters}")
    return next((rate for size, rate in _RATES if n_parameters <= size), 1e-6)


def is_large(n_parameters: int) -> bool:
    """Whether a model is so large that sampling takes seconds: above 10 million parameters."""
    return n_parameters > _LARGE


def default_limits(n_parameters: int) -> tuple[int, int, int]:
    """Problems of a validation, problems of a test, and sampled answers for each of the latter."""
    return (32, 50, 1) if is_large(n_parameters) else (256, 512, 4)


def default_batch_size(n_parameters: int) -> int:
    """Episodes that are evaluated at a time."""
    return 16 if is_large(n_parameters) else 512


def use_threads(n_parameters: int, threads: int | None = None) -> None:
    """Let torch use `threads` CPU threads; by default one for up to a million parameters, else all.

    A small model gains little from a second core, and loses much where the core is busy.
    """
    import torch

    if threads is None and n_parameters <= _SMALL:
        threads = 1
    if threads is not None:
        torch.set_num_threads(threads)
