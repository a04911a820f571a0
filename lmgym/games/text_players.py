"""Players that read and write: language models, and functions of messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from lmgym.errors import LmgymError
from lmgym.games.run import Turn
from lmgym.task import Message, Role

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["TextPlayer", "Writer", "is_guided", "load_text_player"]

Writer: TypeAlias = Union["LanguagePolicy", Callable[[list[dict[str, str]]], str]]
"""What answers messages: a policy, or a function that takes them as dictionaries of `role` and
`content` and returns a text."""


class TextPlayer:
    """Reads the game in words, and writes its move.

    Each turn is a conversation of its own: what a player knows stands in the page that it reads.

    Args:
        writer: a language policy, or a function of messages.
        guide: whether a system message tells the rules first, for models that were not trained on
            the game.
        temperature: of a policy's samples; 0 takes the likeliest ids.
        max_tokens: ids of a policy's message.
        name: what it is called in records.

    Example:
        >>> from lmgym.games.matches import play_match
        >>> player = TextPlayer(lambda messages: "I take 1 from heap 1.", name="terse")
        >>> record = play_match("lmgym/Nim-v0", [player, "random"], deal=0, seed=0)
        >>> record.players, record.moves[0].said
        (('terse', 'random'), 'I take 1 from heap 1.')
    """

    def __init__(
        self,
        writer: Writer,
        *,
        guide: bool = False,
        temperature: float = 1.0,
        max_tokens: int = 256,
        name: str = "",
    ) -> None:
        if not temperature >= 0 or max_tokens < 1:
            raise LmgymError(
                f"temperature={temperature}, max_tokens={max_tokens}: at least 0, and 1, is needed"
            )
        self.writer = writer
        self.guide = guide
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.name = name

    def act(self, turn: Turn, rng: np.random.Generator) -> str:
        """A message."""
        page = Message(Role.USER, turn.text)
        rules = (Message(Role.SYSTEM, turn.game.rules(turn.seat)),) if self.guide else ()
        messages = (*rules, page)
        writer: Any = self.writer
        if hasattr(writer, "sample"):
            return self._sample(writer, messages, rng)
        said: str = writer([message.as_dict() for message in messages])
        return said

    def _sample(
        self, policy: LanguagePolicy, messages: tuple[Message, ...], rng: np.random.Generator
    ) -> str:
        import torch

        from lmgym.rewards.chat import PolicyChat

        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chat = PolicyChat(
            policy,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            generator=generator,
        )
        (text,) = chat.answer([messages])
        if text is None:
            raise LmgymError(f"the page does not fit into the model's {policy.context} positions")
        return text


def load_text_player(model: str) -> TextPlayer:
    """A language model by its name, as `load_policy` takes it.

    It is told the rules if it was in training, as the record beside a checkpoint says.
    """
    from lmgym.policies.loading import load_policy
    from lmgym.training.runs import recorded_world

    policy = load_policy(model)
    guide = is_guided(policy, recorded_world(model).get("guide"))
    return TextPlayer(policy, guide=guide, name=f"model:{model}")


def is_guided(policy: LanguagePolicy, told: object = None) -> bool:
    """Whether a model is told the rules of a game before its first page.

    Args:
        policy: the model.
        told: whether it was in training. Where that is not known, models are told that were not
            made here, which is to say that do not read bytes.
    """
    return told if isinstance(told, bool) else policy.renderer.name != "byte"
