"""Names of worlds, agents and rewards, without importing what they name.

Entries are strings `module:attribute`, loaded on first use, so the kernel can name what stands
above it and `import lmgym` stays light.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from lmgym.errors import LmgymError, unknown

if TYPE_CHECKING:
    from lmgym.families import WorldFamily
    from lmgym.task import Task

__all__ = [
    "AGENTS",
    "FAMILIES",
    "LEVELS",
    "PLAYERS",
    "PLAYER_ARGUMENTS",
    "RESUMABLE",
    "REWARDS",
    "REWARD_ARGUMENTS",
    "WORLDS",
    "WorldSpec",
    "find_world",
    "load",
    "register_world",
]

LEVELS = ("token", "chunk", "message")
"""The levels at which every world of text can be seen; some offer "choice" or "goal" besides."""

REWARDS: dict[str, str] = {
    "verifier": "lmgym.rewards.rules:VerifierReward",
    "gold": "lmgym.rewards.rules:GoldReward",
    "format": "lmgym.rewards.formats:FormatReward",
    "pattern": "lmgym.rewards.formats:PatternReward",
    "length": "lmgym.rewards.length:length_reward",
    "tool-use": "lmgym.rewards.tool_use:ToolUseReward",
    "majority": "lmgym.rewards.majority:MajorityVoteReward",
    "random": "lmgym.rewards.controls:RandomReward",
    "inverted": "lmgym.rewards.controls:InvertedReward",
    "shuffled": "lmgym.rewards.controls:ShuffledReward",
    "rm": "lmgym.reward_models.loading:load_reward_model",
    "dpo": "lmgym.rewards.implicit:load_dpo_reward",
    "judge": "lmgym.rewards.judge:load_judge",
}
"""Reward sources by name: called with nothing, or with the text behind the name's colon."""

REWARD_ARGUMENTS: dict[str, str] = {
    "pattern": "REGEX",
    "rm": "DIR",
    "dpo": "POLICY",
    "judge": "POLICY",
}
"""What has to stand behind the names of some reward sources."""

AGENTS: dict[str, str] = {
    "grpo": "lmgym.agents.grpo:GRPOArgs",
    "ppo": "lmgym.agents.ppo:PPOArgs",
    "reinforce": "lmgym.agents.reinforce:ReinforceArgs",
    "best-of-n": "lmgym.agents.best_of_n:BestOfNArgs",
    "sft": "lmgym.agents.sft:SFTArgs",
    "sb3-ppo": "lmgym.agents.sb3_ppo:SB3PPOArgs",
    "sb3-maskable-ppo": "lmgym.agents.sb3_maskable_ppo:SB3MaskablePPOArgs",
    "sb3-a2c": "lmgym.agents.sb3_a2c:SB3A2CArgs",
    "sb3-dqn": "lmgym.agents.sb3_dqn:SB3DQNArgs",
    "sb3-self-play": "lmgym.agents.sb3_self_play:SB3SelfPlayArgs",
    "her": "lmgym.agents.her:HERArgs",
    "self-play-grpo": "lmgym.agents.self_play_grpo:SelfPlayGRPOArgs",
    "self-play": "lmgym.agents.self_play:SelfPlayArgs",
    "mcts": "lmgym.agents.mcts:MCTSArgs",
    "embedded": "lmgym.agents.embedded:EmbeddedArgs",
}
"""Learners by name: their arguments, whose module has `train(args, ...)`."""

RESUMABLE = ("grpo", "ppo", "reinforce", "best-of-n", "sft")
"""Learners that write checkpoints, so that `lmgym train --resume DIR` goes on with their runs."""


PLAYERS: dict[str, str] = {
    "random": "lmgym.games.players:RandomPlayer",
    "best": "lmgym.games.players:BestPlayer",
    "mcts": "lmgym.agents.mcts:MCTSPlayer",
    "policy": "lmgym.games.policies:GamePolicyPlayer",
    "model": "lmgym.games.text_players:load_text_player",
}
"""Players of games by name: called with nothing, or with the text behind the name's colon."""

PLAYER_ARGUMENTS: dict[str, str] = {
    "mcts": "SIMULATIONS",
    "policy": "DIR",
    "model": "MODEL",
}
"""What has to stand behind the names of some players."""


