"""Turns, steps and ids are paid alike in every view, in one call of the source a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.registry import LEVELS
from lmgym.rewards import RewardBatch, RewardLevel, RewardSchedule
from lmgym.rewards.schedule import token_rewards
from lmgym.rollouts import RolloutBatch
from lmgym.testing import run_check
from lmgym.testing.reward_checks import ProbeReward
from lmgym.transcript import Transcript

END, STOP, FILLER = 257, 262, 49
DENSE = [RewardLevel.TURN, RewardLevel.STEP, RewardLevel.TOKEN]
WORLD, TASK_ID = "lmgym/GuessNumber-v0", "guess/37"

Episode = list[str]
"""The agent's messages."""

messages = st.text("357 \n", max_size=6) | st.sampled_from(["", "\n", "50\n\n7", "37", "9" * 40])
episodes = st.lists(messages, min_size=1, max_size=6)


def actions_of(level: str, message: str) -> list[Any]:
    """The actions that write a message and its end."""
    if level == "message":
        return [message]
    ids = [*message.encode(), END]
    if level == "token":
        return ids
    chunks = [ids[i : i + 4] for i in range(0, len(ids), 4)]
    return [np.array(chunk + [STOP] * (4 - len(chunk))) for chunk in chunks]


def filler(level: str) -> Any:
    return {"token": FILLER, "message": "1"}.get(level, np.array([FILLER, STOP, STOP, STOP]))


def play_alone(level: str, episode: Episode, source: Any) -> tuple[list[float], Transcript]:
    """Play an episode in a single environment; the reward of each step."""
    env: Any = gym.make(WORLD, level=level, reward=source, disable_env_checker=True).unwrapped
    env.reset(options={"task_id": TASK_ID})
    paid = []
    for message in episode:
        n_turns = len(env.episode.turns)
        for action in actions_of(level, message):
            if env.episode.verdict is None and len(env.episode.turns) == n_turns:
                paid.append(env.step(action)[1])
    return paid, env.transcript()


def play_together(
    level: str, mode: AutoresetMode, rows: Sequence[Episode], source: Any
) -> list[float]:
    """Play an episode in each row; what each is paid until it is over or nothing is left to say."""
    words = {"level": level, "reward": source, "autoreset_mode": mode.name.lower()}
    env: Any = gym.make_vec(WORLD, len(rows), **words)
    env.reset(options={"task_id": TASK_ID})
    left = [[a for message in row for a in actions_of(level, message)] for row in rows]
    paid, is_over = np.zeros(len(rows)), np.zeros(len(rows), np.bool_)
    while any(left):
        actions = [queue.pop(0) if queue else filler(level) for queue in left]
        told = [row for row, queue in enumerate(left) if queue]
        _, rewards, over, _, _ = env.step(tuple(actions) if level == "message" else actions)
        paid += np.where(is_over, 0.0, rewards)
        is_over |= over
        for row in over.nonzero()[0].tolist():
            left[row] = []
        is_over[[row for row in range(len(rows)) if row not in told]] = True
        if mode is AutoresetMode.DISABLED and over.any():
            env.reset(options={"reset_mask": over})
    return list(map(float, paid))


@settings(deadline=None, max_examples=20)
@given(episode=episodes, kind=st.sampled_from(list(RewardLevel)))
def test_single_environments_of_every_level_pay_the_same_sum(
    episode: Episode, kind: RewardLevel
) -> None:
    source = ProbeReward(kind)
    by_token, transcript = play_alone("token", episode, source)
    for level in ("chunk", "message"):
        paid, same = play_alone(level, episode, source)
        assert same == transcript
        assert sum(paid) == sum(by_token)
    if transcript.verdict is not None:
        assert sum(by_token) == source.total(transcript)


