"""Tables of tracks for one player."""

from __future__ import annotations

import numpy as np
import pytest

from lmgym.leaderboards.single_table import SeedScores, score_columns, thresholds_of


@pytest.mark.parametrize(("is_share", "ends"), [(True, (0.0, 1.0)), (False, None)])
def test_intervals_of_shares_end_at_0_and_1(
    is_share: bool, ends: tuple[float, float] | None
) -> None:
    means = np.array([0.0, 1.0])
    scores = SeedScores(means, 0.5, 20, 0)
    thresholds = thresholds_of({"a": scores}, is_share=is_share)
    columns = score_columns(scores, thresholds, is_share=is_share)
    assert columns["score"] == 0.5
    if ends is None:
        assert columns["low"] < -1
        assert columns["high"] > 2
    else:
        assert (columns["low"], columns["high"]) == ends
