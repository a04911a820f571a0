"""One of a world's listed answers a step, seen through features of the state or of the text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lmgym.base_env import EpisodeEnv
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.rewards.schedule import RewardSchedule
from lmgym.task import Message, Role, Task
from lmgym.transcript import conversation_text

__all__ = [
    "Answers",
    "ChoiceEnv",
    "Features",
    "PromptFeatures",
    "encoder_for",
    "features_of",
    "observation_space",
]

Features = NDArray[np.float32]
"""An encoder's features of a conversation, shape (D,), or of several, shape (N, D)."""

_REMEMBERED = 8192
"""Places of a table of features; memory is taken as they are filled."""


class ChoiceEnv(EpisodeEnv[Features, Any]):
    """One step, one of the answers that the world lists: `Task.choices`.

    The observation holds the world's own features of the state, where it has any, else an
    encoder's features of the conversation, system messages left out, up to the answer that is due,
    or the last one that was, scaled to a root mean square of 1; the action is the place of an
    answer in the list. Any learner for vectors and a few actions fits.

    Args:
        episode: the state machine to drive.
        schedule: pays the rewards.
        encoder: "auto" for the world's own features, or "hashing" where it has none; or the name
            of an encoder, as `lmgym.reward_models.make_encoder` takes it.
        split: where `reset` draws problems from unless its options say otherwise.
        render_mode: "ansi" returns the conversation as text.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> env = gym.make("lmgym/PromptSelect-v0", level="choice")
        >>> observation, info = env.reset(seed=0, options={"task_id": "generated/0/0"})
        >>> observation.shape, env.action_space
        ((1024,), Discrete(4))
        >>> env.step(2)[1]
        1.0
    """

    observation_space: spaces.Space[Any]

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        *,
        encoder: str = "auto",
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Declare the spaces."""
        super().__init__(episode, schedule, split=split, render_mode=render_mode)
        self.answers = Answers(episode)
        self.encoder = encoder_for(episode.task, encoder)
        self.observation_space = observation_space(episode.task, self.encoder)
        self.action_space = spaces.Discrete(self.answers.size)

    def step(self, action: SupportsIndex) -> tuple[Features, float, bool, bool, dict[str, Any]]:
        """Give an answer.

        Raises:
            LmgymError: where the episode is over, or the action stands for no answer.
        """
        self._require_running()
        self.episode.write(self.answers.ids(action))
        reward, is_over, info = self._after_turn()
        return self._observe(), reward, is_over, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """True for every answer that may be given, shape (A,), in the convention of sb3-contrib.

        Nothing is masked once the episode is over.
        """
        episode = self.episode
        is_over = episode.verdict is not None
        return self.answers.mask(None if is_over else episode.task.allowed(episode.state))

    def _observe(self) -> Features:
        episode = self.episode
        if self.encoder is None:
            return episode.task.features(episode.state)
        is_over = episode.verdict is not None
        seen: Features = self.encoder.of([episode.seen[:-1] if is_over else episode.seen])[0]
        return seen


def encoder_for(task: Task[Any], encoder: str) -> PromptFeatures | None:
    """The features of an encoder by its name; None for those of the world's own."""
    if encoder == "auto":
        return None if task.n_features else features_of("hashing")
    return features_of(encoder)


def observation_space(task: Task[Any], encoder: PromptFeatures | None) -> spaces.Space[Any]:
    """What is observed at level "choice"."""
    if encoder is not None:
        return encoder.space
    return spaces.Box(0.0, 1.0, (task.n_features,), np.float32)


class Answers:
    """The answers that a world lists, as ids.

    Args:
        episode: knows the world and the tokenizer.

    Raises:
        LmgymError: where the world lists fewer than two.
    """

    def __init__(self, episode: Episode) -> None:
        """Encode them."""
        choices = episode.task.choices
        if len(choices) < 2:
            raise LmgymError(
                f"{type(episode.task).__name__} lists {len(choices)} answers in 'choices', and"
                " level 'choice' needs two or more; choose level='message'"
            )
        renderer = episode.renderer
        self.size = len(choices)
        self._ids = [[*renderer.encode(choice), renderer.end_id] for choice in choices]

    def ids(self, action: SupportsIndex) -> list[int]:
        """The ids that an action writes, the turn's end included."""
        try:
            place = index(action)
        except TypeError:  # no whole number
            raise self.out_of_range(action) from None
        if not 0 <= place < self.size:
            raise self.out_of_range(place)
        return self._ids[place]

    def mask(self, allowed: Sequence[int] | None) -> NDArray[np.bool_]:
        """True for what may be given, shape (A,); None allows everything."""
        if allowed is None:
            return np.ones(self.size, np.bool_)
        mask = np.zeros(self.size, np.bool_)
        mask[list(allowed)] = True
        return mask

    def out_of_range(self, action: object) -> LmgymError:
        """An error for what stands for no answer."""
        return LmgymError(
            f"action {action!r} stands for no answer; allowed are 0 to {self.size - 1}"
        )


class PromptFeatures:
    """An encoder's features of conversations, remembered in a table of fixed size.

    Each text is encoded on its own, so that its features do not depend on what it is encoded with,
    and scaled to a root mean square of 1; texts without features are zeros.

    Args:
        encoder: its name.

    Raises:
        LmgymError: for an encoder that has to be fitted first.

    Attributes:
        space: of the features of one conversation.
    """

    def __init__(self, encoder: str) -> None:
        """Make the encoder."""
        from lmgym.reward_models.encoder import FittedEncoder, make_encoder

        self._name = encoder
        self._encoder = make_encoder(encoder)
        if isinstance(self._encoder, FittedEncoder):
            raise LmgymError(
                f"encoder {encoder!r} learns from texts before it encodes any, and level 'choice'"
                " gives it none; choose hashing, embedded, minilm or hf:DIR"
            )
        size = self._encoder.size
        self._bound = np.float32(size**0.5)
        self.space = spaces.Box(-self._bound, self._bound, (size,), np.float32)
        self._table = np.zeros((_REMEMBERED, size), np.float32)
        self._keys = np.zeros((_REMEMBERED, 16), np.uint8)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """A copy is the same object; in another process it is made anew."""
        return features_of, (self._name,)

    def of(self, conversations: Sequence[Sequence[Message]]) -> Features:
        """Features of conversations, shape (n, D)."""
        features = np.zeros((len(conversations), self._table.shape[1]), np.float32)
        for row, messages in enumerate(conversations):
            features[row] = self._remembered(_read(messages))
        return features

    def _remembered(self, text: str) -> Features:
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        key, place = np.frombuffer(digest, np.uint8), int.from_bytes(digest[:8]) % _REMEMBERED
        if not np.array_equal(self._keys[place], key):
            self._table[place] = self._scaled(self._encoder.encode_texts([text])[0])
            self._keys[place] = key
        features: Features = self._table[place]
        return features

    def _scaled(self, vector: Features) -> Features:
        length = np.linalg.norm(vector)
        scaled = vector * (self._bound / length) if length else vector
        return np.clip(scaled, -self._bound, self._bound)


def _read(messages: Sequence[Message]) -> str:
    """What is encoded: system messages are the same in every episode."""
    said = [message for message in messages if message.role is not Role.SYSTEM]
    return conversation_text(said or messages)


@lru_cache(maxsize=8)
def features_of(encoder: str) -> PromptFeatures:
    """The features of an encoder; all environments of a process share one encoder and its table."""
    return PromptFeatures(encoder)
