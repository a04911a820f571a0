"""Tree search over an episode: endings without repetition, and better ones the longer it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import make_episode
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.rendering import ByteRenderer
from lmgym.search.best_first import best_first
from lmgym.search.episode_mcts import Simulated, episode_search
from lmgym.task import Verdict

BuildModel = Callable[..., Any]


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    """The embedded policy."""
    return load_policy()


def started(world: str, task_id: str | None = None, **options: Any) -> Episode:
    episode = make_episode(world, **options)
    episode.reset(np.random.default_rng(0), task_id=task_id)
    return episode


def searched(
    policy: LanguagePolicy, episode: Episode, seed: int = 0, **options: Any
) -> list[Simulated]:
    return list(episode_search(policy, episode, np.random.default_rng(seed), **options))


def greedy_text(policy: LanguagePolicy, episode: Episode) -> str:
    ids = policy.sample([episode.ids], max_tokens=episode.remaining, greedy=True).ids[0]
    return episode.renderer.decode(ids[:-1])


def share_of_a(prompts: list[str], completions: list[str]) -> list[float]:
    return [text.count("a") / 4 for text in completions]


def test_it_finds_right_answers_where_greedy_fails(policy: LanguagePolicy) -> None:
    found = failed = 0
    for task_id in make_episode("lmgym/Math-v0").task.task_ids("validation", 30):
        first, *others = searched(policy, started("lmgym/Math-v0", task_id))
        if first.transcript.verdict is not Verdict.CORRECT:
            failed += 1
            found += any(ending.transcript.verdict is Verdict.CORRECT for ending in others)
    assert failed > 10
    assert found > failed / 4


def test_the_first_ending_is_the_greedy_one(policy: LanguagePolicy) -> None:
    for task_id in make_episode("lmgym/Math-v0").task.task_ids("validation", 10):
        episode = started("lmgym/Math-v0", task_id)
        (first,) = searched(policy, episode, n_endings=1)
        assert first.transcript.messages[-1].content == greedy_text(policy, episode)


@pytest.mark.parametrize("world", ["lmgym/Math-v0", "lmgym/GuessNumber-v0"])
def test_no_ending_comes_twice(policy: LanguagePolicy, world: str) -> None:
    endings = searched(policy, started(world), n_endings=25)
    assert len({ending.transcript.segments for ending in endings}) == len(endings) == 25
    for ending in endings:
        assert ending.transcript.verdict is not None
        assert ending.reward == float(ending.transcript.verdict is Verdict.CORRECT)


def test_it_ends_where_all_endings_are_known(build_model: BuildModel) -> None:
    policy = LanguagePolicy(build_model("llama"), ByteRenderer())
    episode = started("lmgym/Copy-v0", max_tokens=2)
    endings = searched(policy, episode, n_endings=100, branching=3)
    texts = {ending.transcript.segments[0].ids for ending in endings}
    assert len(endings) == len(texts) <= 9
    assert len(endings) >= 7  # an end at once has nothing behind it


def test_a_graded_reward_leads_the_search(build_model: BuildModel) -> None:
    gains = []
    for seed in range(3):
        policy = LanguagePolicy(build_model("llama", seed), ByteRenderer())
        episode = started("lmgym/Copy-v0", max_tokens=4)
        options = {"n_endings": 40, "branching": 128, "reward": share_of_a, "exploration": 3.0}
        led = searched(policy, episode, seed, **options)
        straight = searched(policy, episode, seed, **options | {"reward": "verifier"})
        gains.append(
            max(ending.reward for ending in led)
            - max(ending.transcript.draft.count("a") / 4 for ending in straight)
        )
    assert np.mean(gains) > 0


def test_the_same_draws_find_the_same(policy: LanguagePolicy) -> None:
    episode = started("lmgym/GuessNumber-v0")
    assert searched(policy, episode, 1) == searched(policy, episode, 1)
    assert searched(policy, episode, 1) != searched(policy, episode, 2)


def test_the_episode_stays_where_it_stands(policy: LanguagePolicy) -> None:
    episode = started("lmgym/GuessNumber-v0")
    before = episode.get_state()
    for _ in episode_search(policy, episode, np.random.default_rng(0), n_endings=4):
        assert episode.get_state() == before


def test_endings_replay_in_the_world(policy: LanguagePolicy) -> None:
    episode = started("lmgym/GuessNumber-v0")
    start = episode.get_state()
    endings = searched(policy, episode)
    assert any(len(ending.transcript.segments[0].turns) > 2 for ending in endings)
    for ending in endings:
        episode.set_state(start)
        for turn in ending.transcript.segments[0].turns:
            episode.write(ending.transcript.segments[0].ids[turn.start : turn.end])
        assert episode.transcript() == ending.transcript


def test_worlds_that_start_the_context_again_are_searched(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Nim-v0", "nim/3/0")
    endings = searched(policy, episode, n_endings=3, reward="gold")
    assert len({ending.transcript.segments for ending in endings}) == 3
    assert all(ending.reward == ending.transcript.gold_reward for ending in endings)


def test_what_it_cannot_search_is_an_error(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0")
    for name, value in (("n_endings", 0), ("branching", 0), ("exploration", -1)):
        with pytest.raises(LmgymError, match=f"{name}={value}"):
            searched(policy, episode, **{name: value})
    with pytest.raises(LmgymError, match="needs a reward"):
        searched(policy, episode, reward=None)
    episode.write([episode.renderer.end_id])
    with pytest.raises(LmgymError, match="is over"):
        searched(policy, episode)


def test_an_ending_without_a_score_is_an_error(policy: LanguagePolicy) -> None:
    with pytest.raises(LmgymError, match="has not scored"):
        searched(policy, started("lmgym/Math-v0"), reward=lambda prompts, completions: [None])


def test_one_branch_is_greedy(policy: LanguagePolicy) -> None:
    episode = started("lmgym/Math-v0", "addition/2/0/0")
    (ending,) = searched(policy, episode, branching=1)
    (likeliest,) = best_first(policy, episode, branching=1)
    assert ending.transcript == likeliest.transcript
