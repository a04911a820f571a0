"""What answers messages: the back ends of judges.

A back end takes conversations and returns a text for each, or None where it gave none in time or
the conversation did not fit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from lmgym.errors import LmgymError
from lmgym.rewards.asynchronous import AsyncCalls, is_asynchronous
from lmgym.task import Message

if TYPE_CHECKING:
    import torch

    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["Chat", "Conversation", "FunctionChat", "PolicyChat", "as_chat"]

T = TypeVar("T")

Conversation = tuple[Message, ...]
"""Messages that a reply is wanted to."""


@runtime_checkable
class Chat(Protocol):
    """Answers a batch of conversations."""

    def answer(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """One text for each conversation, None where there is none; errors are raised."""
        ...


class PolicyChat:
    """A `LanguagePolicy` as a back end: one batched call of `sample`.

    Args:
        policy: writes the answers.
        max_tokens: ids of an answer.
        temperature: of sampling; 0 takes the likeliest ids.
        generator: draws them.

    Attributes:
        n_too_long: conversations so far that did not fit into the policy's context.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Keep the arguments."""
        self.policy = policy
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.generator = generator
        self.n_too_long = 0

    def answer(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """The policy's messages."""
        prompts = [self.policy.renderer.open(messages)[0] for messages in conversations]
        most = self.policy.context
        fitting = [
            row for row, ids in enumerate(prompts) if most is None or len(ids) < most
        ]  # at least one id of the answer must fit
        budgets = [self._budget(len(prompts[row])) for row in fitting]
        self.n_too_long += len(prompts) - len(fitting)
        samples = self.policy.sample(
            [prompts[row] for row in fitting],
            max_tokens=budgets,
            temperature=self.temperature or 1.0,
            greedy=self.temperature == 0,
            generator=self.generator,
        )
        answers: list[str | None] = [None] * len(prompts)
        for row, ids in zip(fitting, samples.ids, strict=True):
            answers[row] = self.policy.renderer.decode(ids)
        return answers

    def _budget(self, n_read: int) -> int:
        most = self.policy.context
        return self.max_tokens if most is None else min(self.max_tokens, most - n_read)


class FunctionChat:
    """A function or coroutine function from messages to a text as a back end.

    Messages are dictionaries of `role` and `content`, as endpoints take them, so a client is one
    lambda away: `lambda messages: client.chat.completions.create(model="...", temperature=0,
    messages=messages).choices[0].message.content`. Ordinary functions run in threads, 16 at a time
    by default; one that must not be called twice at a time wants `AsyncCalls(concurrency=1)`. A
    call that is given up goes on in its thread, which keeps no process from ending.

    Args:
        function: is called for each conversation.
        calls: how many at a time, how long each may take, which errors are tried again.

    Example:
        >>> from lmgym.task import Role
        >>> echo = FunctionChat(lambda messages: messages[-1]["content"].upper())
        >>> echo.answer([(Message(Role.USER, "yes"),)])
        ['YES']
    """

    def __init__(
        self,
        function: Callable[[list[dict[str, str]]], str | Awaitable[str | None] | None],
        calls: AsyncCalls | None = None,
    ) -> None:
        """Keep the function."""
        self.calls = AsyncCalls() if calls is None else calls
        self._function: Any = function
        self._is_asynchronous = is_asynchronous(function)

    def answer(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """The function's answers."""
        asked = [[message.as_dict() for message in messages] for messages in conversations]
        if self._is_asynchronous:
            return self._checked(self.calls.map(self._function, asked, _last_words))

        async def call(messages: list[dict[str, str]]) -> Any:
            return await _in_a_thread(self._function, messages)

        return self._checked(self.calls.map(call, asked, _last_words))

    def _checked(self, answers: list[Any]) -> list[str | None]:
        for answer in answers:
            if answer is not None and not isinstance(answer, str):
                raise LmgymError(
                    f"the judge's function returned {answer!r:.80}; it must return a text, or None"
                    " for no answer"
                )
        return answers


def as_chat(backend: Any) -> Chat:
    """The back end that `backend` stands for: itself, a policy, or a function of messages."""
    if isinstance(backend, Chat):
        return backend
    if hasattr(backend, "sample") and hasattr(backend, "renderer"):
        return PolicyChat(backend)
    if callable(backend) and not isinstance(backend, type):
        function: Any = backend
        return FunctionChat(function)
    raise LmgymError(
        f"{backend!r:.80} answers no messages; give a LanguagePolicy, a function or coroutine"
        " function from messages to a text, or an object with answer(conversations)"
    )


async def _in_a_thread(function: Callable[[T], Any], argument: T) -> Any:
    """What the function returns or raises, in a thread of its own that dies with the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(found: Any, error: BaseException | None) -> None:
        if not done.done():  # it was given up
            done.set_result((found, error))

    def run() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = function(argument), None
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            outcome = None, error
        loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="lmgym-chat", daemon=True).start()
    found, error = await done
    if error is not None:
        raise error  # a StopIteration becomes a RuntimeError here
    return found


def _last_words(messages: list[dict[str, str]]) -> str:
    return f"the judge's prompt {messages[-1]['content'][:200]!r}"
