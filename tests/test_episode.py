"""Episodes: ids out equal ids in, budgets, turn ends, masks, snapshots."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.rendering import ByteRenderer
from lmgym.rewards.schedule import RewardSchedule
from lmgym.task import ROLE_IDS, Message, Role, Verdict
from lmgym.token_env import TokenEnv
from lmgym.transcript import Transcript

BYTES = ByteRenderer()
END = BYTES.end_id
RNG = np.random.default_rng


def started(world: str = "lmgym/GuessNumber-v0", task_id: str | None = None, **kw: Any) -> Episode:
    episode = make_episode(world, **kw)
    episode.reset(RNG(0), task_id=task_id)
    return episode


def said(text: str) -> list[int]:
    return [*BYTES.encode(text), END]


class Reference:
    """The ids, roles and loss mask of an episode, kept beside it by simple means."""

    def __init__(self, messages: Sequence[Message], prefix: Sequence[int]) -> None:
        self.ids, self.roles = BYTES.open(messages)
        self.mask = [0] * len(self.ids)
        self.add(prefix, ROLE_IDS[Role.ASSISTANT], 0)

    def add(self, ids: Sequence[int], role: int, is_drawn: int) -> None:
        self.ids += ids
        self.roles += [role] * len(ids)
        self.mask += [is_drawn] * len(ids)

    def hear(self, message: Message) -> None:
        ids, roles = BYTES.open([message])
        self.ids += ids
        self.roles += roles
        self.mask += [0] * len(ids)


def random_ids(rng: np.random.Generator, n: int) -> list[int]:
    """Bytes that are seldom UTF-8, and special ids, without the end of a turn."""
    drawn: list[int] = rng.integers(0, BYTES.vocab_size - 1, n).tolist()
    return [i + (i >= END) for i in drawn]


def play_at_random(episode: Episode, rng: np.random.Generator) -> Reference:
    """One episode in messages of random ids, some of them given in pieces."""
    prefix = random_ids(rng, int(rng.integers(4)))
    episode.reset(rng, prefix_ids=prefix)
    reference = Reference(episode.opening.messages, prefix)
    while episode.verdict is None:
        ids = random_ids(rng, int(rng.integers(8))) + [END] * int(rng.integers(2))
        room, n_heard = episode.remaining, len(episode.messages)
        episode.write(ids)
        reference.add(ids[:room], ROLE_IDS[Role.ASSISTANT], 1)
        heard = episode.messages[n_heard:]
        for message in heard[1:]:
            reference.hear(message)
    return reference


def test_ids_out_equal_ids_in_over_ten_thousand_episodes() -> None:
    rng = RNG(0)
    episode = make_episode("lmgym/GuessNumber-v0")
    n_turns = 0
    for _ in range(10_000):
        reference = play_at_random(episode, rng)
        (segment,) = episode.transcript().segments
        assert list(segment.ids) == reference.ids
        assert list(segment.loss_mask) == reference.mask
        assert list(segment.role_ids) == reference.roles
        for turn in segment.turns:
            written = segment.ids[turn.start : turn.end - turn.is_finished]
            assert turn.text == BYTES.decode(written)
        n_turns += len(segment.turns)
    assert n_turns > 20_000


def test_turns_lie_between_the_worlds_messages() -> None:
    episode = started(task_id="guess/37")
    for text in ("50", "25", "37"):
        episode.write(said(text))
    turns = episode.turns
    assert [turn.text for turn in turns] == ["50", "25", "37"]
    assert [turn.n_tokens for turn in turns] == [3, 3, 3]
    between = [episode.ids[a.end : b.start] for a, b in pairwise(turns)]
    assert between == [BYTES.open([Message(Role.USER, t)])[0] for t in ("lower", "higher")]
    assert episode.verdict is Verdict.CORRECT


def test_what_follows_the_end_of_a_turn_is_not_taken() -> None:
    episode = started(task_id="guess/37")
    assert episode.write([*said("50"), *said("37")])
    assert [turn.text for turn in episode.turns] == ["50"]


def test_a_message_can_be_written_in_pieces() -> None:
    whole, pieces = started(task_id="guess/37"), started(task_id="guess/37")
    whole.write(said("37"))
    assert not pieces.write([ord("3")])
    assert pieces.draft == [ord("3")]
    assert pieces.write([ord("7"), END])
    assert pieces.transcript() == whole.transcript()


@pytest.mark.parametrize("token", [0, 255, 256, 258, 261])
def test_only_an_end_id_ends_a_turn(token: int) -> None:
    assert not started().append(token)


def test_spending_the_budget_is_unfinished() -> None:
    episode = started("lmgym/Math-v0", max_tokens=3)
    assert not episode.write([49, 50])
    assert episode.write([51])
    assert (episode.verdict, episode.remaining) == (Verdict.UNFINISHED, 0)
    assert [turn.is_finished for turn in episode.turns] == [False]


def test_an_answer_that_ends_with_the_budget_counts() -> None:
    episode = started("lmgym/Math-v0", task_id="addition/2/0/0", max_tokens=4)
    episode.write(said("105"))
    assert (episode.verdict, episode.remaining) == (Verdict.CORRECT, 0)


def test_filling_the_context_is_unfinished() -> None:
    length = started("lmgym/Math-v0").length
    episode = started("lmgym/Math-v0", context=length + 2)
    assert episode.remaining == 2
    episode.write([49, 50])
    assert (episode.verdict, episode.length) == (Verdict.UNFINISHED, episode.context)


def test_a_reply_that_does_not_fit_the_context_ends_the_episode() -> None:
    length = started(task_id="guess/37").length
    episode = started(task_id="guess/37", context=length + 8)
    before = len(episode.messages)
    episode.write(said("50"))
    assert episode.verdict is Verdict.UNFINISHED
    assert episode.messages[before:] == [Message(Role.ASSISTANT, "50")]
    assert episode.ids[length:] == said("50")


def test_using_up_the_turns_is_unfinished() -> None:
    episode = started(task_id="guess/37")
    for _ in range(episode.task.max_turns):
        assert episode.verdict is None
        episode.write(said("1"))
    assert episode.verdict is Verdict.UNFINISHED


def test_a_budget_spent_with_a_turns_end_is_unfinished() -> None:
    episode = started(task_id="guess/37", max_tokens=3)
    episode.write(said("50"))
    assert (episode.verdict, episode.remaining) == (Verdict.UNFINISHED, 0)


def test_the_budget_counts_the_agents_ids_and_the_prefix_only() -> None:
    episode = make_episode("lmgym/GuessNumber-v0", max_tokens=10)
    episode.reset(RNG(0), task_id="guess/37", prefix_ids=[ord("5")])
    assert episode.remaining == 9
    episode.write([ord("0"), END])
    assert episode.remaining == 7


def test_a_prefix_begins_the_message_and_carries_no_loss() -> None:
    episode = make_episode("lmgym/Math-v0")
    episode.reset(RNG(0), task_id="addition/2/0/0", prefix_ids=[49, 48])
    episode.write([ord("5"), END], [-0.5, -0.25])
    (segment,) = episode.transcript().segments
    assert segment.response_ids == (49, 48, 53, END)
    assert segment.loss_mask[segment.prompt_length :] == (0, 0, 1, 1)
    assert segment.logprobs is not None
    assert segment.logprobs[segment.prompt_length :] == (0.0, 0.0, -0.5, -0.25)
    assert episode.verdict is Verdict.CORRECT


def test_logprobs_are_aligned_over_turns() -> None:
    episode = started(task_id="guess/37")
    episode.write(said("50"), [-1.0, -2.0, -3.0])
    episode.write(said("7"), [-4.0, -5.0])
    (segment,) = episode.transcript().segments
    assert segment.logprobs is not None
    drawn = [p for p, m in zip(segment.logprobs, segment.loss_mask, strict=True) if m]
    assert drawn == [-1.0, -2.0, -3.0, -4.0, -5.0]
    assert sum(segment.logprobs) == -15.0


def test_logprobs_that_were_not_all_given_are_none() -> None:
    episode = started(task_id="guess/37")
    episode.write(said("50"), [-1.0, -2.0, -3.0])
    episode.write(said("7"))
    assert episode.transcript().segments[0].logprobs is None


def test_a_snapshot_is_not_touched_by_what_follows() -> None:
    episode = started(task_id="guess/37")
    episode.write(said("50"))
    state, kept = episode.get_state(), copy.deepcopy(episode.get_state())
    episode.write(said("37"))
    assert state == kept
    episode.set_state(state)
    assert episode.get_state() == kept
    assert not (episode.tokens[episode.length :] != BYTES.pad_id).any()


def test_a_new_episode_leaves_no_ids_behind() -> None:
    episode = started()
    episode.write(random_ids(RNG(1), 20))
    episode.reset(RNG(0), task_id="guess/37")
    assert not (episode.tokens[episode.length :] != BYTES.pad_id).any()


def test_writing_after_the_end_is_refused() -> None:
    episode = started("lmgym/Math-v0")
    episode.write(said("1"))
    with pytest.raises(LmgymError, match="the episode is over or was never started"):
        episode.write([49])


@pytest.mark.parametrize("token", [-1, 262])
def test_ids_outside_the_vocabulary_are_refused(token: int) -> None:
    with pytest.raises(LmgymError, match=f"id {token} is outside the vocabulary of 262 ids"):
        started().write([token])


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    with pytest.raises(LmgymError, match=r"prompt takes 9 tokens and the context has 9; pass cont"):
        started("lmgym/Math-v0", task_id="addition/2/0/0", context=9)


@pytest.mark.parametrize("name", ["context", "max_tokens"])
def test_sizes_out_of_range_are_refused(name: str) -> None:
    sizes: dict[str, Any] = {name: 0}
    with pytest.raises(LmgymError, match=f"{name}=0 is out of range"):
        make_episode("lmgym/Math-v0", **sizes)


def test_a_prefix_that_ends_the_turn_is_refused() -> None:
    episode = make_episode("lmgym/Math-v0")
    with pytest.raises(LmgymError, match="prefix_ids holds an id that ends the turn"):
        episode.reset(RNG(0), prefix_ids=[49, END])


@pytest.mark.parametrize(
    ("prefix", "message"), [([49.7], "whole numbers"), ([49, 262], "id 262 is outside")]
)
def test_a_prefix_that_is_no_ids_is_refused_and_changes_nothing(prefix: Any, message: str) -> None:
    episode = started("lmgym/Math-v0")
    episode.write([49])
    before = episode.get_state()
    with pytest.raises(LmgymError, match=message):
        episode.reset(RNG(1), prefix_ids=prefix)
    assert episode.get_state() == before


def test_a_prefix_that_spends_the_budget_is_refused() -> None:
    episode = make_episode("lmgym/Math-v0", max_tokens=2)
    with pytest.raises(LmgymError, match="prefix_ids has 2 tokens and the agent may write 2"):
        episode.reset(RNG(0), prefix_ids=[49, 49])


def test_a_transcript_of_strings_has_no_ids() -> None:
    with pytest.raises(LmgymError, match="'1\\+1=' was made from strings and has no token ids"):
        Transcript.from_strings("1+1=", "2").require_ids()


def test_a_transcript_tells_what_was_said() -> None:
    episode = started(task_id="guess/37")
    episode.write(said("50"))
    episode.write(said("25"))
    transcript = episode.transcript()
    assert transcript.prompt_text == "Guess my number from 1 to 100."
    assert transcript.completion_text == "25"
    assert transcript.n_tokens == 6
    assert transcript.view("agent_0") == transcript
    assert not transcript.view("somebody").has_ids


def test_an_episode_before_its_first_reset_says_what_to_do() -> None:
    episode = make_episode("lmgym/Copy-v0")
    for read in (episode.get_state, episode.transcript, lambda: episode.messages):
        with pytest.raises(LmgymError, match="was never started; call reset"):
            read()
    with pytest.raises(LmgymError, match="over or was never started"):
        episode.append(65)


def test_an_environment_before_its_first_reset_says_what_to_do_or_takes_a_snapshot() -> None:
    fresh, played = (
        TokenEnv(make_episode("lmgym/Copy-v0"), RewardSchedule(None), render_mode="ansi")
        for _ in range(2)
    )
    for read in (fresh.render, fresh.get_state, fresh.transcript):
        with pytest.raises(LmgymError, match="was never started; call reset"):
            read()
    played.reset(seed=0)
    played.step(65)
    fresh.set_state(played.get_state())
    assert fresh.render() == played.render()
    assert fresh.step(END)[1:] == played.step(END)[1:]


def test_a_fresh_episode_takes_a_snapshot_and_goes_on_alike() -> None:
    first, second = make_episode("lmgym/GuessNumber-v0"), make_episode("lmgym/GuessNumber-v0")
    first.reset(np.random.default_rng(0))
    first.write([*b"50", 257, *b"7"])
    second.set_state(first.get_state())
    for episode in (first, second):
        episode.write([*b"5", 257])
    assert first.transcript() == second.transcript()


def test_a_snapshot_of_other_sizes_is_refused() -> None:
    first, second = make_episode("lmgym/Copy-v0"), make_episode("lmgym/Copy-v0", max_tokens=9)
    first.reset(np.random.default_rng(0))
    with pytest.raises(LmgymError, match=r"\(128, 16, 262\), this one has \(128, 9, 262\)"):
        second.set_state(first.get_state())


def test_a_snapshot_of_another_vocabulary_is_refused() -> None:
    first = started("lmgym/Copy-v0")
    wider = ByteRenderer()
    wider.vocab_size = 300
    second = Episode(first.task, wider, context=first.context, max_tokens=first.max_tokens)
    with pytest.raises(LmgymError, match=r"\(128, 16, 262\), this one has \(128, 16, 300\)"):
        second.set_state(first.get_state())


def test_a_snapshot_with_another_kind_of_generator_is_refused_and_changes_nothing() -> None:
    first, second = make_episode("lmgym/Copy-v0"), started("lmgym/Copy-v0")
    first.reset(np.random.Generator(np.random.MT19937(0)))
    before = second.get_state()
    with pytest.raises(LmgymError, match="of MT19937, the episode draws from PCG64"):
        second.set_state(first.get_state())
    assert second.get_state() == before


@pytest.mark.parametrize(
    ("ids", "logprobs", "message"),
    [
        ([65, 49.7], None, "whole numbers"),
        ([65, 300], None, "id 300 is outside the vocabulary"),
        ([65, 66], [-1.0], "1 log-probabilities were given for 2 ids"),
        ([65], [-1.0, -1.0], "2 log-probabilities were given for 1 ids"),
    ],
)
def test_a_refused_message_writes_nothing(ids: Any, logprobs: Any, message: str) -> None:
    episode = make_episode("lmgym/Copy-v0")
    episode.reset(np.random.default_rng(0))
    before = episode.get_state()
    with pytest.raises(LmgymError, match=message):
        episode.write(ids, logprobs)
    assert episode.get_state() == before


def test_a_finished_episode_takes_no_more_ids() -> None:
    episode = make_episode("lmgym/Copy-v0")
    episode.reset(np.random.default_rng(0))
    episode.write([65, 257])
    before = episode.transcript()
    with pytest.raises(LmgymError, match="the episode is over"):
        episode.append(66)
    assert episode.transcript() == before
