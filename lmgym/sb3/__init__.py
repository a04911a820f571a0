"""Stable-Baselines3 on top of the token and goal environments."""

from lmgym.sb3.algorithms import check_algorithm
from lmgym.sb3.cloning import Cloning, clone_behaviour
from lmgym.sb3.extractor import TokenFeatures
from lmgym.sb3.goal_buffer import GoalReplayBuffer
from lmgym.sb3.goal_features import GoalFeatures
from lmgym.sb3.goal_vec_env import GoalVecEnv
from lmgym.sb3.masked_dqn import MaskedDQN, MaskedDQNPolicy
from lmgym.sb3.policy import MaskableTokenActorCriticPolicy, TokenActorCriticPolicy
from lmgym.sb3.trajectories import MaskableTrajectoryBuffer, TrajectoryBuffer
from lmgym.sb3.vec_env import as_sb3

__all__ = [
    "Cloning",
    "GoalFeatures",
    "GoalReplayBuffer",
    "GoalVecEnv",
    "MaskableTokenActorCriticPolicy",
    "MaskableTrajectoryBuffer",
    "MaskedDQN",
    "MaskedDQNPolicy",
    "TokenActorCriticPolicy",
    "TokenFeatures",
    "TrajectoryBuffer",
    "as_sb3",
    "check_algorithm",
    "clone_behaviour",
]
