"""Checks of a world as a language MDP: masks, budgets, answers, levels, splits, card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lmgym.cards import card
from lmgym.episode import Episode
from lmgym.errors import LmgymError
from lmgym.factory import LEVEL_OF
from lmgym.task import ROLE_IDS, Opening, Role, Verdict
from lmgym.testing.case import Case, Env, Step, assert_same, view_of
from lmgym.transcript import Segment, Transcript

__all__ = [
    "check_addresses",
    "check_budget",
    "check_card",
    "check_garbage",
    "check_gold",
    "check_levels",
    "check_masks",
    "check_splits",
]

_PROBLEMS = 5
"""Problems a split that are played."""
_PROBLEMS_AT_ALL_LEVELS = 2
"""Problems a split that are played with every text at every level."""
_DRAWS = 100
"""Problems a split that are only looked at."""
_GARBAGE = ("", "?!", "no idea \u00fc\u4e2d\U0001f600", "\\boxed{", "nan", "]" * 9)

Speaker = Callable[[Episode], str]


def check_masks(case: Case) -> None:
    """The loss masks mark the ids that were written, in their order, and no other id.

    Where replies start the context again, those of all contexts do so together.
    """
    env = case.make()
    view = view_of(env)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        opening, written, step = view.episode.ids, [], None
        while view.episode.verdict is None:
            action = case.random_action(view, rng)
            written += case.written_by(view, action)
            step = Step(*env.step(action))
        assert step is not None
        segments = view.transcript().segments
        assert segments[0].prompt_ids == tuple(opening), "the transcript opens differently"
        _check_info(step.info, view.episode, segments[-1])
        _check_marks(segments, written)


def _check_info(info: dict[str, Any], episode: Episode, last: Segment) -> None:
    """What is told at the end is the last segment, without what it opened with."""
    response, mask, roles = (info[n] for n in ("response_ids", "loss_mask", "role_ids"))
    n = episode.prompt_length
    assert [*last.ids[:n], *response] == episode.ids, "response_ids are not what follows the prompt"
    assert len(response) == len(mask) == len(roles), "masks, roles and ids differ in length"
    told = response, mask, roles
    assert told == (last.ids[n:], last.loss_mask[n:], last.role_ids[n:]), "the transcript differs"


def _check_marks(segments: Sequence[Segment], written: list[int]) -> None:
    columns = [zip(s.ids, s.role_ids, s.loss_mask, strict=True) for s in segments]
    drawn = [(i, role) for column in columns for i, role, is_drawn in column if is_drawn]
    marked = [i for i, _ in drawn]
    assert marked == written, f"the loss masks mark {marked}; written were {written}"
    speakers = {role for _, role in drawn}
    assert speakers == {ROLE_IDS[Role.ASSISTANT]}, "marked ids that are not the assistant's"


def check_budget(case: Case) -> None:
    """Who never ends a message runs out of tokens: terminated, never truncated, `unfinished`."""
    env = case.make()
    view = view_of(env)
    env.reset(seed=0)
    filler = "a " * (view.episode.remaining + 1)
    if not case.can_say(view, filler):
        return
    steps = case.say(env, filler)
    last = steps[-1]
    assert last.terminated is True, f"not terminated after {len(steps)} steps"
    assert not any(step.truncated for step in steps), "truncated"
    assert last.info["verdict"] == Verdict.UNFINISHED, f"verdict {last.info['verdict']!r}"
    assert last.info["is_success"] is False, "is_success"
    n_written = sum(last.info["loss_mask"])
    assert n_written <= view.episode.max_tokens, f"{n_written} ids were written"
    assert view.episode.remaining == 0, f"{view.episode.remaining} ids remain"


def check_gold(case: Case) -> None:
    """What the world demonstrates earns a reward of 1, where there are gold answers.

    One level is enough: `check_levels` holds the others equal to it.
    """
    if not case.spec.has_gold:
        return
    env = case.make(reward="verifier")
    for task_id in _some_ids(case):
        total, last = _converse(case, env, task_id, _demonstration)
        assert total == 1.0, f"the demonstration of {task_id} is paid {total}"
        assert last.info["is_success"] is True, f"the demonstration of {task_id} fails"
        assert last.info["verdict"] == Verdict.CORRECT, f"verdict {last.info['verdict']!r}"


def check_garbage(case: Case) -> None:
    """No message, and messages that say nothing, earn a reward of 0; one level, as `check_gold`."""
    if not case.spec.has_gold:
        return
    env = case.make(reward="verifier")
    for task_id in _some_ids(case):
        for garbage in _GARBAGE:
            if not case.can_say(view_of(env), garbage):
                continue
            total, last = _converse(case, env, task_id, _saying(garbage))
            assert total == 0.0, f"{garbage!r} is paid {total} in {task_id}"
            assert last.info["is_success"] is False, f"{garbage!r} succeeds in {task_id}"


def _saying(text: str) -> Speaker:
    return lambda episode: text


def _demonstration(episode: Episode) -> str:
    ids = episode.demonstration()
    if ids is None:
        raise LmgymError(
            f"the world has gold answers and demonstrates none in {episode.opening.task_id};"
            " let Task.demonstrate return a right message, or register it with has_gold=False"
        )
    return episode.renderer.decode(ids)


def _converse(case: Case, env: Env, task_id: str, speaker: Speaker) -> tuple[float, Step]:
    """Say what `speaker` says until the episode is over; the rewards and the last step."""
    episode = view_of(env).episode
    steps = [case.reset(env, seed=0, options={"task_id": task_id})]
    while episode.verdict is None:
        steps += case.say(env, speaker(episode))
    return sum(float(step.reward) for step in steps), steps[-1]


def check_levels(case: Case) -> None:
    """The same messages give the same transcript, info and reward at every level."""
    cases = [Case(case.spec, level, _suiting(case, level)) for level in case.spec.levels]
    played = [(each, each.make()) for each in cases]
    choices = view_of(played[0][1]).episode.task.choices
    texts = [*choices, *_GARBAGE, "7" * 5000]
    plays = [([p for p in played if p[0].can_say(view_of(p[1]), t)], _saying(t)) for t in texts]
    if case.spec.has_gold:
        plays.append((played, _demonstration))
    for task_id in _some_ids(case, _PROBLEMS_AT_ALL_LEVELS):
        for able, speaker in plays:
            told = [(each.level, *_tell(each, env, task_id, speaker)) for each, env in able]
            for level, transcript, step in told:
                assert transcript == told[0][1], f"level {level} writes another transcript"
                assert_same([step], [told[0][2]], f"level {level} ends differently")


def _suiting(case: Case, level: str) -> dict[str, Any]:
    """The arguments without those of other levels."""
    given = case.arguments.items()
    return {name: value for name, value in given if LEVEL_OF.get(name, level) == level}


def _tell(case: Case, env: Env, task_id: str, speaker: Speaker) -> tuple[Transcript, Step]:
    total, last = _converse(case, env, task_id, speaker)
    drop = ("messages", "n_tokens")  # n_tokens is the step's at level chunk, else the turn's
    info = {name: value for name, value in last.info.items() if name not in drop}
    ending = Step(None, total, last.terminated, last.truncated, info)
    return view_of(env).transcript(), ending


def check_addresses(case: Case) -> None:
    """A task_id starts the same problem anywhere; unknown ones are refused."""
    env, task = case.make(), view_of(case.make()).episode.task
    for split in task.splits:
        ids = task.task_ids(split, _DRAWS)
        assert len(set(ids)) == len(ids) <= _DRAWS, f"task_ids repeats in {split!r}"
        again = view_of(case.make()).episode.task.task_ids(split, _DRAWS // 2)
        assert again == ids[: len(again)], f"another instance lists other problems of {split!r}"
        for seed, task_id in enumerate(ids):
            _, info = env.reset(seed=seed, options={"task_id": task_id})
            assert info["task_id"] == task_id, f"{task_id!r} starts {info['task_id']!r}"
            assert _open(task, seed, task_id=task_id) == view_of(env).episode.opening, task_id
        drawn = _open(task, 0, split=split)
        assert _open(task, 1, task_id=drawn.task_id) == drawn, f"{drawn.task_id!r} differs"
    for options in ({"task_id": "no such problem"}, {"split": "no such split"}):
        try:
            env.reset(options=options)
        except LmgymError:
            continue
        raise AssertionError(f"reset takes {options}")


def check_splits(case: Case) -> None:
    """No problem of one split, listed or drawn, is in another."""
    task = view_of(case.make()).episode.task
    owner: dict[str, str] = {}
    for split in task.splits:
        listed = [_open(task, 0, task_id=task_id) for task_id in task.task_ids(split, _DRAWS)]
        drawn = [_open(task, seed, split=split) for seed in range(_DRAWS)]
        for opening in listed + drawn:
            problem = repr((opening.messages, opening.gold, opening.state))
            first = owner.setdefault(problem, split)
            assert first == split, f"{opening.task_id!r} is in {first!r} and in {split!r}"


def check_card(case: Case) -> None:
    """The card has every heading."""
    card(case.spec.id)


def _open(task: Any, seed: int, **start: str) -> Opening[Any]:
    opening: Opening[Any] = task.reset(np.random.default_rng(seed), **start)
    return opening


def _some_ids(case: Case, limit: int = _PROBLEMS) -> list[str]:
    task = view_of(case.make()).episode.task
    return [task_id for split in task.splits for task_id in task.task_ids(split, limit)]
