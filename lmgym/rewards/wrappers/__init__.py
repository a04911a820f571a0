"""Rewards for environments that are not ours."""

from lmgym.rewards.wrappers.aec_env import AECRewardWrapper
from lmgym.rewards.wrappers.env import RewardWrapper
from lmgym.rewards.wrappers.parallel_env import ParallelRewardWrapper
from lmgym.rewards.wrappers.play import Play, TranscriptOf, text_transcript
from lmgym.rewards.wrappers.vector_env import VectorRewardWrapper

__all__ = [
    "AECRewardWrapper",
    "ParallelRewardWrapper",
    "Play",
    "RewardWrapper",
    "TranscriptOf",
    "VectorRewardWrapper",
    "text_transcript",
]
