"""The worlds that come with the package."""

from lmgym.registry import WORLDS, WorldSpec, register_world

__all__ = ["register_all"]

_WORLDS = (
    WorldSpec(
        "lmgym/Math-v0",
        "lmgym.envs.math_problems.task:MathTask",
        "Solve a mathematical problem; the answer is verified exactly.",
    ),
    WorldSpec(
        "lmgym/Copy-v0",
        "lmgym.envs.copy_text.task:CopyTask",
        "Repeat the text: a diagnostic world with a known optimum.",
    ),
    WorldSpec(
        "lmgym/GuessNumber-v0",
        "lmgym.envs.guess_number.task:GuessNumberTask",
        "Find a number in several turns: higher or lower.",
    ),
)


def register_all() -> None:
    """Make the worlds known, once."""
    for spec in _WORLDS:
        if spec.id not in WORLDS:
            register_world(spec)
