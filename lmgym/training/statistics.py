"""Another name of `lmgym.training.uncertainty`."""

from lmgym.training.uncertainty import (
    bootstrap_interval,
    mean_interval,
    pass_at_k,
    permutation_test,
    wilson_interval,
)

__all__ = [
    "bootstrap_interval",
    "mean_interval",
    "pass_at_k",
    "permutation_test",
    "wilson_interval",
]