@settings(deadline=None, max_examples=15)
@given(
    rows=st.lists(episodes, min_size=3, max_size=3),
    kind=st.sampled_from(list(RewardLevel)),
    mode=st.sampled_from(list(AutoresetMode)),
    level=st.sampled_from(LEVELS),
)
def test_rows_of_a_batch_are_paid_as_single_environments(
    rows: list[Episode], kind: RewardLevel, mode: AutoresetMode, level: str
) -> None:
    source = ProbeReward(kind)
    alone = [sum(play_alone(level, row, source)[0]) for row in rows]
    assert play_together(level, mode, rows, source) == alone


@settings(deadline=None, max_examples=20)
@given(episode=episodes, kind=st.sampled_from(list(RewardLevel)))
def test_rollouts_pay_each_id_what_the_token_level_pays(
    episode: Episode, kind: RewardLevel
) -> None:
    source = ProbeReward(kind)
    paid, transcript = play_alone("token", [*episode, *["37"] * 9], source)
    batch = RolloutBatch.paid(make_task(WORLD), [transcript] * 2, RewardSchedule(source))
    assert batch.rewards.tolist() == [sum(paid)] * 2
    if batch.token_rewards is None:
        assert kind is RewardLevel.OUTCOME
    else:
        assert [each.tolist() for each in batch.token_rewards] == [paid, paid]


class Counter:
    """What a batch at level token should ask of a source, by its actions and its ends."""

    def __init__(self, kind: RewardLevel, mode: AutoresetMode, n_rows: int) -> None:
        self.kind, self.mode = kind, mode
        self.is_waiting = np.zeros(n_rows, np.bool_)

    def expected(self, actions: Any, over: Any) -> list[int]:
        ends = over | (actions == END)
        due = {
            RewardLevel.OUTCOME: over,
            RewardLevel.TURN: ends,
            RewardLevel.STEP: ends | (actions == ord("\n")),
            RewardLevel.TOKEN: np.ones_like(over),
        }[self.kind]
        n = int((due & ~self.is_waiting).sum())
        self.is_waiting = over if self.mode is AutoresetMode.NEXT_STEP else self.is_waiting
        return [n] if n else []


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kind", RewardLevel)
def test_a_step_asks_once_for_the_rows_at_a_boundary_and_never_for_those_that_wait(
    kind: RewardLevel, mode: AutoresetMode
) -> None:
    source, n_rows = ProbeReward(kind), 6
    env: Any = gym.make_vec(WORLD, n_rows, reward=source, autoreset_mode=mode.name.lower())
    env.reset(seed=0)
    rng, counter = np.random.default_rng(0), Counter(kind, mode, n_rows)
    n_over = 0
    for _ in range(80):
        actions = rng.choice([ord("5"), ord("\n"), END], n_rows, p=[0.6, 0.2, 0.2])
        over = env.step(actions)[2]
        assert source.batches == counter.expected(actions, over)
        source.batches.clear()
        n_over += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            env.reset(options={"reset_mask": over})
            assert not source.batches
    assert n_over > n_rows


@pytest.mark.parametrize("kind", RewardLevel)
@pytest.mark.parametrize("level", ["chunk", "message"])
def test_steps_of_several_ids_ask_once_too(level: str, kind: RewardLevel) -> None:
    source = ProbeReward(kind)
    env: Any = gym.make_vec(WORLD, 3, level=level, reward=source)
    env.reset(options={"task_id": TASK_ID})
    same = "1\n2\n3"
    for action in actions_of(level, same):
        source.batches.clear()
        env.step((action,) * 3 if level == "message" else np.array([action] * 3))
        assert source.batches in ([], [3])
    assert bool(source.batches) == (kind is not RewardLevel.OUTCOME)


@pytest.mark.parametrize("kind", DENSE)
@pytest.mark.parametrize("check", ["snapshots", "pickling", "levels", "seeding", "fresh_data"])
def test_worlds_keep_their_promises_under_dense_rewards(check: str, kind: RewardLevel) -> None:
    run_check(check, WORLD, reward=ProbeReward(kind))


