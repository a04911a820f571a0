"""Features of answers: encodings, lengths, projections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmgym.reward_models.features import Projection, conversation, raw_features
from lmgym.task import Message, Role
from lmgym.transcript import Transcript


class Recorder:
    """Encodes a text as its length and one, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def _transcript(*contents: str, n_opening: int = 1) -> Transcript:
    roles = (Role.USER, Role.ASSISTANT)
    said = tuple(Message(roles[index % 2], text) for index, text in enumerate(contents))
    return Transcript(said, n_opening=n_opening)


def test_answer_features_are_its_encoding_and_log_length() -> None:
    raw = raw_features(Recorder(), [_transcript("hi", "abc")], "answer")
    np.testing.assert_allclose(raw, [[3, 1, np.log(4)]])


def test_product_with_the_prompt_is_added_on_request() -> None:
    raw = raw_features(Recorder(), [_transcript("hi", "abc")], "prompt_and_answer")
    np.testing.assert_allclose(raw, [[3, 1, 6 * 2**0.5, 2**0.5, np.log(4)]], rtol=1e-6)


def test_conversation_is_one_text() -> None:
    recorder = Recorder()
    raw_features(recorder, [_transcript("hi", "a", "and", "b")], "conversation")
    assert recorder.asked == ["hi\na\nand\nb"]


def test_equal_texts_are_encoded_once() -> None:
    recorder = Recorder()
    raw_features(recorder, [_transcript("1", "a"), _transcript("2", "a")], "answer")
    assert recorder.asked == ["a"]


def test_conversation_ends_with_what_the_agent_said_last() -> None:
    answered = _transcript("hi", "a", "thanks")
    assert conversation(answered)[-1].content == "a"
    assert conversation(_transcript("hi"))[-1] == Message(Role.ASSISTANT, "")
    running = Transcript((Message(Role.USER, "hi"),), draft="so f")
    assert conversation(running)[-1].content == "so f"


def test_projection_centres_the_answers_it_was_fitted_to() -> None:
    raw = np.random.default_rng(0).normal(3, 2, (50, 9))
    features = Projection.fit(raw, 4, has_length=True).apply(raw)
    assert features.shape == (50, 5)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-12)
    assert features[:, :4].var(0).mean() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(60, 12), (8, 30)])
def test_projection_keeps_what_scikit_learn_keeps(shape: tuple[int, int]) -> None:
    from sklearn.decomposition import PCA

    raw = np.random.default_rng(1).normal(size=shape) * np.arange(1, shape[1] + 1)
    ours = Projection.fit(raw, 3, has_length=False).apply(raw)
    theirs = PCA(3).fit_transform(raw[:, :-1])
    ratios = np.abs(ours) / np.abs(theirs)
    np.testing.assert_allclose(ratios, ratios[0, 0])


def test_without_components_the_encoding_stays() -> None:
    raw = np.random.default_rng(2).normal(size=(20, 6))
    projection = Projection.fit(raw, None, has_length=False)
    assert projection.directions is None
    assert projection.apply(raw).shape == (20, 5)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9))
def test_constant_answers_give_finite_features(n: int, size: int, components: int) -> None:
    raw = np.ones((n, size + 1))
    features = Projection.fit(raw, components, has_length=True).apply(raw)
    assert np.isfinite(features).all()
