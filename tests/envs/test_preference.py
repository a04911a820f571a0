"""The preference world: a hidden taste, prompts from anywhere, and what an answer is judged by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmgym.envs.preference.cheers import N_PROMPTS, cheer, prompt_at, words_of
from lmgym.envs.preference.gold import TasteReward
from lmgym.envs.preference.prompt_files import load_prompts
from lmgym.envs.preference.taste import liking
from lmgym.errors import LmgymError
from lmgym.factory import make_task
from lmgym.task import Message, Role, Verdict
from lmgym.testing import CHECKS, run_check
from lmgym.transcript import Transcript

RNG = np.random.default_rng
WORLD = "lmgym/Preference-v0"
ASKED = "say kelo rami"


def taste_of(answer: str, prompt: str = ASKED) -> float:
    return liking(words_of(prompt), answer).total


# The taste


@pytest.mark.parametrize(
    ("answer", "length", "marks", "mentions", "sound"),
    [
        ("kelo ramiiiii!!", 1.0, 1 - 1 / 9, 1.0, 6 / 14),
        ("kelo", 1 - (11 / 8) ** 2, 0.0, 0.5, 1.0),
        ("", 1 - (15 / 8) ** 2, 0.0, 0.0, 0.0),
        ("!" * 32, -3.0, -3.0, 0.0, 0.0),
    ],
)
def test_the_taste_is_the_sum_of_its_parts(
    answer: str, length: float, marks: float, mentions: float, sound: float
) -> None:
    found = liking(words_of(ASKED), answer)
    assert found == pytest.approx((length, marks, mentions, sound))
    assert found.total == pytest.approx(length + marks + mentions + sound)


def test_more_is_better_over_what_people_write_and_worse_beyond() -> None:
    by_marks = [
        taste_of("kelo rami" + "!" * n) - liking((), "x" * (9 + n)).length for n in range(8)
    ]
    assert by_marks[0] < by_marks[1] < by_marks[2]
    assert by_marks[3] > by_marks[4] > by_marks[5] > by_marks[7]
    by_length = [liking((), "x" * n).length for n in (3, 9, 15, 21, 27, 40)]
    assert by_length[0] < by_length[1] < by_length[2] > by_length[3] > by_length[4] > by_length[5]


@given(st.text(max_size=60))
def test_the_taste_is_bounded_for_any_text(answer: str) -> None:
    assert -6 <= taste_of(answer) <= 4


def test_people_write_on_the_rising_side_of_the_taste() -> None:
    prompts = [prompt_at(index) for index in range(3000)]
    cheers = [cheer(prompt, 1) for prompt in prompts]
    gold = np.array([taste_of(*pair) for pair in zip(cheers, prompts, strict=True)])
    for count in (len, lambda text: min(text.count("!"), 3)):
        measured = np.array([count(text) for text in cheers], float)
        assert np.corrcoef(measured, gold)[0, 1] > 0.15
    assert 0.9 < gold.std() < 1.6


# Generated prompts


def test_prompts_differ_and_neighbours_have_nothing_in_common() -> None:
    prompts = [prompt_at(index) for index in range(5000)]
    assert len(set(prompts)) == 5000
    assert np.gcd(2_999_999_993, N_PROMPTS) == 1
    assert all(len(words_of(prompt)) == 2 for prompt in prompts)


def test_the_demonstration_is_written_by_somebody_else_than_the_reference() -> None:
    task = make_task(WORLD)
    states = [task.reset(RNG(seed)).state for seed in range(500)]
    shown = [task.demonstrate(state) for state in states]
    same = sum(text == state.reference for text, state in zip(shown, states, strict=True))
    assert same < 50
    verdicts = [
        reply.verdict for reply in task.reply_many(states, [str(t) for t in shown], [RNG(0)] * 500)
    ]
    assert 0.4 < np.mean([verdict is Verdict.CORRECT for verdict in verdicts]) < 0.55


@pytest.mark.parametrize("task_id", ["cheer", "cheer/x", "song/1", f"cheer/{N_PROMPTS}"])
def test_unknown_addresses_are_told_with_an_example(task_id: str) -> None:
    with pytest.raises(LmgymError, match=r"it has the form cheer/index, as 'cheer/\d+'"):
        make_task(WORLD).reset(RNG(0), task_id=task_id)


# What an answer is judged by


def test_an_answer_succeeds_when_it_is_liked_more_than_the_reference() -> None:
    task = make_task(WORLD)
    for seed in range(50):
        state = task.reset(RNG(seed)).state
        words = words_of(state.messages[0].content)
        for text in (f"{words[0]} {words[1]}!!", "x", str(state.reference)):
            verdict = task.reply(state, text, RNG(0)).verdict
            beats = liking(words, text).total > liking(words, str(state.reference)).total
            assert verdict is (Verdict.CORRECT if beats else Verdict.INCORRECT)


def test_a_copy_of_the_reference_does_not_beat_it() -> None:
    state = make_task(WORLD).reset(RNG(0)).state
    assert make_task(WORLD).reply(state, str(state.reference), RNG(0)).verdict == "incorrect"


def test_the_gold_reward_is_in_the_info_at_the_end_and_is_not_paid() -> None:
    env = gym.make(WORLD, level="message", reward=None)
    _, info = env.reset(seed=0, options={"task_id": "cheer/0"})
    assert "gold_reward" not in info
    prompt = info["prompt_text"]
    _, reward, terminated, _, info = env.step("baba!!")
    assert terminated
    assert reward == 0
    assert info["gold_reward"] == pytest.approx(taste_of("baba!!", prompt))


def test_an_answer_that_was_cut_off_has_a_gold_reward_too() -> None:
    env = gym.make(WORLD, level="message", max_tokens=3)
    env.reset(seed=0)
    *_, info = env.step("kelo")
    assert info["verdict"] == Verdict.UNFINISHED
    assert info["gold_reward"] == pytest.approx(taste_of("kel", "say xx xx"))


def test_the_gold_rewards_are_those_of_the_source() -> None:
    transcripts = [Transcript.from_strings(ASKED, text) for text in ("kelo!", "", "!!!")]
    batch = TasteReward().score(transcripts)
    assert batch.outcome.tolist() == make_task(WORLD).gold_rewards(transcripts).tolist()
    assert sum(batch.parts.values()) == pytest.approx(batch.outcome)
    assert TasteReward().score([]).outcome.shape == (0,)


def test_without_a_gold_reward_episodes_just_end() -> None:
    task = make_task(WORLD, gold="none")
    assert not task.has_gold_reward
    assert task.reply(task.reset(RNG(0)).state, "kelo", RNG(0)).verdict is Verdict.ENDED


def test_any_reward_can_be_the_gold() -> None:
    task = make_task(WORLD, gold="length:characters")
    state = task.reset(RNG(0)).state
    longer = str(state.reference) + "x"
    assert task.reply(state, longer, RNG(0)).verdict is Verdict.CORRECT
    assert task.reply(state, longer[:-2], RNG(0)).verdict is Verdict.INCORRECT


def test_a_gold_that_needs_a_whole_batch_is_refused() -> None:
    with pytest.raises(LmgymError, match="gold='shuffled' gives no number for a single finished"):
        make_task(WORLD, gold="shuffled")


@pytest.mark.parametrize(
    "gold", ["verifier", "inverted", "gold", "length", "random", "verifier + 0.1*format:o"]
)
def test_a_gold_that_grades_by_more_than_texts_is_refused(gold: str) -> None:
    with pytest.raises(LmgymError, match="has to give a number for the text of an answer alone"):
        make_task(WORLD, gold=gold)


def test_a_step_is_graded_in_one_batch_and_references_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    original = TasteReward.score

    def watched(self: TasteReward, transcripts: Any) -> Any:
        sizes.append(len(transcripts))
        return original(self, transcripts)

    monkeypatch.setattr(TasteReward, "score", watched)
    task = make_task(WORLD)
    states = [task.reset(RNG(seed)).state for seed in range(3)]
    for words in (["a", "b", "c"], ["d", "e", "f"]):
        task.reply_many(states, words, [RNG(0)] * 3)
        said = [
            Transcript((*state.messages, Message(Role.ASSISTANT, text)), (), 1)
            for state, text in zip(states, [*words[:2], "unfinished"], strict=True)
        ]
        expected = original(TasteReward(), said).outcome
        assert task.gold_rewards(said).tolist() == expected.tolist()
    assert sizes == [6, 1, 3, 1]


# Prompts of a file


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    rows = [{"prompt": f"Greet guest {n}.", "reference": f"hello {n}"} for n in range(60)]
    return write(tmp_path / "prompts.jsonl", rows)


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in ("growth", "spec")])
def test_a_file_keeps_the_promises_of_a_world(check: str, prompts: str) -> None:
    run_check(check, WORLD, prompts=prompts, gold="pattern:o", context=128, max_tokens=32)


def test_every_prompt_of_a_file_is_in_one_split(prompts: str) -> None:
    task = make_task(WORLD, prompts=prompts)
    ids = {split: task.task_ids(split, 100) for split in task.splits}
    assert sum(map(len, ids.values())) == 60
    assert all(ids.values())
    assert task.reset(RNG(0), task_id=ids["test"][0]).task_id == ids["test"][0]


def test_a_file_has_no_gold_reward_unless_one_is_named(prompts: str) -> None:
    task = make_task(WORLD, prompts=prompts)
    assert not task.has_gold_reward
    state = task.reset(RNG(0)).state
    assert task.reply(state, "hello", RNG(0)).verdict is Verdict.ENDED
    assert task.demonstrate(state) == state.reference


def test_without_a_reference_there_is_a_gold_reward_and_no_verdict(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"Greet guest {n}." for n in range(60)), encoding="utf-8")
    task = make_task(WORLD, prompts=str(path), gold="length:characters")
    opening = task.reset(RNG(0))
    assert task.reply(opening.state, "hello", RNG(0)).verdict is Verdict.ENDED
    assert task.demonstrate(opening.state) is None
    said = Transcript.from_strings("Greet guest 1.", "hello")
    longer = Transcript.from_strings("Greet guest 1.", "hello!")
    first, second = task.gold_rewards([said, longer])
    assert first < second


def test_conversations_and_repeats_are_read(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rows = [{"prompt": messages}, {"prompt": "Hi there"}, {"prompt": "hi  THERE"}]
    splits = load_prompts(Path(write(tmp_path / "p.jsonl", rows)))
    found = [row for rows in splits.values() for row in rows]
    assert [row.address for row in sorted(found, key=lambda row: row.address)] == ["p/1", "p/2"]
    assert (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hi")) in [
        row.messages for row in found
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "row 2 of '.*' is not JSON"),
        ("[1]", "row 2 of '.*' lacks the column 'prompt'; it has list"),
        ('{"question": "a"}', r"row 2 of '.*' lacks the column 'prompt'; it has \['question'\]"),
        ('{"prompt": ""}', "row 2 of '.*': 'prompt' is ''; give a text"),
        ('{"prompt": 7}', "row 2 of '.*': 'prompt' is 7; give a text"),
        ('{"prompt": [{"role": "user"}]}', "row 2 of .* is no message; it needs 'role'"),
        ('{"prompt": [{"role": "me", "content": "x"}]}', "is no message; it needs 'role'"),
        ('{"prompt": "a", "reference": 1}', "row 2 of '.*': 'reference' is 1; it must be a text"),
    ],
)
def test_a_row_that_is_no_prompt_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "fine"}\n' + line, encoding="utf-8")
    with pytest.raises(LmgymError, match=message):
        make_task(WORLD, prompts=str(path))


def test_files_that_hold_no_prompts_are_told(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match="there is no file"):
        make_task(WORLD, prompts=str(tmp_path / "missing.jsonl"))
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(LmgymError, match="holds no prompts"):
        make_task(WORLD, prompts=str(tmp_path / "empty.jsonl"))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(LmgymError, match="is not UTF-8"):
        make_task(WORLD, prompts=str(tmp_path / "latin.txt"))


def test_an_empty_split_is_told_with_the_sizes(tmp_path: Path) -> None:
    prompts = write(tmp_path / "p.jsonl", [{"prompt": "Hello"}])
    (filled,) = (name for name, rows in load_prompts(Path(prompts)).items() if rows)
    empty = "test" if filled != "test" else "train"
    with pytest.raises(LmgymError, match=f"split '{empty}' of .* is empty; prompts per split"):
        make_task(WORLD, prompts=prompts).task_ids(empty, 1)


def test_the_taste_knows_generated_prompts_only(prompts: str) -> None:
    with pytest.raises(LmgymError, match="gold='taste' knows generated prompts only"):
        make_task(WORLD, prompts=prompts, gold="taste")