@pytest.mark.parametrize("kind", DENSE)
def test_copies_of_rows_are_paid_what_is_left(kind: RewardLevel) -> None:
    env: Any = gym.make_vec(WORLD, 2, reward=ProbeReward(kind))
    env.reset(options={"task_id": TASK_ID})
    first, second = list(b"1\n2"), [*b"\n5", END, *b"37", END]
    before = [env.step(np.array([action, END]))[1][0] for action in first]
    env.fork([0], [1])
    rewards = np.array([env.step(np.array([action] * 2))[1] for action in second])
    assert rewards[:, 0].tolist() == rewards[:, 1].tolist()
    alone, _ = play_alone("token", ["1\n2\n5", "37"], ProbeReward(kind))
    assert [*before, *rewards[:, 0]] == alone


@pytest.mark.parametrize("level", LEVELS)
def test_a_prefix_is_paid_nothing_of_its_own(level: str) -> None:
    source = ProbeReward(RewardLevel.STEP)
    env: Any = gym.make(WORLD, level=level, reward=source).unwrapped
    env.reset(options={"task_id": TASK_ID, "prefix_ids": [*b"a\nb"]})
    for action in actions_of(level, "c\nd"):
        env.step(action)
    assert [step.text for step in env.transcript().segments[0].steps] == ["a\nbc\n", "d"]


class Late(ProbeReward):
    """Has no reward for its first calls."""

    n_missed = 2

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        batch = super().score(transcripts)
        missed = np.full(len(transcripts), len(self.batches) <= self.n_missed)
        return RewardBatch(batch.outcome, batch.dense, batch.parts, missed)


@pytest.mark.parametrize("kind", DENSE)
def test_what_was_unscored_is_paid_when_it_can_be(kind: RewardLevel) -> None:
    paid, transcript = play_alone("token", ["1\n2", "3\n", "37"], Late(kind))
    source = ProbeReward(kind)
    in_time, _ = play_alone("token", ["1\n2", "3\n", "37"], source)
    assert sum(paid) == sum(in_time) == source.total(transcript)
    assert paid != in_time


def test_an_unscored_step_says_so_in_every_view() -> None:
    env: Any = gym.make(WORLD, reward=Late(RewardLevel.STEP)).unwrapped
    batch: Any = gym.make_vec(WORLD, 1, reward=Late(RewardLevel.STEP))
    told = []
    for each in (env, batch):
        each.reset(options={"task_id": TASK_ID})
        infos = []
        for action in actions_of("token", "1\n2\n3"):
            info = each.step(action if each is env else np.array([action]))[4]
            infos.append(bool(np.all(info.get("unscored", False))))
        told.append(infos)
    assert told == [[False, True, False, True, False, False]] * 2


@pytest.mark.parametrize("kind", RewardLevel)
def test_an_episode_with_an_unscored_end_is_unscored(kind: RewardLevel) -> None:
    _, transcript = play_alone("message", ["1\n2", "37"], None)
    batch = RolloutBatch.paid(
        make_task(WORLD), [transcript], RewardSchedule(ProbeReward(kind, misses=1))
    )
    assert (batch.rewards.tolist(), batch.scored.tolist()) == ([0.0], [False])
    if batch.token_rewards is not None:
        assert not batch.token_rewards[0].any()


class Retrospective:
    """Hands out the mean outcome of the batch over the units of each episode, unevenly."""

    is_causal = False

    def __init__(self, level: RewardLevel) -> None:
        self.level = level
        self.batches: list[int] = []

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        self.batches.append(len(transcripts))
        assert all(t.verdict is not None for t in transcripts)
        totals = np.array([float(t.n_tokens) for t in transcripts])
        advantages = (totals - totals.mean()) / 3
        units = [np.arange(1.0, 1 + t.n_units(self.level)) for t in transcripts]
        dense = [a / 2 * u / u.sum() for a, u in zip(advantages, units, strict=True)]
        return RewardBatch(advantages / 2, dense)


