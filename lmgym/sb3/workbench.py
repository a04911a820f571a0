"""`Workbench`: what an algorithm of Stable-Baselines3 is made of, for a world and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from lmgym.errors import LmgymError
from lmgym.factory import episode_of, make_source, make_task
from lmgym.policies.loading import load_policy
from lmgym.rendering import ByteRenderer, Renderer
from lmgym.rewards.schedule import RewardSchedule
from lmgym.rewards.source import Reward
from lmgym.sb3.algorithms import check_algorithm
from lmgym.sb3.arguments import SB3Args
from lmgym.sb3.extractor import TokenFeatures
from lmgym.sb3.policy import MaskableTokenActorCriticPolicy, TokenActorCriticPolicy
from lmgym.sb3.trajectories import MaskableTrajectoryBuffer, TrajectoryBuffer
from lmgym.sb3.vec_env import as_sb3
from lmgym.token_env import ChunkEnv, TokenEnv
from lmgym.training.base_session import check_splits, judges
from lmgym.training.presets import default_learning_rate, is_large
from lmgym.training.session import check_payable

__all__ = ["Workbench"]

T = TypeVar("T")

_SCRATCH_LEARNING_RATE = 1e-3
_NUM_ENVS, _NUM_ENVS_OF_LARGE = 256, 16
_ALL = "all"


class Workbench:
    """The parts that the constructors of PPO, A2C, DQN and MaskablePPO take.

    From a language model an actor-critic policy that keeps keys and values between steps, and a
    buffer that keeps trajectories; from scratch `MultiInputPolicy` over token features.

    Args:
        args: of the learner.
        env: id of the world.
        world_args: its arguments.
        reward: what episodes are paid.
        mask: an alphabet that the masks let through.

    Attributes:
        task: the world.
        renderer: of its ids.
        alphabet: name of what may be written; None for every id.
        env: the training environment, a `VecEnv`.
        schedule: pays it.
        is_judged: whether the world says what is right.
        lr: the learning rate.
        num_envs: episodes that are played at a time.
    """

    def __init__(
        self,
        args: SB3Args,
        env: str,
        world_args: Mapping[str, Any],
        reward: Reward = None,
        *,
        mask: str | None = None,
    ) -> None:
        """Check all that can be checked, then make the environment."""
        self.args = args
        self.task = make_task(env, **world_args)
        self.is_judged = judges(self.task)
        paid = args.reward if reward is None else reward
        self.schedule = RewardSchedule(make_source(paid))
        check_payable(paid, self.schedule.source, is_judged=self.is_judged, env=env)
        self.renderer: Renderer = ByteRenderer()
        self.lr = args.lr or _SCRATCH_LEARNING_RATE
        self.num_envs = args.num_envs or _NUM_ENVS
        if not args.is_from_scratch:
            self._read_language_model()
        self.mask = mask
        alphabet = self._default_alphabet() if args.alphabet is None else args.alphabet
        self.alphabet = None if alphabet == _ALL else alphabet
        check_splits(self.make_view().episode)
        self.env = self._make_env(env, world_args, paid)

    def env_for(self, algorithm: type[BaseAlgorithm]) -> VecEnv:
        """The training environment, where the algorithm can take its actions."""
        check_algorithm(algorithm, self.env)
        return self.env

    def make_view(self) -> TokenEnv:
        """A new environment of one episode, to be evaluated in: it pays nothing."""
        args = self.args
        episode = episode_of(
            self.task, self.renderer, context=args.context, max_tokens=args.max_tokens
        )
        words: dict[str, Any] = {"alphabet": self.alphabet, "mask": self.mask}
        if args.level == "chunk":
            words["chunk_size"] = args.chunk_size
        return (ChunkEnv if args.level == "chunk" else TokenEnv)(
            episode, RewardSchedule(None), **words
        )

    @property
    def policy(self) -> Any:
        """For PPO, A2C and DQN."""
        return "MultiInputPolicy" if self.args.is_from_scratch else TokenActorCriticPolicy

    @property
    def maskable_policy(self) -> Any:
        """For MaskablePPO."""
        return "MultiInputPolicy" if self.args.is_from_scratch else MaskableTokenActorCriticPolicy

    @property
    def buffer(self) -> type[RolloutBuffer] | None:
        """The rollout buffer for PPO and A2C; None for that of Stable-Baselines3."""
        return TrajectoryBuffer if self._grows else None

    @property
    def maskable_buffer(self) -> Any:
        """The same for MaskablePPO."""
        return MaskableTrajectoryBuffer if self._grows else None

    @property
    def _grows(self) -> bool:
        """Whether a language model reads episodes whose ids only grow."""
        return not (self.args.is_from_scratch or self.task.restarts_context)

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """What the policy is made of."""
        args = self.args
        if not args.is_from_scratch:
            return {"model": args.model, "action_ids": self.make_view().alphabet}
        return {
            "features_extractor_class": TokenFeatures,
            "features_extractor_kwargs": {
                "window": args.window,
                "embedding_dim": args.embedding_dim,
            },
            "net_arch": list(args.hidden),
            "activation_fn": nn.ReLU,
        }

    def batch_size(self, n_steps: int, minibatches: int) -> int:
        """Steps of a minibatch, where an update has `n_steps` of every environment."""
        total = n_steps * self.num_envs
        if total % minibatches or total // minibatches < 2:
            raise LmgymError(
                f"minibatches={minibatches} does not share {total} steps (n_steps={n_steps} of"
                f" num_envs={self.num_envs}) into even parts of 2 or more; choose a divisor"
            )
        return total // minibatches

    def choose(self, given: T | None, *, scratch: T, language_model: T) -> T:
        """What was given, else what suits where the policy starts."""
        if given is not None:
            return given
        return scratch if self.args.is_from_scratch else language_model

    def _read_language_model(self) -> None:
        """Learn from the model what its ids are and how fast it may be trained."""
        args = self.args
        if args.level != "token":
            raise LmgymError(
                f"level={args.level!r}: a language model writes one token at a step; choose level"
                " token, or --model none"
            )
        policy = load_policy(args.model)
        self.renderer = policy.renderer
        self.lr = args.lr or default_learning_rate(policy.n_base_parameters)
        few = _NUM_ENVS_OF_LARGE if is_large(policy.n_base_parameters) else _NUM_ENVS
        self.num_envs = args.num_envs or few

    def _default_alphabet(self) -> str:
        is_small = self.args.is_from_scratch and self.mask is None
        return next(iter(self.task.alphabets), _ALL) if is_small else _ALL

    def _make_env(self, env: str, world_args: Mapping[str, Any], reward: Reward) -> VecEnv:
        args = self.args
        words: dict[str, Any] = {
            "level": args.level,
            "reward": reward,
            "tokenizer": self.renderer,
            "context": args.context,
            "max_tokens": args.max_tokens,
            "chunk_size": args.chunk_size if args.level == "chunk" else None,
            "alphabet": self.alphabet,
            "mask": self.mask,
            "autoreset_mode": "same_step",
            **world_args,
        }
        return as_sb3(gym.make_vec(env, num_envs=self.num_envs, **words))
