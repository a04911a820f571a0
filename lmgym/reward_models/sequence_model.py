"""Reward models of Hugging Face: a transformer with one number as its output."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmgym.chat_template import PLACEHOLDER
from lmgym.errors import LmgymError
from lmgym.reward_models.features import conversation
from lmgym.reward_models.hf_files import most_ids
from lmgym.reward_models.model import RewardModel
from lmgym.reward_models.pooled import right_padded, token_batches
from lmgym.reward_models.storage import new_directory
from lmgym.task import Message
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SEQUENCE_HEAD", "Rendered", "SequenceRewardModel"]

Array = NDArray[np.float64]

SEQUENCE_HEAD = "transformer"
_IDS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as a model reads it.

    Attributes:
        ids: of its tokens.
        types: 0 up to the end of the first of two texts and 1 after it, for models that are told.
    """

    ids: list[int]
    types: list[int] | None = None

    def __len__(self) -> int:
        """The number of ids."""
        return len(self.ids)


@dataclass(eq=False)
class SequenceRewardModel(RewardModel):
    """An `AutoModelForSequenceClassification` with one label as a reward source.

    A conversation is rendered anew with the model's own chat template and tokenizer; special
    tokens that a message spells are read as their letters. Without a template the tokenizer is
    given what came before the answer and the answer, as a pair. What is longer than the model
    reads loses its beginning; of a pair, the first text does. A reward does not depend on the
    batch by more than 1e-5 of its size in fp32.

    Attributes:
        model: of transformers, with one label.
        tokenizer: its own.
        name: where it came from.
        shift: of its rewards, taken off; 0 for models of others.
        scale: what they are divided by.

    The other attributes are those of `RewardModel`.
    """

    model: Any
    tokenizer: Any
    name: str
    shift: float = 0.0
    scale: float = 1.0
    objective: str = "bradley_terry"
    figures: Mapping[str, Any] = field(default_factory=dict)
    data_fingerprint: str = ""
    licence: str = ""

    @property
    def n_members(self) -> int:
        """One."""
        return 1

    def __post_init__(self) -> None:
        """Check the number of labels, and find out how a conversation becomes ids."""
        labels = self.model.config.num_labels
        if labels != 1:
            raise LmgymError(
                f"{self.name} gives {labels} numbers a text; a reward model has one label"
            )
        self.model = self.model.eval()
        self.render = _renderer(self.model, self.tokenizer, self.name)

    def member_rewards(self, transcripts: Sequence[Transcript]) -> Array:
        """The rewards, shape (1, n)."""
        return self.rewards_of([self.render(transcript) for transcript in transcripts])[None]

    def rewards_of(self, rendered: Sequence[Rendered]) -> Array:
        """Rewards of rendered conversations, shape (n,)."""
        import torch

        rewards = np.zeros(len(rendered))
        with torch.inference_mode():
            for rows in token_batches([len(row) for row in rendered], _IDS_AT_ONCE):
                logits = self.logits([rendered[row] for row in rows])
                rewards[rows] = logits.double().cpu().numpy()
        return (rewards - self.shift) / self.scale

    def logits(self, rows: Sequence[Rendered]) -> Tensor:
        """What the model says of conversations, before shift and scale, shape (B,)."""
        device, more = self.model.device, {}
        if rows[0].types is not None:
            more["token_type_ids"] = right_padded([row.types or [] for row in rows], device)[0]
        with _padding(self.model.config, [row.ids for row in rows]) as pad_id:
            ids, mask = right_padded([row.ids for row in rows], device, pad_id)
            logits: Tensor = self.model(input_ids=ids, attention_mask=mask, **more).logits
        return logits[:, 0].float()

    def save(self, directory: str | Path) -> None:
        """Write what `AutoModelForSequenceClassification` opens, and reward_model.json, at once."""
        from lmgym.policies.quiet import no_progress_bars

        with new_directory(directory) as new, no_progress_bars():
            self.model.save_pretrained(new)
            self.tokenizer.save_pretrained(new)
            self._describe(new, head=SEQUENCE_HEAD, shift=self.shift, scale=self.scale)


