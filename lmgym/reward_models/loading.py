"""`load_reward_model`: what `RewardModel.save` wrote, or a reward model of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError, unknown
from lmgym.reward_models.arguments import INPUTS, OBJECTIVES, REDUCTIONS
from lmgym.reward_models.cache import EmbeddingCache
from lmgym.reward_models.encoder import Encoder, FittedEncoder, make_encoder
from lmgym.reward_models.features import Projection
from lmgym.reward_models.head_model import WEIGHTS, HeadRewardModel
from lmgym.reward_models.heads import LinearHead, MlpHead
from lmgym.reward_models.hf_files import load_sequence_model, load_tokenizer, model_directory
from lmgym.reward_models.model import DESCRIPTION, FORMAT_VERSION, RewardModel
from lmgym.reward_models.sequence_model import SEQUENCE_HEAD, SequenceRewardModel
from lmgym.reward_models.storage import read_json, read_tensors

__all__ = ["load_reward_model"]

_HEADS = {"linear": LinearHead, "mlp": MlpHead}
_UNDESCRIBED: dict[str, Any] = {"objective": "", "head": SEQUENCE_HEAD}
"""What is known of a reward model of others."""


def load_reward_model(
    directory: str | Path,
    *,
    objective: str | None = None,
    encoder: str | None = None,
    device: str = "cpu",
    cache: EmbeddingCache | None = None,
) -> RewardModel:
    """A reward model from its directory.

    Args:
        directory: written by `RewardModel.save`, or by `save_pretrained` of a model of Hugging Face
            with one label.
        objective: what it has to be fitted to; None for any.
        encoder: where its encoder is now, if it has moved (hf:DIR).
        device: where its encoder computes.
        cache: where encodings are kept.

    Raises:
        LmgymError: for a directory, a file or an encoder that is missing, broken or another one.
    """
    place = Path(directory).expanduser()
    if not place.is_dir():
        raise LmgymError(
            f"{str(directory)!r} is no reward model: there is no such directory; give one that"
            " RewardModel.save or 'lmgym reward fit' wrote, or one of Hugging Face"
        )
    is_ours = (place / DESCRIPTION).is_file()
    if not is_ours and not (place / "config.json").is_file():
        raise LmgymError(f"{place} is no reward model: it has no {DESCRIPTION} and no config.json")
    description = _described(place) if is_ours else _UNDESCRIBED
    found = description["objective"]
    if objective is not None and objective != found:
        raise LmgymError(
            f"{place} was fitted to the objective {found or 'nobody knows'}, and {objective} is"
            f" needed; fit another with objective={objective!r}"
        )
    if description["head"] == SEQUENCE_HEAD:
        return _sequence_model(place, description, device)
    reader = _encoder(place, description["encoder"], encoder, device)
    return _assembled(place, description, reader, cache)


def _described(place: Path) -> dict[str, Any]:
    """The description, with every field it needs."""
    file = place / DESCRIPTION
    description = read_json(file)
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise LmgymError(
            f"{file} has format version {version}; this lmgym reads version {FORMAT_VERSION}"
        )
    _check_field(file, description, "objective", OBJECTIVES)
    _check_field(file, description, "head", (*_HEADS, SEQUENCE_HEAD))
    if description["head"] == SEQUENCE_HEAD:
        return description
    _check_field(file, description, "inputs", INPUTS)
    _check_field(file, description, "reduce", REDUCTIONS)
    kept = description.get("encoder")
    if not isinstance(kept, dict) or not {"name", "dtype", "fingerprint"} <= kept.keys():
        raise LmgymError(f"{file} does not say which encoder it needs; it is broken")
    return description


def _check_field(
    file: Path, description: dict[str, Any], name: str, known: tuple[str, ...]
) -> None:
    if description.get(name) not in known:
        raise unknown(f"{name} in {file}", description.get(name), known)


def _encoder(place: Path, kept: dict[str, Any], moved: str | None, device: str) -> Encoder:
    """The encoder that the head was fitted on, and no other."""
    encoder: Encoder = make_encoder(moved or kept["name"], dtype=kept["dtype"], device=device)
    if isinstance(encoder, FittedEncoder):
        encoder.load(place)
    if encoder.fingerprint != kept["fingerprint"]:
        raise LmgymError(
            f"the encoder {encoder.name!r} is not the one that {place} was fitted on (fingerprint"
            f" {encoder.fingerprint}, there {kept['fingerprint']}); its weights or its version"
            " changed: fit the reward model again, or give the old encoder"
        )
    return encoder


def _assembled(
    place: Path, description: dict[str, Any], encoder: Encoder, cache: EmbeddingCache | None
) -> HeadRewardModel:
    file = place / WEIGHTS
    tensors = read_tensors(file)
    kind = _HEADS[description["head"]]
    try:
        head = kind(**{n.removeprefix("head."): a for n, a in tensors.items() if "head." in n})
        projection = Projection(
            tensors["mean"], tensors.get("directions"), tensors["feature_scale"]
        )
        shift, scale = tensors["shift"], tensors["scale"]
    except (KeyError, TypeError) as error:
        raise LmgymError(f"{file} lacks an array ({error}); it is broken") from None
    wide = {"prompt_and_answer": 2}.get(description["inputs"], 1) * encoder.size + 1
    if projection.mean.shape != (wide,) or head.n_features != len(projection.scale):
        raise LmgymError(
            f"{file} takes {projection.mean.size - 1} numbers an answer and has a head of"
            f" {head.n_features} features, but the encoder {encoder.name!r} gives {wide - 1}"
            f" numbers and the projection {len(projection.scale)} features"
        )
    return HeadRewardModel(
        encoder=encoder,
        inputs=description["inputs"],
        projection=projection,
        head=head,
        shift=shift,
        scale=scale,
        objective=description["objective"],
        reduce=description["reduce"],
        coefficient=float(description.get("coefficient", 1.0)),
        figures=description.get("figures", {}),
        data_fingerprint=str(description.get("data_fingerprint", "")),
        licence=str(description.get("licence", "")),
        cache=cache,
    )


def _sequence_model(place: Path, description: dict[str, Any], device: str) -> SequenceRewardModel:
    """A sequence-classification model; one of others keeps the scale it was made with."""
    path = model_directory(place)
    model, missing = load_sequence_model(path, device)
    if missing:
        raise LmgymError(
            f"{place} lacks {len(missing)} weights of a reward model, {missing[0]} among them; give"
            " a directory of AutoModelForSequenceClassification with one label"
        )
    return SequenceRewardModel(
        model,
        load_tokenizer(path),
        str(place),
        shift=float(description.get("shift", 0.0)),
        scale=float(description.get("scale", 1.0)),
        objective=description["objective"],
        figures=description.get("figures", {}),
        data_fingerprint=str(description.get("data_fingerprint", "")),
        licence=str(description.get("licence", "")),
    )
