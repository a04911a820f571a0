"""Alphabets: the few ids an agent may need, in place of a whole vocabulary.

A world names alphabets for its answers (`Task.alphabets`). With `alphabet="digits"` an
environment has eleven actions, ten digits and the end of the turn, which an agent can explore
from scratch; with `mask="digits"` the actions stay ids and the rest of the vocabulary is masked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError, unknown
from lmgym.rendering import Renderer
from lmgym.task import Task

__all__ = ["alphabet_ids"]

_OWN = "chars:"


def alphabet_ids(alphabet: str, task: Task[Any], renderer: Renderer) -> NDArray[np.int32]:
    """The ids of an alphabet, in its order, and last the id that ends the turn; shape (A,).

    Args:
        alphabet: a name the world offers, or "chars:" and the characters themselves.
        task: the world.
        renderer: encodes the characters.

    Raises:
        LmgymError: for an unknown name, a character that stands twice, or one that is not a
            single id of the tokenizer.

    Example:
        >>> from lmgym.factory import make_task
        >>> from lmgym.rendering import ByteRenderer
        >>> alphabet_ids("chars:01", make_task("lmgym/Copy-v0"), ByteRenderer())
        array([ 48,  49, 257], dtype=int32)
    """
    characters = _characters(alphabet, task)
    ids = [_single(character, renderer) for character in characters]
    repeated = sorted({c for c, i in zip(characters, ids, strict=True) if ids.count(i) > 1})
    if repeated or not ids:
        raise LmgymError(
            f"alphabet={alphabet!r} has {f'{repeated[0]!r} twice' if repeated else 'no characters'}"
            "; give each character once, as 'chars:0123456789'"
        )
    return np.array([*ids, renderer.end_id], np.int32)


def _characters(alphabet: str, task: Task[Any]) -> str:
    if alphabet.startswith(_OWN):
        return alphabet.removeprefix(_OWN)
    if alphabet not in task.alphabets:
        hint = "or your own: 'chars:' and its characters, as 'chars:0123456789'"
        raise unknown("alphabet", alphabet, task.alphabets, hint)
    return task.alphabets[alphabet]


def _single(character: str, renderer: Renderer) -> int:
    ids = renderer.encode(character)
    if len(ids) != 1:
        raise LmgymError(
            f"{character!r} is {len(ids)} ids of the tokenizer {renderer.name!r}; an alphabet"
            " takes characters that are one id each"
        )
    return ids[0]
