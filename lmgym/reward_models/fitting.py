"""`fit_reward_model`: from preferences or logged trials to a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmgym.errors import LmgymError
from lmgym.reward_models.arguments import FitArgs
from lmgym.reward_models.cache import CachedEncoder, EmbeddingCache, Progress
from lmgym.reward_models.encoder import FittedEncoder, make_encoder
from lmgym.reward_models.features import Projection
from lmgym.reward_models.head_model import HeadRewardModel
from lmgym.reward_models.heads import LinearHead, MlpHead
from lmgym.reward_models.model import RewardModel
from lmgym.reward_models.selection import Rows, accuracy, choose_regularisation, one_head
from lmgym.reward_models.table import Labelled, Table

if TYPE_CHECKING:
    from lmgym.preferences.pairs import PreferencePair, Trial

__all__ = ["fit_reward_model"]


def fit_reward_model(
    data: Sequence[PreferencePair] | Sequence[Trial],
    args: FitArgs | None = None,
    *,
    validation: Sequence[PreferencePair] | Sequence[Trial] | None = None,
    cache: EmbeddingCache | str | Path | None = None,
    on_progress: Progress | None = None,
) -> RewardModel:
    """Fit a reward model to preferences, or a classifier to logged trials.

    Args:
        data: what is learned from.
        args: how; `FitArgs()` where none are given.
        validation: what the regularisation is chosen on; by default parts of `data`, by prompt.
        cache: where encodings are kept, a folder or an `EmbeddingCache`; None keeps none.
        on_progress: called with what is done, how much of it, and of how much; later too, where
            the model encodes texts.

    Raises:
        LmgymError: for trials where pairs are needed, and for data of more than one kind.

    Example:
        >>> from lmgym.preferences.pairs import PreferencePair
        >>> pairs = [PreferencePair.of(f"{i}+1=", "yes, " * i, "no") for i in range(1, 9)]
        >>> fit_reward_model(pairs).figures["n"]
        8
    """
    args = args or FitArgs()
    labelled = Labelled.of(data, args.objective)
    held_out = None if validation is None else Labelled.of(validation, args.objective)
    if held_out is not None and (held_out.second is None) != (labelled.second is None):
        raise LmgymError(
            "the validation data and the training data are of two kinds, pairs and trials; give"
            " both of one kind"
        )
    model: RewardModel
    if args.head == "transformer":
        from lmgym.reward_models.transformer import fit_transformer

        model = fit_transformer(labelled, args, validation=held_out, on_progress=on_progress)
    else:
        store = cache if isinstance(cache, EmbeddingCache) else EmbeddingCache(cache)
        model = _fit_on_encodings(labelled, held_out, args, store, on_progress)
        model.cache = None if cache is None else store
    model.data_fingerprint = getattr(data, "fingerprint", "")
    return model


def _fit_on_encodings(
    data: Labelled,
    validation: Labelled | None,
    args: FitArgs,
    cache: EmbeddingCache,
    on_progress: Progress | None,
) -> HeadRewardModel:
    """A head on a frozen encoder, its rewards standardised on the training answers."""
    encoder = make_encoder(args.encoder, dtype=args.dtype, device=args.device)
    if isinstance(encoder, FittedEncoder):
        encoder.fit([transcript.completion_text for transcript in data.transcripts])
    reader = CachedEncoder(encoder, cache, on_progress)
    train = Table.of(data, reader, args.inputs)
    tuning = None if validation is None else Table.of(validation, reader, args.inputs)
    projection, head, figures = fit_head(train, args, tuning)
    rewards = head.rewards(projection.apply(train.answers))  # (K, sides * n)
    spread = rewards.std(1)
    return HeadRewardModel(
        encoder=encoder,
        inputs=args.inputs,
        projection=projection,
        head=head,
        shift=rewards.mean(1),
        scale=np.where(spread > 1e-12, spread, 1.0),
        objective=args.objective,
        reduce=args.reduce,
        coefficient=args.coefficient,
        figures=figures,
        on_progress=on_progress,
    )


def fit_head(
    train: Table, args: FitArgs, validation: Table | None = None
) -> tuple[Projection, LinearHead | MlpHead, dict[str, Any]]:
    """The projection and the head of encoded data, and figures of how they were chosen."""
    rng = np.random.default_rng(args.seed)
    folds = train.folds(args.folds, rng) if validation is None else [(train, validation)]
    if args.head == "mlp":
        folds = folds[:1] or [(train, train)]
    regularisation, figures = choose_regularisation(folds, args, rng)
    fitted = folds[0][0] if args.head == "mlp" else train  # the mlp stops on what is held out
    projection = Projection.fit(fitted.answers, args.components, has_length=args.length)
    rows = fitted.features(projection)
    stop = folds[0][1].features(projection) if args.head == "mlp" else rows
    heads = [
        one_head(_resampled(rows, args, rng), stop, args, regularisation, rng)
        for _ in range(args.members)
    ]
    head = heads[0].stack(heads)  # type: ignore[arg-type]
    figures |= {"n": len(train), "regularisation": regularisation}
    return projection, head, figures | {"train_accuracy": accuracy(head, rows)}


def _resampled(rows: Rows, args: FitArgs, rng: np.random.Generator) -> Rows:
    """Rows weighted by how often a bootstrap sample holds them; as they are for one member."""
    if args.members == 1 or not args.bootstrap:
        return rows
    counts = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
    return rows.reweighted(counts.astype(np.float64))
