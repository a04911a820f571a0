"""`best_first`: the endings of an episode, the most likely under a policy first.

Likelihoods only fall as a text grows, so the first ending that is more likely than every open
beginning is the most likely of all (Dijkstra, 1959). No beginning is read twice, no ending comes
twice, and the world judges only the endings that come up.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from lmgym.episode import Episode, EpisodeState
from lmgym.errors import LmgymError
from lmgym.search.prefix_tree import PrefixTree
from lmgym.transcript import Transcript

if TYPE_CHECKING:
    from lmgym.policies.language_policy import LanguagePolicy

__all__ = ["Ending", "best_first", "check_search"]


@dataclass(frozen=True, slots=True)
class Ending:
    """An episode that is over.

    Attributes:
        transcript: what happened, with the world's verdict.
        logprob: of all that the agent wrote since the search began, at temperature 1.
    """

    transcript: Transcript
    logprob: float


def best_first(
    policy: LanguagePolicy,
    episode: Episode,
    *,
    n_endings: int = 8,
    n_expansions: int = 1024,
    branching: int = 64,
    at_once: int = 16,
) -> Iterator[Ending]:
    """Play an episode to its most likely endings, without repetition.

    They come in the order of their likelihood until `n_expansions` beginnings have been read; then
    come the best that were found. The greedy ending is always among those found, so the first one
    is at least as likely. Worlds of several turns are played on from each reply; a world that
    draws its replies draws the same ones after the same words.

    The search begins where the episode stands at the call. What becomes of the episode afterwards,
    between two endings too, is the caller's and makes no difference to it.

    Args:
        policy: the model that says what is likely.
        episode: under way, with the policy's renderer; each ending leaves it as it is then.
        n_endings: how many at most.
        n_expansions: how many beginnings the policy reads at most, the greedy ending's not counted.
        branching: how many of the most likely next ids are looked at.
        at_once: beginnings that are read in a batch.

    Example:
        >>> import numpy as np
        >>> from lmgym.factory import make_episode
        >>> from lmgym.policies.loading import load_policy
        >>> episode = make_episode("lmgym/Math-v0")
        >>> episode.reset(np.random.default_rng(0), task_id="addition/2/0/0")
        >>> endings = best_first(load_policy(), episode, n_endings=3)
        >>> [str(ending.transcript.verdict) for ending in endings]
        ['correct', 'incorrect', 'incorrect']
    """
    if min(n_endings, branching, at_once) < 1 or n_expansions < 0:
        raise LmgymError(
            f"n_endings={n_endings}, branching={branching}, at_once={at_once} start at 1 and"
            f" n_expansions={n_expansions} at 0"
        )
    check_search(policy, episode)
    start = episode.get_state()
    return _endings(policy, episode, start, n_endings, n_expansions, branching, at_once)


def _endings(
    policy: LanguagePolicy,
    episode: Episode,
    start: EpisodeState,
    n_endings: int,
    n_expansions: int,
    branching: int,
    at_once: int,
) -> Iterator[Ending]:
    search: _Search | None = None
    for _ in range(n_endings):
        here = episode.get_state()
        try:
            search = search or _Search(policy, episode, start, branching)
            ending = search.next_ending(n_expansions, at_once)
        finally:
            episode.set_state(here)
        if ending is None:
            return
        yield ending


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message that the agent begins: the episode there, and its text in the tree."""

    state: EpisodeState
    handle: int


@dataclass(frozen=True, slots=True)
class _Open:
    """A beginning that can go on."""

    turn: _Turn
    handle: int
    logprob: float


@dataclass(frozen=True, slots=True)
class _Expanded:
    """A beginning that was read: its likeliest next ids and the logprobs of what they lead to."""

    beginning: _Open
    tokens: Sequence[int]
    logprobs: Sequence[float]


_Candidate = tuple[_Expanded, int]
"""A beginning and the rank of one of its next ids, not looked at yet."""


