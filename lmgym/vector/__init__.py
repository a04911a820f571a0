"""Batched environments: N episodes as arrays, equal to as many single ones step by step."""

from lmgym.vector.arguments import VectorArgs
from lmgym.vector.base_env import EpisodeVectorEnv, RowStep
from lmgym.vector.choice_env import ChoiceVectorEnv
from lmgym.vector.goal_env import GoalRowStep, GoalVectorEnv
from lmgym.vector.message_env import MessageVectorEnv
from lmgym.vector.token_env import ChunkVectorEnv, TokenVectorEnv

__all__ = [
    "ChoiceVectorEnv",
    "ChunkVectorEnv",
    "EpisodeVectorEnv",
    "GoalRowStep",
    "GoalVectorEnv",
    "MessageVectorEnv",
    "RowStep",
    "TokenVectorEnv",
    "VectorArgs",
]
