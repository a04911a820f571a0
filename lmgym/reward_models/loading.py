"""`load_reward_model`: what `RewardModel.save` wrote, or a reward model of Hugging Face."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.reward_models.arguments import DTYPES, INPUTS, OBJECTIVES, REDUCTIONS
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
_HEAD_SHAPES = {
    "linear": {"weights": "kd", "bias": "k"},
    "mlp": {"hidden_weights": "khd", "hidden_bias": "kh", "weights": "kh", "bias": "k"},
}
"""The arrays of heads; a letter stands for the same number everywhere."""
_MOST = np.finfo(np.float64).max
_OPTION = re.compile(r"(.*),(device|dtype|encoder)=([^,]+)", re.DOTALL)
_UNDESCRIBED: dict[str, Any] = {"objective": "", "head": SEQUENCE_HEAD, "shift": 0.0, "scale": 1.0}
"""What is known of a reward model of others."""


def load_reward_model(
    directory: str | Path,
    *,
    objective: str | None = None,
    encoder: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    cache: EmbeddingCache | None = None,
) -> RewardModel:
    """A reward model from its directory.

    Args:
        directory: written by `RewardModel.save`, or by `save_pretrained` of a model of Hugging Face
            with one label. In a text, options may follow it: "DIR,device=cuda,dtype=bf16", and
            encoder=.
        objective: what it has to be fitted to; None for any.
        encoder: where its encoder is now, if it has moved (hf:DIR).
        device: where the model or its encoder computes.
        dtype: fp32 or bf16, what a transformer computes in; None is fp32. A head is bound to that
            of the encodings it was fitted to.
        cache: where encodings are kept.

    Raises:
        LmgymError: for a directory, a file or an encoder that is missing, broken or another one.
    """
    option = _OPTION.fullmatch(directory) if isinstance(directory, str) else None
    if option and not Path(directory).is_dir():
        given: dict[str, Any] = {"encoder": encoder, "device": device, "dtype": dtype}
        given |= {option[2]: option[3]}
        return load_reward_model(option[1], objective=objective, cache=cache, **given)
    if dtype is not None and dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
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
        return _sequence_model(place, description, device, dtype or "fp32")
    fitted = description["encoder"]["dtype"]
    if dtype not in (None, fitted):
        raise LmgymError(
            f"{place} was fitted to encodings in {fitted}, and dtype={dtype!r} would change them;"
            " leave dtype out"
        )
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
    if not isinstance(description.get("figures", {}), dict):
        raise LmgymError(f"{file} has figures that are no object; it is broken")
    if description["head"] == SEQUENCE_HEAD:
        _check_number(file, description, "shift", -_MOST)
        _check_number(file, description, "scale", 1e-300)
        return description
    _check_number(file, description, "coefficient", 0)
    _check_field(file, description, "inputs", INPUTS)
    _check_field(file, description, "reduce", REDUCTIONS)
    kept = description.get("encoder")
    texts = ("name", "dtype", "fingerprint")
    if not isinstance(kept, dict) or not all(isinstance(kept.get(n), str) for n in texts):
        raise LmgymError(f"{file} does not say which encoder it needs; it is broken")
    return description


def _check_field(
    file: Path, description: dict[str, Any], name: str, known: tuple[str, ...]
) -> None:
    if description.get(name) not in known:
        raise unknown(f"{name} in {file}", description.get(name), known)


def _check_number(file: Path, description: dict[str, Any], name: str, least: float) -> None:
    value = description.get(name)
    if not isinstance(value, float | int) or not least <= value <= _MOST:
        raise LmgymError(f"{name} in {file} is {value!r}; it is broken")


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
    head = description["head"]
    size = {"prompt_and_answer": 2}.get(description["inputs"], 1) * encoder.size
    _check_arrays(file, tensors, head, size)
    return HeadRewardModel(
        encoder=encoder,
        inputs=description["inputs"],
        projection=Projection(tensors["mean"], tensors.get("directions"), tensors["feature_scale"]),
        head=_HEADS[head](**{name: tensors[f"head.{name}"] for name in _HEAD_SHAPES[head]}),
        shift=tensors["shift"],
        scale=tensors["scale"],
        objective=description["objective"],
        reduce=description["reduce"],
        coefficient=float(description["coefficient"]),
        figures=description.get("figures", {}),
        data_fingerprint=str(description.get("data_fingerprint", "")),
        licence=str(description.get("licence", "")),
        cache=cache,
    )


def _check_arrays(
    file: Path, tensors: dict[str, NDArray[Any]], head: str, encoding_size: int
) -> None:
    """Raise for arrays that are missing, of other shapes, not finite, or scales not above 0."""
    shapes = {"mean": "m", "feature_scale": "d", "shift": "k", "scale": "k"}
    shapes |= {"directions": "ec"} if "directions" in tensors else {}
    shapes |= {f"head.{name}": letters for name, letters in _HEAD_SHAPES[head].items()}
    sizes = {"m": encoding_size + 1, "e": encoding_size}
    for name, letters in shapes.items():
        if name not in tensors:
            raise LmgymError(f"{file} lacks an array ({name}); it is broken")
        array = tensors[name]
        for letter, size in zip(letters, array.shape, strict=False):
            sizes.setdefault(letter, size)
        shape = tuple(sizes.get(letter, 1) for letter in letters)
        if array.shape != shape or sizes.get("k") == 0:
            raise LmgymError(
                f"{file}: {name} has the shape {array.shape}, and {shape} belongs to the encoder"
                " and the other arrays; it is broken, or of another encoder"
            )
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise LmgymError(f"{file}: {name} holds what are no finite float64 numbers")
        if name.endswith("scale") and array.min(initial=1.0) <= 0:
            raise LmgymError(f"{file}: {name} holds a number that is not above 0")
    if sizes["d"] - sizes.get("c", encoding_size) not in (0, 1):
        raise LmgymError(f"{file}: feature_scale is of other features than directions")


def _sequence_model(
    place: Path, description: dict[str, Any], device: str, dtype: str
) -> SequenceRewardModel:
    """A sequence-classification model; one of others keeps the scale it was made with."""
    path = model_directory(place)
    model, missing = load_sequence_model(path, device, dtype)
    if missing:
        raise LmgymError(
            f"{place} lacks {len(missing)} weights of a reward model, {missing[0]} among them; give"
            " a directory of AutoModelForSequenceClassification with one label"
        )
    return SequenceRewardModel(
        model,
        load_tokenizer(path),
        str(place),
        shift=float(description["shift"]),
        scale=float(description["scale"]),
        objective=description["objective"],
        figures=description.get("figures", {}),
        data_fingerprint=str(description.get("data_fingerprint", "")),
        licence=str(description.get("licence", "")),
    )
