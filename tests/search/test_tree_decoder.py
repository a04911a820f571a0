"""The logits of every text in a tree equal those of a plain forward."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.llama import LlamaDecoder
from lmgym.policies.sampling import Drawing, generate
from lmgym.search import chains, shared_attention
from lmgym.search import tree_decoder as rereading
from lmgym.search.cache_tree import CacheTreeDecoder
from lmgym.search.llama_tree import LlamaTreeDecoder
from lmgym.search.pooled import PooledDecoder
from lmgym.search.prefix_tree import PrefixTree
from lmgym.search.slot_pool import SlotPool
from lmgym.search.tree_decoder import RereadingDecoder, TreeDecoder, TreeSampler, tree_decoder


def expected(model: Any, texts: Sequence[Sequence[int]]) -> Tensor:
    """Logits after each text, by a forward of all: no id sees what stands behind it."""
    longest = max(map(len, texts))
    tokens = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
    ends = torch.tensor([len(text) for text in texts]) - 1
    with torch.no_grad():
        logits: Tensor = model(tokens).logits
    return logits[torch.arange(len(texts)), ends]


def assert_reads(decoder: TreeDecoder, model: Any, handles: Sequence[int]) -> None:
    texts = [decoder.tree.ids(handle) for handle in handles]
    logits = decoder.logits(handles)
    torch.testing.assert_close(logits, expected(model, texts), atol=1e-5, rtol=1e-5)


def ids_of(generator: np.random.Generator, count: int) -> list[int]:
    ids: list[int] = generator.integers(262, size=count).tolist()
    return ids


@pytest.mark.parametrize("shares_children", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_a_plain_forward_over_random_trees(
    model: Any, seed: int, shares_children: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_attention, "_WORTH_SHARING", 8)
    rng = np.random.default_rng(seed)
    tree = PrefixTree(shares_children=shares_children)
    decoder = tree_decoder(model, tree, 256)
    handles = [tree.root(ids_of(rng, count)) for count in (1, 9, 30)]
    for _ in range(12):
        some = rng.choice(handles, size=6).tolist()  # with repetitions, read or not
        handles += [tree.extend(handle, int(rng.integers(3))) for handle in some[:4]]
        handles += [tree.write(handle, ids_of(rng, int(rng.integers(1, 9)))) for handle in some[4:]]
        assert_reads(decoder, model, rng.choice(handles, size=9).tolist())
    assert_reads(decoder, model, handles)


def test_equals_a_plain_forward_along_deep_chains(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    handles = np.array([tree.root([1, 2, 3]), tree.root([4])])
    rng = np.random.default_rng(0)
    for step in range(150):
        handles = tree.extend_many(handles, rng.integers(262, size=2))
        if step % 10 == 0 or step > 140:  # several unread ids at a time, then one
            assert_reads(decoder, model, handles.tolist())


def test_completions_of_a_long_prompt_share_it(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    rng = np.random.default_rng(0)
    prompts = [tree.root(ids_of(rng, count)) for count in (120, 100)]
    handles = np.repeat(prompts, [7, 3])
    for _ in range(6):
        handles = tree.extend_many(handles, rng.integers(262, size=10))
        assert_reads(decoder, model, handles.tolist())
    # Some have company at a long prompt, some at a short one, some none.
    handles = np.append(handles, [tree.root(ids_of(rng, 5)), tree.root(ids_of(rng, 17))])
    handles = tree.extend_many(handles, rng.integers(262, size=12))
    decoder.logits(tree.parents(handles))
    assert_reads(decoder, model, handles.tolist())


def test_texts_of_unequal_depth_share_a_prompt(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    rng = np.random.default_rng(1)
    prompt = tree.root(ids_of(rng, 90))
    handles = [tree.write(prompt, ids_of(rng, count)) for count in (1, 4, 11, 11, 2)]
    assert_reads(decoder, model, handles)
    handles = [tree.extend(handle, 5) for handle in [prompt, *handles]]
    assert_reads(decoder, model, handles)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2"])
def test_no_id_is_computed_twice(build_model: Callable[..., Any], name: str) -> None:
    tree = PrefixTree(shares_children=True)
    decoder = tree_decoder(build_model(name), tree)
    assert isinstance(decoder, PooledDecoder)
    rng = np.random.default_rng(0)
    handles = [tree.root(ids_of(rng, 40)) for _ in range(2)]
    asked: set[int] = set()
    for _ in range(8):
        handles = [tree.extend(handle, i) for handle in handles for i in (1, 1, 2)][:30]
        decoder.logits(handles)
        decoder.logits(handles[::2])
        asked |= {beginning for path in tree.paths(handles).tolist() for beginning in path}
        assert decoder.n_read == len(asked - {-1})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama", LlamaTreeDecoder),
        ("qwen3", CacheTreeDecoder),
        ("gpt2", CacheTreeDecoder),
        ("gemma 3", RereadingDecoder),  # a sliding window
        ("bloom", RereadingDecoder),  # no position ids
        ("mamba", RereadingDecoder),  # a recurrent state
        ("gpt", RereadingDecoder),  # no cache
    ],
)
def test_a_decoder_says_whether_it_shares(
    build_model: Callable[..., Any], name: str, kind: type
) -> None:
    decoder = tree_decoder(build_model(name), PrefixTree(), 256)
    assert type(decoder) is kind
    assert decoder.shares_cache == (kind is not RereadingDecoder)


def test_many_new_texts_are_read_in_batches(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "_READ_AT_ONCE", 20)
    monkeypatch.setattr(rereading, "_READ_AT_ONCE", 20)
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    rng = np.random.default_rng(0)
    assert_reads(decoder, model, [tree.root(ids_of(rng, count)) for count in (9, 30, 1, 15, 8)])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_pruned_texts_make_room(build_model: Callable[..., Any], name: str) -> None:
    model = build_model(name)
    tree = PrefixTree()
    decoder = tree_decoder(model, tree)
    assert isinstance(decoder, PooledDecoder)
    rng = np.random.default_rng(0)
    prompt = tree.root(ids_of(rng, 30))
    for _ in range(20):
        handles = [tree.write(prompt, ids_of(rng, 9)) for _ in range(4)]
        assert_reads(decoder, model, handles)
        handles = [tree.extend(handle, 3) for handle in handles]
        assert_reads(decoder, model, handles)
        tree.prune([handles[2]])
        assert_reads(decoder, model, [tree.extend(handles[2], 4)])
        assert decoder.n_held == 41
    assert decoder._pool.hidden.shape[0] == 256  # it never had to grow


def test_pruned_texts_cannot_be_read(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    prompt = tree.root([1, 2])
    dead = tree.extend(prompt, 3)
    decoder.logits([dead])
    tree.prune([prompt])
    with pytest.raises(LmgymError, match="was pruned"):
        decoder.logits([dead])


def test_logprobs_are_normalised_logits(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    handles = [tree.root([1, 2]), tree.root([3])]
    torch.testing.assert_close(
        decoder.logprobs(handles), decoder.logits(handles).log_softmax(-1), atol=1e-6, rtol=1e-6
    )


def test_changed_weights_are_noticed(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    handles = [tree.root([1, 2, 3]), tree.root([4])]
    assert_reads(decoder, model, handles)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    assert_reads(decoder, model, [*handles, tree.extend(handles[0], 7)])


def test_forgetting_computes_again(model: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(model, tree, 256)
    handles = [tree.root([1, 2, 3]), tree.root([4])]
    decoder.logits(handles)
    next(model.parameters()).data.mul_(2)  # leaves no trace
    decoder.forget()
    assert_reads(decoder, model, [*handles, tree.extend(handles[0], 7)])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_an_id_outside_the_vocabulary_is_an_error_each_time(
    build_model: Callable[..., Any], name: str
) -> None:
    model = build_model(name)
    tree = PrefixTree()
    decoder = tree_decoder(model, tree)
    prompt = tree.root([1, 2, 3])
    strange = tree.extend(prompt, 500)
    for _ in range(2):
        with pytest.raises(IndexError):
            decoder.logits([prompt, strange])
    assert_reads(decoder, model, [prompt])


class FailsOnce:
    """Does what a function does, but raises at the call of this number."""

    def __init__(
        self, function: Callable[..., Any], failing: int, error: type[BaseException]
    ) -> None:
        self.function = function
        self.left = failing
        self.error = error

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.function(*args, **kwargs)


@pytest.mark.parametrize("error", [KeyboardInterrupt, torch.OutOfMemoryError])
@pytest.mark.parametrize("ids", [[7], [7, 8, 9]])
def test_an_interrupted_reading_is_done_again(
    llama: Any, error: type[BaseException], ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(llama, tree)
    prompts = [tree.root([1, 2, 3]), tree.root([4])]
    decoder.logits(prompts)
    handles = [tree.write(prompt, ids) for prompt in prompts]
    fails = FailsOnce(F.silu, 2, error)  # in the second layer
    with monkeypatch.context() as patch:
        patch.setattr(F, "silu", fails)
        with pytest.raises(error):
            decoder.logits(handles)
    assert_reads(decoder, llama, [*prompts, *handles, tree.extend(handles[0], 5)])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_slots_that_were_not_filled_do_not_count(
    build_model: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(name)
    tree = PrefixTree()
    decoder = tree_decoder(model, tree)
    assert isinstance(decoder, PooledDecoder)
    handles = [tree.root([1, 2, 3]), tree.root([4])]
    with monkeypatch.context() as patch:
        patch.setattr(SlotPool, "place", FailsOnce(SlotPool.place, 1, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            decoder.logits(handles)
    assert decoder.n_held == 0
    assert_reads(decoder, model, [*handles, tree.extend(handles[0], 5)])


def test_a_wrong_question_costs_no_cache(llama: Any) -> None:
    tree = PrefixTree()
    decoder = tree_decoder(llama, tree)
    assert isinstance(decoder, PooledDecoder)
    decoder.logits([tree.root([1, 2, 3])])
    with pytest.raises(LmgymError, match="never given"):
        decoder.logits([99])
    assert decoder.n_held == 3


def test_training_mode_does_not_matter(model: Any) -> None:
    """Nor does the dropout that most of these models have."""
    tree = PrefixTree()
    handles = [tree.root([1, 2, 3]), tree.root([4])]
    truth = expected(model, [tree.ids(handle) for handle in handles])
    decoder = tree_decoder(model.train(), tree, 256)
    torch.testing.assert_close(decoder.logits(handles), truth, atol=1e-5, rtol=1e-5)
    model.train()
    handles.append(tree.extend(handles[0], 5))
    logits = decoder.logits(handles)
    assert_reads(decoder, model.eval(), handles)
    torch.testing.assert_close(logits, decoder.logits(handles), atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the next line in newer versions
def test_checkpoints_of_gradients_do_not_cost_the_cache(build_model: Callable[..., Any]) -> None:
    model = build_model("gpt2")
    model.gradient_checkpointing_enable()
    decoder = tree_decoder(model.train(), PrefixTree(), 256)
    assert decoder.shares_cache
    decoder.logits([decoder.tree.root([1, 2])])
    model.train()
    decoder.forget()
    assert_reads(decoder, model, [decoder.tree.root([1, 2])])


@pytest.mark.parametrize("handles", [0, [[0]], [0.5], [[0], [0, 0]]])
def test_what_are_no_handles_cannot_be_read(model: Any, handles: Any) -> None:
    tree = PrefixTree()
    tree.root([1, 2])
    decoder = tree_decoder(model, tree, 256)
    with pytest.raises(LmgymError, match="are no handles; give a flat list"):
        decoder.logits(handles)


def test_bfloat16_is_as_exact_as_the_forward(llama: Any) -> None:
    half = llama.to(torch.bfloat16)
    full = copy.deepcopy(half).float()
    tree = PrefixTree()
    rng = np.random.default_rng(0)
    handles = np.repeat([tree.root(ids_of(rng, 100))], 20)
    decoder, ours, theirs = tree_decoder(half, tree), [], []
    for _ in range(5):
        handles = tree.extend_many(handles, rng.integers(262, size=20))
        texts = [tree.ids(handle) for handle in handles.tolist()]
        truth = expected(full, texts)
        ours.append((decoder.logits(handles) - truth).abs().mean())
        theirs.append((expected(half, texts) - truth).abs().mean())
    assert sum(map(float, ours)) < 1.5 * sum(map(float, theirs))


@pytest.mark.parametrize("shares_children", [False, True])
def test_samples_what_other_decoders_sample(llama: Any, shares_children: bool) -> None:
    prompts = [[65] * 90, [66, 67], [65] * 90 + [68]]
    request = [prompts[i % 3] for i in range(18)], [5, 30, 20] * 6, frozenset({3, 4, *range(20)})

    def drawing() -> Drawing:
        return Drawing(generator=torch.Generator().manual_seed(0))

    decoder = LlamaTreeDecoder(llama, PrefixTree(shares_children=shares_children))
    ours = generate(TreeSampler(decoder), *request, drawing())
    theirs = generate(LlamaDecoder(llama, 256), *request, drawing())
    assert ours[0] == theirs[0]
    for one, other in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert decoder.n_read < 90 + 2 + 1 + sum(map(len, ours[0])) + 90


def test_asking_for_nothing_gives_nothing(model: Any) -> None:
    assert tree_decoder(model, PrefixTree(), 256).logits([]).shape == (0, 262)
