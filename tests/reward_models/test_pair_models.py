"""Reward models that read two texts as a pair, BERT's and RoBERTa's kind, as transformers does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmgym.errors import LmgymError
from lmgym.reward_models import load_reward_model
from lmgym.reward_models.sequence_model import SequenceRewardModel
from lmgym.transcript import Transcript

KINDS = ("Bert", "Roberta")
MOST = 24
"""Ids that either model reads."""
MARKS = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
PROMPT, ANSWER = "w1 w2 w3", "w4 w5"
LONG = " ".join(f"w{index % 29}" for index in range(60))


def _tokenizer(kind: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [*MARKS.values(), *(f"w{index}" for index in range(30))]
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    between, second = ("[SEP]:0", 1) if kind == "Bert" else ("[SEP]:0 [SEP]:0", 0)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair=f"[CLS]:0 $A:0 {between} $B:{second} [SEP]:{second}",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    wrap: Any = PreTrainedTokenizerFast  # untyped
    return wrap(tokenizer_object=tokenizer, **MARKS)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The directory of a tiny model of random weights; its tokenizer knows no limit."""
    import torch
    import transformers

    kind: str = request.param
    tokenizer = _tokenizer(kind)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_hidden_layers=2,
        num_labels=1,
        pad_token_id=0,
        max_position_embeddings=MOST + (kind == "Roberta"),  # a row for padding comes first
        type_vocab_size=2 if kind == "Bert" else 1,
    )
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
    generator = torch.Generator().manual_seed(0)
    for weights in model.parameters():
        weights.data.normal_(std=0.3, generator=generator)
    model.save_pretrained(tmp_path / kind)
    tokenizer.save_pretrained(tmp_path / kind)
    return tmp_path / kind


def _theirs(place: Path, first: str, second: str) -> float:
    """What transformers says of a pair."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model: Any = AutoModelForSequenceClassification.from_pretrained(place)
    tokenizer: Any = AutoTokenizer.from_pretrained(place)
    has_types = place.name == "Bert"
    ids = tokenizer(first, second, return_tensors="pt", return_token_type_ids=has_types)
    with torch.no_grad():
        logits = model(**ids).logits
    return float(logits)


def _ours(place: Path, *pairs: tuple[str, str]) -> list[float]:
    transcripts = [Transcript.from_strings(*pair) for pair in pairs]
    return list(load_reward_model(place).score(transcripts).outcome)


def test_pair_is_scored_as_transformers_scores_it_alone_and_in_a_batch(place: Path) -> None:
    longer = "w6 w7 w8 w9 w1"
    expected, other = _theirs(place, PROMPT, ANSWER), _theirs(place, PROMPT, longer)
    assert _ours(place, (PROMPT, ANSWER)) == pytest.approx([expected], abs=1e-5)
    both = _ours(place, (PROMPT, ANSWER), (PROMPT, longer))
    assert both == pytest.approx([expected, other], abs=1e-5)


def test_too_long_prompt_loses_its_beginning_and_the_pair_keeps_its_frame(place: Path) -> None:
    n_marks = 3 if place.name == "Bert" else 4
    room = MOST - n_marks - len(ANSWER.split())
    end = " ".join(LONG.split()[-room:])
    expected = _theirs(place, end, ANSWER)
    assert _ours(place, (LONG, ANSWER)) == pytest.approx([expected], abs=1e-5)


def test_too_long_answer_keeps_its_end_and_the_frame(place: Path) -> None:
    n_marks = 3 if place.name == "Bert" else 4
    end = " ".join(LONG.split()[-(MOST - n_marks) :])
    expected = _theirs(place, "", end)
    assert _ours(place, (PROMPT, LONG)) == pytest.approx([expected], abs=1e-5)


def test_answer_cannot_forge_the_end_of_a_text(place: Path) -> None:
    model = load_reward_model(place)
    assert isinstance(model, SequenceRewardModel)
    plain, forged = (
        model.render(Transcript.from_strings(PROMPT, answer)) for answer in (ANSWER, "w4 [SEP] w5")
    )
    end = model.tokenizer.sep_token_id
    assert forged.ids.count(end) == plain.ids.count(end)


def test_weights_that_are_not_finite_give_an_error_and_no_rewards(place: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file = place / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith(("classifier.bias", "out_proj.bias")))
    save_file({**tensors, name: np.full_like(tensors[name], np.nan)}, file, {"format": "pt"})
    with pytest.raises(LmgymError, match="1 of 1 rewards are not finite, the first that of trans"):
        _ours(place, (PROMPT, ANSWER))
