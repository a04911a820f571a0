"""The sampling loop and how ids are drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.sampling import Drawing, generate, left_padded


class CountingDecoder:
    """Says `last id + 1` with near certainty, and notes what it is asked."""

    device = torch.device("cpu")

    def __init__(self, vocab_size: int = 10, *, drops_rows: bool = True) -> None:
        self.vocab_size = vocab_size
        self.drops_rows = drops_rows
        self.read: list[tuple[int, ...]] = []
        self.batch_sizes: list[int] = []

    def prefill(self, prompts: Sequence[Sequence[int]], parents: Tensor) -> Tensor:
        self.read += [tuple(prompt) for prompt in prompts]
        return self._logits(torch.tensor([prompt[-1] for prompt in prompts])[parents])

    def step(self, ids: Tensor) -> Tensor:
        self.batch_sizes.append(len(ids))
        return self._logits(ids)

    def keep(self, rows: Tensor) -> None:
        assert self.drops_rows

    def _logits(self, ids: Tensor) -> Tensor:
        return 100.0 * torch.nn.functional.one_hot((ids + 1) % self.vocab_size, self.vocab_size)


class FlatDecoder(CountingDecoder):
    """Finds every id equally likely."""

    def _logits(self, ids: Tensor) -> Tensor:
        return torch.zeros(len(ids), self.vocab_size)


GREEDY = Drawing(greedy=True)


def seeded(seed: int = 0, temperature: float = 1.0) -> Drawing:
    return Drawing(temperature, generator=torch.Generator().manual_seed(seed))


def test_stops_at_any_end_id_and_keeps_it() -> None:
    ids, logprobs = generate(
        CountingDecoder(), [[0], [4], [8]], [9, 9, 9], frozenset({3, 7}), GREEDY
    )
    assert ids == [[1, 2, 3], [5, 6, 7], [9, 0, 1, 2, 3]]
    assert [len(row) for row in logprobs] == [3, 3, 5]


def test_honours_the_budget_of_each_row() -> None:
    ids, _ = generate(CountingDecoder(), [[0], [0], [0], [0]], [2, 0, 5, 1], frozenset({4}), GREEDY)
    assert ids == [[1, 2], [], [1, 2, 3, 4], [1]]


def test_draws_nothing_without_a_budget() -> None:
    assert generate(CountingDecoder(), [[1]], [0], frozenset(), GREEDY) == ([[]], [[]])
    assert generate(CountingDecoder(), [], [], frozenset(), GREEDY) == ([], [])


def test_reads_equal_prompts_once() -> None:
    decoder = CountingDecoder()
    generate(decoder, [[1, 2], [3], [1, 2], [3]], [1, 1, 1, 1], frozenset(), GREEDY)
    assert decoder.read == [(1, 2), (3,)]


def test_drops_finished_rows() -> None:
    decoder = CountingDecoder(vocab_size=50)
    generate(decoder, [[0]] * 4 + [[40]] * 4, [20] * 8, frozenset({45}), GREEDY)
    assert decoder.batch_sizes[:5] == [8, 8, 8, 8, 4]


@pytest.mark.parametrize("seed", range(5))
def test_what_a_row_draws_does_not_depend_on_dropping_others(seed: int) -> None:
    prompts, budgets = [[1]] * 12, [3, 30, 7, 1] * 3
    dropping = generate(FlatDecoder(), prompts, budgets, frozenset({0}), seeded(seed))
    keeping = generate(
        FlatDecoder(drops_rows=False), prompts, budgets, frozenset({0}), seeded(seed)
    )
    assert dropping == keeping


def test_the_same_seed_draws_the_same() -> None:
    first, again, other = (
        generate(FlatDecoder(), [[1]] * 3, [20] * 3, frozenset(), seeded(seed))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_larger_budget_continues_the_same_draws() -> None:
    short, _ = generate(FlatDecoder(), [[1]] * 3, [5] * 3, frozenset(), seeded())
    long, _ = generate(FlatDecoder(), [[1]] * 3, [9] * 3, frozenset(), seeded())
    assert [row[:5] for row in long] == short


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_distribution_at_the_temperature(temperature: float) -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, -torch.inf, 2.0, 0.5])
    expected = (logits / temperature).softmax(0)
    drawing, rows = seeded(3, temperature), 20_000
    ids, logprobs = drawing.draw(
        logits.expand(rows, -1), drawing.uniforms(1, rows, torch.device("cpu"))[0]
    )
    counts = Counter(ids.tolist())
    assert counts[3] == 0
    # Pearson's statistic, 4 degrees of freedom: above 23.5 once in 10,000 seeds.
    likely = [i for i in range(6) if i != 3]
    statistic = sum((counts[i] / rows - float(expected[i])) ** 2 / expected[i] for i in likely)
    assert rows * statistic < 23.5
    torch.testing.assert_close(logprobs, expected.log()[ids])


def test_the_extremes_of_chance_draw_possible_ids() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).expand(2, -1)
    extremes = torch.tensor([[0.0], [math.nextafter(1.0, 0.0)]], dtype=torch.float64)
    ids, _ = seeded().draw(logits, extremes)
    assert ids.tolist() == [1, 2]


def test_greedy_reports_logprobs_at_the_temperature() -> None:
    logits = torch.tensor([[1.0, 3.0]])
    ids, logprobs = Drawing(temperature=2.0, greedy=True).draw(logits, torch.empty(1, 0))
    assert ids.tolist() == [1]
    torch.testing.assert_close(logprobs, (logits / 2).log_softmax(1)[:, 1])


def test_logits_that_are_not_numbers_are_an_error() -> None:
    class Diverged(CountingDecoder):
        def _logits(self, ids: Tensor) -> Tensor:
            return torch.full((len(ids), self.vocab_size), torch.nan)

    with pytest.raises(LmgymError, match="diverged"):
        generate(Diverged(), [[1]], [3], frozenset(), seeded())


def test_pads_on_the_left() -> None:
    ids, mask = left_padded([[1, 2, 3], [4]], pad_id=9)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
