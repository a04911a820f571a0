"""`episode_search`: Monte-Carlo tree search over an episode, with a language model as prior.

PUCT over the likeliest next ids, as Zhang et al. 2023 plan code ("Planning with large language
models for code generation"). The first simulation is the greedy ending; each later one follows PUCT
through what was read before, and from there on draws the policy's words to the end of the episode,
where a reward says what it is worth. What was written to its end is not written again, so that no
two endings are the same, and the search ends where all are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lmgym.episode import Episode, EpisodeState
from lmgym.errors import LmgymError
from lmgym.factory import make_source
from lmgym.rewards.source import Reward, RewardSource
from lmgym.search.best_first import check_search
from lmgym.search.prefix_tree import PrefixTree
from lmgym.transcript import Transcript, with_gold_rewards

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["Simulated", "episode_search"]


@dataclass(frozen=True, slots=True)
class Simulated:
    """An episode that is over.

    Attributes:
        transcript: what happened, with the world's verdict.
        reward: what the search took it to be worth.
    """

    transcript: Transcript
    reward: float


def episode_search(
    policy: LanguagePolicy,
    episode: Episode,
    rng: np.random.Generator,
    *,
    n_endings: int = 8,
    reward: Reward = "verifier",
    branching: int = 16,
    exploration: float = 1.0,
) -> Iterator[Simulated]:
    """Play an episode to endings, the better ones' beginnings more often, without repetition.

    The search begins where the episode stands at the call, and leaves it as the caller does.

    Args:
        policy: the model that says what is likely.
        episode: under way, with the policy's renderer.
        rng: draws what is written where nothing was read before.
        n_endings: how many at most.
        reward: what an ending is worth, best between 0 and 1.
        branching: how many of the most likely next ids are looked at.
        exploration: weight of the prior beside the rewards.

    Example:
        >>> from lmgym.factory import make_episode
        >>> from lmgym.policies.loading import load_policy
        >>> episode = make_episode("lmgym/Math-v0")
        >>> episode.reset(np.random.default_rng(0), task_id="addition/2/0/30")
        >>> found = list(episode_search(load_policy(), episode, np.random.default_rng(0)))
        >>> len(found), max(ending.reward for ending in found)
        (8, 1.0)
    """
    if min(n_endings, branching) < 1 or not exploration >= 0:
        raise LmgymError(
            f"n_endings={n_endings} and branching={branching} start at 1,"
            f" exploration={exploration} at 0"
        )
    check_search(policy, episode)
    source = make_source(reward)
    if source is None:
        raise LmgymError("a search needs a reward; give verifier, another name, or a source")
    search = _Search(policy, episode, source, branching, exploration)
    return _simulations(search, rng, n_endings)


def _simulations(search: _Search, rng: np.random.Generator, n_endings: int) -> Iterator[Simulated]:
    for _ in range(n_endings):
        if search.root.is_exhausted:
            return
        here = search.episode.get_state()
        try:
            ending = search.simulate(rng)
        finally:
            search.episode.set_state(here)
        yield ending


@dataclass(eq=False, slots=True)
class _Node:
    """A beginning.

    Attributes:
        handle: its text in the tree of texts.
        turn: the episode where the message began, and the text's length there.
        tokens: the likeliest next ids, once it was read.
        priors: their probabilities.
        children: what was written; the same places as `tokens`.
        n: simulations that came through.
        total: what they were worth.
        is_exhausted: whether all that can follow was written.
    """

    handle: int
    turn: tuple[EpisodeState, int]
    tokens: list[int] = field(default_factory=list)
    priors: list[float] = field(default_factory=list)
    children: list[_Node | None] = field(default_factory=list)
    n: int = 0
    total: float = 0.0
    is_exhausted: bool = False


class _Search:
    """The tree of what was written, and of its texts."""

    def __init__(
        self,
        policy: LanguagePolicy,
        episode: Episode,
        source: RewardSource,
        branching: int,
        exploration: float,
    ) -> None:
        from lmgym.search.tree_decoder import tree_decoder

        self.tree = PrefixTree()
        self.decoder = tree_decoder(policy.model, self.tree, policy.renderer.pad_id)
        self.episode, self.source = episode, source
        self.branching = min(branching, policy.renderer.vocab_size)
        self.exploration = exploration
        self.n_ids = policy.renderer.vocab_size
        self.end_ids = policy.renderer.end_ids
        start = episode.get_state()
        self.root = _Node(self.tree.root(start.ids), (start, len(start.ids)))

    def simulate(self, rng: np.random.Generator) -> Simulated:
        """Write one more ending."""
        is_first = self.root.n == 0
        node, path, ending = self.root, [self.root], None
        while ending is None:
            if not node.tokens:
                self._read(node)
            row = self._select(node) if node.n or is_first else self._draw(node, rng)
            child = node.children[row]
            if child is None:
                child, ending = self._write(node, node.tokens[row])
                node.children[row] = child
            node = child
            path.append(node)
        worth = self._worth(ending)
        for node in reversed(path):
            node.n += 1
            node.total += worth
            if node.children:
                node.is_exhausted = all(c is not None and c.is_exhausted for c in node.children)
        return Simulated(ending, worth)

    def _read(self, node: _Node) -> None:
        """Ask the policy how a beginning may go on."""
        logprobs = self.decoder.logits([node.handle])[0, : self.n_ids].float().log_softmax(-1)
        best, tokens = logprobs.topk(self.branching)
        node.tokens, node.priors = tokens.tolist(), best.exp().tolist()
        node.children = [None] * len(node.tokens)

    def _open(self, node: _Node) -> list[int]:
        """Ids after which something is left to write."""
        return [i for i, c in enumerate(node.children) if c is None or not c.is_exhausted]

    def _select(self, node: _Node) -> int:
        """The id of the highest upper bound; where nothing was tried yet, the likeliest."""
        weight = self.exploration * math.sqrt(node.n + 1)
        start = node.total / node.n if node.n else 0.0

        def bound(row: int) -> float:
            child = node.children[row]
            n, value = (child.n, child.total / child.n) if child else (0, start)
            return value + weight * node.priors[row] / (1 + n)

        return max(self._open(node), key=bound)

    def _draw(self, node: _Node, rng: np.random.Generator) -> int:
        """An id by its probability."""
        rows = self._open(node)
        chances = np.cumsum([node.priors[row] for row in rows])
        place = int(chances.searchsorted(rng.random() * chances[-1], "right"))
        return rows[min(place, len(rows) - 1)]

    def _write(self, node: _Node, token: int) -> tuple[_Node, Transcript | None]:
        """What an id leads to, the world's reply included; and the ending, where it is one."""
        (state, start), handle = node.turn, self.tree.extend(node.handle, token)
        written = self.tree.depth(handle) - start
        if token not in self.end_ids and written < state.remaining:
            return _Node(handle, node.turn), None
        episode = self.episode
        episode.set_state(state)
        episode.write(self.tree.ids(handle)[-written:])
        if episode.verdict is not None:
            (graded,) = with_gold_rewards(episode.task, [episode.transcript()])
            return _Node(handle, node.turn, is_exhausted=True), graded
        if episode.task.restarts_context:
            handle = self.tree.root(episode.ids)
        else:
            handle = self.tree.write(handle, episode.ids[self.tree.depth(handle) :])
        return _Node(handle, (episode.get_state(), self.tree.depth(handle))), None

    def _worth(self, transcript: Transcript) -> float:
        batch = self.source.score([transcript])
        if batch.unscored is not None and batch.unscored[0]:
            raise LmgymError(f"the reward {self.source!r:.80} has not scored an ending")
        return float(batch.outcome[0] + (batch.dense[0].sum() if batch.dense else 0.0))
