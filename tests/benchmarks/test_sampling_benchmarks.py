"""The benchmarks of sampling, over a handful of ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


def test_a_group_is_compared_with_reading_each_prompt(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmgym.policies.llama_caches._WORTH_SHARING", 1)
    out = tmp_path / "group.json"
    sizes = ["--prompt", "40", "--new", "4", "--hidden-size", "16", "--n-layers", "1"]
    words = [*sizes, "--group-size", "3", "--repetitions", "2", "--out", str(out)]
    assert script("group_prefill").main(words) in (0, 1)
    claims = json.loads(out.read_text())["claims"]
    assert [len(claim["values"]) for claim in claims] == [2, 2, 2, 1]
    assert claims[3]["is_met"]


def test_a_group_of_one_shares_nothing(script: Script) -> None:
    with pytest.raises(LmgymError, match="two answers or more"):
        script("group_prefill").main(["--group-size", "1"])


def test_sampling_is_compared_with_generate(script: Script, tmp_path: Path) -> None:
    out = tmp_path / "sampling.json"
    words = ["--parts", "small", "--batches", "2", "--new", "3", "--repetitions", "1"]
    assert script("sampling_vs_hf").main([*words, "--out", str(out)]) in (0, 1)
    claims = json.loads(out.read_text())["claims"]
    assert [claim["unit"] for claim in claims] == ["ids/s", "x"] * 2


def test_an_unknown_part_is_an_error(script: Script) -> None:
    with pytest.raises(LmgymError, match="'large' is none of small, generic, smollm2"):
        script("sampling_vs_hf").main(["--parts", "small,large"])


def test_answers_that_differ_from_generate_are_an_error(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("sampling_vs_hf")
    monkeypatch.setattr(module, "_theirs", lambda policy, prompts, args: [[0]] * len(prompts))
    with pytest.raises(LmgymError, match="2 of 2 answers differ"):
        module.main(["--parts", "small", "--batches", "2", "--new", "3"])
