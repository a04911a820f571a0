from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.training.batches import batch_transcripts, rows_by_tokens, split_by_tokens
from lmgym.transcript import Segment, Transcript


def segment(prompt: int, drawn: int, first: int = 1) -> Segment:
    ids = tuple(range(first, first + prompt + drawn))
    mask = (0,) * prompt + (1,) * drawn
    logprobs = tuple(-0.25 * i * m for i, m in zip(ids, mask, strict=True))
    return Segment(ids, (1,) * len(ids), mask, prompt, (), logprobs)


def transcript(*segments: Segment) -> Transcript:
    return Transcript((), segments, task_id="t")


SHORT, LONG = segment(2, 1), segment(1, 4, first=10)


def test_rows_are_padded_on_the_right() -> None:
    batch = batch_transcripts([transcript(SHORT), transcript(LONG)], pad_id=99)
    assert batch.ids.tolist() == [[1, 2, 3, 99, 99], [10, 11, 12, 13, 14]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.loss_mask.tolist() == [[0, 0, 1, 0, 0], [0, 1, 1, 1, 1]]
    assert batch.logprobs.tolist()[0] == [0, 0, -0.75, 0, 0]
    assert batch.ids.dtype == batch.attention_mask.dtype == torch.long
    assert batch.loss_mask.dtype == batch.logprobs.dtype == torch.float32


def test_targets_are_shifted_by_one() -> None:
    batch = batch_transcripts([transcript(LONG)], pad_id=0)
    assert batch.targets.tolist() == [[11, 12, 13, 14]]
    assert batch.target_mask.tolist() == [[1, 1, 1, 1]]
    assert batch.target_logprobs.tolist() == [[-2.75, -3.0, -3.25, -3.5]]


def test_each_segment_is_a_row_that_knows_its_transcript() -> None:
    batch = batch_transcripts([transcript(SHORT, LONG), transcript(SHORT)], pad_id=0)
    assert len(batch) == 3
    assert batch.transcript.tolist() == [0, 0, 1]
    assert torch.tensor([0.5, -1.0])[batch.transcript].tolist() == [0.5, 0.5, -1.0]
    assert batch.n_loss_tokens == 6


def test_a_pad_id_inside_the_text_is_kept() -> None:
    batch = batch_transcripts([transcript(SHORT), transcript(LONG)], pad_id=3)
    assert batch.attention_mask[0].tolist() == [1, 1, 1, 0, 0]
    assert batch.loss_mask[0, 2] == 1


def test_transcripts_without_ids_are_refused() -> None:
    with pytest.raises(LmgymError, match="made from strings"):
        batch_transcripts([Transcript.from_strings("1+1=", "2")], pad_id=0)


def test_missing_logprobs_are_refused_only_where_needed() -> None:
    silent = transcript(replace(SHORT, logprobs=None))
    with pytest.raises(LmgymError, match="'t' has no log-probabilities"):
        batch_transcripts([silent], pad_id=0)
    batch = batch_transcripts([silent], pad_id=0, needs_logprobs=False)
    assert batch.logprobs.tolist() == [[0, 0, 0]]


def test_no_transcripts_are_refused() -> None:
    with pytest.raises(LmgymError, match="at least one transcript"):
        batch_transcripts([], pad_id=0)


def test_misaligned_segments_are_refused() -> None:
    with pytest.raises(LmgymError, match="3 ids, but 3 mask values and 1 log-prob"):
        batch_transcripts([transcript(replace(SHORT, logprobs=(0.0,)))], pad_id=0)


def test_an_id_that_nothing_predicts_is_refused() -> None:
    with pytest.raises(LmgymError, match="nothing predicts"):
        batch_transcripts([transcript(segment(0, 2))], pad_id=0)


def test_select_cuts_to_the_longest_chosen() -> None:
    batch = batch_transcripts([transcript(SHORT), transcript(LONG), transcript(SHORT)], pad_id=0)
    chosen = batch.select([2, 0])
    assert chosen.ids.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert chosen.transcript.tolist() == [2, 0]


def test_to_moves_every_tensor() -> None:
    moved = batch_transcripts([transcript(SHORT)], pad_id=0).to("meta")
    assert {moved.ids.device.type, moved.transcript.device.type} == {"meta"}


def test_micro_batches_hold_every_row_once_within_the_budget() -> None:
    segments = [segment(1 + n % 3, 1 + n % 5, first=10 * n) for n in range(12)]
    batch = batch_transcripts([transcript(s) for s in segments], pad_id=0)
    seen: list[int] = []
    for rows, micro in split_by_tokens(batch, max_tokens=20):
        assert micro.ids.numel() <= 20
        width = micro.ids.shape[1]
        torch.testing.assert_close(micro.ids, batch.ids[rows, :width])
        torch.testing.assert_close(micro.target_logprobs, batch.target_logprobs[rows, : width - 1])
        seen += rows.tolist()
    assert sorted(seen) == list(range(12))


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_rows_by_tokens_keeps_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(rows_by_tokens(lengths, budget))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[row] for row in group)
        assert len(group) == 1 or len(group) * longest <= budget


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(LmgymError, match="max_tokens must be at least 1; given 0"):
        list(rows_by_tokens([1], 0))
