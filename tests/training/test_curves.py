import math
import sys
from pathlib import Path

import pytest

from lmgym.errors import LmgymError
from lmgym.training.curves import draw_curve
from lmgym.training.runs import RunFolder

PNG = b"\x89PNG\r\n\x1a\n"
ROWS = [
    {"step": n, "seconds": 0.5 * n, "reward": 0.1 * n, "entropy": 1 / (n + 1)}
    | ({"validation/greedy": 0.09 * n, "validation/pass@1": 0.08 * n} if n % 5 == 0 else {})
    for n in range(11)
]
BEFORE = {"greedy": 0.1, "greedy_interval": [0.05, 0.2], "pass@1": 0.08, "n": 100}
AFTER = {"greedy": 0.9, "greedy_interval": [0.85, 0.95], "pass@1": 0.8, "n": 100}


def size(path: Path) -> tuple[int, int]:
    """Width and height from the header of a PNG."""
    data = path.read_bytes()
    assert data.startswith(PNG)
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_draws_a_picture(tmp_path: Path) -> None:
    target = tmp_path / "new" / "curve.png"
    draw_curve(ROWS, target, title="grpo on lmgym/Math-v0", before=BEFORE, after=AFTER)
    assert size(target) > (1000, 700)


def test_marks_change_the_picture(tmp_path: Path) -> None:
    draw_curve(ROWS, tmp_path / "plain.png")
    draw_curve(ROWS, tmp_path / "marked.png", before=BEFORE)
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "marked.png").read_bytes()


def test_the_reward_of_validations_takes_the_place_of_accuracy(tmp_path: Path) -> None:
    rows = [{"seconds": n, "validation/greedy": 0.5} for n in range(3)]
    paid = [row | {"validation/reward": 3.0, "validation/gold_reward": -1.0} for row in rows]
    for name, metrics in (("shares", rows), ("paid", paid)):
        draw_curve(metrics, tmp_path / name, before=BEFORE | {"reward": -2.0})
    assert (tmp_path / "shares").read_bytes() != (tmp_path / "paid").read_bytes()


def test_draws_with_nothing_logged_and_with_gaps(tmp_path: Path) -> None:
    draw_curve([], tmp_path / "empty.png")
    rows = [{"step": 0, "seconds": 0.0, "reward": math.nan}]
    draw_curve(rows, tmp_path / "gaps.png", before={"greedy": None}, after={"n": 1})
    assert size(tmp_path / "empty.png") == size(tmp_path / "gaps.png")


def test_leaves_no_figure_in_pyplot(tmp_path: Path) -> None:
    draw_curve(ROWS, tmp_path / "curve.png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_a_run_draws_its_own_metrics(tmp_path: Path) -> None:
    with RunFolder("grpo", "lmgym/Math-v0", tmp_path, tensorboard=False) as run:
        run.log(1, {"validation/greedy": 0.5})
        assert run.plot_curve() == tmp_path / "curve.png"
        other = run.plot_curve(tmp_path / "other.png", before=BEFORE, after=AFTER)
        assert size(other) == size(tmp_path / "curve.png")


def test_missing_matplotlib_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LmgymError, match="pip install matplotlib"):
        draw_curve([], tmp_path / "curve.png")
