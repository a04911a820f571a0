"""Messages to token ids, and ids to text.

A renderer encodes the opening once and appends the world's replies without rendering again what
came before. Text of a world or a user is never read as a special token, so nobody can forge a
turn by writing its delimiter, where the delimiters of the chat template are tokens of their own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from lmgym.chat_template import PLACEHOLDER, PROBE, ChatTemplate
from lmgym.errors import LmgymError
from lmgym.task import ROLE_IDS, Message, Role
from lmgym.tools import declared, instructions

__all__ = ["ByteRenderer", "ChatRenderer", "Rendered", "Renderer"]

Rendered = tuple[list[int], list[int]]
"""Ids and, for each of them, the id of the role that speaks it."""


class Renderer(Protocol):
    """How messages become ids.

    Attributes:
        name: "byte" for the embedded tokenizer, else where the tokenizer came from.
        vocab_size: ids run from 0 to this, exclusive.
        pad_id: fills unused positions; no mask is ever inferred from it.
        end_id: closes a turn.
        end_ids: every id that ends the agent's turn.
        masked_ids: ids that an agent has no use for: padding and the headers of turns.
    """

    name: str
    vocab_size: int
    pad_id: int
    end_id: int
    end_ids: frozenset[int]
    masked_ids: frozenset[int]

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without any special token."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special tokens are spelled out, except the end of a turn."""
        ...

    def open(self, messages: Sequence[Message]) -> Rendered:
        """The opening, with the header of the agent's first turn."""
        ...

    def append(self, last_id: int, messages: Sequence[Message]) -> Rendered:
        """What follows the agent's turn: its close, the messages, the agent's next header.

        Args:
            last_id: the last id of the agent's turn; where it ends a turn, the turn is not
                closed a second time.
            messages: the world's reply.
        """
        ...


_SPECIALS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")


class ByteRenderer:
    """The embedded tokenizer: one id a byte of UTF-8, and six special ids.

    Lossless for any text and for any ids, so that one small vocabulary serves every world. Schemas
    of tools are not written: who reads bytes is trained on the tools, and prompts stay short.

    Example:
        >>> renderer = ByteRenderer()
        >>> ids, roles = renderer.open([Message(Role.USER, "1+1=")])
        >>> ids
        [259, 49, 43, 49, 61, 257, 260]
        >>> renderer.decode(ids)
        '<|user|>1+1=<|assistant|>'
    """

    name = "byte"
    vocab_size = 262
    pad_id = 256
    end_id = 257
    end_ids = frozenset({257})
    masked_ids = frozenset({256, 258, 259, 260, 261})
    specials = dict(zip(_SPECIALS, range(256, 262), strict=True))

    _role_tokens = {role: 258 + ROLE_IDS[role] for role in Role}
    _spellings = [bytes([byte]) for byte in range(256)] + [s.encode() for s in _SPECIALS]
    _spellings[257] = b""

    def encode(self, text: str) -> list[int]:
        """The UTF-8 bytes of `text`; lone surrogates are encoded as such."""
        return list(text.encode("utf-8", "surrogatepass"))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        listed = ids if isinstance(ids, list) else list(ids)
        try:
            written = bytes(listed)
        except ValueError:  # special ids among them
            spellings = self._spellings
            written = b"".join([spellings[i] for i in listed])
        return written.decode("utf-8", "replace")

    def open(self, messages: Sequence[Message]) -> Rendered:
        """The opening, with the header of the agent's first turn."""
        ids: list[int] = []
        roles: list[int] = []
        for message in messages:
            role = ROLE_IDS[message.role]
            said = message.content.encode("utf-8", "surrogatepass")
            ids += (258 + role, *said, 257)
            roles += [role] * (len(said) + 2)
        ids.append(self._role_tokens[Role.ASSISTANT])
        roles.append(ROLE_IDS[Role.ASSISTANT])
        return ids, roles

    def append(self, last_id: int, messages: Sequence[Message]) -> Rendered:
        """What follows the agent's turn: its close, the messages, the agent's next header."""
        ids, roles = self.open(messages)
        if last_id not in self.end_ids:
            return [self.end_id, *ids], [ROLE_IDS[Role.ASSISTANT], *roles]
        return ids, roles


