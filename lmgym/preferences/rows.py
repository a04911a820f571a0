"""One pair or one trial as a row of a table, with the columns of TRL.

Three columns make a pair: `prompt`, `chosen`, `rejected`, each a text or a list of messages with
`role` and `content`. Without `prompt` it is what both others begin with. Further columns with a
meaning are those of `PreferencePair`; all others are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferencePair, Trial, as_messages
from lmgym.task import Message, Role

__all__ = ["column", "number_of", "pair_of", "row_of", "text_of", "trial_of"]

_NUMBERS = ("probability", "weight", "margin")
_NAMED = ("prompt", "chosen", "rejected", "rejected_prompt", "subset", "id", *_NUMBERS)

_Messages = tuple[Message, ...]


def pair_of(row: Mapping[str, Any]) -> PreferencePair:
    """The pair of a row.

    Answers may be lists of messages: the last one, of the assistant, is the answer. What stands
    before it is the prompt, or repeats it. Two texts that both begin with the text of their prompt
    repeat it too, and lose it.

    Raises:
        LmgymError: for a column that is missing or holds what is not allowed; it names the column.

    Example:
        >>> pair_of({"chosen": "The sky is blue.", "rejected": "The sky is green."}).chosen
        ' blue.'
    """
    chosen, rejected = column(row, "chosen"), column(row, "rejected")
    if isinstance(chosen, str) and isinstance(rejected, str) and row.get("prompt") is None:
        chosen_prompt, chosen, rejected = _without_shared_beginning(chosen, rejected)
        rejected_prompt = None
    else:
        given = _given_prompt(row, "prompt")
        other = _given_prompt(row, "rejected_prompt") or given
        repeated = _repeated(given, chosen), _repeated(other, rejected)
        if all(repeated):
            chosen, rejected = map(str.removeprefix, (chosen, rejected), repeated)
        chosen_prompt, chosen = _answer("chosen", chosen, given)
        rejected_prompt, rejected = _answer("rejected", rejected, other)
    facts = {name: number_of(row, name) for name in _NUMBERS if row.get(name) is not None}
    return PreferencePair(
        chosen_prompt,
        chosen,
        rejected,
        subset=text_of(row, "subset") if row.get("subset") is not None else "",
        id=_id(row),
        rejected_prompt=None if rejected_prompt == chosen_prompt else rejected_prompt,
        columns={name: value for name, value in row.items() if name not in _NAMED},
        **facts,
    )


def row_of(pair: PreferencePair) -> dict[str, Any]:
    """The row of a pair; what has its default is left out."""
    first, second = pair.prompts
    as_text = not (_repeated(first, pair.chosen) and _repeated(second, pair.rejected))
    row: dict[str, Any] = {
        "prompt": _plain(first, as_text),
        "chosen": _plain_answer(first, pair.chosen, as_text),
        "rejected": _plain_answer(second, pair.rejected, as_text),
    }
    if not pair.is_within_prompt:
        row["rejected_prompt"] = _plain(second, as_text)
    extra = ("subset", "id", *_NUMBERS)
    defaults = {"subset": "", "id": "", "probability": 1.0, "weight": 1.0, "margin": None}
    facts = {name: getattr(pair, name) for name in extra}
    row |= {name: value for name, value in facts.items() if value != defaults[name]}
    return {**pair.columns, **row}


def trial_of(row: Mapping[str, Any]) -> Trial:
    """The trial of a row with `prompt`, `completion` and `label`: a truth value, or from 0 to 1."""
    prompt, completion = _answer(
        "completion", column(row, "completion"), _given_prompt(row, "prompt")
    )
    label = column(row, "label")
    value = float(label) if isinstance(label, bool) else number_of(row, "label")
    weight = number_of(row, "weight") if row.get("weight") is not None else 1.0
    named = ("prompt", "completion", "label", "weight", "id")
    columns = {name: value for name, value in row.items() if name not in named}
    return Trial.of(prompt, completion, value, weight, task_id=_id(row), columns=columns)


def column(row: Mapping[str, Any], name: str) -> Any:
    """What stands in a column that must be there."""
    if row.get(name) is None:
        raise LmgymError(f"the column {name!r} is missing; there are {', '.join(map(repr, row))}")
    return row[name]


def text_of(row: Mapping[str, Any], name: str) -> str:
    """The text in a column."""
    value = column(row, name)
    if not isinstance(value, str):
        raise LmgymError(f"{name!r} is {value!r}; a text is allowed")
    return _encodable(name, value)


def number_of(row: Mapping[str, Any], name: str) -> float:
    """The number in a column."""
    value = column(row, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LmgymError(f"{name!r} is {value!r}; a number is allowed")
    try:
        return float(value)
    except OverflowError:
        raise LmgymError(f"{name!r} is too large a number; one below 1e308 is allowed") from None


def _repeated(prompt: _Messages | None, answer: object) -> str:
    """The prompt that an answer begins with, both being texts; empty where it does not."""
    if prompt is None or len(prompt) != 1 or prompt[0].role is not Role.USER:
        return ""
    text = prompt[0].content
    return text if isinstance(answer, str) and answer.startswith(text) else ""


def _without_shared_beginning(chosen: str, rejected: str) -> tuple[_Messages, str, str]:
    """A prompt that both texts begin with, and how each goes on; no word is cut in two."""
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        _encodable(name, text)
    differences = (n for n, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    end = next(differences, min(len(chosen), len(rejected)))
    while end and not all(_is_boundary(text, end) for text in (chosen, rejected)):
        end -= 1
    if not chosen[:end].strip():
        raise LmgymError(
            "the column 'prompt' is missing, and 'chosen' and 'rejected' begin with nothing in"
            " common that could be the prompt"
        )
    return as_messages(chosen[:end]), chosen[end:], rejected[end:]


def _is_boundary(text: str, index: int) -> bool:
    return index == len(text) or text[index].isspace()


def _given_prompt(row: Mapping[str, Any], name: str) -> _Messages | None:
    """The messages in a column of prompts, None where there are none."""
    return None if row.get(name) is None else _messages(name, row[name])


def _messages(name: str, value: Any) -> _Messages:
    try:
        messages = as_messages(value)
    except LmgymError as error:
        raise LmgymError(f"{name!r}: {error}") from None
    for message in messages:
        _encodable(name, message.content)
    return messages


def _answer(name: str, value: Any, prompt: _Messages | None) -> tuple[_Messages, str]:
    """The prompt of an answer and its text."""
    if isinstance(value, str):
        if prompt is None:
            raise LmgymError(f"the column 'prompt' is missing, and {name!r} is a text without one")
        return prompt, _encodable(name, value)
    if not isinstance(value, Sequence):
        raise LmgymError(f"{name!r} is {value!r}; a text or a list of messages is allowed")
    messages = _messages(name, value)
    if not messages or messages[-1].role is not Role.ASSISTANT:
        raise LmgymError(f"{name!r} must end with a message of the assistant, which is the answer")
    before = messages[:-1] or prompt
    if not before:
        raise LmgymError(f"the column 'prompt' is missing, and {name!r} holds the answer alone")
    if prompt is not None and before != prompt:
        raise LmgymError(
            f"{name!r} has {len(before)} messages before its answer that are not those of its"
            " prompt; leave them out or leave out the prompt"
        )
    return before, messages[-1].content


def _encodable(name: str, text: str) -> str:
    """The text, unless it holds half a surrogate pair, which no encoder takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LmgymError(f"{name!r} is no text in Unicode: {error}") from None
    return text


def _id(row: Mapping[str, Any]) -> str:
    value = row.get("id")
    return "" if value is None else str(value)


def _plain(prompt: _Messages, as_text: bool) -> str | list[dict[str, str]]:
    """A prompt as a text where that is wanted and enough."""
    if as_text and len(prompt) == 1 and prompt[0].role is Role.USER:
        return prompt[0].content
    return [message.as_dict() for message in prompt]


def _plain_answer(prompt: _Messages, answer: str, as_text: bool) -> str | list[dict[str, str]]:
    """An answer in the same form as its prompt, which TRL asks for."""
    if isinstance(_plain(prompt, as_text), str):
        return answer
    return [Message(Role.ASSISTANT, answer).as_dict()]
