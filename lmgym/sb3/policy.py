"""Actor-critic policies whose actor is a causal language model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.row_cache import RowDecoder
from lmgym.sb3.language_model import (
    FRAGMENTS,
    ActionHead,
    Sizes,
    build_model,
    fragment_states,
    last_states,
    load_critic,
)
from lmgym.sb3.observations import require_ids, token_spaces

__all__ = ["MaskableTokenActorCriticPolicy", "TokenActorCriticPolicy"]

_CACHES = 3
"""Batches of different sizes that are remembered: training, evaluation, the end of an episode."""

MASKED = -1e8
"""The logit of a masked action, as in sb3-contrib."""

Masks = np.ndarray[Any, Any] | Tensor | None


class LanguageActorCritic(BasePolicy):
    """What both policies are; see `TokenActorCriticPolicy`."""

    action_dist: Any
    action_ids: Tensor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        model: Any = None,
        hidden_size: int = 64,
        n_layers: int = 2,
        n_heads: int = 4,
        action_ids: Sequence[int] | np.ndarray[Any, Any] | None = None,
        value_hidden: int = 64,
        detach_value: bool = True,
        use_cache: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        use_sde: bool = False,
    ) -> None:
        if use_sde:
            raise LmgymError("use_sde=True explores in continuous spaces; tokens are drawn anyway")
        self._sizes = _sizes(observation_space, hidden_size, n_layers, n_heads)
        self._given_ids = _check_ids(action_space, action_ids, self._sizes.vocab)
        self._given_model = (model,)  # not to be taken for a part of this module
        self.value_hidden = value_hidden
        self.detach_value = detach_value
        self.use_cache = use_cache
        self._decoders: OrderedDict[int, RowDecoder] = OrderedDict()
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build(self, lr_schedule: Schedule) -> None:
        """Make actor, critic and optimizer; the parent's constructor calls it."""
        self.language_model, self.renderer = build_model(*self._given_model, self._sizes)
        width = self.language_model.get_output_embeddings().weight.shape[1]
        device = self.language_model.device
        self.register_buffer("action_ids", torch.as_tensor(self._given_ids, device=device).long())
        self._head = ActionHead(self.language_model, self.action_ids)
        self.critic = nn.Sequential(
            nn.Linear(width, self.value_hidden), nn.Tanh(), nn.Linear(self.value_hidden, 1)
        ).to(device)
        load_critic(self.critic, self._given_model[0])
        make_optimizer: Any = self.optimizer_class
        self.optimizer = make_optimizer(
            self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs
        )

    @property
    def language_policy(self) -> LanguagePolicy:
        """The actor as a `LanguagePolicy`, to evaluate and to save; the weights are shared.

        Trained with an alphabet, it knows when to write which id of the alphabet; what it thinks
        of other ids stays as it was.
        """
        if self.renderer is None:
            raise LmgymError(
                "the policy has ids but no tokenizer; make it with model= a name or a"
                " LanguagePolicy, or build LanguagePolicy(policy.language_model, renderer)"
            )
        return LanguagePolicy(self.language_model, self.renderer)

    def forward(
        self, obs: Any, deterministic: bool = False, action_masks: Masks = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (B,), values (B, 1) and the log-probabilities of the actions (B,)."""
        states = self._states(obs)
        logprobs = self._logprobs(states, action_masks)
        actions = logprobs.argmax(1) if deterministic else _drawn(logprobs)
        return actions, self._values(states), _of(logprobs, actions)

    def evaluate_actions(
        self, obs: Any, actions: Tensor, action_masks: Masks = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values (B, 1), log-probabilities (B,) and entropies (B,), with gradient.

        Args:
            obs: observations, or a minibatch of a `TrajectoryBuffer`.
            actions: shape (B,).
            action_masks: True where an action is allowed, shape (B, A).
        """
        logprobs, values = self.logprobs_and_values(obs, action_masks)
        entropy = -(logprobs.exp() * logprobs).sum(1)
        return values, _of(logprobs, actions.long()), entropy

    def logprobs_and_values(self, obs: Any, action_masks: Masks = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities of all actions (B, A) and values (B, 1), with gradient."""
        states = self._states(obs, use_cache=False)
        return self._logprobs(states, action_masks), self._values(states)

    def get_distribution(self, obs: PyTorchObs, action_masks: Masks = None) -> Any:
        """The distribution of the actions."""
        logits = self._head.logits(self._states(obs), self.action_ids)
        distribution: Distribution = self.action_dist.proba_distribution(action_logits=logits)
        if action_masks is not None:
            self.action_dist.apply_masking(action_masks)
        return distribution

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Values, shape (B, 1)."""
        return self._values(self._states(obs))

    def forget(self) -> None:
        """Drop the caches; weights that change by the usual ways are noticed without it."""
        self._decoders.clear()

    def train(self, mode: bool = True) -> Self:
        """Note that training begins or ends; the language model stays in evaluation mode.

        What samples and what is trained compute the same probabilities.
        """
        super().train(mode)
        self.language_model.eval()
        if mode:
            self.forget()
        return self

    def load_from_vector(self, vector: np.ndarray[Any, Any]) -> None:
        """Take parameters from one vector."""
        super().load_from_vector(vector)
        self.forget()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the tensors."""
        self.forget()
        moved: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """What `save` writes beside the weights."""
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "model": self._given_model[0],
            "hidden_size": self._sizes.hidden,
            "n_layers": self._sizes.layers,
            "n_heads": self._sizes.heads,
            "action_ids": self._given_ids,
            "value_hidden": self.value_hidden,
            "detach_value": self.detach_value,
            "use_cache": self.use_cache,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    def _states(self, obs: Any, *, use_cache: bool = True) -> Tensor:
        """Hidden states after the last id that each step has seen, shape (B, C)."""
        if FRAGMENTS in obs:
            return fragment_states(self.language_model, obs)
        tokens, lengths = obs["tokens"], obs["length"].flatten()
        require_ids(tokens, lengths)
        if use_cache and self.use_cache and not torch.is_grad_enabled():
            return self._decoder(len(tokens)).read(tokens, lengths)
        return last_states(self.language_model, tokens, lengths)

    def _decoder(self, rows: int) -> RowDecoder:
        """The decoder for batches of this size."""
        if rows not in self._decoders:
            while len(self._decoders) >= _CACHES:
                self._decoders.popitem(last=False)
            self._decoders[rows] = RowDecoder(self.language_model, 0)
        self._decoders.move_to_end(rows)
        return self._decoders[rows]

    def _logprobs(self, states: Tensor, action_masks: Masks) -> Tensor:
        """Log-probabilities of all actions, shape (B, A), fp32."""
        logits = self._head.logits(states, self.action_ids)
        if action_masks is not None:
            allowed = torch.as_tensor(action_masks, dtype=torch.bool, device=logits.device)
            logits = logits.masked_fill(~allowed.view(logits.shape), MASKED)
        return logits.log_softmax(1)

    def _values(self, states: Tensor) -> Tensor:
        values: Tensor = self.critic((states.detach() if self.detach_value else states).float())
        return values


class TokenActorCriticPolicy(LanguageActorCritic, ActorCriticPolicy):
    """A language model that acts and a small network on its hidden states that judges.

    For PPO and A2C over environments of `level="token"`. The logits of the actions are the
    model's own, so a pretrained model acts at once as it would write. While rollouts are
    collected, keys and values of what was read stay from one step to the next; nothing is
    assumed about the observations, the cache only answers for rows that it has proved to go on.
    With `TrajectoryBuffer` training reads an episode once instead of once a step.

    Args:
        observation_space: of a token environment.
        action_space: `Discrete`.
        lr_schedule: of the optimizer.
        model: None for a fresh Llama; "embedded", a directory or another name as for
            `load_policy`; or a `LanguagePolicy` or model of transformers, which is copied. From
            a checkpoint's directory the critic comes too, where it has the same width.
        hidden_size: width of a fresh model.
        n_layers: layers of a fresh model.
        n_heads: attention heads of a fresh model.
        action_ids: the id each action stands for: the environment's `alphabet`, or None where
            actions are ids.
        value_hidden: width of the critic's hidden layer.
        detach_value: keep the critic's gradient out of the language model.
        use_cache: False reads the whole context at each step, for comparison.
        optimizer_class: of the optimizer.
        optimizer_kwargs: of the optimizer.
        use_sde: for continuous actions; must be False.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> from stable_baselines3 import PPO
        >>> env = gym.make("lmgym/Math-v0", alphabet="digits")
        >>> words = {"hidden_size": 16, "action_ids": env.unwrapped.alphabet}
        >>> algorithm = PPO(TokenActorCriticPolicy, env, policy_kwargs=words, device="cpu")
        >>> algorithm.policy.language_model.config.hidden_size
        16
    """


class MaskableTokenActorCriticPolicy(LanguageActorCritic, MaskableActorCriticPolicy):
    """The same for MaskablePPO of sb3-contrib; see `TokenActorCriticPolicy`."""


def _sizes(space: spaces.Space[Any], hidden: int, layers: int, heads: int) -> Sizes:
    """Sizes of the model, by the tokens that it is to read."""
    found = token_spaces(space)
    return Sizes(found.vocab, found.context, hidden, layers, heads)


def _check_ids(
    space: spaces.Space[Any], action_ids: Sequence[int] | np.ndarray[Any, Any] | None, vocab: int
) -> np.ndarray[Any, Any]:
    """The id of each action, shape (A,)."""
    if not isinstance(space, spaces.Discrete):
        raise LmgymError(
            f"the action space is {space}, and this policy writes one id a step; make the"
            ' environment with level="token"'
        )
    n = int(space.n)
    if action_ids is None and n != vocab:
        raise LmgymError(
            f"the environment has {n} actions over {vocab} ids; say which ids they are with"
            " policy_kwargs={'action_ids': the environment's alphabet}"
        )
    ids = np.arange(n) if action_ids is None else np.asarray(action_ids)
    if ids.shape != (n,) or not 0 <= ids.min() <= ids.max() < vocab:
        raise LmgymError(
            f"action_ids has the shape {ids.shape} and goes from {ids.min()} to {ids.max()}; the"
            f" environment has {n} actions, and its ids go from 0 to {vocab - 1}"
        )
    return ids


def _of(logprobs: Tensor, actions: Tensor) -> Tensor:
    return logprobs.gather(1, actions.view(-1, 1)).squeeze(1)


def _drawn(logprobs: Tensor) -> Tensor:
    """One action a row, shape (B,): the inverse of the cumulative distribution."""
    cumulated = logprobs.exp().cumsum(1, dtype=torch.float64)
    uniforms = torch.rand(len(logprobs), 1, dtype=torch.float64, device=logprobs.device)
    actions = torch.searchsorted(cumulated, uniforms * cumulated[:, -1:], right=True)
    return actions.squeeze(1).clamp_(max=logprobs.shape[1] - 1)
