"""The likeliest endings come first, and the world judges them as it always does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.rendering import ByteRenderer
from lmgym.search.best_first import Ending, best_first
from lmgym.task import Verdict
from lmgym.transcript import Transcript

BuildModel = Callable[..., Any]


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    """The embedded policy."""
    return load_policy()


def started(world: str, task_id: str | None = None, **options: Any) -> Episode:
    episode = make_episode(world, **options)
    episode.reset(np.random.default_rng(0), task_id=task_id)
    return episode


def written(transcript: Transcript) -> tuple[int, ...]:
    """What the agent wrote."""
    (segment,) = transcript.segments
    return tuple(i for i, drawn in zip(segment.ids, segment.loss_mask, strict=True) if drawn)


def logprob(policy: LanguagePolicy, transcript: Transcript) -> float:
    """Of what the agent wrote, by one plain forward."""
    (segment,) = transcript.segments
    ids = torch.tensor([segment.ids])
    with torch.no_grad():
        logprobs = policy.token_logprobs(ids, torch.ones_like(ids))[0]
    return float((logprobs * torch.tensor(segment.loss_mask[1:])).sum())


def problems(n: int) -> Sequence[str]:
    return make_episode("lmgym/Math-v0").task.task_ids("validation", n)


def greedy(policy: LanguagePolicy, episode: Episode) -> Ending:
    """The greedy ending of an episode of one turn."""
    start = episode.get_state()
    samples = policy.sample([episode.ids], max_tokens=episode.remaining, greedy=True)
    episode.write(samples.ids[0])
    ending = Ending(episode.transcript(), sum(samples.logprobs[0]))
    episode.set_state(start)
    return ending


def test_with_a_verifier_it_finds_more_right_answers_than_greedy(policy: LanguagePolicy) -> None:
    gains = []
    for task_id in problems(60):
        episode = started("lmgym/Math-v0", task_id)
        endings = best_first(policy, episode, n_endings=4)
        found = any(ending.transcript.verdict is Verdict.CORRECT for ending in endings)
        gains.append(found - (greedy(policy, episode).transcript.verdict is Verdict.CORRECT))
    won, lost = gains.count(True), gains.count(-1)
    # The sign test: chances to win as often by luck.
    n = won + lost
    chance = sum(math.comb(n, k) for k in range(won, n + 1)) / 2**n
    assert chance < 1e-4, (won, lost)


@pytest.mark.parametrize("n_expansions", [0, 3, 1024])
def test_the_first_ending_is_at_least_as_likely_as_the_greedy_one(
    policy: LanguagePolicy, n_expansions: int
) -> None:
    for task_id in problems(20):
        episode = started("lmgym/Math-v0", task_id)
        first = next(best_first(policy, episode, n_expansions=n_expansions))
        assert first.logprob > greedy(policy, episode).logprob - 1e-5


def test_a_policy_of_many_minds_has_better_endings_than_the_greedy_one(
    build_model: BuildModel,
) -> None:
    gains = []
    for seed in range(10):
        policy = LanguagePolicy(build_model("llama", seed), ByteRenderer())
        episode = started("lmgym/Copy-v0", max_tokens=3)
        gains.append(next(best_first(policy, episode)).logprob - greedy(policy, episode).logprob)
    assert min(gains) > -1e-5
    assert max(gains) > 0.1


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("at_once", [1, 5])
def test_endings_are_those_of_brute_force(build_model: BuildModel, name: str, at_once: int) -> None:
    model = build_model(name)
    episode = started("lmgym/Copy-v0", max_tokens=2)
    prompt, end = episode.ids, ByteRenderer.end_id
    texts = torch.tensor([[*prompt, first] for first in range(262)])
    with torch.no_grad():
        logprobs = model(texts).logits.double().log_softmax(-1)
    first, second = logprobs[0, len(prompt) - 1], logprobs[:, len(prompt)]
    totals: dict[tuple[int, ...], float]
    totals = {(i, j): float(first[i] + second[i, j]) for i in range(262) for j in range(262)}
    totals = {ids: total for ids, total in totals.items() if ids[0] != end}
    totals[(end,)] = float(first[end])
    best = sorted(totals, key=lambda ids: -totals[ids])[:40]
    endings = best_first(
        LanguagePolicy(model, ByteRenderer()), episode, n_endings=40, branching=262, at_once=at_once
    )
    found = {written(ending.transcript): ending.logprob for ending in endings}
    assert list(found) == best
    assert list(found.values()) == pytest.approx([totals[ids] for ids in best], abs=1e-4)


@pytest.mark.parametrize("n_expansions", [0, 5, 40])
def test_turns_go_on_after_the_reply_of_the_world(
    policy: LanguagePolicy, n_expansions: int
) -> None:
    episode = started("lmgym/GuessNumber-v0", max_tokens=24)
    endings = list(best_first(policy, episode, n_endings=6, n_expansions=n_expansions))
    assert any(len(ending.transcript.segments[0].turns) > 1 for ending in endings)
    assert len({ending.transcript.segments for ending in endings}) == len(endings)
    for ending in endings:
        assert ending.transcript.verdict is not None
        assert ending.logprob == pytest.approx(logprob(policy, ending.transcript), abs=1e-4)


def test_endings_replay_in_the_world(policy: LanguagePolicy) -> None:
    episode = started("lmgym/GuessNumber-v0", max_tokens=24)
    start = episode.get_state()
    for ending in best_first(policy, episode, n_endings=4):
        episode.set_state(start)
        for turn in ending.transcript.segments[0].turns:
            episode.write(ending.transcript.segments[0].ids[turn.start : turn.end])
        assert episode.transcript() == ending.transcript


def test_a_search_may_begin_in_the_middle_of_a_message(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", "addition/2/0/0")
    episode.write(episode.renderer.encode("9"))
    for ending in best_first(policy, episode, n_endings=3):
        assert ending.transcript.messages[-1].content.startswith("9")


def test_the_episode_stays_where_it_stands(policy: LanguagePolicy) -> None:
    episode = started("lmgym/GuessNumber-v0")
    before = episode.get_state()
    for _ in best_first(policy, episode, n_endings=3):
        assert episode.get_state() == before
    assert episode.get_state() == before


def test_the_search_begins_where_the_episode_stood_at_the_call(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", "addition/2/0/0")
    (expected,) = best_first(policy, episode, n_endings=1)
    endings = best_first(policy, episode, n_endings=1)
    episode.write(episode.renderer.encode("99"))
    assert next(endings) == expected
    endings = best_first(policy, episode, n_endings=1)
    episode.reset(np.random.default_rng(1))
    assert next(endings).transcript.messages[-1].content.startswith("99")


def test_what_is_written_between_two_endings_stays(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", "addition/2/0/0")
    expected = list(best_first(policy, episode, n_endings=3))
    endings = best_first(policy, episode, n_endings=3)
    assert next(endings) == expected[0]
    episode.write(episode.renderer.encode("9"))
    here = episode.get_state()
    assert next(endings) == expected[1]
    assert episode.get_state() == here
    episode.write([episode.renderer.end_id])  # it is over now
    assert next(endings) == expected[2]
    assert str(episode.verdict) == "incorrect"


def test_training_mode_does_not_matter(build_model: BuildModel) -> None:
    policy = LanguagePolicy(build_model("gpt2"), ByteRenderer())  # with dropout
    episode = started("lmgym/Copy-v0", max_tokens=2)
    expected = list(best_first(policy, episode, n_endings=4))
    policy.model.train()
    assert list(best_first(policy, episode, n_endings=4)) == expected


def test_few_expansions_still_give_the_greedy_ending(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", "addition/2/0/0")
    (ending,) = best_first(policy, episode, n_expansions=0)
    assert written(ending.transcript) == written(greedy(policy, episode).transcript)


def test_one_branch_is_greedy(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", "addition/2/0/0")
    (ending,) = best_first(policy, episode, branching=1)
    assert written(ending.transcript) == written(greedy(policy, episode).transcript)


def test_what_it_cannot_search_is_an_error(policy: LanguagePolicy) -> None:
    episode = make_episode("lmgym/Math-v0")
    with pytest.raises(LmgymError, match="call reset"):
        best_first(policy, episode)
    episode.reset(np.random.default_rng(0))
    for name in ("n_endings", "branching", "at_once"):
        with pytest.raises(LmgymError, match=f"{name}=0"):
            best_first(policy, episode, **{name: 0})
    with pytest.raises(LmgymError, match="n_expansions=-1"):
        best_first(policy, episode, n_expansions=-1)
    episode.write([episode.renderer.end_id])
    with pytest.raises(LmgymError, match="is over"):
        best_first(policy, episode)


def test_an_episode_longer_than_the_model_is_an_error(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", context=5000, max_tokens=4990)
    with pytest.raises(LmgymError, match="has 4096 positions"):
        best_first(policy, episode)


def test_another_vocabulary_is_an_error(policy: LanguagePolicy) -> None:
    class Wider(ByteRenderer):
        vocab_size = 300

    with pytest.raises(LmgymError, match="the episode 300; make the episode with renderer="):
        best_first(policy, started("lmgym/Math-v0", renderer=Wider()))