@settings(deadline=None, max_examples=15)
@given(played=st.lists(episodes, min_size=2, max_size=4), kind=st.sampled_from(DENSE))
def test_retrospective_sources_are_paid_out_to_the_last_id(
    played: list[Episode], kind: RewardLevel
) -> None:
    over = [play_alone("token", [*each, *["37"] * 9], None)[1] for each in played]
    source = Retrospective(kind)
    batch = RolloutBatch.paid(make_task(WORLD), over, RewardSchedule(source))
    assert source.batches == [len(over)]
    lengths = np.array([float(t.n_tokens) for t in over])
    np.testing.assert_allclose(batch.rewards, (lengths - lengths.mean()) / 3, atol=1e-5)
    assert batch.token_rewards is not None
    sums = [float(each.sum()) for each in batch.token_rewards]
    np.testing.assert_allclose(sums, batch.rewards, atol=1e-9)


@pytest.mark.parametrize("kind", DENSE)
def test_retrospective_sources_are_refused_by_environments(kind: RewardLevel) -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(LmgymError, match="needs complete batches"):
            make(WORLD, reward=Retrospective(kind))


class Wrong(ProbeReward):
    """Returns what a function makes of the dense rewards."""

    def __init__(self, level: RewardLevel, spoil: Callable[[Any], Any]) -> None:
        super().__init__(level)
        self.spoil = spoil

    def score(self, transcripts: Sequence[Transcript]) -> RewardBatch:
        batch = super().score(transcripts)
        return RewardBatch(batch.outcome, self.spoil(batch.dense))


@pytest.mark.parametrize(
    ("kind", "spoil", "message"),
    [
        (RewardLevel.STEP, lambda dense: [d[:-1] for d in dense], r"of shape \(1,\) .* of 2 units"),
        (RewardLevel.TURN, lambda dense: [[d] for d in dense], r"of shape \(1, 1\)"),
        (RewardLevel.TOKEN, lambda dense: dense[:-1], "dense rewards of 0 transcripts for 1"),
        (RewardLevel.TURN, lambda dense: [d * np.nan for d in dense], "nan, which is not finite"),
        (RewardLevel.OUTCOME, lambda dense: [np.zeros(1)], "of level outcome and returned dense"),
    ],
)
def test_sources_that_pay_units_wrongly_are_refused(
    kind: RewardLevel, spoil: Any, message: str
) -> None:
    _, transcript = play_alone("message", ["1\n37"], None)
    with pytest.raises(LmgymError, match=message):
        RewardSchedule(Wrong(kind, spoil)).pay([transcript])


def test_units_that_a_source_does_not_pay_are_worth_nothing() -> None:
    source = Wrong(RewardLevel.STEP, lambda dense: None)
    paid, transcript = play_alone("token", ["1\n2", "37"], source)
    assert not any(paid[:-1])
    assert paid[-1] == source.score([transcript]).outcome[0]


def test_ids_of_a_transcript_made_from_strings_cannot_be_paid() -> None:
    said = Transcript.from_strings("1+1=", "2")
    with pytest.raises(LmgymError, match="made from strings"):
        RewardSchedule(ProbeReward(RewardLevel.TOKEN)).pay([said])


def test_what_an_id_is_paid_includes_the_outcome_at_the_last() -> None:
    source = ProbeReward(RewardLevel.TURN)
    _, transcript = play_alone("message", ["1", "37"], None)
    (payment,) = RewardSchedule(source).pay([transcript])
    by_token = token_rewards(transcript, payment, source.level)
    batch = source.score([transcript])
    assert batch.dense is not None
    first, last = batch.dense[0].tolist()
    assert by_token.tolist() == [0.0, first, 0.0, 0.0, last + batch.outcome[0]]
