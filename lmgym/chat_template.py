"""Where a chat template puts the contents of messages, and what it writes around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lmgym.errors import LmgymError
from lmgym.task import Message, Role
from lmgym.tools import ToolSchema, declared

__all__ = ["PLACEHOLDER", "PROBE", "ChatTemplate"]

PLACEHOLDER = "\ue000{}\ue001"
"""Stands for a message's content while a chat template is rendered (private-use characters)."""
PROBE = ToolSchema("probe", "Stands for the tools of a conversation that goes on.")


class ChatTemplate:
    """The chat template of a Hugging Face tokenizer.

    What it writes around the contents is learned once for each sequence of roles, from a rendering
    of placeholders.

    Args:
        tokenizer: a tokenizer with a chat template.
        name: where it came from, for messages.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        """Read the added tokens off the tokenizer."""
        self._tokenizer = tokenizer
        self._name = name
        added = (token.content for token in tokenizer.added_tokens_decoder.values())
        texts = sorted(filter(str.strip, added), key=len, reverse=True)
        self._added = re.compile("|".join(map(re.escape, texts)) or "(?!)")
        self._layouts: dict[tuple[tuple[Role, tuple[ToolSchema, ...]], ...], _Layout] = {}

    def render(self, messages: Sequence[Message], *, opens_turn: bool) -> str:
        """The text of a conversation, with or without the agent's next header."""
        dialogue = [message.as_dict() for message in messages]
        tools = [tool.as_dict() for tool in declared(messages)]
        text: str = self._tokenizer.apply_chat_template(
            dialogue, tools=tools or None, tokenize=False, add_generation_prompt=opens_turn
        )
        return text

    @cached_property
    def writes_tools(self) -> bool:
        """Whether the template has a place for the schemas of tools."""
        name = PLACEHOLDER.format("tool")
        return name in self._tried([Message(Role.USER, "?", (ToolSchema(name, "Does it."),))])

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template takes a system message."""
        said = Message(Role.SYSTEM, PLACEHOLDER.format("system"))
        return said.content in self._tried([said, Message(Role.USER, "?")])

    @cached_property
    def takes_results(self) -> bool:
        """Whether the template has a form for messages of tools, another than for the agent's."""
        tools = (PROBE,) if self.writes_tools else ()
        asked = [Message(Role.USER, "?", tools), Message(Role.ASSISTANT, "!")]
        content = PLACEHOLDER.format("result")
        result, own = (
            self._tried([*asked, Message(role, content)]) for role in (Role.TOOL, Role.ASSISTANT)
        )
        return content in result and result != own

    def _tried(self, dialogue: Sequence[Message]) -> str:
        """The text of a conversation; empty where the template refuses it."""
        from jinja2 import TemplateError

        try:
            return self.render(dialogue, opens_turn=True)
        except TemplateError:
            return ""

    def whole(self, dialogue: Sequence[Message]) -> str:
        """The text of a conversation and the agent's next header.

        Raises:
            LmgymError: where the template refuses the conversation.
        """
        from jinja2 import TemplateError

        try:
            return self.render(dialogue, opens_turn=True)
        except TemplateError as error:
            roles = ", ".join(message.role for message in dialogue)
            raise LmgymError(
                f"the chat template of {self._name!r} takes no conversation of {roles}: {error}"
            ) from None

    def turns(self, dialogue: Sequence[Message], whole: str) -> tuple[list[int], list[Role]]:
        """Where in `whole` each turn ends, and who speaks it; one speaker more, the agent."""
        layout = self._layout(dialogue)
        ends: list[int] = []
        speakers: list[Role] = []
        if layout.order:
            ends.append(layout.n_default)
            speakers.append(Role.SYSTEM)
        contents = layout.ends_of_contents(dialogue, whole)
        ends += [end + close for end, close in zip(contents, layout.closes, strict=True)]
        speakers += [dialogue[index].role for index in layout.order]
        return ends, [*speakers, Role.ASSISTANT]

    def plain_marker(self) -> str | None:
        """A mark of turns that holds no added token, so that a message may spell it; else None."""
        layout = self._layout(_stand_ins((Role.USER,)))
        mark = layout.gaps[-1]  # ends a user's turn and begins the agent's
        if not self._added.search(mark):
            return mark.strip()
        headers = (mark[sum(layout.closes) :], self._header(Role.USER))
        plain = (header.strip() for header in headers if not self._added.search(header))
        return next(filter(None, plain), None)

    def _length_of_default(self, gap: str, role: Role) -> int:
        """How much of what precedes a first message is a system prompt of the template's own."""
        header = self._header(role).strip()
        if not header or header not in gap:
            return 0
        prompt, _, inner = gap.rpartition(header)
        if inner.strip():  # within the first turn, as Llama 2's `[INST] <<SYS>>`
            return len(gap)
        return len(prompt) if self._added.sub("", prompt).strip() else 0

    def _layout(self, messages: Sequence[Message]) -> _Layout:
        """What the template writes around messages of these roles, and the agent's header."""
        key = tuple((message.role, message.tools) for message in messages)
        if key not in self._layouts:
            self._layouts[key] = self._new_layout(messages)
        return self._layouts[key]

    def _new_layout(self, messages: Sequence[Message]) -> _Layout:
        roles = [message.role for message in messages]
        dialogue = [
            stand_in._replace(tools=message.tools)
            for stand_in, message in zip(_stand_ins(roles), messages, strict=True)
        ]
        whole = self.whole(dialogue)
        places = [(whole.find(message.content), index) for index, message in enumerate(dialogue)]
        found = sorted(place for place in places if place[0] >= 0)  # some messages are left out
        order = [index for _, index in found]
        spans = [(start, start + len(dialogue[index].content)) for start, index in found]
        edges = [0, *(edge for span in spans for edge in span), len(whole)]
        gaps = [whole[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
        followers = [*(roles[index] for index in order), None][1:]
        closes: list[int] = []
        for index, (_, end), gap, role in zip(order, spans, gaps[1:], followers, strict=True):
            close = self._end_of(dialogue[: index + 1], whole) - end
            if not 0 <= close <= len(gap):  # the gap closes the turn, but for a known header
                close = len(gap.removesuffix(self._header(role) if role else ""))
            closes.append(close)
        n_default = self._length_of_default(gaps[0], roles[order[0]]) if order else 0
        return _Layout(tuple(order), tuple(gaps), tuple(closes), n_default)

    def _header(self, role: Role) -> str:
        """What precedes the content of a later message of `role`; empty where it is not known."""
        from jinja2 import TemplateError

        dialogue = _stand_ins((Role.USER, Role.ASSISTANT, role))
        try:
            whole = self.render(dialogue, opens_turn=False)
        except TemplateError:
            return ""
        start = whole.find(dialogue[1].content) + len(dialogue[1].content)
        gap, found, _ = whole[start:].partition(dialogue[2].content)
        close = self._end_of(dialogue[:2], whole) - start
        if not 0 <= close <= len(gap):
            first = re.search(rf"(?:{self._added.pattern})\s*", gap)
            close = first.end() if first else 0
        return gap[close:] if found else ""

    def _end_of(self, messages: Sequence[Message], whole: str) -> int:
        """Where in `whole` the rendering of its first messages ends; 0 where it has no such end."""
        from jinja2 import TemplateError

        try:
            rendered = self.render(messages, opens_turn=False)
        except TemplateError:  # e.g. a template that takes a system message only with a user's
            return 0
        return len(rendered) if whole.startswith(rendered) else 0


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a template writes around the contents of messages of given roles.

    Attributes:
        order: the messages that it writes, by index, in the order of the text.
        gaps: the texts before the first of them, between them, and after the last.
        closes: how much of the gap after each of them closes its turn.
        n_default: how much of the first gap is a system prompt of the template's own.
    """

    order: tuple[int, ...]
    gaps: tuple[str, ...]
    closes: tuple[int, ...]
    n_default: int

    def ends_of_contents(self, messages: Sequence[Message], whole: str) -> list[int]:
        """Where in the rendering `whole` each content ends, in the order of the text."""
        ends: list[int] = []
        start = len(self.gaps[0])
        for index, gap in zip(self.order, self.gaps[1:], strict=True):
            is_last = len(ends) + 1 == len(self.order)
            content = messages[index].content
            ends.append(_end_of_content(whole, start, content, gap, is_last=is_last))
            start = ends[-1] + len(gap)
        return ends


def _end_of_content(whole: str, start: int, content: str, gap: str, *, is_last: bool) -> int:
    """Where a content that begins at `start` ends: templates trim contents, some rewrite them."""
    if is_last:
        return max(start, len(whole) - len(gap))
    for text in (content, content.strip(), content.lstrip(), content.rstrip()):
        if whole.startswith(text + gap, start):
            return start + len(text)
    found = whole.find(gap, start)
    return found if found >= 0 else min(len(whole), start + len(content))


def _stand_ins(roles: Sequence[Role]) -> list[Message]:
    return [Message(role, PLACEHOLDER.format(index)) for index, role in enumerate(roles)]
