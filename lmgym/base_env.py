"""What the views of an episode share: resets, endings, infos, snapshots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lmgym.episode import Episode, EpisodeState
from lmgym.errors import LmgymError, unknown
from lmgym.rewards.schedule import RewardSchedule
from lmgym.rewards.source import RewardLevel
from lmgym.steps import breaks_line
from lmgym.task import Task, Verdict
from lmgym.transcript import Transcript, conversation_text, rendered_text, with_gold_rewards

__all__ = ["EpisodeEnv"]

Obs = TypeVar("Obs")
Act = TypeVar("Act")

_OPTIONS = ("prefix_ids", "split", "task_id")


class RenderModeError(LmgymError, TypeError):
    """An unknown render mode; a TypeError too, by which Stable-Baselines3 knows to go without."""


class EpisodeEnv(gym.Env[Obs, Act], Generic[Obs, Act]):
    """An `Episode` as a `gymnasium.Env`; subclasses say what an action and an observation are.

    Args:
        episode: the state machine to drive.
        schedule: pays the rewards.
        split: where `reset` draws problems from unless its options say otherwise.
        render_mode: "ansi" returns the conversation as text; "rgb_array" a picture, uint8 of shape
            (height, width, 3), where the world draws some (`Task.render_modes`).
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(
        self,
        episode: Episode,
        schedule: RewardSchedule,
        *,
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Check the arguments."""
        known = list(episode.task.render_modes)
        if render_mode is not None and render_mode not in known:
            hint = episode.task.render_hint if render_mode == "rgb_array" else ""
            raise RenderModeError(str(unknown("render_mode", render_mode, [*known, "None"], hint)))
        self.metadata = {**self.metadata, "render_modes": known}
        self.episode = episode
        self.split = episode.task.check_split(split)
        self.render_mode = render_mode
        self._schedule = schedule

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the environment's random generator.
            options: `split`, `task_id` (start this problem), `prefix_ids` (ids that the agent's
                first message begins with).
        """
        super().reset(seed=seed)
        given = options or {}
        for name in given:
            if name not in _OPTIONS:
                raise unknown("reset option", name, _OPTIONS)
        prefix_ids = given.get("prefix_ids")
        episode = self.episode
        episode.reset(
            self.np_random,
            split=episode.task.check_split(given.get("split") or self.split),
            task_id=given.get("task_id"),
            prefix_ids=() if prefix_ids is None else prefix_ids,
        )
        opening = episode.opening
        info = {"task_id": opening.task_id, "prompt_text": conversation_text(opening.messages)}
        return self._observe(), info

    @property
    def task(self) -> Task[Any]:
        """The world."""
        return self.episode.task

    def transcript(self) -> Transcript:
        """What happened in the current episode so far."""
        return self.episode.transcript()

    def get_state(self) -> EpisodeState:
        """A snapshot of the episode, its budget and random state included."""
        return self.episode.get_state()

    def set_state(self, state: EpisodeState) -> Obs:
        """Go back to a snapshot; returns the observation there."""
        self.episode.rng = self.np_random
        self.episode.set_state(state)
        return self._observe()

    def render(self) -> str | NDArray[np.uint8] | None:
        """The conversation so far as text, an unfinished message included, or a picture."""
        if self.render_mode is None:
            return None
        episode = self.episode
        if self.render_mode == "rgb_array":
            return episode.task.picture(episode.get_state().course.state)
        written = "" if episode.verdict is not None else episode.renderer.decode(episode.draft)
        return rendered_text(episode.messages, episode.verdict, written)

    def close(self) -> None:
        """Free what the world holds outside of this process."""
        self.episode.task.close()

    @abstractmethod
    def _observe(self) -> Obs:
        """A fresh observation."""

    def _after_turn(self) -> tuple[float, bool, dict[str, Any]]:
        """Reward, whether the episode is over, and info, at the end of a turn.

        Ids, roles and loss mask are told of the last context; the transcript has those of all.
        """
        episode = self.episode
        turn = episode.turns[-1]
        info: dict[str, Any] = {"text": turn.text, "n_tokens": turn.n_tokens, **episode.reply_info}
        is_over = episode.verdict is not None
        if is_over:
            first = episode.prompt_length
            roles, mask = episode.roles_and_mask()
            info["response_ids"] = tuple(episode.ids[first:])
            info["role_ids"] = roles[first:]
            info["loss_mask"] = mask[first:]
            info["verdict"] = str(episode.verdict)
            info["is_success"] = episode.verdict is Verdict.CORRECT
        elif not self._schedule.is_dense:
            return 0.0, False, info
        return self._pay(info), is_over, info

    def _within_turn(self, ids: Sequence[int]) -> tuple[float, dict[str, Any]]:
        """Reward and info of writing ids that do not end a turn."""
        info: dict[str, Any] = {}
        is_step = self._schedule.level is RewardLevel.STEP
        if is_step and not breaks_line(self.episode.renderer, ids).any():
            return 0.0, info
        return self._pay(info), info

    def _pay(self, info: dict[str, Any]) -> float:
        """What is due at the end of a unit; an episode that is over is graded first."""
        episode = self.episode
        is_over = episode.verdict is not None
        if is_over and episode.task.has_gold_reward:
            (graded,) = with_gold_rewards(episode.task, [episode.transcript()])
            info["gold_reward"] = episode.gold_reward = graded.gold_reward
        payment = self._schedule.pay_rows(
            [episode.verdict], lambda due: [episode.transcript()], [episode.n_paid]
        )[0]
        episode.n_paid += len(payment.units)
        if is_over:
            info["reward_parts"] = dict(payment.parts)
        if not payment.is_scored:
            info["unscored"] = True
        return payment.reward

    def _require_running(self) -> None:
        if self.episode.verdict is not None:
            raise LmgymError("the episode is over or was never started; call reset() before step()")
