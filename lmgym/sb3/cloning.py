"""Behaviour cloning: a language model plays, a policy of Stable-Baselines3 learns to follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.row_cache import RowDecoder
from lmgym.policies.sampling import Drawing
from lmgym.sb3.language_model import FRAGMENTS, PLACES, ROWS, ActionHead
from lmgym.sb3.observations import require_ids, token_spaces
from lmgym.sb3.policy import MASKED, LanguageActorCritic
from lmgym.sb3.trajectories import BaseTrajectoryBuffer
from lmgym.sb3.vec_env import as_sb3

__all__ = ["Cloning", "clone_behaviour"]


@dataclass(frozen=True, slots=True)
class Cloning:
    """How a cloning went, by rounds.

    Attributes:
        losses: how far the policy was from the teacher, KL(teacher || policy) in nats an action.
        value_losses: mean squared errors of the critic against the returns of the teacher's
            finished episodes; 0 where none was finished.
        n_tokens: actions that the teacher took.
    """

    losses: list[float] = field(default_factory=list)
    value_losses: list[float] = field(default_factory=list)
    n_tokens: int = 0


def clone_behaviour(
    student: BaseAlgorithm | ActorCriticPolicy | MaskableActorCriticPolicy,
    teacher: LanguagePolicy | str | Path,
    env: VecEnv | VectorEnv[Any, Any, Any],
    *,
    rounds: int = 20,
    steps: int = 64,
    epochs: int = 2,
    batch_size: int = 256,
    lr: float = 1e-3,
    gamma: float = 0.99,
    value_weight: float = 0.5,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Cloning:
    """Train a policy to act as a language model does: a warm start for reinforcement learning.

    The teacher plays, restricted to the environment's alphabet and masks, and the student is
    trained on its whole distribution at each step, and its critic on the returns. To start from a
    checkpoint as it is, build `TokenActorCriticPolicy` with `model=` instead.

    Args:
        student: a policy with an actor and a critic, or an algorithm that has one.
        teacher: a language model over the environment's ids, or its name.
        env: of `level="token"`, batched or a `VecEnv`; it is reset.
        rounds: how often the teacher plays and the student learns.
        steps: of each row in a round.
        epochs: passes over a round.
        batch_size: actions of a minibatch, about.
        lr: learning rate of Adam.
        gamma: discount of the returns.
        value_weight: of the critic's loss; 0 leaves the critic alone.
        seed: of the teacher's draws and the order of the minibatches.
        progress: is called after each round with the number of actions so far and the loss.

    Returns:
        The losses of each round.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> from stable_baselines3 import PPO
        >>> from lmgym.sb3 import TokenFeatures, as_sb3
        >>> words = {"num_envs": 8, "autoreset_mode": "same_step", "alphabet": "digits"}
        >>> env = as_sb3(gym.make_vec("lmgym/Math-v0", **words))
        >>> kwargs = {"features_extractor_class": TokenFeatures}
        >>> ppo = PPO("MultiInputPolicy", env, policy_kwargs=kwargs, device="cpu")
        >>> clone_behaviour(ppo, "embedded", env, rounds=1, steps=8).n_tokens
        64
    """
    vec_env = env if isinstance(env, VecEnv) else as_sb3(env)
    policy = _policy_of(student)
    _check_sizes(rounds=rounds, steps=steps, epochs=epochs, batch_size=batch_size)
    _check_match(student, policy, vec_env)
    if isinstance(teacher, str | Path):
        from lmgym.policies.loading import load_policy

        teacher = load_policy(teacher)
    lessons = _Lessons(steps, vec_env, gamma, seed)
    player = _Player(teacher, vec_env, seed)
    pupil = _Pupil(policy, lr, value_weight, teacher.renderer.pad_id)
    losses, value_losses = [], []
    for number in range(rounds):
        player.play(lessons)
        loss, value_loss = pupil.learn(lessons, epochs, batch_size)
        losses.append(loss)
        value_losses.append(value_loss)
        if progress is not None:
            progress((number + 1) * steps * vec_env.num_envs, loss)
    if isinstance(student, BaseAlgorithm):
        student._last_obs = None  # its environment may be the one that was played
    return Cloning(losses, value_losses, rounds * steps * vec_env.num_envs)


class _Lesson(NamedTuple):
    """A minibatch: what was seen, and what the teacher thought of it."""

    observations: Any
    remaining: Tensor
    """Shape (B, 1)."""
    teacher: Tensor
    """Log-probabilities of the teacher, shape (B, A)."""
    returns: Tensor
    is_known: Tensor
    """1 where the return is known, since the episode was finished in the round, shape (B,)."""


class _Lessons(BaseTrajectoryBuffer):
    """What the teacher did in a round."""

    def __init__(self, steps: int, env: VecEnv, gamma: float, seed: int) -> None:
        if not isinstance(env.action_space, spaces.Discrete):
            raise LmgymError(
                f"the action space is {env.action_space}, and a teacher is followed one id a step;"
                ' make the environment with level="token"'
            )
        self.n_actions = int(env.action_space.n)
        space: Any = env.observation_space
        shape = env.num_envs
        super().__init__(
            steps, space, env.action_space, "cpu", gamma=gamma, n_envs=shape, seed=seed
        )

    def reset(self) -> None:
        """Begin a round."""
        super().reset()
        shape = (self.buffer_size, self.n_envs)
        self.teacher = np.zeros((*shape, self.n_actions), np.float32)
        self.remaining = np.zeros((*shape, 1), np.float32)
        self.is_known = np.zeros(shape, np.float32)

    def note(self, step: int, teacher: Tensor, remaining: Any, dones: Any) -> None:
        """Keep what belongs to a step besides the usual; `dones` makes returns known."""
        self.teacher[step], self.remaining[step] = teacher.numpy(), remaining
        self.is_known[: step + 1, dones] = 1

    def _columns(self) -> dict[str, Any]:
        names = ("remaining", "teacher", "returns", "is_known")
        return {name: getattr(self, name) for name in names}

    def _samples(self, observations: Any, columns: dict[str, Tensor]) -> _Lesson:
        return _Lesson(observations=observations, **columns)


class _Player:
    """A teacher in an environment."""

    def __init__(self, teacher: LanguagePolicy, env: VecEnv, seed: int) -> None:
        alphabet = env.get_attr("alphabet")[0]
        vocab = token_spaces(env.observation_space).vocab
        if vocab != teacher.renderer.vocab_size:
            raise LmgymError(
                f"the teacher knows {teacher.renderer.vocab_size} ids, the environment has"
                f" {vocab}; make the environment with tokenizer= the name of the teacher"
            )
        ids = torch.arange(vocab) if alphabet is None else torch.as_tensor(alphabet).long()
        self.env = env
        self.ids = ids.to(teacher.device)
        self.head = ActionHead(teacher.model, self.ids)
        self.decoder = RowDecoder(teacher.model, teacher.renderer.pad_id)
        self.drawing = Drawing(generator=torch.Generator().manual_seed(seed))
        self.pad_id = teacher.renderer.pad_id
        env.seed(seed)
        self.observation: Any = env.reset()
        self.starts = np.ones(env.num_envs, np.bool_)

    @torch.no_grad()
    def play(self, lessons: _Lessons) -> None:
        """Fill the lessons of a round."""
        lessons.reset()
        nothing = torch.zeros(self.env.num_envs)
        for step in range(lessons.buffer_size):
            seen = self.observation
            logprobs = self._logprobs(seen)
            uniforms = self.drawing.uniforms(1, len(logprobs), logprobs.device)[0]
            actions = self.drawing.draw(logprobs, uniforms)[0].numpy()
            self.observation, rewards, dones, _ = self.env.step(actions)
            lessons.add(seen, actions, rewards, self.starts, nothing, nothing)
            lessons.note(step, logprobs, seen["remaining"], dones)
            self.starts = dones
        lessons.compute_returns_and_advantage(nothing, self.starts)

    def _logprobs(self, observation: Any) -> Tensor:
        """Of the actions that are allowed, shape (N, A); far below all others for the rest."""
        tokens, lengths = (torch.from_numpy(observation[key]) for key in ("tokens", "length"))
        require_ids(tokens, lengths)
        logits = self.head.logits(self.decoder.read(tokens, lengths.flatten()), self.ids).cpu()
        allowed = torch.as_tensor(np.stack(self.env.env_method("action_masks")))
        return logits.masked_fill(~allowed, MASKED).log_softmax(1)


class _Pupil:
    """A policy that learns to follow."""

    def __init__(self, policy: Any, lr: float, value_weight: float, pad_id: int) -> None:
        self.policy = policy
        self.optimizer = torch.optim.Adam(policy.parameters(), lr)
        self.value_weight = value_weight
        self.pad_id = pad_id

    def learn(self, lessons: _Lessons, epochs: int, batch_size: int) -> tuple[float, float]:
        """Train on a round; the mean losses of the first pass, when the round was new."""
        self.policy.set_training_mode(True)
        sums = np.zeros(2)
        for epoch in range(epochs):
            for lesson in lessons.get(batch_size):
                losses = self._step(_Lesson(*(_moved(part, self.policy.device) for part in lesson)))
                sums += np.array(losses) * len(lesson.returns) * (epoch == 0)
        self.policy.set_training_mode(False)
        loss, value_loss = (sums / (lessons.buffer_size * lessons.n_envs)).tolist()
        return loss, value_loss

    def _step(self, lesson: _Lesson) -> tuple[float, float]:
        loss, value_loss = self._losses(lesson)
        self.optimizer.zero_grad()
        total: Any = loss + self.value_weight * value_loss
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimizer.step()
        return loss.item(), value_loss.item()

    def _losses(self, lesson: _Lesson) -> tuple[Tensor, Tensor]:
        """The divergence from the teacher, and the critic's error where the return is known."""
        logprobs, values = self._opinions(lesson)
        away = (lesson.teacher.exp() * (lesson.teacher - logprobs)).sum(1).mean()
        errors = F.mse_loss(values.flatten(), lesson.returns, reduction="none")
        return away, (errors * lesson.is_known).sum() / lesson.is_known.sum().clamp(min=1)

    def _opinions(self, lesson: _Lesson) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, A) and values (B, 1) of the policy."""
        policy, masks = self.policy, {}
        if isinstance(policy, MaskableActorCriticPolicy):
            masks = {"action_masks": lesson.teacher > MASKED / 2}
        if isinstance(policy, LanguageActorCritic):
            return policy.logprobs_and_values(lesson.observations, **masks)
        observations = self._plain(lesson)
        distribution: Any = self.policy.get_distribution(observations, **masks)
        return distribution.distribution.logits, self.policy.predict_values(observations)

    def _plain(self, lesson: _Lesson) -> dict[str, Tensor]:
        """One observation a step, for policies that read no trajectories."""
        parts, places = lesson.observations, lesson.observations[PLACES]
        width = self.policy.observation_space["tokens"].shape[0]
        tokens = F.pad(parts[FRAGMENTS], (0, width - parts[FRAGMENTS].shape[1]))[parts[ROWS]]
        is_seen = torch.arange(width, device=tokens.device) <= places[:, None]
        return {
            "tokens": tokens.masked_fill(~is_seen, self.pad_id),
            "length": places[:, None] + 1,
            "remaining": lesson.remaining,
        }


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise LmgymError(f"{name}={size}: give 1 or more")


def _check_match(student: Any, policy: Any, env: VecEnv) -> None:
    """Raise where the student was made for another environment."""
    for name in ("observation_space", "action_space"):
        theirs, ours = getattr(policy, name), getattr(env, name)
        if theirs != ours:
            raise LmgymError(
                f"the student's {name.replace('_', ' ')} is {theirs}, the environment's {ours};"
                " clone in an environment made with the same arguments as the student's"
            )
    ours = _ids_of(env)
    theirs = ours
    if isinstance(policy, LanguageActorCritic):
        theirs = policy.action_ids.cpu().numpy()
    elif isinstance(student, BaseAlgorithm) and student.env is not None:
        theirs = _ids_of(student.env)
    if not np.array_equal(theirs, ours):
        raise LmgymError(
            "the student's actions stand for other ids than the environment's; make both with the"
            " same alphabet, and a language model with action_ids= that alphabet"
        )


def _ids_of(env: VecEnv) -> Any:
    """The id of each action, for environments of tokens."""
    alphabet = env.get_attr("alphabet")[0]
    return np.arange(getattr(env.action_space, "n", 0)) if alphabet is None else alphabet


def _policy_of(student: Any) -> Any:
    """The policy, if it has an actor and a critic."""
    policy = student.policy if isinstance(student, BaseAlgorithm) else student
    if not isinstance(policy, ActorCriticPolicy | MaskableActorCriticPolicy):
        raise LmgymError(
            f"{type(policy).__name__} has no distribution over actions to be compared with a"
            " teacher's; choose PPO, A2C or MaskablePPO"
        )
    return policy


def _moved(part: Any, device: torch.device) -> Any:
    if isinstance(part, Tensor):
        return part.to(device)
    return type(part)({key: part[key].to(device) for key in part})
