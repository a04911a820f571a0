"""`PrefixTree`: texts that share their beginnings, each named by one integer."""

from __future__ import annotations

import reprlib
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmgym.errors import LmgymError

__all__ = ["Handles", "PrefixTree", "as_handles"]

Handles = NDArray[np.int32]
"""Handles, -1 for none; also what is kept for each of them."""

_NO_PARENT = -1


class PrefixTree:
    """A tree of token ids. A handle is an `int` and stands for a whole text, from its first id on.

    To fork a text is to keep its handle: extending it twice gives two texts, and costs a fraction
    of a microsecond whatever its length. Handles are never used again; a handle costs 16 bytes.

    Args:
        shares_children: give the same handle to the same id after the same text. It takes longer,
            and whoever computes something for each handle does so once.

    Example:
        >>> tree = PrefixTree()
        >>> prompt = tree.root([259, 49, 43, 50])
        >>> one, other = tree.extend(prompt, 51), tree.extend(prompt, 52)
        >>> tree.ids(one), tree.ids(other), tree.parent(other) == prompt
        ([259, 49, 43, 50, 51], [259, 49, 43, 50, 52], True)
        >>> tree.extend_many([one, other], [257, 257]).tolist()
        [6, 7]
    """

    def __init__(self, *, shares_children: bool = False) -> None:
        """Start without any text."""
        self._parents = array("i")
        self._tokens = array("i")
        self._depths = array("i")  # ids of the text; 0 once it was pruned
        self._heads = array("i")  # where the run of handles begins that each extend the one before
        self._children: dict[tuple[int, int], int] | None = {} if shares_children else None
        self.n_pruned = 0

    def __len__(self) -> int:
        """How many handles were given, pruned ones included."""
        return len(self._parents)

    def root(self, ids: Sequence[int]) -> int:
        """A text that starts with these ids, at least one."""
        new_ids = _ids(ids)
        if not len(new_ids):
            raise LmgymError("a text needs at least one id; give a prompt")
        return self._write(_NO_PARENT, 0, new_ids)

    def extend(self, handle: int, token: int) -> int:
        """The text with one more id."""
        new = len(self._tokens)
        depth = self._depths[handle] if 0 <= handle < new else 0
        if depth < 1:
            raise self._unknown(handle)
        if self._children is not None:
            child = self._children.get((handle, token))
            if child is not None:
                return child
        try:
            if token < 0:
                raise _no_ids(token)
            self._tokens.append(token)  # first: it is the one that refuses what is no id
        except (OverflowError, TypeError):
            raise _no_ids(token) from None
        self._parents.append(handle)
        self._depths.append(depth + 1)
        self._heads.append(self._heads[handle] if handle == new - 1 else new)
        if self._children is not None:
            self._children[handle, token] = new
        return new

    def extend_many(self, handles: ArrayLike, tokens: ArrayLike) -> Handles:
        """Each text with one more id, both of shape (B,)."""
        parents, ids = as_handles(handles), _ids(tokens)
        if parents.shape != ids.shape:
            raise LmgymError(
                f"handles of shape {parents.shape} and tokens of shape {ids.shape}; give one token"
                " for each handle"
            )
        depths = self.depths(parents) + 1
        if self._children is not None:
            pairs = zip(parents.tolist(), ids.tolist(), strict=True)
            return np.fromiter((self.extend(*pair) for pair in pairs), np.int32, len(ids))
        first = len(self._parents)
        new = np.arange(first, first + len(ids), dtype=np.int32)
        self._append(parents, ids, depths, new)
        return new

    def write(self, handle: int, ids: Sequence[int]) -> int:
        """The text with these ids behind it; a world's reply, say."""
        return self._write(handle, self.depth(handle), _ids(ids))

    def parent(self, handle: int) -> int | None:
        """The text without its last id; None where it has no other."""
        self.depth(handle)
        parent = self._parents[handle]
        return None if parent == _NO_PARENT else parent

    def parents(self, handles: ArrayLike) -> Handles:
        """Each text without its last id, -1 where it has no other, shape (B,)."""
        asked = as_handles(handles)
        self.depths(asked)
        parents: Handles = _view(self._parents)[asked]
        return parents

    def token(self, handle: int) -> int:
        """The last id."""
        self.depth(handle)
        return self._tokens[handle]

    def depth(self, handle: int) -> int:
        """How many ids the text has."""
        depth = self._depths[handle] if 0 <= handle < len(self._depths) else 0
        if depth < 1:
            raise self._unknown(handle)
        return depth

    def depths(self, handles: ArrayLike) -> Handles:
        """How many ids each text has, shape (B,)."""
        asked = as_handles(handles)
        if asked.min(initial=0) < 0 or asked.max(initial=-1) >= len(self):
            raise self._unknown(int(asked[(asked < 0) | (asked >= len(self))][0]))
        depths: Handles = _view(self._depths)[asked]
        if not depths.all():
            raise self._unknown(int(asked[depths == 0][0]))
        return depths

    def tokens(self, handles: ArrayLike) -> Handles:
        """The id at each handle, in any shape; of pruned texts too."""
        return _view(self._tokens)[np.asarray(handles, np.int32)]

    def ids(self, handle: int) -> list[int]:
        """The whole text."""
        self.depth(handle)
        pieces: list[list[int]] = []
        while handle != _NO_PARENT:
            head = self._heads[handle]
            pieces.append(self._tokens[head : handle + 1].tolist())
            handle = self._parents[head]
        return [token for piece in reversed(pieces) for token in piece]

    def paths(self, handles: ArrayLike) -> Handles:
        """The handles of all beginnings of each text, the shortest first, its own last.

        Returns:
            Shape (B, T), T the length of the longest text, -1 behind the others.
        """
        asked = as_handles(handles)
        ends = self.depths(asked)
        paths: Handles = np.full((len(asked), ends.max(initial=0)), -1, np.int32)
        parents, heads = _view(self._parents), _view(self._heads)
        rows = np.arange(len(asked))
        while len(rows):
            first = heads[asked]
            paths[rows, ends - 1] = asked
            for i in (first < asked).nonzero()[0]:  # runs: prompts and replies
                length = asked[i] - first[i]
                paths[rows[i], ends[i] - 1 - length : ends[i] - 1] = np.arange(first[i], asked[i])
            ends = ends - 1 - (asked - first)
            asked = parents[first]
            if not asked.min() >= 0:
                is_more = asked >= 0
                rows, asked, ends = rows[is_more], asked[is_more], ends[is_more]
        return paths

    def prune(self, keep: ArrayLike) -> int:
        """Give up all texts but these and their beginnings; how many handles that are.

        The handles of the others cannot be used any more. What is kept for them elsewhere, as the
        keys and values of a decoder, can go.
        """
        frontier = np.unique(as_handles(keep))
        self.depths(frontier)
        parents, depths = _view(self._parents), _view(self._depths)
        is_kept = np.zeros(len(parents), bool)
        while len(frontier):
            is_kept[frontier] = True
            frontier = np.unique(parents[frontier])
            frontier = frontier[frontier >= 0]
            frontier = frontier[~is_kept[frontier]]
        dropped = ~is_kept & (depths > 0)
        depths[dropped] = 0
        if self._children is not None:
            self._children = {k: new for k, new in self._children.items() if is_kept[new]}
        count = int(dropped.sum())
        self.n_pruned += count
        return count

    def are_alive(self, handles: ArrayLike) -> NDArray[np.bool_]:
        """Which of these handles were not pruned."""
        return _view(self._depths)[np.asarray(handles, np.int32)] > 0

    def _write(self, handle: int, depth: int, new_ids: Handles) -> int:
        """Extend by several ids, of which the first ones may be there already."""
        if self._children is not None:
            start = depth
            for token in new_ids.tolist():
                child = self._children.get((handle, token))
                if child is None:
                    break
                handle, depth = child, depth + 1
            new_ids = new_ids[depth - start :]
        if not len(new_ids):
            return handle
        first, last = len(self._parents), len(self._parents) + len(new_ids) - 1
        parents = np.arange(first - 1, last, dtype=np.int32)
        parents[0] = handle
        depths = np.arange(depth + 1, depth + 1 + len(new_ids), dtype=np.int32)
        self._append(parents, new_ids, depths, np.full(len(new_ids), first, np.int32))
        if self._children is not None:
            pairs = zip(parents.tolist(), new_ids.tolist(), strict=True)
            self._children.update(zip(pairs, range(first, last + 1), strict=True))
        return last

    def _append(self, parents: Handles, tokens: Handles, depths: Handles, heads: Handles) -> None:
        self._parents.frombytes(parents.view(np.uint8).data)
        self._tokens.frombytes(tokens.view(np.uint8).data)
        self._depths.frombytes(depths.view(np.uint8).data)
        self._heads.frombytes(heads.view(np.uint8).data)

    def _unknown(self, handle: int) -> LmgymError:
        reason = "was pruned" if 0 <= handle < len(self) else "was never given"
        return LmgymError(
            f"the handle {handle} {reason}; use those that root, extend and write return"
        )


