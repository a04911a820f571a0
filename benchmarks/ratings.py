"""Ratings of 200 players from 2,000,000 matches, and other figures of leaderboards, beside peers.

Matches are drawn from Davidson's model between players of very different popularity and given as
small whole numbers. Ours counts and fits them; evalica takes lists of names or of numbers, which it
indexes anew, or its solver alone takes indices; arena-rank takes counts. All are measured in turn.
Coverage is of 95 % intervals in simulated leagues; memory is the most that a fresh process needs
for ratings and resamples. Alpha-rank is compared to OpenSpiel, statistics over runs and their
intervals to rliable, on shared resamples.

The peers are installed for measuring alone, apart from everything else; rows of those that are
missing are left out:

    pip install --no-deps --target /tmp/peers evalica arena-rank open-spiel rliable==1.2.0 \
        jax==0.8.1 jaxlib==0.8.1 optax chex toolz jaxtyping wadler-lindig opt_einsum ml_dtypes \
        pandas pytz ml-collections arch statsmodels patsy seaborn
    PYTHONPATH=/tmp/peers lmgym bench ratings
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lmgym.commands.arguments import parse_options
from lmgym.errors import LmgymError
from lmgym.leaderboards.arrays import Floats
from lmgym.leaderboards.metagame.alpha_rank import alpha_rank
from lmgym.leaderboards.metagame.nash import nash_averaging
from lmgym.leaderboards.pairwise.bradley_terry import BradleyTerryFit, Likelihood, fit_connected
from lmgym.leaderboards.pairwise.elo import elo_ratings
from lmgym.leaderboards.pairwise.match_counts import MatchCounts
from lmgym.leaderboards.pairwise.rating_bootstrap import bootstrap_strengths
from lmgym.leaderboards.ratings import ELO_PER_NAT, Intervals, rate
from lmgym.leaderboards.run_statistics.aggregate_metrics import (
    interquartile_mean,
    mean_score,
    median_of_tasks,
    optimality_gap,
)
from lmgym.leaderboards.run_statistics.performance_profiles import score_distribution
from lmgym.leaderboards.run_statistics.stratified_bootstrap import (
    Resampling,
    aggregate,
    bootstrap_statistic,
    compare_algorithms,
)
from measuring import Claim, Costs, MeasuringArgs, claimed, cpu_seconds, in_turn, ratios
from rating_peers import (
    arena_rank_measure,
    evalica_fits,
    openspiel_alpha_rank,
    peer_versions,
    rliable_figures,
)
from rating_simulations import MODELS, Codes, coverage, drawn_codes, names

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class RatingsArgs(MeasuringArgs):
    """Arguments of the benchmark."""

    repetitions: int = 5
    """Measurements of each kind, taken in turn."""
    players: int = 200
    """Players of the large league, and agents of the games."""
    matches: int = 2_000_000
    """Matches of the large league."""
    simulations: int = 400
    """Small leagues for the coverage of each kind of interval."""
    resamples: int = 500
    """Resamples of statistics over runs."""

    def __post_init__(self) -> None:
        """Raise where nothing would be measured."""
        super().__post_init__()
        if self.players < 3 or min(self.matches, self.simulations, self.resamples) < 1:
            raise LmgymError(
                "--players counts from 3 on, --matches, --simulations and --resamples from 1 on"
            )


def main(argv: list[str]) -> int:
    """Measure in turn, print, write; 1 where a bar is missed."""
    (args,) = parse_options({"ratings": RatingsArgs}, argv, "bench ratings", __doc__ or "")
    peers = peer_versions()
    for name, version in peers.items():
        print(f"{name}: {version}")
    has = {name for name, version in peers.items() if version != "not installed"}
    rng = np.random.default_rng(args.seed)
    strengths = rng.normal(0, 0.8, size=args.players)
    codes = drawn_codes(strengths, args.matches, rng, popularity=0.7)
    league = League(codes, args)
    seconds = {"league": league.costs(has), "games": {}}
    claims = [*league.claims(seconds["league"]), *memory_claims(codes, args)]
    claims += game_claims(args, has, seconds["games"])
    claims += coverage_claims(args)
    claims += statistics_claims(args) if "rliable" in has else []
    return claimed(claims, args, peers=peers, seconds=seconds)


class League:
    """The large league, and what each tool makes of it."""

    def __init__(self, codes: Codes, args: RatingsArgs) -> None:
        self._codes, self._args = codes, args
        self._names = names(args.players)
        self._found: dict[str, Floats] = {}

    def costs(self, has: set[str]) -> Costs:
        """CPU seconds of everything, in turn."""
        pairs = self._counts().pairs()
        kinds: dict[str, Any] = {
            "count": self._counts,
            "count, fit": self._fit,
            "count, fit, sandwich, ranks": lambda: rate(self._counts()),
            "the same, Davidson": lambda: rate(self._counts(), ties="davidson"),
            "fit": lambda: fit_connected(self._args.players, pairs),
            "100 bootstraps": self._bootstrap,
            "online Elo": lambda: elo_ratings(*self._codes, names=self._names),
        }
        if "evalica" in has:
            for way, act in evalica_fits(self._codes, self._names).items():
                kinds[f"evalica, {way}"] = partial(self._keep, "evalica", act)
        measures = {name: partial(cpu_seconds, act) for name, act in kinds.items()}
        if "arena-rank" not in has:
            return in_turn(measures, self._args.repetitions)
        with arena_rank_measure(self._args.players, pairs) as fit:
            measures["arena-rank, fit"] = partial(self._arena_rank_seconds, fit)
            return in_turn(measures, self._args.repetitions)

    def claims(self, costs: Costs) -> Iterable[Claim]:
        """Costs, their ratios, and how far apart the results are."""
        bars = {"count, fit, sandwich, ranks": 50.0, "100 bootstraps": 1000.0}
        for name, values in costs.items():
            yield Claim(name, [1e3 * value for value in values], "CPU ms", most=bars.get(name))
        fit = self._fit()
        ours = ELO_PER_NAT * fit.strengths
        if "evalica" in self._found:
            for way in (name for name in costs if name.startswith("evalica")):
                ratio = ratios(costs[way], costs["count, fit"])
                least = 50 if way == "evalica, from names" else None
                yield Claim(f"CPU, {way} / count, fit", ratio, least=least)
            gap = np.abs(self._found["evalica"] - ours).max()
            yield Claim("largest difference to evalica", [float(gap)], "Elo", most=1e-5)
        if "arena-rank" in self._found:
            ratio = ratios(costs["arena-rank, fit"], costs["fit"])
            yield Claim("CPU, arena-rank's fit / fit", ratio, least=100)
            ratio = ratios(costs["arena-rank, fit"], costs["count, fit"])
            yield Claim("CPU, arena-rank's fit / count, fit", ratio)
            gap = np.abs(ELO_PER_NAT * self._found["arena-rank"] - ours).max()
            yield Claim("largest difference to arena-rank", [float(gap)], "Elo")
            yield Claim("log-likelihood above arena-rank's", [self._gain(fit)], "nats", least=0)

    def _counts(self) -> MatchCounts:
        return MatchCounts.from_codes(*self._codes, names=self._names)

    def _fit(self) -> BradleyTerryFit:
        return fit_connected(self._args.players, self._counts().pairs())

    def _bootstrap(self) -> Floats:
        pairs = self._counts().pairs()
        fit = fit_connected(self._args.players, pairs)
        return bootstrap_strengths(fit, pairs, np.random.default_rng(0), 100)

    def _gain(self, fit: BradleyTerryFit) -> float:
        likelihood: Likelihood = fit.likelihood
        return likelihood.value(fit.x) - likelihood.value(self._found["arena-rank"])

    def _arena_rank_seconds(self, fit: Callable[[], tuple[float, Floats]]) -> float:
        seconds, self._found["arena-rank"] = fit()
        return seconds

    def _keep(self, name: str, act: Callable[[], Floats]) -> None:
        self._found[name] = act()


def memory_claims(codes: Codes, args: RatingsArgs) -> Iterable[Claim]:
    """The most memory of processes that rate the large league from files."""
    if not _STATUS.is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, column in codes._asdict().items():
            np.save(Path(folder) / f"{name}.npy", column)
        here = str(Path(__file__).parent)
        code = (
            f"import sys; sys.path.insert(0, {here!r}); import rating_memory;"
            f" rating_memory.tell({folder!r}, {args.players})"
        )
        sizes = [
            float(json.loads(subprocess.check_output([sys.executable, "-c", code])))
            for _ in range(min(3, args.repetitions))
        ]
    yield Claim("most memory of a fresh process", sizes, "MB", most=150)


def game_claims(args: RatingsArgs, has: set[str], costs: dict[str, list[float]]) -> Iterable[Claim]:
    """Alpha-rank and Nash averaging of as many agents as there are players."""
    rng, n = np.random.default_rng(args.seed), args.players
    strengths, noise = rng.normal(size=n), rng.normal(size=(n, n))
    payoffs = 1 / (1 + np.exp(strengths - strengths[:, None] + (noise - noise.T) / 2))
    gaps = []
    for alpha in (1.0, 10.0, 100.0):
        kinds = {"ours": partial(alpha_rank, payoffs, alpha=alpha, population=50)}
        if "open-spiel" in has:
            kinds["OpenSpiel"] = partial(openspiel_alpha_rank, payoffs, alpha, 50)
        measures = {name: partial(cpu_seconds, act) for name, act in kinds.items()}
        found = in_turn(measures, args.repetitions)
        for name, values in found.items():
            what = f"alpha-rank, alpha = {alpha:g}, {name}"
            costs[what] = values
            bar = 50.0 if name == "ours" else None
            yield Claim(what, [1e3 * value for value in values], "CPU ms", most=bar)
        results = [act() for act in kinds.values()]
        gaps.append(float(np.abs(results[0] - results[-1]).max()))
    if "open-spiel" in has:
        yield Claim("alpha-rank, largest difference to OpenSpiel", [max(gaps)], "", most=1e-8)
    yield from _nash_claims(args, payoffs, costs)


def _nash_claims(
    args: RatingsArgs, payoffs: Floats, costs: dict[str, list[float]]
) -> Iterable[Claim]:
    rng, n = np.random.default_rng(args.seed), args.players
    noise = rng.normal(size=(n, n))
    copies = rng.integers(n // 4, size=n)
    games = {
        "win rates": payoffs,
        "noise": noise - noise.T,
        "copies": (noise - noise.T)[np.ix_(copies, copies)],
    }
    for name, game in games.items():
        what = f"Nash averaging, {name}"
        costs |= in_turn({what: partial(_nash_seconds, game)}, args.repetitions)
        yield Claim(what, [1e3 * value for value in costs[what]], "CPU ms", most=200)
        regret = nash_averaging(game).ratings.max() - (game + game.T).mean() / 2
        yield Claim(f"{what}, most to be gained", [float(regret)], "", most=1e-9)


def _nash_seconds(game: Floats) -> float:
    return cpu_seconds(lambda: nash_averaging(game))


def coverage_claims(args: RatingsArgs) -> Iterable[Claim]:
    """Coverage of intervals, and how far it is from 95 %."""
    for intervals in get_args(Intervals):
        for model in MODELS:
            rng = np.random.default_rng(args.seed)
            share = coverage(model, intervals, args.simulations, rng)
            what = f"coverage of 95 % intervals, {intervals}, {model}"
            yield Claim(what, [share], "%")
            yield Claim(f"{what}, from 95", [abs(share - 95)], "points", most=2)


def statistics_claims(args: RatingsArgs) -> Iterable[Claim]:
    """Differences of points and ends of intervals to rliable, on shared resamples."""
    rng = np.random.default_rng(args.seed)
    scores = {
        name: rng.normal(mean, 0.3, size=(runs, 26))
        for name, mean, runs in (("first", 0.6, 10), ("second", 0.5, 7))
    }
    thresholds = np.linspace(0, 1.2, 25)

    def resampling() -> Resampling:
        return Resampling(np.random.default_rng(args.seed), args.resamples)

    theirs: Mapping[str, Floats] = {}
    found: dict[str, Floats] = {}

    def ask_rliable() -> None:
        nonlocal theirs
        theirs = rliable_figures(scores, thresholds, resampling)

    def ask_ours() -> None:
        nonlocal found
        found = our_figures(scores, thresholds, resampling)

    kinds = {"ours": ask_ours, "rliable": ask_rliable}
    costs = {name: [cpu_seconds(act)] for name, act in kinds.items()}
    gap = max(float(np.abs(found[name] - theirs[name]).max()) for name in theirs)
    yield Claim("statistics, CPU, rliable / ours", ratios(costs["rliable"], costs["ours"]))
    yield Claim("statistics, largest difference to rliable", [gap], "", most=1e-9)


def our_figures(scores: Mapping[str, Floats], thresholds: Floats, resampling: Any) -> Any:
    """What `rliable_figures` returns, by ours."""
    statistics = {
        "mean": mean_score,
        "median": median_of_tasks,
        "interquartile mean": interquartile_mean,
        "optimality gap": optimality_gap,
    }
    found = {
        f"{what} of {name}": np.array(estimate)
        for what, statistic in statistics.items()
        for name in scores
        for estimate in aggregate({name: scores[name]}, resampling(), statistic).values()
    }
    for name, given in scores.items():
        profile = bootstrap_statistic(
            lambda rows: score_distribution(rows, thresholds), [given], resampling()
        )
        found[f"profile of {name}"] = np.stack(profile)
    first, second, *_ = scores
    found["improvement"] = np.array(compare_algorithms(scores, first, second, resampling()))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
