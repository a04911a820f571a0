"""What a reward model is fitted with."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from lmgym.errors import LmgymError, unknown

__all__ = ["DTYPES", "HEADS", "INPUTS", "OBJECTIVES", "REDUCTIONS", "FitArgs"]

HEADS = ("linear", "mlp", "transformer")
OBJECTIVES = ("bradley_terry", "classification")
INPUTS = ("answer", "prompt_and_answer", "conversation")
REDUCTIONS = ("mean", "wco", "uwo")
DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class FitArgs:
    """How a reward model is made from preferences or logged trials.

    Example:
        >>> FitArgs(head="forest")
        Traceback (most recent call last):
        ...
        lmgym.errors.LmgymError: unknown head 'forest'; known: transformer, linear, mlp
    """

    encoder: str = "hashing"
    """What reads the text: hashing, tfidf, embedded, minilm or hf:DIR."""
    head: str = "linear"
    """linear or mlp, on the encoder's frozen features, or transformer: the encoder's own weights
    are trained too (embedded or hf:DIR)."""
    objective: str = "bradley_terry"
    """bradley_terry looks at pairs; classification at single answers, winners 1 and losers 0."""
    inputs: str = "answer"
    """What is encoded: the answer, the answer and its product with the prompt
    (prompt_and_answer), or both as one text (conversation)."""
    components: int | None = 96
    """Principal components that are kept of the encoding; 0 or None keeps it as it is."""
    length: bool = True
    """Whether the logarithm of the answer's length is a feature."""
    regularisation: float | None = None
    """Weight of the squared weights beside the sum of the losses; None chooses it on validation."""
    folds: int = 5
    """Parts, by prompt, that are held out in turn to choose the regularisation, where no
    validation data are given; the mlp and the transformer hold out the first one only."""
    members: int = 1
    """Heads, each fitted to its own resample of the pairs; their spread is the uncertainty."""
    bootstrap: bool = True
    """Whether members see resamples; otherwise they differ by their first weights only."""
    reduce: str = "uwo"
    """One reward of the members': mean, wco (the worst) or uwo (mean less their variance)."""
    coefficient: float = 1.0
    """Weight of the variance in uwo."""
    hidden: int = 64
    """Units of the mlp's hidden layer."""
    learning_rate: float | None = None
    """Of the mlp and the transformer; None is 0.003 and 0.00003."""
    epochs: int | None = None
    """Passes over the pairs at most, of the mlp and the transformer; None is 200 and 3."""
    batch_tokens: int = 8192
    """Padded ids the transformer reads at a time."""
    dtype: str = "fp32"
    """Numbers the encoder computes in: fp32, or bf16, which is faster on new processors and equal
    to 1e-2 only."""
    device: str = "cpu"
    """Where the encoder computes."""
    seed: int = 0
    """Of the split, the resamples and the first weights."""

    def __post_init__(self) -> None:
        """Raise where a value does not exist or is out of range."""
        self._check_choices()
        self._check_numbers()
        if self.members > 1 and self.head == "linear" and not self.bootstrap:
            raise LmgymError(
                f"members={self.members} with bootstrap=False: linear heads on the same pairs are"
                " all equal; set bootstrap=True, or head='mlp'"
            )
        if self.head == "transformer" and (self.members > 1 or self.objective != "bradley_terry"):
            raise LmgymError(
                f"head='transformer' with members={self.members}, objective={self.objective!r}:"
                " it has one member and the objective bradley_terry"
            )

    def _check_choices(self) -> None:
        for kind, known in {
            "head": HEADS,
            "objective": OBJECTIVES,
            "inputs": INPUTS,
            "reduce": REDUCTIONS,
            "dtype": DTYPES,
        }.items():
            if getattr(self, kind) not in known:
                raise unknown(kind, getattr(self, kind), known)
        if not re.fullmatch(r"cpu|mps|(cuda|xpu)(:\d+)?", self.device):
            raise LmgymError(f"unknown device {self.device!r}; give cpu, cuda, cuda:0 and so on")

    def _check_numbers(self) -> None:
        for name, least in {
            "components": 0,
            "folds": 2,
            "members": 1,
            "hidden": 1,
            "epochs": 1,
            "batch_tokens": 1,
            "seed": 0,
        }.items():
            _check_least(name, getattr(self, name), least)
        for name in ("regularisation", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise LmgymError(f"{name}={value!r} is out of range; give a number above 0")
        if not (math.isfinite(self.coefficient) and self.coefficient >= 0):
            raise LmgymError(f"coefficient={self.coefficient} is out of range; give 0 or more")


def _check_least(name: str, value: Any, least: int) -> None:
    if value is not None and value < least:
        raise LmgymError(f"{name}={value!r} is out of range; give {least} or more")
