"""Sizes in a config that do not fit one another."""

from __future__ import annotations

from typing import Any

import pytest

from lmgym.leaderboards.submissions.config_sizes import misfits


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"layer_types": ["full_attention"]}, "layer_types has 1 kinds for 2 layers"),
        (
            {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": None},
            "layer_types has sliding_attention, without a sliding_window that is used",
        ),
        (
            {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 8},
            "layer_types has sliding_attention, without a sliding_window that is used",
        ),
    ],
)
def test_windows_that_are_missing_are_told(changes: dict[str, Any], told: str) -> None:
    qwen = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, **changes}
    assert misfits(qwen, "qwen2") == [told]
    window = {"sliding_window": 8, "use_sliding_window": True}
    layers = {"layer_types": ["full_attention", "sliding_attention"]}
    assert misfits(qwen | window | layers, "qwen2") == []


def test_a_part_of_a_head_is_turned_in_pairs() -> None:
    neox = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1}
    assert misfits(neox, "gpt_neox") == []
    assert misfits(neox | {"rotary_pct": 0.1}, "gpt_neox") == [
        "a head has 8 numbers, of which 0 are turned, which rotations cannot turn in pairs"
    ]
    rope = {"partial_rotary_factor": 0.5}
    assert misfits(neox | {"rope_parameters": rope, "rotary_pct": 0.1}, "gpt_neox") == []
