"""`AdaptiveSampler`: problems that a policy sometimes solves, chosen as it learns.

A group of answers teaches only where some are right and some are wrong, so problems that are always
or never solved are wasted. The sampler remembers solve rates by stratum (a family at a level) and
by problem, with decay, and draws where the expected rate lies in between; a share of the draws goes
to the strata that it has not seen for longest, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.task import Opening, Task
from lmgym.transcript import conversation_text

if TYPE_CHECKING:
    from lmgym.rollouts import RolloutBatch

__all__ = ["AdaptiveSampler"]

_PRIOR = 1.0
"""Successes, and failures, that a stratum is thought to have had before anything is known."""
_TRUST = 4.0
"""Episodes of its own after which a problem counts as much as its stratum."""
_MEMORY = 48.0
"""Episodes of past updates that count against new ones at most."""
_CHOICE = 2
"""Suitable candidates for each problem that is wanted."""
_MOST = 64
"""Candidates of any kind for each problem that is wanted."""
_REMEMBERED = 20_000
"""Problems that are remembered one by one; those seen longest ago are forgotten first."""
_EDGE = 0.02
"""How far outside the range a weight falls by a factor e."""


@dataclass
class _Record:
    """Successes and episodes, as they weighed at an update.

    Attributes:
        at: the update.
    """

    solved: float = 0.0
    n: float = 0.0
    at: int = 0

    def add(self, solved: int, n: int, now: int, decay: float) -> None:
        """Some more episodes; those before weigh less by `decay` for each update since.

        However many there were before this update, they weigh `_MEMORY` at most: the policy has
        changed.
        """
        is_older = now > self.at
        weight = min(decay ** (now - self.at), _MEMORY / max(self.n, 1.0)) if is_older else 1.0
        self.solved, self.n, self.at = self.solved * weight + solved, self.n * weight + n, now


@dataclass(frozen=True)
class _Candidate:
    task_id: str
    problem: str
    stratum: str
    expected: float


@dataclass
class _Seen:
    """Counts of the last update, for metrics."""

    groups: int = 0
    episodes: int = 0
    solved: int = 0
    in_range: int = 0
    with_signal: int = 0
    strata: dict[str, int] = field(default_factory=dict)


class AdaptiveSampler:
    """Draws problems whose expected solve rate lies between `low` and `high`.

    Inside the range a problem of expected rate p weighs p (1 - p), the variance of its reward;
    outside it is taken only where there are too few inside. The rate expected of a problem is that
    of its stratum, corrected by its own past episodes. Solve rates are the world's verdicts.

    Args:
        task: the world; any that judges answers. Where its openings have none of the columns in
            `strata`, it is one stratum and problems alone are told apart.
        low: the least solve rate.
        high: the greatest.
        exploration: share of the draws that goes to the strata not seen for longest, and half of
            what suitable problems are too few for.
        decay: what a stratum's past episodes weigh against new ones, for each update in between.
        problem_decay: the same for a problem's own episodes. While it isn't seen, it becomes like
            its stratum again; a stratum keeps its last rate.
        split: where problems are drawn from.
        strata: columns that tell strata apart.

    Raises:
        LmgymError: for arguments out of range.

    Example:
        >>> from lmgym.factory import make_task
        >>> sampler = AdaptiveSampler(make_task("lmgym/Math-v0", problems="addition/1-4"))
        >>> [task_id[:10] for task_id in sampler.draw(np.random.default_rng(1), 3)]
        ['addition/4', 'addition/3', 'addition/4']
    """

    def __init__(
        self,
        task: Task[Any],
        *,
        low: float = 0.2,
        high: float = 0.8,
        exploration: float = 0.1,
        decay: float = 0.8,
        problem_decay: float = 0.98,
        split: str = "train",
        strata: Sequence[str] = ("family", "level"),
    ) -> None:
        """Know nothing yet."""
        if not 0 <= low < high <= 1:
            raise LmgymError(f"low={low}, high={high}: use 0 <= low < high <= 1, as 0.2 and 0.8")
        for name, value in (("decay", decay), ("problem_decay", problem_decay)):
            if not 0 < value <= 1:
                raise LmgymError(f"{name}={value} is out of range; use above 0, up to 1")
        if not 0 <= exploration <= 1:
            raise LmgymError(f"exploration={exploration} is out of range; use 0 to 1")
        self.task = task
        self.low, self.high = low, high
        self.exploration = exploration
        self.decay, self.problem_decay = decay, problem_decay
        self.split = task.check_split(split)
        self.strata = tuple(strata)
        self._now = 0
        self._strata: dict[str, _Record] = {}
        self._problems: dict[str, _Record] = {}
        self._seen = _Seen()

    def draw(self, rng: np.random.Generator, n: int) -> list[str]:
        """Addresses of `n` problems; one comes twice only where there are fewer."""
        if n < 1:
            raise LmgymError(f"{n} problems were asked for; ask for 1 or more")
        pool = self._pool(rng, n)
        n_missing = max(0, n - sum(self._is_suitable(c.expected) for c in pool))
        n_explored = int(n * self.exploration + rng.random()) + n_missing // 2
        chosen = self._longest_unseen(pool, min(n, n_explored))
        taken = {candidate.problem for candidate in chosen}
        rest = [candidate for candidate in pool if candidate.problem not in taken]
        chosen += [rest[i] for i in _weighted(rng, self._log_weights(rest), n - len(chosen))]
        places = rng.permutation(len(chosen)).tolist()
        return [chosen[places[i % len(places)]].task_id for i in range(n)]

    def update(self, batch: RolloutBatch) -> None:
        """Take in the episodes of a batch; those of one group answer the same problem."""
        self._now += 1
        self._seen = _Seen()
        successes, groups = batch.successes, dict[int, list[int]]()
        for place, transcript in enumerate(batch.transcripts):
            groups.setdefault(transcript.group_id, []).append(place)
        for members in groups.values():
            first = batch.transcripts[members[0]]
            solved = int(successes[members].sum())
            self._add(first.prompt_text, self._stratum(first.columns), solved, len(members))
        for name in list(self._problems)[: max(0, len(self._problems) - _REMEMBERED)]:
            del self._problems[name]

    def metrics(self) -> dict[str, float]:
        """Of the last update: solve rate, groups in the range and with a signal, each stratum.

        `rate STRATUM` is the solve rate expected of it now, `share STRATUM` its share of the
        groups.
        """
        seen = self._seen
        if not seen.groups:
            return {}
        found = {
            "curriculum/solve_rate": seen.solved / seen.episodes,
            "curriculum/in_range": seen.in_range / seen.groups,
            "curriculum/signal": seen.with_signal / seen.groups,
        }
        for stratum in filter(None, sorted(self._strata)):
            found[f"curriculum/rate {stratum}"] = self._rate(stratum)
            found[f"curriculum/share {stratum}"] = seen.strata.get(stratum, 0) / seen.groups
        return found

    def state_dict(self) -> dict[str, Any]:
        """What has been learned, in values that JSON keeps exactly."""
        return {
            "now": self._now,
            "strata": [[name, r.solved, r.n, r.at] for name, r in self._strata.items()],
            "problems": [[name, r.solved, r.n, r.at] for name, r in self._problems.items()],
            "seen": vars(self._seen) | {"strata": dict(self._seen.strata)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            LmgymError: where it is none.
        """
        try:
            strata = {name: _Record(*values) for name, *values in state["strata"]}
            problems = {name: _Record(*values) for name, *values in state["problems"]}
            now, seen = int(state["now"]), _Seen(**state["seen"])
        except (KeyError, TypeError, ValueError) as error:
            raise LmgymError(
                f"this is no state of an AdaptiveSampler ({error!r}); give what state_dict returned"
            ) from None
        self._now, self._strata, self._problems, self._seen = now, strata, problems, seen

    def _add(self, prompt: str, stratum: str, solved: int, n: int) -> None:
        """Take in a group."""
        record = self._strata.setdefault(stratum, _Record())
        record.add(solved, n, self._now, self.decay)
        own = self._problems.pop(key := _key(prompt), _Record())
        own.add(solved, n, self._now, self.problem_decay)
        self._problems[key] = own  # last in the order
        seen = self._seen
        seen.groups, seen.episodes = seen.groups + 1, seen.episodes + n
        seen.solved += solved
        seen.in_range += self._is_suitable(solved / n)
        seen.with_signal += 0 < solved < n
        seen.strata[stratum] = seen.strata.get(stratum, 0) + 1

    def _stratum(self, columns: Mapping[str, Any]) -> str:
        return "/".join(str(columns[name]) for name in self.strata if name in columns)

    def _rate(self, stratum: str) -> float:
        """The solve rate expected in a stratum."""
        record = self._strata.get(stratum, _Record())
        return (record.solved + _PRIOR) / (record.n + 2 * _PRIOR)

    def _expected(self, problem: str, stratum: str) -> float:
        """The solve rate expected of a problem."""
        own = self._problems.get(problem, _Record())
        weight = self.problem_decay ** (self._now - own.at)
        return (weight * own.solved + _TRUST * self._rate(stratum)) / (weight * own.n + _TRUST)

    def _is_suitable(self, rate: float) -> bool:
        return self.low <= rate <= self.high

    def _pool(self, rng: np.random.Generator, n: int) -> list[_Candidate]:
        """Different candidates: until enough are suitable, or no more come, or there are many."""
        pool: dict[str, _Candidate] = {}
        n_suitable = n_drawn = 0
        while n_suitable < _CHOICE * n and n_drawn < _MOST * n:
            n_before = len(pool)
            for opening in self.task.draw_many(rng, _CHOICE * n, split=self.split):
                candidate = self._candidate(opening)
                if candidate.problem not in pool:
                    pool[candidate.problem] = candidate
                    n_suitable += self._is_suitable(candidate.expected)
            n_drawn += _CHOICE * n
            if len(pool) == n_before:
                break
        return list(pool.values())

    def _candidate(self, opening: Opening[Any]) -> _Candidate:
        problem = _key(conversation_text(opening.messages))
        stratum = self._stratum(opening.columns)
        return _Candidate(opening.task_id, problem, stratum, self._expected(problem, stratum))

    def _longest_unseen(self, pool: Sequence[_Candidate], n: int) -> list[_Candidate]:
        """The first candidates of up to n strata, beginning with those never seen."""
        firsts: dict[str, _Candidate] = {}
        for candidate in pool:
            firsts.setdefault(candidate.stratum, candidate)
        seen_at = {name: self._strata.get(name, _Record()).at for name in firsts}
        return [firsts[name] for name in sorted(firsts, key=lambda name: seen_at[name])[:n]]

    def _log_weights(self, candidates: Sequence[_Candidate]) -> NDArray[np.float64]:
        p = np.array([c.expected for c in candidates], np.float64)
        outside = np.maximum(np.maximum(self.low - p, p - self.high), 0)
        return np.log(p * (1 - p)) - outside / _EDGE


def _weighted(rng: np.random.Generator, log_weights: NDArray[np.float64], n: int) -> list[int]:
    """Up to n different places, by weight without replacement (Efraimidis and Spirakis 2006)."""
    keys = log_weights + rng.gumbel(size=len(log_weights))
    order: list[int] = np.argsort(-keys, kind="stable")[:n].tolist()
    return order


def _key(prompt: str) -> str:
    """A short name for a problem's text."""
    return blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
