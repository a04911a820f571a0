"""Hidden states of growing rows equal those of a plain forward, however the rows come about."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies import row_cache
from lmgym.policies.row_cache import RowDecoder

BuildModel = Callable[..., Any]

IDS: dict[str, Any] = {"pad_token_id": 256, "bos_token_id": None, "eos_token_id": 257}
SIZES: dict[str, Any] = IDS | {
    "vocab_size": 262,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
GPT2 = IDS | {"vocab_size": 262, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "llama, wide heads": ("LlamaConfig", SIZES | {"head_dim": 16, "num_key_value_heads": 4}),
    "qwen3": ("Qwen3Config", SIZES | {"head_dim": 8}),
    "gpt2": ("GPT2Config", GPT2),
    "bloom": ("BloomConfig", IDS | {"vocab_size": 262, "hidden_size": 32, "n_head": 4}),
    "mamba": ("MambaConfig", IDS | {"vocab_size": 262, "hidden_size": 32, "num_hidden_layers": 2}),
    "gpt": ("OpenAIGPTConfig", {"vocab_size": 262, "n_embd": 32, "n_layer": 2, "n_head": 4}),
}
CONTEXT = 200


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, build_model: BuildModel) -> Any:
    kind, options = KINDS[request.param]
    return build_model(getattr(transformers, kind)(**options))


@pytest.fixture
def llama(build_model: BuildModel) -> Any:
    return build_model(transformers.LlamaConfig(**SIZES))


def expected(model: Any, rows: list[list[int]]) -> Tensor:
    """The last hidden state of each row, by a forward of all: no id sees what stands behind it."""
    ends = torch.tensor([len(row) for row in rows]) - 1
    return states(model, rows)[torch.arange(len(rows)), ends]


def states(model: Any, rows: list[list[int]]) -> Tensor:
    """The hidden states at every id, of shape (N, length of the longest row, size)."""
    length = max(map(len, rows))
    tokens = torch.tensor([row + [256] * (length - len(row)) for row in rows])
    with torch.no_grad():
        hidden: Tensor = model(tokens, output_hidden_states=True).hidden_states[-1]
    return hidden


def read(decoder: RowDecoder, rows: list[list[int]], fill: int = 256) -> Tensor:
    tokens = torch.tensor([row + [fill] * (CONTEXT - len(row)) for row in rows], dtype=torch.int32)
    return decoder.read(tokens, torch.tensor([len(row) for row in rows]))


def assert_reads(decoder: RowDecoder, rows: list[list[int]], fill: int = 256) -> None:
    hidden = read(decoder, rows, fill)
    torch.testing.assert_close(hidden, expected(decoder.model, rows), atol=1e-5, rtol=1e-5)


def random_ids(generator: torch.Generator, most: int) -> list[int]:
    """Between one and `most` ids."""
    count = int(torch.randint(1, most + 1, (1,), generator=generator))
    ids: list[int] = torch.randint(262, (count,), generator=generator).tolist()
    return ids


def changed(row: list[int], generator: torch.Generator) -> list[int]:
    """What may become of a row in one step of an environment, and sometimes worse."""
    chance = float(torch.rand((), generator=generator))
    if chance < 0.6:  # a step
        return row + random_ids(generator, 1)
    if chance < 0.7:  # a row that is left over
        return row
    if chance < 0.8:  # the world's reply
        return row + random_ids(generator, 9)
    if chance < 0.9:  # another episode, with the same first ids
        return row[:3] + random_ids(generator, 12)
    return random_ids(generator, len(row))  # another of the same length, or shorter


def streams(n_rows: int, steps: int, seed: int) -> Iterator[list[list[int]]]:
    generator = torch.Generator().manual_seed(seed)
    rows = [random_ids(generator, 20) for _ in range(n_rows)]
    for _ in range(steps):
        yield rows
        rows = [changed(row, generator)[:CONTEXT] for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_plain_forward_over_random_streams(model: Any, seed: int) -> None:
    decoder = RowDecoder(model, 256)
    for rows in streams(5, 25, seed):
        assert_reads(decoder, rows)


def test_equals_a_plain_forward_when_every_row_grows(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    rows, starts, n_steps = [[65] * 9, [66], [67] * 60], torch.tensor([9, 1, 60]), 70
    for row, ids in zip(rows, torch.arange(7 * n_steps).reshape(n_steps, 7).T, strict=False):
        row += (ids % 262).tolist()
    truth = states(model, rows)
    for step in range(n_steps):  # past the first block of the cache
        lengths = starts + step
        hidden = read(decoder, [row[:n] for row, n in zip(rows, lengths.tolist(), strict=True)])
        torch.testing.assert_close(
            hidden, truth[torch.arange(3), lengths - 1], atol=1e-5, rtol=1e-5
        )


def test_one_row_may_grow_while_many_are_left_over(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    rows = [[index, index + 1] for index in range(12)]
    for step in range(12):
        assert_reads(decoder, rows)
        rows[step % 3].append(step)


def test_a_row_replaced_by_another_of_the_same_length_is_read_again(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert_reads(decoder, [[9, 2, 3, 4], [5, 6, 7, 8]])
    assert_reads(decoder, [[9, 2, 3, 10], [5, 6, 7, 8]])


def test_a_row_replaced_by_another_that_is_one_longer_is_read_again(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert_reads(decoder, [[9, 2, 3, 4, 11], [5, 6, 7, 8, 11]])


def test_a_row_may_shrink_to_its_own_beginning(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert_reads(decoder, [[1, 2], [5, 6, 7, 8, 9]])
    assert_reads(decoder, [[1, 2, 3], [5, 6, 7, 8, 9]])


def test_what_stands_behind_a_row_does_not_matter(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[1, 2, 3, 4], [5, 6, 7]], fill=4)
    assert_reads(decoder, [[1, 2, 3], [5, 6, 7]], fill=4)
    assert_reads(decoder, [[1, 2, 3, 4], [5, 6, 7, 9]], fill=-1)
    assert_reads(decoder, [[1, 2, 3, 4, 4], [5, 6, 7, 9, 9]], fill=2**31 - 1)
    assert_reads(decoder, [[1, 2, 3, 4, 4], [5, 6, 7, 9, 9]], fill=-(2**31))


def test_a_row_may_fill_the_context(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[3] * (CONTEXT - 1), [4] * 5, [5] * 2])
    assert_reads(decoder, [[3] * CONTEXT, [4] * 6, [5] * 3])
    assert_reads(decoder, [[3] * CONTEXT, [4] * 7, [5] * 4])


def test_long_and_short_news_are_read_together(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "_READ_AT_ONCE", 30)
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[1] * 50, [2] * 3, [3] * 20, [4], [5] * 9])
    assert_reads(decoder, [[1] * 50 + [7] * 3, [2] * 40, [3] * 20, [4, 4], [5] * 14])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_takes_ids_of_either_width(llama: Any, dtype: torch.dtype) -> None:
    decoder = RowDecoder(llama, 256)
    tokens, lengths = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=dtype), torch.tensor([2, 3])
    hidden = decoder.read(tokens, lengths.to(dtype))
    torch.testing.assert_close(hidden, expected(llama, [[1, 2], [4, 5, 6]]), atol=1e-5, rtol=1e-5)


def test_another_number_of_rows_starts_anew(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    assert_reads(decoder, [[1, 2, 3]] * 4)
    assert_reads(decoder, [[1, 2, 3, 4]] * 2)
    assert_reads(decoder, [[1, 2, 3, 4, 5]] * 6)


def test_another_context_keeps_the_cache(llama: Any) -> None:
    decoder = RowDecoder(llama, 256)
    assert_reads(decoder, [[1, 2, 3], [4, 5]])
    hidden = decoder.read(torch.tensor([[1, 2, 3, 9], [4, 5, 9, 0]]), torch.tensor([4, 3]))
    torch.testing.assert_close(
        hidden, expected(llama, [[1, 2, 3, 9], [4, 5, 9]]), atol=1e-5, rtol=1e-5
    )
    hidden = decoder.read(torch.tensor([[1], [4]]), torch.tensor([1, 1]))
    torch.testing.assert_close(hidden, expected(llama, [[1], [4]]), atol=1e-5, rtol=1e-5)


def test_changed_weights_are_noticed(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    rows = [[1, 2, 3], [4, 5, 6]]
    before = read(decoder, rows)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.tensor(rows)).logits[..., 0].sum().backward()
    optimizer.step()
    assert not torch.allclose(read(decoder, rows), before)
    assert_reads(decoder, [[*row, 7] for row in rows])


def test_weights_put_in_the_place_of_others_are_noticed(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    rows = [[1, 2, 3], [4, 5, 6]]
    assert_reads(decoder, rows)
    others = {name: weight + 0.1 for name, weight in model.state_dict().items()}
    model.load_state_dict(others, assign=True)
    assert_reads(decoder, rows)
    assert_reads(decoder, [[*row, 7] for row in rows])


def test_weights_written_behind_the_back_of_torch_need_forget(llama: Any) -> None:
    decoder = RowDecoder(llama, 256)
    rows = [[1, 2, 3], [4, 5, 6]]
    assert_reads(decoder, rows)
    llama.model.layers[0].mlp.up_proj.weight.data.mul_(2)
    decoder.forget()
    assert_reads(decoder, [[*row, 7] for row in rows])


def test_a_fork_spares_the_reading(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = RowDecoder(llama, 256)
    assert_reads(decoder, [[1, 2, 3], [4, 5, 6, 7], [8], [9, 9]])
    decoder.fork(torch.tensor([0, 1, 0]), torch.tensor([1, 2, 3]))  # row 1 goes to 2 as it was
    monkeypatch.setattr(row_cache._LlamaRows, "_read_rows", None)
    assert_reads(decoder, [[1, 2, 3, 5], [1, 2, 3, 6], [4, 5, 6, 7, 8], [1, 2, 3]])


def test_a_fork_may_be_ignored(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    decoder.fork(torch.tensor([0]), torch.tensor([1]))  # before anything was read
    assert_reads(decoder, [[1, 2, 3], [4, 5]])
    decoder.fork(torch.tensor([0]), torch.tensor([1]))
    assert_reads(decoder, [[1, 2, 3, 4], [4, 5, 6]])


def test_a_growing_row_costs_one_id_and_a_row_left_over_none(
    llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmgym.policies.llama_layers import LlamaLayers

    embed, counts = LlamaLayers.embed, list[int]()

    def counted(self: LlamaLayers, ids: Tensor) -> Tensor:
        counts.append(ids.numel())
        return embed(self, ids)

    monkeypatch.setattr(LlamaLayers, "embed", counted)
    decoder = RowDecoder(llama, 256)
    read(decoder, [[1, 2, 3], [4, 5, 6]])
    read(decoder, [[1, 2, 3, 4], [4, 5, 6, 7]])
    read(decoder, [[1, 2, 3, 4], [4, 5, 6, 7]])
    read(decoder, [[1, 2, 3, 5], [4, 5, 6, 7]])  # shares three ids with what it was
    assert counts == [6, 2, 1]


def test_training_mode_does_not_matter(model: Any) -> None:
    """Nor does the dropout that most of these models have."""
    truth = expected(model, [[1, 2, 3], [4]])
    decoder = RowDecoder(model.train(), 256)
    torch.testing.assert_close(read(decoder, [[1, 2, 3], [4]]), truth, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows", [[[1, 2, 3, 7], [9, 5]], [[1, 2, 3, 7, 8], [9, 5, 6]], [[6], [5]]])
def test_an_interrupted_reading_is_done_again(
    llama: Any, rows: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = RowDecoder(llama, 256)
    before = [[1, 2, 3], [9]]
    read(decoder, before)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "silu", interrupt)
        with pytest.raises(KeyboardInterrupt):
            read(decoder, rows)
    assert_reads(decoder, before)
    assert_reads(decoder, [[*row, 11] for row in rows])


def test_hidden_states_are_the_callers_own(model: Any) -> None:
    decoder = RowDecoder(model, 256)
    rows = [[1, 2, 3], [4, 5, 6]]
    read(decoder, rows).zero_()
    assert_reads(decoder, rows)
    head = torch.nn.Linear(32, 1)
    head(read(decoder, rows)).sum().backward()  # a value head learns from them
    assert head.weight.grad is not None


def test_bfloat16_is_as_exact_as_the_forward(llama: Any) -> None:
    half = llama.to(torch.bfloat16)
    full = copy.deepcopy(half).float()
    truth = torch.cat([expected(full, rows) for rows in streams(5, 20, 0)])
    theirs = torch.cat([expected(half, rows) for rows in streams(5, 20, 0)])
    decoder = RowDecoder(half, 256)
    ours = torch.cat([read(decoder, rows) for rows in streams(5, 20, 0)])
    assert (ours - truth).abs().mean() < 1.5 * (theirs - truth).abs().mean()


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 5), [3], r"shape \(2, 5\) and lengths of shape \(1,\)"),
        ((5,), [3], r"\(N, context\) and \(N,\)"),
        ((0, 5), [], "N at least 1"),
        ((2, 5), [0, 3], "from 0 to 3; a row has 1 to 5 ids"),
        ((2, 5), [6, 3], "from 3 to 6; a row has 1 to 5 ids"),
    ],
)
def test_rows_that_make_no_sense_are_an_error(
    llama: Any, shape: tuple[int, ...], lengths: list[int], message: str
) -> None:
    decoder = RowDecoder(llama, 256)
    with pytest.raises(LmgymError, match=message):
        decoder.read(torch.zeros(shape, dtype=torch.int32), torch.tensor(lengths))


@pytest.mark.parametrize("world", ["lmgym/GuessNumber-v0", "lmgym/Math-v0"])
@pytest.mark.parametrize("autoreset_mode", ["same_step", "next_step"])
def test_reads_what_a_batched_environment_shows(
    llama: Any, world: str, autoreset_mode: str
) -> None:
    make_vec: Any = gym.make_vec  # its arguments are those of the environment as well
    env = make_vec(world, num_envs=6, autoreset_mode=autoreset_mode, max_tokens=12)
    decoder = RowDecoder(llama, 256)
    rng = np.random.default_rng(0)
    observations, _ = env.reset(seed=0)
    for step in range(35):
        tokens, lengths = observations["tokens"], observations["length"][:, 0]
        rows = [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]
        hidden = decoder.read(torch.from_numpy(tokens), torch.from_numpy(lengths))
        torch.testing.assert_close(hidden, expected(llama, rows), atol=1e-5, rtol=1e-5)
        if step % 20 == 10:
            env.fork([0, 1], [3, 4])
            decoder.fork(torch.tensor([0, 1]), torch.tensor([3, 4]))
        actions = rng.choice([*b"0123456789", 257, 257], size=6)
        observations, *_ = env.step(actions)
