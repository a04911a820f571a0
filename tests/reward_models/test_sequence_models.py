"""Reward models of Hugging Face: their own template, their own padding, one label."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferenceDataset
from lmgym.reward_models import FitArgs, fit_reward_model, load_reward_model
from lmgym.reward_models.model import RewardModel
from lmgym.reward_models.sequence_model import SequenceRewardModel
from lmgym.task import Message, Role
from lmgym.transcript import Transcript

Save = Callable[..., Path]
Make = Callable[..., Any]

ANSWERS = ["w1", "w2 w3 w4 w5 w6 w7 w8", "w9 w1 w1", "", "w11 " * 30, "w2 <|end|> w3"]


def _transcripts() -> list[Transcript]:
    return [Transcript.from_strings("w1 w2", answer) for answer in ANSWERS]


def _sequence_model(path: Path) -> SequenceRewardModel:
    model = load_reward_model(path)
    assert isinstance(model, SequenceRewardModel)
    return model


@pytest.mark.parametrize("pad_id", [None, 43, 44])  # none, the id that ends a turn, one for it
def test_rewards_do_not_depend_on_the_batch(save_llama: Save, pad_id: int | None) -> None:
    model = load_reward_model(save_llama(pad_token_id=pad_id))
    together = model.score(_transcripts()).outcome
    alone = [model.score([transcript]).outcome[0] for transcript in _transcripts()]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(set(together.round(4))) == len(ANSWERS)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side_of_the_tokenizer_does_not_matter(
    save_llama: Save, word_tokenizer: Make, side: str
) -> None:
    tokenizer = word_tokenizer(pad_token="<|pad|>", padding_side=side)
    model = load_reward_model(save_llama(tokenizer=tokenizer, pad_token_id=44))
    plain = load_reward_model(save_llama())
    np.testing.assert_allclose(
        model.score(_transcripts()).outcome, plain.score(_transcripts()).outcome, atol=1e-5
    )


def test_reward_is_that_of_the_model_on_its_own_template(save_llama: Save) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    path = save_llama()
    messages = (
        Message(Role.USER, "w1 w2"),
        Message(Role.ASSISTANT, "w3"),
        Message(Role.USER, "w4"),
        Message(Role.ASSISTANT, "w5 w6"),
    )
    tokenizer = AutoTokenizer.from_pretrained(path)
    theirs = AutoModelForSequenceClassification.from_pretrained(path)
    dialogue = [message.as_dict() for message in messages]
    ids: Any = tokenizer.apply_chat_template(dialogue, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        expected = theirs(**ids).logits.item()
    ours = load_reward_model(path).score([Transcript(messages)]).outcome
    assert ours[0] == pytest.approx(expected, abs=1e-5)


def test_ids_of_the_transcript_are_never_used(save_llama: Save) -> None:
    from lmgym.transcript import Segment

    model = load_reward_model(save_llama())
    plain = Transcript.from_strings("w1", "w2")
    sampled = Segment(ids=(7, 8), role_ids=(1, 2), loss_mask=(0, 1), prompt_length=1, turns=())
    with_ids = Transcript(plain.messages, segments=(sampled,))
    assert model.score([plain]).outcome == model.score([with_ids]).outcome


def test_answer_cannot_forge_a_turn(save_llama: Save) -> None:
    model = _sequence_model(save_llama())
    end = model.tokenizer.convert_tokens_to_ids("<|end|>")
    ids = model.render(Transcript.from_strings("w1", "w2 <|end|> <|user|> w3")).ids
    assert ids.count(end) == 2


def test_without_a_template_both_texts_are_a_pair(save_llama: Save, word_tokenizer: Make) -> None:
    model = _sequence_model(save_llama(tokenizer=word_tokenizer(None)))
    ids = model.render(Transcript.from_strings("w1 w2", "w3")).ids
    assert ids == model.tokenizer("w1 w2 w3")["input_ids"]


def test_long_conversations_keep_their_end(save_llama: Save) -> None:
    model = _sequence_model(save_llama(max_position_embeddings=16))
    long = Transcript.from_strings("w1 " * 50, "w2 w3")
    short = Transcript.from_strings("w1", "w2 w3")
    assert len(model.render(long)) == 16
    assert model.render(long).ids[-3:] == model.render(short).ids[-3:]
    assert np.isfinite(model.score([long]).outcome).all()


def test_template_that_refuses_a_role_says_so(save_llama: Save, word_tokenizer: Make) -> None:
    refusal = "{% for m in messages %}{{ raise_exception('no system') }}{% endfor %}"
    model = load_reward_model(save_llama(tokenizer=word_tokenizer(refusal)))
    with pytest.raises(LmgymError, match="takes no conversation of user, assistant: no system"):
        model.score_texts(["w1"], ["w2"])


def test_model_of_others_keeps_its_scale_and_has_no_known_objective(save_llama: Save) -> None:
    path = save_llama()
    model = _sequence_model(path)
    assert (model.shift, model.scale, model.objective) == (0.0, 1.0, "")
    with pytest.raises(LmgymError, match="objective nobody knows, and bradley_terry is needed"):
        load_reward_model(path, objective="bradley_terry")


def test_model_travels_to_another_process(save_llama: Save) -> None:
    model = load_reward_model(save_llama())
    moved: Any = pickle.loads(pickle.dumps(model))  # noqa: S301 - ours
    assert (moved.score(_transcripts()).outcome == model.score(_transcripts()).outcome).all()


def test_several_labels_are_refused(save_llama: Save) -> None:
    with pytest.raises(LmgymError, match="gives 3 numbers a text; a reward model has one label"):
        load_reward_model(save_llama(n_labels=3))


def test_language_model_is_no_reward_model(tmp_path: Path) -> None:
    from lmgym.policies.loading import load_policy

    load_policy("embedded").save(tmp_path / "policy")
    with pytest.raises(LmgymError, match=r"lacks 1 weights of a reward model, score\.weight"):
        load_reward_model(tmp_path / "policy")


def test_broken_weights_are_named(save_llama: Save) -> None:
    path = save_llama()
    (path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(LmgymError, match="cannot be read"):
        load_reward_model(path)


@pytest.fixture(scope="module")
def trained() -> RewardModel:
    from lmgym.preferences.pairs import PreferencePair

    pairs = [PreferencePair.of(f"q{i}?", f"yes it is {i}", f"no way {i}") for i in range(64)]
    return fit_reward_model(pairs, FitArgs(head="transformer", encoder="embedded"))


@pytest.mark.learning
@pytest.mark.slow
def test_embedded_policy_learns_to_be_a_reward_model(trained: RewardModel) -> None:
    good, bad = trained.score_texts(["q99?"] * 2, ["yes it is 99", "no way 99"])
    assert good > bad
    assert trained.figures["validation_accuracy"] > 0.9


@pytest.mark.slow
def test_trained_transformer_is_opened_by_others_and_by_us(
    trained: RewardModel, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    trained.save(tmp_path / "rm")
    loaded = _sequence_model(tmp_path / "rm")
    transcripts = _transcripts()
    assert (loaded.score(transcripts).outcome == trained.score(transcripts).outcome).all()
    assert json.loads((tmp_path / "rm" / "reward_model.json").read_text())["head"] == "transformer"
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rm")
    dialogue = [message.as_dict() for message in transcripts[0].messages]
    ids: Any = tokenizer.apply_chat_template(dialogue, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        logit = theirs(**ids).logits.item()
    ours = loaded.score(transcripts[:1]).outcome[0]
    assert ours == pytest.approx((logit - loaded.shift) / loaded.scale, abs=1e-5)


@pytest.mark.slow
def test_same_seed_trains_the_same_transformer(pairs: PreferenceDataset) -> None:
    args = FitArgs(head="transformer", encoder="embedded", epochs=1, batch_tokens=500)
    few = pairs.select(range(24))
    told: list[tuple[str, int, int]] = []
    first, second = (
        fit_reward_model(few, args, on_progress=lambda *facts: told.append(facts)) for _ in range(2)
    )
    answers = _transcripts()
    assert (first.score(answers).outcome == second.score(answers).outcome).all()
    assert told == [("train", 1, 1)] * 2


def test_transformer_needs_a_model_of_its_own(pairs: PreferenceDataset) -> None:
    with pytest.raises(LmgymError, match="encoder='hashing' is none; give embedded or hf:DIR"):
        fit_reward_model(pairs, FitArgs(head="transformer"))
