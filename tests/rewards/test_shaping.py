"""Potential-based shaping, and what it leaves as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.rendering import ByteRenderer
from lmgym.rewards import (
    Cached,
    FunctionReward,
    PotentialShaping,
    RewardBatch,
    RewardLevel,
    RewardSource,
    VerifierReward,
    check_reward,
)
from lmgym.task import Message, Role, Verdict
from lmgym.transcript import Segment, Transcript, Turn

DENSE = [RewardLevel.TURN, RewardLevel.STEP, RewardLevel.TOKEN]
DECODE = ByteRenderer().decode
STOP, LETTERS, LONGEST = ".", "abc.", 3
"""The small MDP: write letters until the stop or three of them; the whole string is paid."""
STRINGS = [
    "".join(word)
    for n in range(1, LONGEST + 1)
    for word in product(LETTERS, repeat=n)
    if STOP not in word[:-1] and (n == LONGEST or word[-1] == STOP)
]
STATES = sorted({word[:n] for word in STRINGS for n in range(len(word))})

Rewards = Mapping[tuple[str, str], float]
"""What each action is paid in each state."""


def episode_of(word: str, level: RewardLevel) -> Transcript:
    """The episode in which each unit is a letter."""
    opening = Message(Role.USER, "?")
    if level is RewardLevel.TURN:
        said = [m for c in word for m in (Message(Role.ASSISTANT, c), Message(Role.USER, "-"))]
        return Transcript((opening, *said[:-1]), verdict=Verdict.ENDED)
    if level is RewardLevel.STEP:
        return Transcript.from_strings("?", "\n".join(word), verdict=Verdict.ENDED)
    ids = (256, *word.encode())
    mask = (0, *[1] * len(word))
    turn = Turn("agent_0", 1, len(ids), word, len(word), True)
    segment = Segment(ids, mask, mask, 1, (turn,))
    messages = (opening, Message(Role.ASSISTANT, word))
    return Transcript(messages, (segment,), verdict=Verdict.ENDED)


def letters_of(state: Transcript) -> str:
    """The letters that a state shows."""
    said = [m.content for m in state.messages if m.role is Role.ASSISTANT]
    return "".join([*said, state.draft]).replace("\n", "")


def paid_by(source: RewardSource, level: RewardLevel) -> Rewards:
    """What a source pays for each action in each state, read off all episodes."""
    batch = source.score([episode_of(word, level) for word in STRINGS])
    assert batch.dense is not None
    found: dict[tuple[str, str], float] = {}
    for word, units, outcome in zip(STRINGS, batch.dense, batch.outcome, strict=True):
        for place, paid in enumerate(units):
            is_last = place == len(word) - 1
            amount = float(paid + (outcome if is_last else 0.0))
            assert found.setdefault((word[:place], word[place]), amount) == pytest.approx(amount)
    return found


def best_actions(rewards: Rewards, gamma: float) -> dict[str, set[str]]:
    """The optimal actions of every state, by dynamic programming from the longest strings."""
    values: dict[str, float] = {}
    best: dict[str, set[str]] = {}
    for state in sorted(STATES, key=len, reverse=True):
        worth = {
            action: rewards[state, action] + gamma * values.get(state + action, 0.0)
            for action in LETTERS
        }
        values[state] = max(worth.values())
        best[state] = {a for a, value in worth.items() if value > values[state] - 1e-9}
    return best


def random_table(rng: np.random.Generator, keys: Sequence[str]) -> dict[str, float]:
    """Numbers with ties, so that some states have several best actions."""
    return dict(zip(keys, rng.integers(-2, 3, len(keys)).astype(float).tolist(), strict=True))


class Whole:
    """Pays whole strings, whatever messages they are written in."""

    level = RewardLevel.OUTCOME
    is_causal = True

    def __init__(self, rewards: Mapping[str, float]) -> None:
        self.rewards = rewards

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        return RewardBatch(np.array([self.rewards[letters_of(t)] for t in transcripts]))


def looked_up(table: Mapping[str, float]) -> Callable[[Sequence[Transcript]], list[float]]:
    return lambda states: [table[letters_of(state)] for state in states]


class Bonus:
    """Pays each unit by the state that it leads to: no difference of a potential."""

    is_causal = True

    def __init__(
        self, source: RewardSource, table: Mapping[str, float], level: RewardLevel
    ) -> None:
        self.source, self.table, self.level = source, table, level

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        words = [letters_of(t) for t in transcripts]
        dense = [
            np.array([self.table[word[:place]] for place in range(1, len(word) + 1)])
            for word in words
        ]
        return RewardBatch(self.source.score(transcripts).outcome, dense)


EVERYTHING = sorted({*STATES, *STRINGS})


@pytest.mark.parametrize("level", DENSE)
@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_potentials_leave_the_best_actions_of_solved_mdps_as_they_were(
    level: RewardLevel, gamma: float
) -> None:
    n_moved_by_a_bonus = n_shared = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        source = Whole(random_table(rng, STRINGS))
        nothing = Bonus(source, dict.fromkeys(EVERYTHING, 0.0), level)
        plain = best_actions(paid_by(nothing, level), gamma)
        phi = {word: 3 * rng.normal() for word in EVERYTHING}
        shaped = PotentialShaping(looked_up(phi), source, gamma=gamma, level=level, decode=DECODE)
        assert best_actions(paid_by(shaped, level), gamma) == plain
        bonus = paid_by(Bonus(source, phi, level), level)
        n_moved_by_a_bonus += best_actions(bonus, gamma) != plain
        n_shared += any(len(actions) > 1 for actions in plain.values())
    assert n_moved_by_a_bonus > 36  # the test can fail
    assert n_shared > 20  # and ties are there to be broken


def test_the_discount_of_the_shaping_has_to_be_the_learners() -> None:
    n_moved = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        source = Whole(random_table(rng, STRINGS))
        phi = {word: 3 * rng.normal() for word in EVERYTHING}
        level = RewardLevel.STEP
        plain, shaped = (
            PotentialShaping(potential, source, gamma=1.0, level=level)
            for potential in (lambda states: [0.0] * len(states), looked_up(phi))
        )
        best = [best_actions(paid_by(s, level), 0.5) for s in (plain, shaped)]
        n_moved += best[0] != best[1]
    assert n_moved > 10


@pytest.mark.parametrize("level", DENSE)
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_discounted_sum_telescopes(level: RewardLevel, gamma: float) -> None:
    rng = np.random.default_rng(0)
    phi = {word: rng.normal() for word in EVERYTHING}
    shaping = PotentialShaping(looked_up(phi), gamma=gamma, level=level, decode=DECODE)
    dense = shaping.score([episode_of(word, level) for word in STRINGS]).dense
    assert dense is not None
    for units in dense:
        discounted = float(units @ gamma ** np.arange(len(units)))
        assert discounted == pytest.approx(-phi[""], abs=1e-9)


def test_a_running_episode_keeps_the_potential_of_its_last_state() -> None:
    running = Transcript((Message(Role.USER, "?"),), draft="a\nb\n")
    phi = {"": 5.0, "a": 7.0, "ab": 10.0}
    shaping = PotentialShaping(looked_up(phi), level=RewardLevel.STEP)
    dense = shaping.score([running]).dense
    assert dense is not None
    assert dense[0].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("level", DENSE)
def test_shaping_keeps_the_promises_of_a_source(level: RewardLevel) -> None:
    phi = {word: float(len(word)) ** 2 for word in EVERYTHING}
    source = PotentialShaping(
        looked_up(phi), Whole(dict.fromkeys(EVERYTHING, 1.0)), level=level, decode=DECODE
    )
    check_reward(source, [episode_of(word, level) for word in STRINGS[:6]], decode=DECODE)


@pytest.mark.parametrize("level", DENSE)
def test_environments_pay_the_outcome_less_the_potential_of_the_start(level: RewardLevel) -> None:
    def phi(states: Sequence[Transcript]) -> list[float]:
        return [1.5 + len(s.messages) + 0.3 * len(s.draft) for s in states]

    reward = PotentialShaping(phi, "verifier", level=level, decode=DECODE)
    env = gym.make("lmgym/GuessNumber-v0", reward=reward)
    env.reset(options={"task_id": "guess/37"})
    total, n_paid, terminated = 0.0, 0, False
    for token in b"50\x0025\n\x0037\x00":
        *_, paid, terminated, _, _ = env.step(257 if token == 0 else token)
        total += float(paid)
        n_paid += paid != 0
    assert terminated
    assert total == pytest.approx(1.0 - 2.5, abs=1e-9)
    assert n_paid >= {RewardLevel.TURN: 3, RewardLevel.STEP: 4, RewardLevel.TOKEN: 10}[level]


def test_a_source_can_be_the_potential_and_be_remembered() -> None:
    phi = Cached("length:characters")
    shaping = PotentialShaping(phi, VerifierReward(), level="step")
    said = Transcript.from_strings("?", "ab\nc", verdict=Verdict.CORRECT)
    for _ in range(2):
        batch = shaping.score([said])
        assert batch.outcome.tolist() == [1.0]
        assert batch.dense is not None
        assert batch.dense[0].tolist() == [3.0, -3.0]
    assert (phi.misses, phi.hits) == (3, 3)


def test_a_potential_can_be_named() -> None:
    shaping = PotentialShaping("length:characters", level="step")
    running = Transcript((Message(Role.USER, "?"),), draft="ab\nc\n")
    dense = shaping.score([running]).dense
    assert dense is not None
    assert dense[0].tolist() == [3.0, 2.0]


class Silent:
    """Knows no potential of the opening."""

    level = RewardLevel.OUTCOME
    is_causal = False

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        unscored: NDArray[np.bool_] = np.array([len(t.messages) == 1 for t in transcripts])
        return RewardBatch(np.where(unscored, np.nan, 1.0), unscored=unscored)


def test_what_the_potential_does_not_know_is_unscored() -> None:
    shaping = PotentialShaping(Silent())
    assert not shaping.is_causal
    said = Transcript.from_strings("?", "ab")
    two_turns = Transcript((*said.messages, *said.messages), n_opening=2)
    unscored = shaping.score([said, two_turns]).unscored
    assert unscored is not None
    assert unscored.tolist() == [True, False]


class Halting(Silent):
    """Knows no potential of an answer."""

    is_causal = True

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        unscored: NDArray[np.bool_] = np.array([len(t.messages) > 1 for t in transcripts])
        return RewardBatch(np.where(unscored, np.nan, 1.0), unscored=unscored)


def test_the_potential_of_the_end_need_not_be_known() -> None:
    running = Transcript.from_strings("?", "ab")
    over = Transcript.from_strings("?", "ab", verdict=Verdict.ENDED)
    batch = PotentialShaping(Halting()).score([running, over])
    assert batch.unscored is not None
    assert batch.unscored.tolist() == [True, False]
    assert batch.dense is not None
    assert batch.dense[1].tolist() == [-1.0]


def test_what_the_source_cannot_score_is_unscored() -> None:
    shaping = PotentialShaping("length:characters", Silent())
    opening = Transcript((Message(Role.USER, "?"),), verdict=Verdict.ENDED)
    said = Transcript.from_strings("?", "ab", verdict=Verdict.ENDED)
    unscored = shaping.score([opening, said]).unscored
    assert unscored is not None
    assert unscored.tolist() == [True, False]


@pytest.mark.parametrize("phi", [True, False])
@pytest.mark.parametrize("source", [True, False])
def test_shaping_waits_for_its_slowest_source(phi: bool, source: bool) -> None:
    slow, fast = Silent(), VerifierReward()
    shaping = PotentialShaping(slow if phi else fast, slow if source else fast)
    assert shaping.is_causal == (not phi and not source)


def test_a_dense_potential_is_told() -> None:
    inner = PotentialShaping(lambda states: [0.0] * len(states), level="step")
    with pytest.raises(LmgymError, match="phi pays at level step, and a potential is one number"):
        PotentialShaping(inner, level="step")


async def awaited(states: Sequence[Transcript]) -> list[float]:
    return [0.0] * len(states)


def columns(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    return [0.0] * len(prompts) * (len(prompts) == len(completions))


@pytest.mark.parametrize("phi", [awaited, columns, None, 0.5, lambda: 0.0])
def test_what_is_no_potential_is_told(phi: object) -> None:
    with pytest.raises(LmgymError, match=r"phi=.* is no potential; give a source, its name, or a"):
        PotentialShaping(phi)  # type: ignore[arg-type]


def test_a_function_of_texts_is_a_potential_as_a_source() -> None:
    said = Transcript.from_strings("?", "ab", verdict=Verdict.ENDED)
    dense = PotentialShaping(FunctionReward(columns)).score([said]).dense
    assert dense is not None
    assert dense[0].tolist() == [0.0]


def test_dense_rewards_are_added_to_those_of_a_source() -> None:
    rng = np.random.default_rng(0)
    phi = {word: rng.normal() for word in EVERYTHING}
    inner = PotentialShaping(looked_up(phi), level="turn")
    outer = PotentialShaping(looked_up(phi), inner, level="turn")
    said = [episode_of("abc", RewardLevel.TURN)]
    first, second = inner.score(said).dense, outer.score(said).dense
    assert first is not None
    assert second is not None
    assert second[0] == pytest.approx(2 * first[0])


def ids_only() -> Transcript:
    episode = make_episode("lmgym/Copy-v0")
    episode.reset(np.random.default_rng(0))
    episode.write([*b"ab", 257])
    return episode.transcript()


def test_ids_need_a_decoder() -> None:
    with pytest.raises(LmgymError, match="give decode="):
        PotentialShaping(lambda states: [0.0] * len(states), level="token").score([ids_only()])


@pytest.mark.parametrize("returned", [[0.0], 0.0, [[0.0, 0.0]], [0.0, float("nan")]])
def test_a_potential_of_another_shape_is_told(returned: list[float]) -> None:
    said = Transcript.from_strings("?", "a")
    with pytest.raises(LmgymError, match=r"phi returned .* for 2 states; it must return"):
        PotentialShaping(lambda states: returned).score([said])


@pytest.mark.parametrize("gamma", [0.0, -1.0, 1.1, float("nan")])
def test_a_gamma_that_is_no_discount_is_told(gamma: float) -> None:
    with pytest.raises(LmgymError, match="is no discount; give a number above 0 and up to 1"):
        PotentialShaping(lambda states: [0.0], gamma=gamma)


@pytest.mark.parametrize("level", ["outcome", "line"])
def test_shaping_is_dense(level: str) -> None:
    with pytest.raises(LmgymError, match=f"level of shaping '{level}'; known: .*token"):
        PotentialShaping(lambda states: [0.0], level=level)


def test_a_source_of_another_dense_level_is_told() -> None:
    inner = PotentialShaping(lambda states: [0.0], level="turn")
    with pytest.raises(LmgymError, match="levels step and turn cannot be paid together"):
        PotentialShaping(lambda states: [0.0], inner, level="step")