@dataclass(frozen=True)
class WorldSpec:
    """What a world offers.

    Attributes:
        id: as in `gymnasium.make`.
        task: the `Task` class, or where to find it, as "module:Class".
        summary: one line.
        levels: the levels it can be seen at.
        has_gold: whether its problems have a right answer that earns the verifier's reward.
        baselines: measured success by name, for the card.
        defaults: keyword arguments that `gymnasium.make` passes unless told otherwise, such as
            {"level": "goal", "reward": "sparse"}.
        has_goals: whether its episodes pursue goals, and can be told again with others.
        requires: the extra of this package that its episodes need; empty where there is none.
        multi_agent: of a game, the module whose `env()` is PettingZoo's, and whose
            `parallel_env()` is where players move at once.
        is_simultaneous: whether it has a `parallel_env()`.
    """

    id: str
    task: str | type[Task[Any]]
    summary: str
    levels: tuple[str, ...] = LEVELS
    has_gold: bool = True
    baselines: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    has_goals: bool = False
    requires: str = ""
    multi_agent: str = ""
    is_simultaneous: bool = False

    @property
    def task_class(self) -> type[Task[Any]]:
        """The task's class, imported on first use."""
        task: type[Task[Any]] = load(self.task) if isinstance(self.task, str) else self.task
        return task

    @property
    def address(self) -> str:
        """What finds the world in any process: its id, after "module:" unless it is one of ours."""
        task = self.task
        module = task.partition(":")[0] if isinstance(task, str) else task.__module__
        return self.id if module.startswith("lmgym.") else f"{module}:{self.id}"


WORLDS: dict[str, WorldSpec] = {}
"""The registered worlds by id."""

FAMILIES: dict[str, WorldFamily] = {}
"""Many worlds at once, by the id that theirs are made from."""


def register_world(spec: WorldSpec) -> None:
    """Make a world known here, to gymnasium, and, where it is a game, to PettingZoo.

    Example:
        >>> register_world(WorldSpec("doc/Copy-v0", "lmgym.envs.copy_text.task:CopyTask", "Copy."))
        >>> gym.make("doc/Copy-v0").reset(seed=0)[1]["task_id"][:7]
        'copy/4/'
    """
    WORLDS[spec.id] = spec
    gym.register(
        spec.id,
        "lmgym.factory:make_env",
        vector_entry_point="lmgym.factory:make_vector_env",
        kwargs={"world": spec.address, **spec.defaults},
    )
    if spec.multi_agent:
        _register_with_pettingzoo(spec)


def _register_with_pettingzoo(spec: WorldSpec) -> None:
    import pettingzoo

    pettingzoo.aec_registry.pop(spec.id, None)  # else it warns of what it replaces
    pettingzoo.register("aec", spec.id, f"{spec.multi_agent}:env")
    if spec.is_simultaneous:
        pettingzoo.parallel_registry.pop(spec.id, None)
        pettingzoo.register("parallel", spec.id, f"{spec.multi_agent}:parallel_env")


def find_world(world: str) -> WorldSpec:
    """The spec of a world; "module:id" imports the module that registers it."""
    module, _, world_id = world.rpartition(":")
    if module and world_id not in WORLDS:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise LmgymError(
                f"cannot import {module!r} to find the world {world!r}: {error}"
            ) from None
    if world_id in WORLDS:
        return WORLDS[world_id]
    member = next(filter(None, (f.spec_of(world_id) for f in FAMILIES.values())), None)
    if member is None:
        hint = "your own world: MODULE:ID, where importing MODULE registers it"
        raise unknown("environment", world_id, [*WORLDS, *_near_members(world_id)], hint)
    return member


def _near_members(world_id: str) -> list[str]:
    """What to offer of the families: the members of the one that is meant, else their pattern."""
    for family in FAMILIES.values():
        if world_id.startswith(family.id.partition("{}")[0]):
            return family.ids
    return list(FAMILIES)


def load(entry: str) -> Any:
    """What a "module:attribute" entry names."""
    module, _, attribute = entry.partition(":")
    return getattr(importlib.import_module(module), attribute)