def as_handles(handles: ArrayLike) -> Handles:
    """Handles as an array of shape (B,); that a tree has them is not looked at."""
    return _whole(handles, "handles")


def _ids(tokens: ArrayLike) -> Handles:
    """Ids as an array, shape (B,)."""
    ids = _whole(tokens, "ids")
    if ids.min(initial=0) < 0:
        raise _no_ids(ids.min())
    return ids


def _whole(values: ArrayLike, kind: str) -> Handles:
    """The values as they are; raises where an array of int32 would hold others."""
    try:
        given = np.asarray(values)
    except ValueError:  # rows of different lengths
        given = np.asarray(None)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise LmgymError(f"{reprlib.repr(values)} are no {kind}; give a flat list of whole numbers")
    narrow: Handles = np.ascontiguousarray(given, np.int32)
    if narrow is not given and (narrow != given).any():
        raise LmgymError(f"{reprlib.repr(values)} are no {kind}; they stay below 2**31")
    return narrow


def _no_ids(token: object) -> LmgymError:
    return LmgymError(f"{token!r} is no id; ids are whole numbers from 0 to 2**31 - 1")


def _view(values: array[int]) -> Handles:
    """The array without a copy; it must be gone before the next one is appended."""
    return np.frombuffer(values, np.int32) if values else np.empty(0, np.int32)
