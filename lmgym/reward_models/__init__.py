"""Reward models: a frozen encoder with a head, fitted to preferences or logged trials.

    model = fit_reward_model(read_preferences("pairs.jsonl"))
    model.save("my_rm")
    gym.make("lmgym/Preference-v0", reward="rm:my_rm")

Nothing heavy is imported before something is fitted or scored.
"""

from lmgym.reward_models.arguments import FitArgs
from lmgym.reward_models.cache import EmbeddingCache
from lmgym.reward_models.encoder import Encoder, make_encoder
from lmgym.reward_models.fitting import fit_reward_model
from lmgym.reward_models.loading import load_reward_model
from lmgym.reward_models.model import RewardModel

__all__ = [
    "EmbeddingCache",
    "Encoder",
    "FitArgs",
    "RewardModel",
    "fit_reward_model",
    "load_reward_model",
    "make_encoder",
]
