"""Reward sources, and the schedule that pays them in every view."""

from lmgym.rewards.cached import Cached
from lmgym.rewards.checking import check_reward
from lmgym.rewards.combinators import Gate, Rubric, WeightedSum
from lmgym.rewards.controls import ConstantReward, InvertedReward, RandomReward, ShuffledReward
from lmgym.rewards.ensembles import EnsembleReward, reduce_members
from lmgym.rewards.formats import FormatReward, PatternReward
from lmgym.rewards.length import LengthReward
from lmgym.rewards.majority import MajorityVoteReward
from lmgym.rewards.noise import Noise
from lmgym.rewards.rules import FunctionReward, GoldReward, VerifierReward
from lmgym.rewards.schedule import Payment, RewardSchedule
from lmgym.rewards.shaping import PotentialShaping
from lmgym.rewards.source import Reward, RewardBatch, RewardLevel, RewardSource, VerdictSource
from lmgym.rewards.transforms import Clip, RunningNormalization, Shift

__all__ = [
    "Cached",
    "Clip",
    "ConstantReward",
    "EnsembleReward",
    "FormatReward",
    "FunctionReward",
    "Gate",
    "GoldReward",
    "InvertedReward",
    "LengthReward",
    "MajorityVoteReward",
    "Noise",
    "PatternReward",
    "Payment",
    "PotentialShaping",
    "RandomReward",
    "Reward",
    "RewardBatch",
    "RewardLevel",
    "RewardSchedule",
    "RewardSource",
    "Rubric",
    "RunningNormalization",
    "Shift",
    "ShuffledReward",
    "VerdictSource",
    "VerifierReward",
    "WeightedSum",
    "check_reward",
    "reduce_members",
]