class _Search:
    """What is open, what is found, and the tree of both."""

    def __init__(
        self, policy: LanguagePolicy, episode: Episode, start: EpisodeState, branching: int
    ) -> None:
        """Play the greedy ending."""
        from lmgym.search.tree_decoder import tree_decoder

        self.tree = PrefixTree(shares_children=True)
        self.decoder = tree_decoder(policy.model, self.tree, policy.renderer.pad_id)
        self.episode = episode
        self.n_ids = policy.renderer.vocab_size
        self.end_ids = policy.renderer.end_ids
        self.branching = branching
        self.n_expanded = 0
        self.heap: list[tuple[float, int, Ending | _Candidate]] = []
        self.order = count()  # of equals, the first to come
        handle = self.tree.root(start.ids)
        self._dive(_Open(_Turn(start, handle), handle, 0.0))

    def next_ending(self, n_expansions: int, at_once: int) -> Ending | None:
        """The likeliest ending that has not been given; None where there is no other."""
        while self.heap:
            is_over = self.n_expanded >= n_expansions
            if isinstance(found := self.heap[0][2], Ending) or is_over:
                heapq.heappop(self.heap)
                if isinstance(found, Ending):
                    return found
            else:
                self._expand(self._likeliest(min(at_once, n_expansions - self.n_expanded)))
        return None

    def _dive(self, beginning: _Open | Ending) -> None:
        """Take the likeliest id until the episode ends."""
        while isinstance(beginning, _Open):
            expanded = self._read([beginning])[0]
            self._offer(expanded, 1)
            beginning = self._follow(expanded, 0)
        self._push(beginning.logprob, beginning)

    def _likeliest(self, at_once: int) -> list[_Open]:
        """The likeliest beginnings, up to the first ending: another may still overtake it."""
        beginnings: list[_Open] = []
        while self.heap and len(beginnings) < at_once:
            candidate = self.heap[0][2]
            if isinstance(candidate, Ending):
                break
            heapq.heappop(self.heap)
            expanded, rank = candidate
            self._offer(expanded, rank + 1)
            child = self._follow(expanded, rank)
            if isinstance(child, Ending):
                self._push(child.logprob, child)
            else:
                beginnings.append(child)
        return beginnings

    def _expand(self, beginnings: list[_Open]) -> None:
        self.n_expanded += len(beginnings)
        if beginnings:
            for expanded in self._read(beginnings):
                self._offer(expanded, 0)

    def _read(self, beginnings: list[_Open]) -> list[_Expanded]:
        """Ask the policy how these may go on."""
        logits = self.decoder.logits([beginning.handle for beginning in beginnings])
        logprobs = logits[:, : self.n_ids].float().log_softmax(-1)
        best, tokens = logprobs.topk(min(self.branching, self.n_ids))
        own = best.new_tensor([[beginning.logprob] for beginning in beginnings]).double()
        rows = zip(beginnings, tokens.tolist(), (best + own).tolist(), strict=True)
        return [_Expanded(*row) for row in rows]

    def _offer(self, expanded: _Expanded, rank: int) -> None:
        """Have the id of this rank looked at when its turn comes."""
        if rank < len(expanded.tokens):
            self._push(expanded.logprobs[rank], (expanded, rank))

    def _push(self, logprob: float, item: Ending | _Candidate) -> None:
        heapq.heappush(self.heap, (-logprob, next(self.order), item))

    def _follow(self, expanded: _Expanded, rank: int) -> _Open | Ending:
        """What the id of this rank leads to, the world's reply included."""
        turn, token = expanded.beginning.turn, expanded.tokens[rank]
        handle = self.tree.extend(expanded.beginning.handle, token)
        written = self.tree.depth(handle) - self.tree.depth(turn.handle)
        logprob = expanded.logprobs[rank]
        if token not in self.end_ids and written < turn.state.remaining:
            return _Open(turn, handle, logprob)
        self.episode.set_state(turn.state)
        self.episode.write(self.tree.ids(handle)[-written:])
        if self.episode.verdict is not None:
            return Ending(self.episode.transcript(), logprob)
        if self.episode.task.restarts_context:
            handle = self.tree.root(self.episode.ids)
        else:
            handle = self.tree.write(handle, self.episode.ids[self.tree.depth(handle) :])
        return _Open(_Turn(self.episode.get_state(), handle), handle, logprob)


def check_search(policy: LanguagePolicy, episode: Episode) -> None:
    """Raise where a policy cannot play an episode to its end."""
    if episode.verdict is not None:
        raise LmgymError("the episode is over or was never started; call reset() before a search")
    if policy.renderer.vocab_size != episode.renderer.vocab_size:
        raise LmgymError(
            f"the policy has {policy.renderer.vocab_size} ids, the episode"
            f" {episode.renderer.vocab_size}; make the episode with renderer=policy.renderer"
        )
    needed = episode.length + episode.remaining
    if episode.task.restarts_context:  # a later page may be longer
        needed = episode.context
    if policy.context is not None and needed > policy.context:
        raise LmgymError(
            f"the episode may reach {needed} ids, but the model has {policy.context} positions;"
            " make it with a smaller context or max_tokens"
        )