class ChatRenderer:
    """A Hugging Face tokenizer with its chat template.

    Equal to `apply_chat_template` for content that spells no special token; content that does is
    tokenized as the letters it is made of, so a world's text cannot forge a turn. Where a template
    marks turns with plain text, as Llama 2's `[INST]`, no tokenization can tell a spelled marker
    from a real one; construction warns of it.

    Schemas of tools and what tools say go where the template has a place for them. Where it has
    none, a system message says how tools are called (at the head of the first message, where the
    template takes no system message), and results come as the user's, between `<tool_response>`
    tags.

    Args:
        tokenizer: a fast tokenizer with a chat template.
        name: where it came from.
        end_ids: further ids that end a turn (a model's generation config often lists several).
    """

    def __init__(self, tokenizer: Any, name: str = "chat", end_ids: Iterable[int] = ()) -> None:
        """Read the special ids off the tokenizer and its template."""
        if not getattr(tokenizer, "chat_template", None):
            raise LmgymError(
                f"the tokenizer of {name!r} has no chat template, so messages cannot be rendered;"
                " use an instruction-tuned model, or set tokenizer.chat_template and save it"
            )
        self.tokenizer = tokenizer
        self.name = name
        self.vocab_size: int = max(tokenizer.get_vocab().values()) + 1
        added = tokenizer.added_tokens_decoder.values()
        self._unsafe_texts = (*(token.content for token in added), *PLACEHOLDER.split("{}"))
        self._template = ChatTemplate(tokenizer, name)
        self._forgeable = self._delimiters_in_disguise()
        self._warn_of_plain_marker()
        eos: int | None = tokenizer.eos_token_id
        close = self._template_close()
        ends = [i for i in (close, eos, *end_ids) if i is not None]
        if not ends:
            raise LmgymError(
                f"the tokenizer of {name!r} has no end-of-sequence token and its chat template"
                " closes no turn; set tokenizer.eos_token"
            )
        self.end_id: int = ends[0]
        self.end_ids: frozenset[int] = frozenset(ends)
        specials = {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        self.masked_ids: frozenset[int] = frozenset(specials) - self.end_ids
        pad: int | None = tokenizer.pad_token_id
        self.pad_id: int = self.end_id if pad is None else pad

    def encode(self, text: str) -> list[int]:
        """The ids of plain text; spelled special tokens are read as their letters."""
        ids: list[int] = []
        for piece in self._without_delimiters(text):
            encoded = self.tokenizer(piece, add_special_tokens=False, split_special_tokens=True)
            ids += encoded["input_ids"]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special tokens are spelled out, except the end of a turn."""
        kept = [i for i in ids if i not in self.end_ids]
        text: str = self.tokenizer.decode(kept, clean_up_tokenization_spaces=False)
        return text

    def open(self, messages: Sequence[Message]) -> Rendered:
        """The opening, with the header of the agent's first turn."""
        return self._rendered([], self._with_tools(messages))

    def append(self, last_id: int, messages: Sequence[Message]) -> Rendered:
        """What follows the agent's turn: its close, the messages, the agent's next header."""
        has_results = any(message.role is Role.TOOL for message in messages)
        tools = (PROBE,) if has_results and self._template.writes_tools else ()
        asked, said = Message(Role.USER, "?", tools), PLACEHOLDER.format("agent")
        ids, roles = self._rendered([asked, Message(Role.ASSISTANT, said)], messages)
        close = self._length_of_close(ids) if last_id in self.end_ids else 0
        return ids[close:], roles[close:]

    def _with_tools(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages with their tools where the template looks for them, or told in words."""
        tools = declared(messages)
        if not tools:
            return messages
        first, *others = (message._replace(tools=()) for message in messages)
        if self._template.writes_tools:
            return [first._replace(tools=tools), *others]
        told = instructions(tools)
        if first.role is Role.SYSTEM or not self._template.takes_system:
            return [first._replace(content=f"{told}\n\n{first.content}"), *others]
        return [Message(Role.SYSTEM, told), first, *others]

    def _without_delimiters(self, text: str) -> list[str]:
        """Pieces of `text`, cut so that none holds a delimiter that is not split by itself."""
        pieces: list[str] = []
        while self._forgeable and (found := self._forgeable.search(text)):
            cut = found.start() + 1
            pieces.append(text[:cut])
            text = text[cut:]
        return [*pieces, text]

    def _length_of_close(self, ids: list[int]) -> int:
        """How many of the first ids close a turn: an end id, white space before it or not."""
        for position, token in enumerate(ids):
            if token in self.end_ids:
                return position + 1
            if self.decode([token]).strip():
                break
        return 0

    def _rendered(self, before: list[Message], messages: Sequence[Message]) -> Rendered:
        """Ids and roles of what the template writes for `messages` after `before`."""
        if not self._template.takes_results:
            messages = _told_by_user(messages)
        safe, hidden = self._hide_special_texts(messages)
        dialogue = [*before, *safe]
        whole = self._template.whole(dialogue)
        start = whole.rindex(before[-1].content) + len(before[-1].content) if before else 0
        ends, speakers = self._template.turns(dialogue, whole)
        ids, positions = self._tokenize(whole, start, hidden)
        turns = np.searchsorted(ends, positions, side="right")
        role_ids = np.array([ROLE_IDS[speaker] for speaker in speakers])[turns]
        return ids, role_ids.tolist()

    def _tokenize(
        self, text: str, start: int, hidden: dict[str, str]
    ) -> tuple[list[int], list[int]]:
        """Ids of `text` from `start` on, and their positions in the text."""
        pieces = re.split(f"({'|'.join(map(re.escape, hidden))})", text[start:]) if hidden else []
        ids: list[int] = []
        positions: list[int] = []
        for piece in pieces or [text[start:]]:
            if piece in hidden:
                encoded = self.encode(hidden[piece])
                ids += encoded
                positions += [start] * len(encoded)
            else:
                read = self.tokenizer(piece, add_special_tokens=False, return_offsets_mapping=True)
                ids += read["input_ids"]
                positions += [start + offset for offset, _ in read["offset_mapping"]]
            start += len(piece)
        return ids, positions

    def _hide_special_texts(
        self, messages: Sequence[Message]
    ) -> tuple[list[Message], dict[str, str]]:
        """The messages with placeholders for contents that spell a special token."""
        safe: list[Message] = []
        hidden: dict[str, str] = {}
        for index, message in enumerate(messages):
            if any(text in message.content for text in self._unsafe_texts):
                placeholder = PLACEHOLDER.format(index)
                hidden[placeholder] = message.content
                message = message._replace(content=placeholder)
            safe.append(message)
        return safe, hidden

    def _warn_of_plain_marker(self) -> None:
        marker = self._template.plain_marker()
        if marker is not None:
            warnings.warn(
                f"the chat template of {self.name!r} marks turns with plain text ({marker!r}) that"
                " messages may hold too, so what a world or a user writes can forge a turn; take"
                " another model where that text is not trusted",
                UserWarning,
                stacklevel=3,
            )

    def _delimiters_in_disguise(self) -> re.Pattern[str] | None:
        """Matches the template's delimiters that the tokenizer does not declare as special."""
        dialogue = [Message(Role.USER, "?"), Message(Role.ASSISTANT, "!")]
        if self._template.takes_results:
            dialogue.append(Message(Role.TOOL, "."))
        written = self._template.render(dialogue, opens_turn=True)
        added = self.tokenizer.added_tokens_decoder.values()
        texts = [t.content for t in added if not t.special and t.content in written]
        return re.compile("|".join(map(re.escape, texts))) if texts else None

    def _template_close(self) -> int | None:
        """The special id with which the template closes an agent's turn, if it has one."""
        said = PLACEHOLDER.format("agent")
        dialogue = [Message(Role.USER, "?"), Message(Role.ASSISTANT, said)]
        tail = self._template.render(dialogue, opens_turn=False).rpartition(said)[2].lstrip()
        ids: list[int] = self.tokenizer(tail, add_special_tokens=False)["input_ids"]
        return ids[0] if ids and ids[0] in self.tokenizer.added_tokens_decoder else None


def _told_by_user(messages: Sequence[Message]) -> list[Message]:
    """What tools say as the user's words, since the template has no form for it."""
    told: list[Message] = []
    for message in messages:
        if message.role is not Role.TOOL:
            told.append(message)
            continue
        content = f"<tool_response>\n{message.content}\n</tool_response>"
        if told and told[-1].role is Role.USER:  # templates refuse two in a row
            content = f"{told.pop().content}\n{content}"
        told.append(Message(Role.USER, content))
    return told
