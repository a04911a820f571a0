import pytest

from lmgym.errors import LmgymError
from lmgym.training.presets import default_learning_rate


@pytest.mark.parametrize(
    ("size", "rate"),
    [(1, 5e-4), (200_000, 5e-4), (200_001, 1e-4), (5_000_000, 1e-4), (50_000_000, 1e-5),
     (135_000_000, 1e-6)],
)  # fmt: skip
def test_the_rate_falls_with_size(size: int, rate: float) -> None:
    assert default_learning_rate(size) == rate


def test_a_model_has_parameters() -> None:
    with pytest.raises(LmgymError, match="given 0"):
        default_learning_rate(0)
