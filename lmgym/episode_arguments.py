"""Checks of what an episode is given: room for a prompt, ids, and how a message begins."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as whole

from lmgym.errors import LmgymError
from lmgym.rendering import Renderer

__all__ = ["check_room", "checked_ids", "checked_prefix"]


def check_room(n_prompt: int, n_prefix: int, context: int, max_tokens: int) -> None:
    """Raise where a prompt, or what the agent's message begins with, leaves nothing to write."""
    if n_prompt >= context:
        raise LmgymError(
            f"the prompt takes {n_prompt} tokens and the context has {context};"
            f" pass context={n_prompt + max_tokens} or more"
        )
    room = min(max_tokens, context - n_prompt)
    if n_prefix >= room:
        raise LmgymError(
            f"prefix_ids has {n_prefix} tokens and the agent may write {room}; shorten it, or"
            " raise max_tokens or context"
        )


def checked_ids(ids: Sequence[int], renderer: Renderer) -> list[int]:
    """Ids as Python integers; raises where one is no whole number or outside the vocabulary."""
    try:
        tokens = [whole(token) for token in ids]
    except TypeError:
        raise LmgymError(f"token ids are whole numbers; given {list(ids)[:8]}") from None
    top = renderer.vocab_size
    outside = [token for token in tokens if not 0 <= token < top]
    if outside:
        raise LmgymError(f"id {outside[0]} is outside the vocabulary of {top} ids")
    return tokens


def checked_prefix(prefix_ids: Sequence[int], renderer: Renderer) -> list[int]:
    """Ids that may begin the agent's message; raises where one ends it."""
    prefix = checked_ids(prefix_ids, renderer)
    if not renderer.end_ids.isdisjoint(prefix):
        raise LmgymError("prefix_ids holds an id that ends the turn; it may only begin the message")
    return prefix
