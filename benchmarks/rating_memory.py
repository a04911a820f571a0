"""What a process does that rates a league from files, and how much memory it needs for that."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lmgym.leaderboards.pairwise.match_counts import MatchCounts
from lmgym.leaderboards.ratings import rate

__all__ = ["tell"]


def tell(folder: str, n_players: int) -> None:
    """Rate with both kinds of intervals; print the most memory in MB."""
    columns = (np.load(Path(folder) / f"{name}.npy") for name in ("first", "second", "outcome"))
    first, second, outcome = columns
    counts = MatchCounts.from_codes(first, second, outcome, [str(i) for i in range(n_players)])
    rate(counts)
    rate(counts, intervals="bootstrap", rng=np.random.default_rng(0), n_resamples=100)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    print(int(fields["VmHWM"].split()[0]) * 1024 / 1e6)