@contextmanager
def _padding(config: Any, rows: Sequence[Sequence[int]]) -> Iterator[int]:
    """An id to pad with, by which the model finds each row's last id.

    Decoders read the reward off the last id that is not the padding one, so a model that names
    none gets one that occurs in no row, for as long as it reads them.
    """
    text_config = config.get_text_config()
    if text_config.pad_token_id is not None:
        yield text_config.pad_token_id
        return
    used = {i for row in rows for i in row}
    free = next((i for i in range(text_config.vocab_size) if i not in used), None)
    if free is None:
        raise LmgymError("the texts use every id of the model, which names none for padding")
    text_config.pad_token_id = free
    try:
        yield free
    finally:
        text_config.pad_token_id = None


def _renderer(model: Any, tokenizer: Any, name: str) -> Callable[[Transcript], Rendered]:
    """What renders transcripts in the model's own form."""
    from lmgym.policies.byte_tokenizer import is_byte_tokenizer

    most = most_ids(model, tokenizer)
    if is_byte_tokenizer(tokenizer):
        return partial(_last_ids, _byte_ids, most)
    if tokenizer.chat_template:
        return partial(_last_ids, partial(_templated, tokenizer, name), most)
    tokenizer.truncation_side = "left"
    has_types = getattr(model.config, "type_vocab_size", 0) > 1
    return partial(_paired, tokenizer, most, has_types)


def _last_ids(
    form: Callable[[Transcript], list[int]], most: int | None, transcript: Transcript
) -> Rendered:
    return Rendered(form(transcript)[-(most or 0) :])


def _byte_ids(transcript: Transcript) -> list[int]:
    from lmgym.rendering import ByteRenderer

    return ByteRenderer().open(conversation(transcript))[0][:-1]  # the last opens another turn


def _paired(tokenizer: Any, most: int | None, has_types: bool, transcript: Transcript) -> Rendered:
    """What came before and the answer, as a pair of texts, the first cut where both are long."""
    first, second = transcript.context_text, transcript.completion_text
    options: dict[str, Any] = {
        "split_special_tokens": True,
        "return_token_type_ids": has_types,
    }
    if most is not None:
        room = most - tokenizer.num_special_tokens_to_add(pair=True)
        is_full = len(tokenizer(second, add_special_tokens=False, **options)["input_ids"]) >= room
        first = "" if is_full else first
        options |= {"truncation": "only_second" if is_full else "only_first", "max_length": most}
    encoded = tokenizer(first, second, **options)
    return Rendered(encoded["input_ids"], encoded.get("token_type_ids"))


def _templated(tokenizer: Any, name: str, transcript: Transcript) -> list[int]:
    """A conversation in the model's chat template; special texts in contents stay texts."""
    from jinja2 import TemplateError

    messages, hidden = _hidden_specials(tokenizer, conversation(transcript))
    dialogue = [message.as_dict() for message in messages]
    try:
        text = tokenizer.apply_chat_template(dialogue, tokenize=False)
    except TemplateError as error:
        roles = ", ".join(message.role for message in messages)
        raise LmgymError(
            f"the chat template of {name} takes no conversation of {roles}: {error}"
        ) from None
    pieces = re.split(f"({'|'.join(map(re.escape, hidden))})", text) if hidden else [text]
    ids: list[int] = []
    for piece in pieces:
        is_content = piece in hidden
        ids += tokenizer(
            hidden.get(piece, piece), add_special_tokens=False, split_special_tokens=is_content
        )["input_ids"]
    return ids


def _hidden_specials(
    tokenizer: Any, messages: Sequence[Message]
) -> tuple[list[Message], dict[str, str]]:
    """The messages with placeholders for contents that spell a special token."""
    unsafe = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    unsafe += PLACEHOLDER.split("{}")
    safe, hidden = [], {}
    for index, message in enumerate(messages):
        if any(text in message.content for text in unsafe):
            hidden[PLACEHOLDER.format(index)] = message.content
            message = Message(message.role, PLACEHOLDER.format(index))
        safe.append(message)
    return safe, hidden
