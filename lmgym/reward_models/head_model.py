"""`HeadRewardModel`: an encoder, a projection and a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.reward_models.cache import CachedEncoder, EmbeddingCache, Progress
from lmgym.reward_models.encoder import Encoder, FittedEncoder
from lmgym.reward_models.features import Projection, raw_features
from lmgym.reward_models.heads import LinearHead, MlpHead
from lmgym.reward_models.model import RewardModel
from lmgym.reward_models.storage import new_directory, write_tensors
from lmgym.transcript import Transcript

__all__ = ["WEIGHTS", "HeadRewardModel"]

Array = NDArray[np.float64]

WEIGHTS = "model.safetensors"


@dataclass(eq=False)
class HeadRewardModel(RewardModel):
    """A head on the features of a frozen encoder.

    Each member's rewards have mean 0 and standard deviation 1 over the training answers.

    Attributes:
        encoder: reads the text.
        inputs: which text, as in `FitArgs`.
        projection: of the encodings, fitted to the training answers.
        head: of K members.
        shift: of each member's rewards, shape (K,).
        scale: of each member's rewards, shape (K,).
        cache: where encodings are kept, if anywhere.
        on_progress: called while texts are encoded; it stays behind where the model is pickled.

    The other attributes are those of `RewardModel`.

    Example:
        >>> from lmgym.reward_models import fit_reward_model
        >>> from lmgym.preferences.pairs import PreferencePair
        >>> pairs = [PreferencePair.of(f"{i}?", "yes, " * 3, "no") for i in range(9)]
        >>> model = fit_reward_model(pairs)
        >>> good, bad = model.score_texts(["9?", "9?"], ["yes, yes", "no"])
        >>> bool(good > bad)
        True
    """

    encoder: Encoder
    inputs: str
    projection: Projection
    head: LinearHead | MlpHead
    shift: Array
    scale: Array
    objective: str = "bradley_terry"
    reduce: str = "mean"
    coefficient: float = 1.0
    figures: Mapping[str, Any] = field(default_factory=dict)
    data_fingerprint: str = ""
    licence: str = ""
    cache: EmbeddingCache | None = None
    on_progress: Progress | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All but the listener."""
        return {**self.__dict__, "on_progress": None}

    @property
    def n_members(self) -> int:
        """Heads, K."""
        return len(self.shift)

    def member_rewards(self, transcripts: Sequence[Transcript]) -> Array:
        """What each member says, shape (K, n)."""
        if not transcripts:
            return np.zeros((self.n_members, 0))
        return self.rewards_of_features(self.features(transcripts))

    def features(self, transcripts: Sequence[Transcript]) -> Array:
        """What the head sees, shape (n, d)."""
        cache = self.cache or EmbeddingCache(None)
        reader = CachedEncoder(self.encoder, cache, self.on_progress)
        return self.projection.apply(raw_features(reader, transcripts, self.inputs))

    def rewards_of_features(self, features: Array) -> Array:
        """What each member says of features of shape (n, d), shape (K, n)."""
        return (self.head.rewards(features) - self.shift[:, None]) / self.scale[:, None]

    def save(self, directory: str | Path) -> None:
        """Write reward_model.json and model.safetensors into a directory, in one step."""
        with new_directory(directory) as new:
            write_tensors(new / WEIGHTS, self._tensors())
            if isinstance(self.encoder, FittedEncoder):
                self.encoder.save(new)
            self._describe(
                new,
                head=self.head.kind,
                reduce=self.reduce,
                coefficient=self.coefficient,
                inputs=self.inputs,
                encoder={
                    "name": self.encoder.name,
                    "size": self.encoder.size,
                    "dtype": getattr(self.encoder, "dtype", "fp32"),
                    "fingerprint": self.encoder.fingerprint,
                },
            )

    def _tensors(self) -> dict[str, Array]:
        tensors = {"mean": self.projection.mean, "feature_scale": self.projection.scale}
        if self.projection.directions is not None:
            tensors["directions"] = self.projection.directions
        names = ("weights", "bias", "hidden_weights", "hidden_bias")
        tensors |= {f"head.{n}": getattr(self.head, n) for n in names if hasattr(self.head, n)}
        return tensors | {"shift": self.shift, "scale": self.scale}
