"""Reward sources, and the schedule that pays them in every view."""

from lmgym.rewards.rules import FunctionReward, ShuffledReward, VerifierReward
from lmgym.rewards.schedule import Payment, RewardSchedule
from lmgym.rewards.source import Reward, RewardBatch, RewardLevel, RewardSource, VerdictSource

__all__ = [
    "FunctionReward",
    "Payment",
    "Reward",
    "RewardBatch",
    "RewardLevel",
    "RewardSchedule",
    "RewardSource",
    "ShuffledReward",
    "VerdictSource",
    "VerifierReward",
]
