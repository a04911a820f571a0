"""`ReaderNetwork`: reads a few sentences, finds who speaks of whom, and weighs them together.

Words are read in their neighbourhood by two small convolutions. Sentences attend to each other
where they share words: a head's weight from one sentence to another is the sum, over the words
that occur in both, of how much the head asks for the word in the one and offers it in the other. So
"Ada says that Bela is wrong" is tied to "Bela met Cleo" by the name, whatever it is. What the words
mean, and which of them tie sentences together, is learned.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lmgym.errors import LmgymError

__all__ = ["N_MARKS", "ReaderNetwork", "Reading", "Words", "draw_weights", "stacked", "words_of"]

N_MARKS = 5
"""Marks of a sentence: is it the claim, did the first or the second player quote it, who is to
move, and the share of moves that were made."""

_BUCKETS = 1024
_WORD = re.compile(r"\w+")


class Words(NamedTuple):
    """The words of some sentences, one after the other, with a 0 after each sentence.

    Attributes:
        meaning: a number for each word, the same everywhere, shape (words,).
        identity: a number for each word, counted within a text, shape (words,).
        rows: which sentence each word is of, shape (words,).
    """

    meaning: NDArray[np.int64]
    identity: NDArray[np.int64]
    rows: NDArray[np.int64]


class Reading(NamedTuple):
    """What a network has made of B texts of n sentences.

    Attributes:
        sentences: shape (B, n, width).
        ties: how much each sentence heeds each other one, by head, shape (B, heads, n, n).
    """

    sentences: Tensor
    ties: Tensor

    def picked(self, rows: Tensor) -> Reading:
        """Some of the texts, each as often as it is wanted."""
        return Reading(self.sentences[rows], self.ties[rows])


def words_of(sentences: Sequence[str]) -> Words:
    """The words of the sentences of one text."""
    meaning: list[int] = []
    identity: list[int] = []
    rows: list[int] = []
    seen: dict[str, int] = {}
    for row, sentence in enumerate(sentences):
        words = _WORD.findall(sentence.lower())
        meaning += [1 + crc32(word.encode()) % (_BUCKETS - 1) for word in words]
        identity += [seen.setdefault(word, len(seen)) for word in words]
        meaning.append(0)
        identity.append(0)
        rows += [row] * (len(words) + 1)
    return Words(np.array(meaning), np.array(identity), np.array(rows))


def stacked(texts: Sequence[Words], n: int) -> Words:
    """The words of several texts of n sentences each."""
    meaning, identity, rows = zip(*texts, strict=True)
    moved = [own + n * i for i, own in enumerate(rows)]
    return Words(np.concatenate(meaning), np.concatenate(identity), np.concatenate(moved))


class ReaderNetwork(nn.Module):
    """Vectors for the sentences of a text, each of which knows of the others.

    Made without weights: `draw_weights` draws them, or `load_state_dict` puts them in.

    Args:
        width: numbers of a sentence's vector.
        word_width: numbers of a word's vector.
        heads: ways in which sentences are tied together.
        layers: times that they hear of each other.
    """

    def __init__(
        self, width: int = 48, word_width: int = 24, heads: int = 4, layers: int = 3
    ) -> None:
        super().__init__()
        if min(width, word_width, heads, layers) < 1 or width % heads:
            raise LmgymError(f"width={width} is no multiple of heads={heads}, or a size is below 1")
        self.width, self.word_width, self.heads, self.layers = width, word_width, heads, layers
        wide = 2 * word_width
        self.words = nn.Embedding(_BUCKETS, word_width)
        self.near = nn.Linear(3 * word_width, wide)
        self.far = nn.Linear(3 * wide, wide)
        self.gates = nn.Linear(wide, 2 * heads)
        self.sentence_gates = nn.Linear(wide, 2 * heads, bias=False)
        self.sentences = nn.Linear(wide, width)
        self.marks = nn.Linear(N_MARKS, width)
        self.tell = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width, bias=False))
            for _ in range(layers)
        )
        self.hear = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(3 * width),
                nn.Linear(3 * width, width),
                nn.GELU(),
                nn.Linear(width, width),
            )
            for _ in range(layers)
        )

    def read(self, words: Words, n_texts: int) -> Reading:
        """Read texts of equally many sentences; what follows may be asked several times."""
        device = self.marks.weight.device
        meaning, identity, rows = (torch.from_numpy(part).to(device) for part in words)
        n_rows, n_words = int(words.rows[-1]) + 1, int(words.identity.max()) + 1
        n = n_rows // n_texts
        is_word = (meaning > 0)[:, None].to(self.marks.weight)
        found = self.words(meaning) * is_word  # (words, word_width)
        for layer in (self.near, self.far):
            found = layer(_with_neighbours(found)).relu() * is_word  # (words, wide)
        whole = found.new_zeros(n_rows, found.shape[1])
        whole = whole.scatter_reduce(0, rows[:, None].expand_as(found), found, "amax")
        gates = (self.gates(found) + self.sentence_gates(whole)[rows]).sigmoid() * is_word
        held = gates.new_zeros(n_rows * n_words, 2 * self.heads)
        held = held.index_add(0, rows * n_words + identity, gates)
        held = held.view(n_texts, n, n_words, 2, self.heads).permute(3, 0, 4, 1, 2)
        ties = held[0] @ held[1].transpose(2, 3)  # (B, heads, n, n)
        ties = ties * (1 - torch.eye(n, device=device))
        return Reading(self.sentences(whole).view(n_texts, n, -1), ties)

    def think(self, reading: Reading, marks: Tensor) -> Tensor:
        """The sentences' vectors, shape (B, n, width), given marks of shape (B, n, N_MARKS)."""
        found: Tensor = reading.sentences + self.marks(marks)
        b, n, _ = found.shape
        for tell, hear in zip(self.tell, self.hear, strict=True):
            told = tell(found).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
            there = reading.ties @ told[0]  # (B, heads, n, width / heads)
            back = reading.ties.transpose(2, 3) @ told[1]
            heard = [part.transpose(1, 2).reshape(b, n, -1) for part in (there, back)]
            found = found + hear(torch.cat([found, *heard], -1))
        return found


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights: words normal, layers uniform as torch does it, biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.5, generator=generator)
        elif isinstance(part, nn.Linear):
            bound = 1 / math.sqrt(part.in_features)
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def _with_neighbours(words: Tensor) -> Tensor:
    """Each word beside the one before and the one after, shape (words, 3 * width)."""
    edge = words.new_zeros(1, words.shape[1])
    return torch.cat([torch.cat([edge, words[:-1]]), words, torch.cat([words[1:], edge])], 1)
