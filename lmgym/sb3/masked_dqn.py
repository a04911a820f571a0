"""Q-learning that takes, and looks ahead to, admissible actions only."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, Schedule
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn
from torch.nn import functional as F

from lmgym.errors import LmgymError
from lmgym.sb3.goal_features import GoalFeatures

__all__ = ["MaskedDQN", "MaskedDQNPolicy"]

_MASK = "action_mask"


class MaskedQNetwork(QNetwork):
    """Values of actions; those that the key `action_mask` rules out are minus infinity."""

    def forward(self, obs: Any) -> Tensor:
        """Values, shape (B, A)."""
        extractor = self.features_extractor
        if isinstance(extractor, GoalFeatures):  # needs no preprocessing
            values: Tensor = self.q_net(extractor(obs))
        else:
            values = super().forward(obs)
        return values

    def masked(self, obs: Any) -> Tensor:
        """Values, shape (B, A), minus infinity where a row does not admit the action."""
        values: Tensor = self(obs)
        mask: Tensor | None = obs.get(_MASK)
        if mask is None:
            return values
        is_out = mask == 0
        is_out &= ~is_out.all(1, keepdim=True)
        return values.masked_fill(is_out, -torch.inf)

    def _predict(self, observation: Any, deterministic: bool = True) -> Tensor:
        return self.masked(observation).argmax(1)


class MaskedDQNPolicy(DQNPolicy):
    """Policy of `MaskedDQN`: `GoalFeatures`, a network, and one call of the optimizer a step.

    Args:
        observation_space: a Dict, as a rule with `action_mask`.
        action_space: a number for each action.
        lr_schedule: learning rate by the share of training that is left.
        net_arch: hidden units of each layer.
        features_extractor_class: makes the network's inputs.
        optimizer_kwargs: of `optimizer_class`; by default Adam is the fused one.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        net_arch: list[int] | None = None,
        activation_fn: type[nn.Module] = nn.ReLU,
        features_extractor_class: type[BaseFeaturesExtractor] = GoalFeatures,
        features_extractor_kwargs: dict[str, Any] | None = None,
        normalize_images: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if optimizer_kwargs is None and optimizer_class is torch.optim.Adam:
            optimizer_kwargs = {"fused": True}
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch,
            activation_fn,
            features_extractor_class,
            features_extractor_kwargs,
            normalize_images,
            optimizer_class,
            optimizer_kwargs,
        )

    def make_q_net(self) -> MaskedQNetwork:
        """A network with an extractor of its own."""
        words = self._update_features_extractor(self.net_args, features_extractor=None)
        return MaskedQNetwork(**words).to(self.device)


