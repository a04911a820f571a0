"""The claims about reward models: small runs from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Script = Callable[[str], Any]


@pytest.mark.slow
def test_noise_study_writes_paired_intervals(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LMGYM_DATA", raising=False)
    out = tmp_path / "noise.json"
    words = ["--repetitions", "2", "--flips", "0,30", "--out", str(out)]
    script("claims.bt_vs_classification").main(words)
    written = json.loads(out.read_text())
    clean, noisy = (written["accuracy"][f"gold, 1500 pairs, {p}% flipped"] for p in (0, 30))
    assert clean["bradley_terry"] > noisy["bradley_terry"] > 0.6
    assert len(clean["classification_less_bradley_terry"]) == 3
    assert len(written["claims"]) == 2 * 2 + 2


def test_gold_prompts_differ_more_than_answers(script: Script) -> None:
    train, validation, test = script("claims.bt_vs_classification")._gold(300, seed=0)
    answers = test.raw[..., :-1]
    assert answers.mean(0).std() > 2 * (answers[0] - answers[1]).std() / np.sqrt(2)
    assert set(test.labels) == {0.0, 1.0}
    assert (len(train), len(validation), len(test)) == (300, 100, 2000)


def test_flips_are_as_many_as_asked_for(script: Script) -> None:
    module = script("claims.bt_vs_classification")
    _, _, test = module._gold(300, seed=0)
    flipped = module._flipped(test, 0.3, np.random.default_rng(0))
    assert np.mean(flipped.labels != test.labels) == pytest.approx(0.3, abs=0.03)


def test_length_rule_is_learned_from_the_training_part(script: Script) -> None:
    from lmgym.preferences.pairs import PreferenceDataset, PreferencePair

    module = script("claims.human_pairs")
    long_wins = PreferenceDataset.of([PreferencePair.of("q", "longer", "no")])
    tested = PreferenceDataset.of(
        [PreferencePair.of("p", "yes", "maybe"), PreferencePair.of("r", "maybe", "yes")]
    )
    rates = module._length_rates(tested, [(long_wins, np.arange(2))])
    assert rates.tolist() == [0.0, 1.0]


def test_each_pair_is_tested_once_and_not_by_a_model_that_saw_its_prompt(script: Script) -> None:
    from lmgym.preferences.pairs import PreferenceDataset, PreferencePair

    pairs = PreferenceDataset.of(
        PreferencePair.of(f"q{i % 20}", f"yes {i}", f"no {i}") for i in range(60)
    )
    studies = list(script("claims.human_pairs")._studies({"pandalm": pairs, "llmbar": pairs}, 3, 0))
    for _, tested, splits in studies[:2]:
        assert sorted(row for _, rows in splits for row in rows) == list(range(60))
        for train, rows in splits:
            held_out = {tested[int(row)].prompt for row in rows}
            assert not held_out & {pair.prompt for pair in train}
