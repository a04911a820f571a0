"""Handles name texts, whatever becomes of the tree around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.search.prefix_tree import PrefixTree, as_handles

Operation = tuple[int, int, list[int]]
operations = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 10**6),
        st.lists(st.integers(0, 3), min_size=1, max_size=6),
    ),
    max_size=40,
)


def grown(
    operations: list[Operation], *, shares_children: bool = False
) -> tuple[PrefixTree, dict[int, list[int]]]:
    """A tree, and the text of each handle that came back as a plain list."""
    tree = PrefixTree(shares_children=shares_children)
    texts: dict[int, list[int]] = {tree.root([7]): [7]}
    for kind, where, ids in operations:
        handle = list(texts)[where % len(texts)]
        if kind == 0:
            texts[tree.root(ids)] = ids
        elif kind == 1:
            texts[tree.extend(handle, ids[0])] = [*texts[handle], ids[0]]
        elif kind == 2:
            texts[tree.write(handle, ids)] = texts[handle] + ids
        else:
            new = tree.extend_many([handle] * len(ids), ids)
            texts |= {h: [*texts[handle], i] for h, i in zip(new.tolist(), ids, strict=True)}
    return tree, texts


@pytest.mark.parametrize("shares_children", [False, True])
@settings(max_examples=60)
@given(operations=operations)
def test_a_handle_is_its_text(operations: list[Operation], shares_children: bool) -> None:
    tree, texts = grown(operations, shares_children=shares_children)
    for handle, text in texts.items():
        assert tree.ids(handle) == text
        assert tree.depth(handle) == len(text)
        assert tree.token(handle) == text[-1]
        parent = tree.parent(handle)
        assert (tree.ids(parent) if parent is not None else []) == text[:-1]


@pytest.mark.parametrize("shares_children", [False, True])
@settings(max_examples=60)
@given(operations=operations)
def test_paths_are_the_beginnings(operations: list[Operation], shares_children: bool) -> None:
    tree, texts = grown(operations, shares_children=shares_children)
    paths = tree.paths(list(texts))
    assert paths.shape == (len(texts), max(map(len, texts.values())))
    for path, (handle, text) in zip(paths.tolist(), texts.items(), strict=True):
        beginnings = path[: len(text)]
        assert beginnings[-1] == handle
        assert [tree.token(beginning) for beginning in beginnings] == text
        assert [tree.parent(beginning) for beginning in beginnings[1:]] == beginnings[:-1]
        assert set(path[len(text) :]) <= {-1}


@settings(max_examples=60)
@given(operations=operations)
def test_shared_children_have_one_handle_a_text(operations: list[Operation]) -> None:
    tree, texts = grown(operations, shares_children=True)
    every = [tuple(tree.ids(handle)) for handle in range(len(tree))]
    assert len(set(every)) == len(every)
    assert {tuple(text): handle for handle, text in texts.items()}.items() <= {
        text: handle for handle, text in enumerate(every)
    }.items()


def test_children_are_not_shared_unless_asked_for() -> None:
    tree = PrefixTree()
    root = tree.root([1])
    assert tree.extend(root, 5) != tree.extend(root, 5)


@settings(max_examples=60)
@given(operations=operations, kept=st.lists(st.integers(0, 10**6), max_size=4))
def test_pruning_keeps_texts_and_their_beginnings(
    operations: list[Operation], kept: list[int]
) -> None:
    tree, texts = grown(operations, shares_children=True)
    keep = [list(texts)[index % len(texts)] for index in kept]
    paths = {h for path in tree.paths(keep).tolist() for h in path if h >= 0} if keep else set()
    assert tree.prune(keep) == len(tree) - len(paths) == tree.n_pruned
    assert set(np.flatnonzero(tree.are_alive(np.arange(len(tree)))).tolist()) == paths
    assert [tree.ids(handle) for handle in keep] == [texts[handle] for handle in keep]
    assert tree.prune(keep) == 0


def test_a_pruned_text_can_be_written_again() -> None:
    tree = PrefixTree(shares_children=True)
    root = tree.root([1, 2])
    old = tree.extend(root, 3)
    tree.prune([root])
    new = tree.extend(root, 3)
    assert new != old
    assert tree.ids(new) == [1, 2, 3]


def test_handles_in_batches_equal_single_ones() -> None:
    one, other = PrefixTree(), PrefixTree()
    handles, single = np.array([one.root([1, 2])] * 3), [other.root([1, 2])] * 3
    for step in range(5):
        handles = one.extend_many(handles, np.arange(3) + step)
        single = [other.extend(handle, i + step) for i, handle in enumerate(single)]
    assert handles.tolist() == single
    assert [one.ids(h) for h in single] == [other.ids(h) for h in single]
    assert one.parents(handles).tolist() == [other.parent(h) for h in single]
    assert one.tokens(handles).tolist() == [other.token(h) for h in single]


@pytest.mark.parametrize("handle", [-1, 2, 10**6])
def test_a_handle_that_was_never_given_is_an_error(handle: int) -> None:
    tree = PrefixTree()
    tree.root([1, 2])
    uses: list[Callable[[], object]] = [
        lambda: tree.extend(handle, 1),
        lambda: tree.extend_many([handle], [1]),
        lambda: tree.write(handle, [1]),
        lambda: tree.ids(handle),
        lambda: tree.token(handle),
        lambda: tree.parent(handle),
        lambda: tree.parents([0, handle]),
        lambda: tree.paths([0, handle]),
        lambda: tree.prune([handle]),
    ]
    for use in uses:
        with pytest.raises(LmgymError, match=f"handle {handle} was never given"):
            use()
    assert len(tree) == 2


def test_a_pruned_handle_is_an_error() -> None:
    tree = PrefixTree()
    root = tree.root([1, 2])
    dead = tree.extend(root, 3)
    tree.prune([root])
    for use in (tree.ids, tree.depth, lambda h: tree.extend(h, 1), lambda h: tree.paths([h])):
        with pytest.raises(LmgymError, match=f"handle {dead} was pruned"):
            use(dead)


@pytest.mark.parametrize("shares_children", [False, True])
@pytest.mark.parametrize(
    "token", [1.7, -1, 2**31, 2**70, "a", None, [1]], ids=lambda token: str(token)
)
def test_what_is_no_id_is_an_error(token: Any, shares_children: bool) -> None:
    tree = PrefixTree(shares_children=shares_children)
    root = tree.root([1])
    uses: list[Callable[[], object]] = [
        lambda: tree.extend_many([root, root], [1, token]),
        lambda: tree.extend_many([root], [token]),
        lambda: tree.write(root, [token]),
        lambda: tree.root([token]),
    ]
    for use in uses:
        with pytest.raises(LmgymError, match=r"no ids?; "):
            use()
    assert len(tree) == 1


@pytest.mark.parametrize("token", [1.7, -1, 2**31, "a", None])
def test_extending_by_what_is_no_id_is_an_error(token: Any) -> None:
    tree = PrefixTree()
    root = tree.root([1])
    with pytest.raises(LmgymError, match=r"is no id; ids are whole numbers"):
        tree.extend(root, token)
    assert tree.ids(tree.extend(root, 5)) == [1, 5]


@pytest.mark.parametrize("handles", [0, [[0]], [0.0], [True], ["0"], [2**40], [[0], [0, 0]]])
def test_what_are_no_handles_is_an_error(handles: Any) -> None:
    tree = PrefixTree()
    tree.root([1])
    for use in (tree.depths, tree.parents, tree.paths, tree.prune, as_handles):
        with pytest.raises(LmgymError, match=r"are no handles; "):
            use(handles)
    with pytest.raises(LmgymError, match=r"are no handles; "):
        tree.extend_many(handles, [1])


def test_a_failed_batch_leaves_nothing_behind() -> None:
    tree = PrefixTree(shares_children=True)
    root = tree.root([1])
    with pytest.raises(LmgymError, match="handle 9 was never given"):
        tree.extend_many([root, 9], [2, 3])
    assert len(tree) == 1


def test_every_other_entry_of_an_array_will_do() -> None:
    tree = PrefixTree()
    root = tree.root([1])
    handles, tokens = np.full(4, root, np.int32), np.arange(4, dtype=np.int32)
    new = tree.extend_many(handles[::2], tokens[::2])
    assert [tree.ids(handle) for handle in new.tolist()] == [[1, 0], [1, 2]]


def test_requests_that_make_no_sense_are_errors() -> None:
    tree = PrefixTree()
    with pytest.raises(LmgymError, match="at least one id"):
        tree.root([])
    root = tree.root([1])
    with pytest.raises(LmgymError, match="one token for each handle"):
        tree.extend_many([root, root], [1])
    with pytest.raises(LmgymError, match=r"5 are no handles; give a flat list"):
        tree.prune(5)
    assert tree.write(root, []) == root
    assert tree.extend_many([], []).tolist() == []
    assert tree.paths([]).shape == (0, 0)