class MaskedDQN(DQN):
    """A `DQN` that reads the observation key `action_mask`, 1 where an action is admissible.

    Exploration draws among admissible actions, and for each row of the environment by itself;
    greedy actions and the values of next states are the best of them. A row that admits nothing
    is read as one that admits everything. The mask is no input of the network.

    Args:
        policy: "MultiInputPolicy", or a subclass of `MaskedDQNPolicy`.
        env: with Dict observations; without `action_mask` everything is admissible.
        double: choose the next action by the trained network and judge it by the target network
            (van Hasselt et al. 2016); else the target network does both.
        words: of `stable_baselines3.DQN`.

    Raises:
        LmgymError: where `action_mask` has another shape than the actions.

    Example:
        >>> from stable_baselines3.common.envs import BitFlippingEnv
        >>> algorithm = MaskedDQN("MultiInputPolicy", BitFlippingEnv(4), learning_starts=10)
        >>> observation = algorithm.observation_space.sample()
        >>> int(algorithm.predict(observation, deterministic=True)[0]) in range(4)
        True
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MultiInputPolicy": MaskedDQNPolicy}
    q_net: MaskedQNetwork  # pyright: ignore[reportIncompatibleVariableOverride] (made by the policy)
    q_net_target: MaskedQNetwork  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self, policy: str | type[MaskedDQNPolicy], env: Any, *, double: bool = True, **words: Any
    ) -> None:
        self.double = double
        super().__init__(policy, env, **words)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed what the parent seeds, and exploration."""
        super().set_random_seed(seed)
        self._rng = np.random.default_rng(seed)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update the network on minibatches of the replay buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        buffer: Any = self.replay_buffer
        losses = [
            self._update(buffer.sample(batch_size, env=self._vec_normalize_env))
            for _ in range(gradient_steps)
        ]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", float(np.mean(losses)))

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Actions for one observation or a batch, and the state as it was given.

        Args:
            observation: arrays by key, with or without a leading axis.
            state: unused.
            episode_start: unused.
            deterministic: take the best; else explore in a share of `exploration_rate`.
        """
        actions, state = self.policy.predict(observation, state, episode_start, True)
        if deterministic:
            return actions, state
        explored = self._explored(observation, actions.reshape(-1))
        return explored.reshape(actions.shape), state

    def _setup_model(self) -> None:
        space: Any = self.observation_space
        if not isinstance(space, spaces.Dict):
            raise LmgymError(
                f"the observation space is {space}, which has no keys; take stable_baselines3.DQN"
            )
        mask, n_actions = space.spaces.get(_MASK), self._n_actions
        if mask is not None and mask.shape != (n_actions,):
            raise LmgymError(
                f"{_MASK!r} has shape {mask.shape}, but there are {n_actions} actions; give one"
                " number for each"
            )
        super()._setup_model()

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Actions of all rows; the parent's way without its checks of each observation."""
        observations: Any = self._last_obs
        if self.num_timesteps < learning_starts:
            actions = self._random(observations.get(_MASK), n_envs)
        else:
            tensors = {
                key: torch.as_tensor(array, device=self.device)
                for key, array in observations.items()
            }
            with torch.no_grad():
                actions = self.q_net.masked(tensors).argmax(1).cpu().numpy()
            actions = self._explored(observations, actions)
        return actions, actions

    def _explored(self, observations: Any, actions: NDArray[Any]) -> NDArray[Any]:
        """Actions, shape (B,), some of them replaced by random ones."""
        rows = (self._rng.random(len(actions)) < self.exploration_rate).nonzero()[0]
        if rows.size:
            mask = observations.get(_MASK)
            actions = actions.copy()
            actions[rows] = self._random(
                None if mask is None else mask.reshape(len(actions), -1)[rows], len(rows)
            )
        return actions

    def _random(self, mask: NDArray[Any] | None, n: int) -> NDArray[Any]:
        """Admissible actions, shape (n,), each as likely as the others of its row."""
        if mask is None:
            return self._rng.integers(self._n_actions, size=n)
        chances = self._rng.random((n, self._n_actions))
        chances[mask == 0] -= 1
        chosen: NDArray[Any] = chances.argmax(1)
        return chosen

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: NDArray[Any],
        new_obs: Any,
        reward: NDArray[Any],
        dones: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Keep a step; observations are copied where an episode is over, and only there."""
        if self._vec_normalize_env is not None:
            super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
            return
        next_obs: Any = new_obs
        ended = dones.nonzero()[0].tolist()
        if ended:
            next_obs = {key: array.copy() for key, array in new_obs.items()}
            for row in ended:
                for key, last in infos[row]["terminal_observation"].items():
                    next_obs[key][row] = last
        last_obs: Any = self._last_obs
        replay_buffer.add(last_obs, next_obs, buffer_action, reward, dones, infos)
        self._last_obs = new_obs

    def _update(self, batch: DictReplayBufferSamples) -> float:
        """One step of gradient descent; returns the loss."""
        with torch.no_grad():
            ahead = self._next_values(batch.next_observations)
            target = batch.rewards + (1 - batch.dones) * self.gamma * ahead
        values = self.q_net(batch.observations).gather(1, batch.actions.long())
        loss = F.smooth_l1_loss(values, target)
        self.policy.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.q_net.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        return loss.item()

    def _next_values(self, observations: Any) -> Tensor:
        """Of the best admissible actions, shape (B, 1)."""
        if not self.double:
            return self.q_net_target.masked(observations).amax(1, keepdim=True)
        best = self.q_net.masked(observations).argmax(1, keepdim=True)
        values: Tensor = self.q_net_target(observations)
        return values.gather(1, best)

    @property
    def _n_actions(self) -> int:
        return int(cast(spaces.Discrete, self.action_space).n)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_rng"]
