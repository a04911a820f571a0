"""The benchmark of ratings, over a handful of players and matches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmgym.errors import LmgymError

Script = Callable[[str], Any]


@pytest.mark.slow
def test_it_claims_costs_games_and_coverage_without_peers(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings, out = script("ratings"), tmp_path / "ratings.json"
    monkeypatch.setattr(ratings, "peer_versions", lambda: {"evalica": "not installed"})
    sizes = ["--players", "6", "--matches", "3000", "--simulations", "2", "--repetitions", "2"]
    assert ratings.main([*sizes, "--out", str(out)]) in (0, 1)
    written = json.loads(out.read_text(encoding="utf-8"))
    claims = {claim["what"]: claim for claim in written["claims"]}
    for what in ("count, fit, sandwich, ranks", "100 bootstraps", "alpha-rank, alpha = 100, ours"):
        assert len(claims[what]["values"]) == 2
        assert min(claims[what]["values"]) > 0
    for intervals in ("sandwich", "bootstrap"):
        assert 60 < claims[f"coverage of 95 % intervals, {intervals}, Davidson"]["values"][0] <= 100
    assert written["peers"] == {"evalica": "not installed"}


def test_figures_over_runs_have_points_between_their_ends(script: Script) -> None:
    ratings, np = script("ratings"), script("numpy")
    scores = {name: np.random.default_rng(seed).random((5, 4)) for seed, name in enumerate("ab")}

    def resampling() -> Any:
        return ratings.Resampling(np.random.default_rng(0), 50)

    found = ratings.our_figures(scores, np.array([0.2, 0.5]), resampling)
    assert found["profile of b"].shape == (3, 2)
    assert {"mean of a", "interquartile mean of b", "improvement"} <= found.keys()
    for point, low, high in found.values():
        assert np.all((low <= point) & (point <= high))


@pytest.mark.parametrize("words", [("--players", "2"), ("--matches", "0")])
def test_what_makes_no_sense_is_a_clear_error(script: Script, words: tuple[str, ...]) -> None:
    with pytest.raises(LmgymError, match="--players counts from 3 on"):
        script("ratings").main(list(words))
