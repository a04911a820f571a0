"""The estimator of best-of-N, the KL, the fits, and what a study writes."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.factory import make_source, make_task
from lmgym.overoptimization import (
    Curve,
    Fit,
    best_of_n_curve,
    best_of_n_kl,
    best_of_n_weights,
    collect_best_of_n,
    fit_curve,
    kl_bound,
    mean_curve,
    run_curve,
    write_study,
)
from lmgym.rollouts import RolloutCollector

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=7)


def over_subsets(proxy: list[float], values: list[float], n: int) -> float:
    """The mean over all subsets of n, ties shared, by enumeration."""
    found = []
    for subset in combinations(range(len(proxy)), n):
        best = max(proxy[i] for i in subset)
        ties = [values[i] for i in subset if proxy[i] == best]
        found.append(sum(ties) / len(ties))
    return float(np.mean(found))


@given(SCORES, st.data())
def test_the_estimate_is_the_mean_over_all_subsets(proxy: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(proxy)))
    values = data.draw(
        st.lists(st.floats(-5, 5), min_size=len(proxy), max_size=len(proxy)), label="values"
    )
    estimate = best_of_n_weights(np.array(proxy), n) @ np.array(values)
    assert estimate == pytest.approx(over_subsets(proxy, values, n), abs=1e-9)


@given(SCORES, st.data())
def test_weights_are_chances_and_do_not_depend_on_the_order(
    proxy: list[float], data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(proxy)))
    weights = best_of_n_weights(np.array(proxy), n)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    order = data.draw(st.permutations(range(len(proxy))))
    moved = best_of_n_weights(np.array(proxy)[list(order)], n)
    assert moved == pytest.approx(weights[list(order)])


def test_many_samples_are_no_trouble() -> None:
    weights = best_of_n_weights(np.random.default_rng(0).normal(size=20_000), 4096)
    assert weights.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("n", [0, 4])
def test_an_n_beyond_the_samples_is_refused(n: int) -> None:
    with pytest.raises(LmgymError, match=f"best of {n} out of 3 samples"):
        best_of_n_weights(np.zeros(3), n)


def test_the_bound_starts_at_zero_and_grows_as_the_logarithm() -> None:
    assert kl_bound(1) == 0
    assert kl_bound(np.array([2, 4096])) == pytest.approx(
        [math.log(2) - 0.5, math.log(4096) - 4095 / 4096]
    )


def test_the_kl_of_different_samples_is_near_the_bound() -> None:
    proxy = np.random.default_rng(0).normal(size=20_000)
    for n in (1, 2, 8, 64):
        assert best_of_n_kl(proxy, n) == pytest.approx(float(kl_bound(n)), abs=0.01)


def test_the_kl_of_two_answers_is_exact() -> None:
    # one answer in four is better: best-of-2 takes it with chance 1 - (3/4)^2 = 7/16
    p = 7 / 16
    expected = p * math.log(p / 0.25) + (1 - p) * math.log((1 - p) / 0.75)
    assert best_of_n_kl(np.array([0.0, 0.0, 0.0, 1.0]), 2) == pytest.approx(expected)


def test_equal_rewards_leave_the_policy_where_it_is() -> None:
    assert best_of_n_kl(np.zeros(50), 16) == 0


@settings(max_examples=50)
@given(SCORES, st.integers(1, 64))
def test_the_kl_stays_below_the_bound(proxy: list[float], n: int) -> None:
    assert -1e-12 <= best_of_n_kl(np.array(proxy), n) <= float(kl_bound(n)) + 1e-9


def test_a_curve_averages_over_prompts() -> None:
    rng = np.random.default_rng(0)
    proxy, gold = rng.normal(size=(6, 32)), rng.normal(size=(6, 32))
    curve = best_of_n_curve(proxy, gold)
    assert curve.n.tolist() == [1, 2, 4, 8, 16, 32]
    assert curve.gold is not None
    assert curve.gold[0] == pytest.approx(gold.mean())
    assert curve.proxy[-1] == pytest.approx(proxy.max(1).mean())
    assert curve.gold[-1] == pytest.approx(gold[np.arange(6), proxy.argmax(1)].mean())
    assert (np.diff(curve.proxy) > 0).all()
    assert curve.proxy_interval is not None
    assert (curve.proxy_interval[:, 0] < curve.proxy).all()
    assert curve.distance == pytest.approx(np.sqrt(kl_bound(curve.n)))


def test_a_curve_of_one_prompt_has_no_intervals_and_without_gold_no_gold() -> None:
    curve = best_of_n_curve(np.arange(8.0).reshape(1, 8), ns=[4, 1, 4])
    assert curve.n.tolist() == [1, 4]
    assert curve.gold is None
    assert curve.proxy_interval is None
    assert curve.fit("gold") is None


@pytest.mark.parametrize(
    ("proxy", "gold", "message"),
    [
        (np.zeros(3), None, r"proxy has shape \(3,\); allowed is \(prompts, samples\)"),
        (np.zeros((0, 3)), None, r"proxy has shape \(0, 3\)"),
        (np.zeros((2, 3)), np.zeros((3, 2)), "gold has shape"),
        (np.full((2, 3), np.nan), None, "proxy holds numbers that are not finite"),
        (np.zeros((2, 3)), np.full((2, 3), np.inf), "gold holds numbers that are not finite"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(
    proxy: np.ndarray, gold: np.ndarray | None, message: str
) -> None:
    with pytest.raises(LmgymError, match=message):
        best_of_n_curve(proxy, gold)


@pytest.mark.parametrize(("kind", "peak"), [("best_of_n", 1.5 / 0.8), ("rl", math.exp(2.75))])
def test_a_fit_finds_the_curve_that_made_the_points(kind: str, peak: float) -> None:
    distance = np.linspace(0, 4, 20)
    made = Fit(kind, 1.5, 0.4, start=0.7)  # type: ignore[arg-type]
    found = fit_curve(distance, made(distance), kind)  # type: ignore[arg-type]
    assert found is not None
    assert (found.alpha, found.beta, found.start) == pytest.approx((1.5, 0.4, 0.7))
    assert found.r_squared == pytest.approx(1)
    assert found.peak == pytest.approx(peak)
    assert made(np.array([found.peak]))[0] >= made(distance).max() - 1e-9


def test_a_curve_that_never_falls_has_no_peak() -> None:
    assert Fit("rl", 1.0, -0.1).peak == math.inf
    assert Fit("best_of_n", 1.0, 0.0).peak == math.inf


def test_two_points_are_too_few_for_a_fit() -> None:
    assert fit_curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "rl") is None


def heavy_tailed() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    proxy = rng.standard_t(3, size=(24, 1024))
    return proxy, proxy - 0.08 * np.maximum(proxy, 0) ** 2


def test_over_optimisation_is_seen() -> None:
    curve = best_of_n_curve(*heavy_tailed())
    assert curve.gold is not None
    peak = int(curve.gold.argmax())
    assert 0 < peak < len(curve.n) - 1
    assert curve.gold[-1] < curve.gold[peak] - 0.5
    assert (np.diff(curve.proxy) > 0).all()
    fit = curve.fit("gold")
    assert fit is not None
    assert 0 < fit.peak < curve.distance[-1]


def test_samples_of_a_policy_make_a_curve() -> None:
    def length(prompts: list[str], completions: list[str]) -> list[float]:
        return [float(len(text)) for text in completions]

    policy = new_policy(16, 1, 0)
    collector = RolloutCollector(policy, make_task("lmgym/Preference-v0"), make_source(length))
    told: list[tuple[int, int]] = []
    curve = collect_best_of_n(
        collector,
        torch.Generator().manual_seed(0),
        n_prompts=3,
        samples=8,
        on_progress=lambda *done: told.append(done),
    )
    assert curve.n.tolist() == [1, 2, 4, 8]
    assert curve.gold is not None
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert curve.proxy[0] < curve.proxy[-1]


def test_unscored_samples_are_refused() -> None:
    def nothing(prompts: list[str], completions: list[str]) -> list[None]:
        return [None for _ in completions]

    collector = RolloutCollector(
        new_policy(16, 1, 0), make_task("lmgym/Copy-v0"), make_source(nothing)
    )
    with pytest.raises(LmgymError, match="could not score 4 of 4 answers"):
        collect_best_of_n(collector, torch.Generator().manual_seed(0), n_prompts=1, samples=4)


def write_run(folder: Path, rows: list[dict[str, float]]) -> Path:
    folder.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text)
    return folder


def test_a_run_makes_a_curve(tmp_path: Path) -> None:
    rows = [
        {"step": n, "reward": n / 2, "gold_reward": -n, "reference_kl": n * n} for n in range(4)
    ]
    run = write_run(tmp_path / "run", [*rows, {"step": 4, "validation/greedy": 1.0}])
    curve = run_curve(run)
    assert (curve.label, curve.kind, curve.n.tolist()) == ("run", "rl", [0, 1, 2, 3])
    assert curve.distance.tolist() == [0, 1, 2, 3]
    assert curve.gold is not None
    assert curve.gold.tolist() == [0, -1, -2, -3]


def test_a_run_without_its_kl_is_told_what_to_do(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [{"step": 0, "reward": 1.0}])
    with pytest.raises(
        LmgymError, match=r"logged no reward and reference_kl; train with .*--log-kl"
    ):
        run_curve(run)


def test_curves_of_several_seeds_have_a_mean_with_intervals() -> None:
    rng = np.random.default_rng(0)
    curves = [best_of_n_curve(rng.normal(size=(4, 8)), rng.normal(size=(4, 8))) for _ in range(3)]
    mean = mean_curve(curves)
    golds = [curve.gold for curve in curves]
    assert mean.gold is not None
    assert mean.gold == pytest.approx(np.mean(golds, axis=0))  # type: ignore[arg-type]
    assert mean.gold_interval is not None
    assert (mean.gold_interval[:, 0] < mean.gold).all()
    assert mean.kl == pytest.approx(curves[0].kl)
    with pytest.raises(LmgymError, match="only curves with the same numbers"):
        mean_curve([curves[0], best_of_n_curve(np.zeros((2, 4)))])


def test_the_mean_of_learners_is_as_far_as_they_are_on_average() -> None:
    near, far = (
        Curve("GRPO", "rl", np.arange(2), np.array([0.0, kl]), np.zeros(2)) for kl in (1.0, 3.0)
    )
    assert mean_curve([near, far]).kl.tolist() == [0, 2]


def test_curves_that_have_no_mean_are_told() -> None:
    with pytest.raises(LmgymError, match="no curves have no mean"):
        mean_curve([])
    known = best_of_n_curve(np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(LmgymError, match="1 of 2 curves know the gold reward"):
        mean_curve([known, best_of_n_curve(np.zeros((2, 4)))])


@pytest.mark.parametrize("ns", [[], [2.5], ["4"], [None, 1]])
def test_an_n_that_is_no_whole_number_is_refused(ns: list[int]) -> None:
    with pytest.raises(LmgymError, match=r"ns is .*give whole numbers, one or more"):
        best_of_n_curve(np.zeros((2, 4)), ns=ns)


def test_the_curve_of_learners_bends_with_the_logarithm_of_the_distance() -> None:
    found = Fit("rl", 2.0, 0.5, start=1.0)(np.array([0.0, 1.0, math.e]))
    assert found.tolist() == pytest.approx([1, 3, 1 + 1.5 * math.e])


def test_a_study_is_written_with_its_figure(tmp_path: Path) -> None:
    curve = best_of_n_curve(*heavy_tailed(), ns=[1, 8, 64])
    learner = Curve("GRPO", "rl", np.arange(3), np.array([-0.1, 1, 4]), np.arange(3.0))
    out, plot = tmp_path / "new" / "study.json", tmp_path / "study.png"
    write_study([curve, learner], out, plot=plot, title="A study", facts={"seed": 3})
    written = json.loads(out.read_text())
    assert written["seed"] == 3
    first, second = written["curves"]
    assert first["n"] == [1, 8, 64]
    assert {"alpha", "beta", "r_squared"} < set(first["gold_fit"])
    assert second["label"] == "GRPO"
    assert "gold" not in second
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "study.png"]


def test_nothing_is_written_where_the_figure_has_no_place(tmp_path: Path) -> None:
    curve = best_of_n_curve(np.arange(8.0).reshape(1, 8))
    with pytest.raises(LmgymError, match=r"does not name a \.png file"):
        write_study([curve], tmp_path / "study.json", plot=tmp_path / "study.jpg")
    assert not list(tmp_path.iterdir())
