"""Answers of an evaluation: played in parts, read, and put together by problem."""

from __future__ import annotations

import pytest

from lmgym.agents.embedded import new_policy
from lmgym.answers import Answer, Part, Problem, gather, open_problems, parts_of, play, value_of
from lmgym.factory import episode_of, make_task
from lmgym.rendering import ByteRenderer
from lmgym.rollouts import RolloutCollector
from lmgym.transcript import Transcript


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
@pytest.mark.parametrize("samples", [0, 1, 4, 7])
def test_parts_hold_every_answer_once_and_no_more_than_a_batch(
    samples: int, batch_size: int
) -> None:
    parts = parts_of(5, samples, batch_size, is_greedy=True)
    assert max(part.n_episodes for part in parts) <= batch_size
    seen = [
        (problem, part.place + i)
        for part in parts
        for problem in range(part.first, part.last)
        for i in range(part.n)
    ]
    assert sorted(seen) == [(problem, i) for problem in range(5) for i in range(-1, samples)]


def test_answers_are_gathered_by_problem_in_their_order() -> None:
    problems = [Problem(str(i), "", None, None) for i in range(3)]
    played = []
    for part in parts_of(3, 5, 4, is_greedy=True):
        names = [
            f"{problem}:{part.place + i}"
            for problem in range(part.first, part.last)
            for i in range(part.n)
        ]
        played.append((part, [Answer(name, "correct", 1) for name in names]))
    for place, each in enumerate(gather(problems, played)):
        assert each.greedy == Answer(f"{place}:-1", "correct", 1)
        assert [a.text for a in each.samples] == [f"{place}:{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.50", "1/2"), ("1/2", "1/2"), ("so \\boxed{1,200}, not 3", "1200"), ("none", None)],
)
def test_the_value_of_an_answer_is_its_number(text: str, value: str | None) -> None:
    assert value_of(Transcript.from_strings("?", text)) == value


def test_an_answer_that_was_cut_off_has_no_value() -> None:
    episode = episode_of(make_task("lmgym/Math-v0"), ByteRenderer(), max_tokens=2)
    open_problems(episode, ["addition/2/0/0"])
    episode.write(episode.renderer.encode("12"))
    assert str(episode.verdict) == "unfinished"
    assert value_of(episode.transcript()) is None


def test_a_part_follows_from_its_place_and_the_seed_alone() -> None:
    task = make_task("lmgym/Math-v0")
    collector = RolloutCollector(new_policy(16, 1, 0), task, "verifier")
    ids = task.task_ids("test", 4)
    part = Part(2, 4, 3, 2)
    first = play(collector, ids, part, seed=1, temperature=1.0)
    play(collector, ids, Part(0, 2, 0, 2), seed=1, temperature=1.0)
    assert play(collector, ids, part, seed=1, temperature=1.0) == first
    assert play(collector, ids, part, seed=2, temperature=1.0) != first
    assert play(collector, ids, Part(2, 4, 5, 2), seed=1, temperature=1.0) != first
    assert all(answer.reward == float(answer.is_correct) for answer in first)


def test_answers_survive_as_plain_values() -> None:
    answer = Answer("5", "correct", 2, "5", 0.5, None, ("4", "5"))
    assert Answer.of_dict({**answer.as_dict(), "turns": ["4", "5"]}) == answer
    bare = Answer("", "unfinished", 0)
    assert bare.as_dict() == {"text": "", "verdict": "unfinished", "n_tokens": 0}
    assert Answer.of_dict(bare.as_dict()) == bare


def test_the_hash_of_prompts_changes_with_what_the_model_reads() -> None:
    def hashed(instruction: str, n: int) -> str:
        task = make_task("lmgym/Math-v0", instruction=instruction)
        return open_problems(episode_of(task, ByteRenderer()), task.task_ids("test", n))[1]

    assert hashed("", 4) == hashed("", 4)
    assert len({hashed("", 4), hashed("", 5), hashed(" Answer:", 4)}) == 3
