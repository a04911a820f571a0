"""Tiny language models with random weights, made from a seed, and a game of words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv

from lmgym.policies.language_policy import LanguagePolicy
from lmgym.rendering import ByteRenderer


@pytest.fixture
def make_policy() -> Callable[[int], LanguagePolicy]:
    """Builds a byte-level Llama whose weights are large enough to have opinions."""

    def build(seed: int) -> LanguagePolicy:
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=262,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=128,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = LlamaForCausalLM(config)
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter, std=0.3)
        return LanguagePolicy(model, ByteRenderer())

    return build


class WordGame(AECEnv):  # type: ignore[misc]
    """Two agents in turn say one word each, `turns` times; they see all that was said.

    What was said is an array of character codes. A word earns 0.5.
    """

    metadata: dict[str, Any] = {"name": "words_v0", "is_parallelizable": False, "render_modes": []}
    possible_agents: list[str] = ["agent_0", "agent_1"]
    words = ("thanks", "no", "maybe", "great")

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns
        self._seen = {agent: Box(0, 127, (64,), np.uint8) for agent in self.possible_agents}
        self._said = {agent: Discrete(len(self.words)) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> Any:
        return self._seen[agent]

    def action_space(self, agent: str) -> Any:
        return self._said[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.agents = self.possible_agents[:]
        self.text = "how was it?"
        self.left = 2 * self.turns
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {"words": self.words} for agent in self.agents}
        self.agent_selection = self.agents[0]

    def observe(self, agent: str) -> Any:
        codes = list(self.text.encode())[:64]
        return np.array(codes + [0] * (64 - len(codes)), np.uint8)

    def step(self, action: int | None) -> None:
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        assert action is not None
        self.text += f" {self.words[action]}"
        self.left -= 1
        if self.left == 0:
            self.terminations = dict.fromkeys(self.agents, True)
        self._cumulative_rewards[agent] = 0.0
        self.rewards = {a: 0.5 * (a == agent) for a in self.agents}
        self._accumulate_rewards()
        self.agent_selection = self.agents[1 - self.agents.index(agent)]


@pytest.fixture
def make_game() -> Callable[[int], WordGame]:
    """Builds a game of so many words an agent."""
    return WordGame
