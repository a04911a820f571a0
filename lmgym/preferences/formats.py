"""Formats of preference files: how a row becomes a pair, and how its columns tell the format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferencePair
from lmgym.preferences.rows import column, pair_of, text_of
from lmgym.task import Message, Role

__all__ = ["FORMATS", "Read", "format_of"]

Read = Callable[[Mapping[str, Any], Path, int], PreferencePair]
"""Makes a pair of a row, the file that it stands in and its number there, from 1."""

LLMBAR_SUBSETS = {
    "natural": "llmbar-natural",
    "neighbor": "llmbar-adver-neighbor",
    "gptinst": "llmbar-adver-GPTInst",
    "gptout": "llmbar-adver-GPTOut",
    "manual": "llmbar-adver-manual",
}
"""RewardBench's names of LLMBar's parts, by a word in the names of their files and folders."""

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": Role.USER, "Assistant": Role.ASSISTANT}


def format_of(row: Mapping[str, Any]) -> str:
    """The format that a row's columns tell.

    Raises:
        LmgymError: where they tell none; it says which columns there are and which are needed.
    """
    names = set(row)
    if {"chosen", "rejected"} <= names:
        if "prompt" not in names:
            return "hh" if _is_dialogue(row["chosen"]) else "jsonl"
        return "rewardbench" if {"subset", "chosen_model"} <= names else "jsonl"
    if {"input", "output_1", "output_2", "label"} <= names:
        return "llmbar"
    if {"instruction", "response1", "response2"} <= names:
        return "pandalm"
    if {"prompt", "completion", "label"} <= names:
        raise LmgymError(
            "single answers with labels are no pairs; read them with read_trials, or fit to them"
            " with --format trials --objective classification"
        )
    raise LmgymError(
        f"has the columns {', '.join(map(repr, row))}, which no format has; pairs need 'prompt',"
        " 'chosen' and 'rejected'"
    )


def _read_trl(row: Mapping[str, Any], file: Path, number: int) -> PreferencePair:
    del file, number
    return pair_of(row)


def _read_rewardbench(row: Mapping[str, Any], file: Path, number: int) -> PreferencePair:
    """RewardBench (Lambert et al. 2024): every pair belongs to a subset."""
    del file, number
    text_of(row, "subset")
    return pair_of(row)


def _read_hh(row: Mapping[str, Any], file: Path, number: int) -> PreferencePair:
    """Two dialogues (Bai et al. 2022); the last message of each is what was compared."""
    prompt, chosen = _dialogue(row, "chosen")
    other, rejected = _dialogue(row, "rejected")
    rejected_prompt = None if other == prompt else other
    name = f"{file.name.partition('.')[0]}/{number}"
    columns = {key: value for key, value in row.items() if key not in ("chosen", "rejected")}
    return PreferencePair(
        prompt, chosen, rejected, id=name, rejected_prompt=rejected_prompt, columns=columns
    )


def _is_dialogue(text: object) -> bool:
    return isinstance(text, str) and _TURN.match(text) is not None


def _dialogue(row: Mapping[str, Any], name: str) -> tuple[tuple[Message, ...], str]:
    """The messages of a dialogue before the last one, and the text of that."""
    start, *parts = _TURN.split(text_of(row, name))
    if start.strip() or not parts:
        raise LmgymError(f"{name!r} is no dialogue; it must begin with a blank line and 'Human:'")
    texts = zip(parts[::2], parts[1::2], strict=True)
    messages = [Message(_ROLES[speaker], text.strip()) for speaker, text in texts]
    if messages[-1].role is not Role.ASSISTANT or len(messages) < 2:
        raise LmgymError(f"{name!r} must end with an answer of 'Assistant:'")
    return tuple(messages[:-1]), messages[-1].content


def _read_llmbar(row: Mapping[str, Any], file: Path, number: int) -> PreferencePair:
    """LLMBar (Zeng et al. 2024): the label says which output is better, 1 or 2."""
    label = column(row, "label")
    if isinstance(label, bool) or label not in (1, 2):
        raise LmgymError(f"'label' is {label!r}; 1 or 2 is allowed")
    subset = _llmbar_subset(file)
    pair = PreferencePair.of(
        text_of(row, "input"),
        text_of(row, "output_1"),
        text_of(row, "output_2"),
        subset=subset,
        id=f"{subset}/{number}",
    )
    return pair if label == 1 else pair.swapped()


def _llmbar_subset(file: Path) -> str:
    words = re.split(r"[^a-z]+", str(Path(*file.parts[-4:])).lower())
    return next((name for word, name in LLMBAR_SUBSETS.items() if word in words), file.stem)


def _read_pandalm(row: Mapping[str, Any], file: Path, number: int) -> PreferencePair:
    """PandaLM (Wang et al. 2024): people voted for response 1, for response 2 or for a tie, 0.

    The probability is the share of votes, a tie half a vote for each. Answers that a spreadsheet
    turned into truth values become words again.
    """
    votes = {key: row[key] for key in row if re.fullmatch(r"annotator\d+", key)}
    for key, vote in votes.items():
        if isinstance(vote, bool) or vote not in (0, 1, 2):
            raise LmgymError(f"{key!r} is {vote!r}; 0 (a tie), 1 or 2 is allowed")
    if not votes:
        raise LmgymError("the column 'annotator1' is missing; votes are needed, 0, 1 or 2")
    share = sum({0: 0.5, 1: 1.0, 2: 0.0}[vote] for vote in votes.values()) / len(votes)
    given = text_of(row, "input") if row.get("input") else ""
    pair = PreferencePair.of(
        "\n\n".join(filter(None, (text_of(row, "instruction"), given))),
        _answer(row, "response1"),
        _answer(row, "response2"),
        probability=max(share, 1 - share),
        id=f"{file.stem}/{number if row.get('idx') is None else row['idx']}",
        columns={key: row[key] for key in ("cmp_key", "motivation_app") if key in row},
    )
    return pair if share >= 0.5 else pair.swapped()


def _answer(row: Mapping[str, Any], name: str) -> str:
    value = column(row, name)
    return str(value) if isinstance(value, bool) else text_of(row, name)


FORMATS: dict[str, Read] = {
    "jsonl": _read_trl,
    "rewardbench": _read_rewardbench,
    "hh": _read_hh,
    "llmbar": _read_llmbar,
    "pandalm": _read_pandalm,
}
"""Formats by name."""
