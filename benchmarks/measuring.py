"""What the benchmarks share: costs measured in turn, and claims beside their bars."""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmgym.commands.files import check_file, write_json
from lmgym.errors import LmgymError
from lmgym.training.records import cpu_name, versions

__all__ = [
    "Claim",
    "Costs",
    "MeasuringArgs",
    "claim_file",
    "claimed",
    "cpu_seconds",
    "facts",
    "in_turn",
    "numbers",
    "ratios",
    "show_costs",
    "spread",
]

Costs = dict[str, list[float]]
"""What each kind cost, one number a repetition."""

Measure = Callable[[], float]
"""Does its work once and returns what it cost."""


@dataclass(frozen=True)
class MeasuringArgs:
    """What every benchmark can be told."""

    repetitions: int = 9
    """Measurements of each kind, taken in turn."""
    seed: int = 0
    """Seed of problems and actions."""
    out: str | None = None
    """Write the results to this .json file as well."""

    def __post_init__(self) -> None:
        """Raise where there would be nothing to measure, or nowhere to write."""
        if self.repetitions < 1:
            raise LmgymError(f"--repetitions {self.repetitions} is out of range; give 1 or more")
        if self.out is not None:
            check_file(self.out)


@dataclass(frozen=True)
class Claim:
    """A figure, one value a repetition, beside the bar that its median should reach.

    Example:
        >>> claim = Claim("N = 64", [9.0, 12.0, 30.0], least=10)
        >>> claim.is_met, claim.bar, str(claim)
        (True, '≥ 10 x', '12.0 x (9.0 to 30.0)')
    """

    what: str
    values: Sequence[float]
    unit: str = "x"
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the median is where it should be; True where there is no bar."""
        median = statistics.median(self.values)
        too_little = self.least is not None and median < self.least
        return not too_little and (self.most is None or median <= self.most)

    @property
    def bar(self) -> str:
        """The bar in words."""
        if self.least is not None:
            return f"≥ {self.least:g} {self.unit}"
        return "" if self.most is None else f"≤ {self.most:g} {self.unit}"

    @property
    def record(self) -> dict[str, Any]:
        """What a results file says of it."""
        facts = {"what": self.what, "unit": self.unit, "bar": self.bar, "figure": str(self)}
        return facts | {"is_met": self.is_met, **spread(self.values), "values": list(self.values)}

    def __str__(self) -> str:
        """The median, the least and the greatest."""
        least, median, most = (shown(spread(self.values)[key]) for key in ("min", "median", "max"))
        return f"{median} {self.unit} ({least} to {most})"


def numbers(option: str, given: str, least: int = 1) -> list[int]:
    """The whole numbers in a list with commas, each `least` or more."""
    words = [word.strip() for word in given.split(",")]
    if not all(word.isdecimal() and int(word) >= least for word in words):
        raise LmgymError(
            f"{option} {given!r} is no list of numbers from {least} on; give some as 64,256"
        )
    return [int(word) for word in words]


def cpu_seconds(act: Callable[[], object]) -> float:
    """CPU time that something takes, all threads of the process together."""
    start = time.process_time()
    act()
    return time.process_time() - start


def in_turn(kinds: Mapping[str, Measure], repetitions: int) -> Costs:
    """The costs of some kinds, one after the other and again; a first round is thrown away.

    Whatever else the machine does falls on all of them, so ratios are taken round by round.
    """
    costs: Costs = {name: [] for name in kinds}
    for _ in range(repetitions + 1):
        for name, measure in kinds.items():
            costs[name].append(measure())
    return {name: values[1:] for name, values in costs.items()}


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """How many times as much one thing costs as another, round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """The least, the median and the greatest of some values."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def shown(value: float) -> str:
    """A number with about three digits.

    Example:
        >>> shown(0.01234), shown(1.234), shown(56.78), shown(1234.5)
        ('0.0123', '1.23', '56.8', '1,234')
    """
    return f"{value:.3g}" if abs(value) < 10 else f"{value:,.{1 if abs(value) < 1000 else 0}f}"


def show_costs(costs: Mapping[str, Costs], unit: str) -> None:
    """Print a line for each place and kind: the median, the least and the greatest."""
    table = Table("", "kind", unit, "min", "max", box=SIMPLE_HEAD)
    for place, kinds in costs.items():
        for name, values in kinds.items():
            cells = (shown(spread(values)[key]) for key in ("median", "min", "max"))
            table.add_row(*(Text(cell, no_wrap=True) for cell in (place, name, *cells)))
    Console().print(table)


def claimed(claims: Iterable[Claim], args: Any, **measured: Any) -> int:
    """Print the claims, write them with what was measured; 1 where one is not met."""
    claims = list(claims)
    table = Table("claim", "median (min to max)", "bar", "", box=SIMPLE_HEAD)
    for claim in claims:
        verdict = ("met" if claim.is_met else "MISSED") if claim.bar else ""
        cells = (claim.what, str(claim), claim.bar, verdict)
        table.add_row(*(Text(cell, no_wrap=True) for cell in cells))
    Console().print(table)
    if args.out is not None:
        claim_file(args.out, claims, args, **measured)
    return 0 if all(claim.is_met for claim in claims) else 1


def claim_file(path: str, claims: Sequence[Claim], args: Any, **measured: Any) -> None:
    """Write claims, and what they follow from."""
    records = [claim.record for claim in claims]
    write_json(path, {**facts(args), "claims": records, **measured})


def facts(args: Any) -> dict[str, Any]:
    """How results came about: arguments, versions, processor."""
    try:
        numba = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        numba = None
    given = {name: value for name, value in asdict(args).items() if name not in ("out", "plot")}
    machine = {"cpu": cpu_name(), "cores": os.cpu_count()}
    return {"arguments": given, "versions": {**versions(), "numba": numba}, "machine": machine}
