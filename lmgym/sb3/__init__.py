"""Stable-Baselines3 on top of the token environments."""

from lmgym.sb3.extractor import TokenFeatures
from lmgym.sb3.policy import MaskableTokenActorCriticPolicy, TokenActorCriticPolicy
from lmgym.sb3.trajectories import MaskableTrajectoryBuffer, TrajectoryBuffer

__all__ = [
    "MaskableTokenActorCriticPolicy",
    "MaskableTrajectoryBuffer",
    "TokenActorCriticPolicy",
    "TokenFeatures",
    "TrajectoryBuffer",
]
