"""Preference files of every format, right and wrong."""

from __future__ import annotations

import gzip
import json
import os
import sys
import types
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmgym.errors import LmgymError
from lmgym.preferences.pairs import PreferenceDataset, PreferencePair
from lmgym.preferences.readers import read_preferences
from lmgym.preferences.rows import pair_of, row_of
from lmgym.task import Message, Role

USER, ASSISTANT = {"role": "user"}, {"role": "assistant"}
ASKED = {**USER, "content": "1+1="}
TWO, THREE = {**ASSISTANT, "content": "2"}, {**ASSISTANT, "content": "3"}
PAIR = PreferencePair.of("1+1=", "2", "3")


def write(file: Path, rows: Sequence[Any]) -> Path:
    text = "\n".join(json.dumps(row) for row in rows)
    file.write_text(text if file.suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")
    return file


# TRL


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "1+1=", "chosen": "2", "rejected": "3"},
        {"prompt": [ASKED], "chosen": [TWO], "rejected": [THREE]},
        {"chosen": [ASKED, TWO], "rejected": [ASKED, THREE]},
        {"prompt": "1+1=", "chosen": [ASKED, TWO], "rejected": [ASKED, THREE]},
        {"prompt": [ASKED], "chosen": "2", "rejected": "3"},
        {"prompt": "1+1=", "chosen": "1+1=2", "rejected": "1+1=3"},
    ],
    ids=["standard", "conversational", "implicit", "prompt twice", "mixed", "text twice"],
)
def test_every_shape_of_a_row_is_the_same_pair(row: dict[str, Any]) -> None:
    assert pair_of(row) == PAIR


def test_an_implicit_prompt_of_texts_ends_before_the_word_that_differs() -> None:
    pair = pair_of({"chosen": "The sky is blue.", "rejected": "The sky is black."})
    assert pair.prompt == (Message(Role.USER, "The sky is"),)
    assert (pair.chosen, pair.rejected) == (" blue.", " black.")


def test_conversations_that_part_early_are_compared_across_prompts() -> None:
    other = {**USER, "content": "1+2="}
    pair = pair_of({"chosen": [ASKED, TWO], "rejected": [other, THREE]})
    assert [prompt[0].content for prompt in pair.prompts] == ["1+1=", "1+2="]


def test_a_text_that_one_answer_alone_repeats_belongs_to_it() -> None:
    pair = pair_of({"prompt": "1+1=", "chosen": "1+1=2", "rejected": "3"})
    assert (pair.chosen, pair.rejected) == ("1+1=2", "3")


def test_texts_across_prompts_lose_their_own_prompts() -> None:
    row = {"prompt": "1+1=", "rejected_prompt": "2+2=", "chosen": "1+1=2", "rejected": "2+2=3"}
    pair = pair_of(row)
    assert (pair.chosen, pair.rejected) == ("2", "3")
    assert [prompt[0].content for prompt in pair.prompts] == ["1+1=", "2+2="]


def test_the_role_developer_is_that_of_the_system() -> None:
    told = {"role": "developer", "content": "Add."}
    pair = pair_of({"prompt": [told, ASKED], "chosen": [TWO], "rejected": [THREE]})
    assert pair.prompt[0] == Message(Role.SYSTEM, "Add.")


def test_further_columns_are_kept() -> None:
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "id": 7, "margin": 2, "model": "m"}
    pair = pair_of(row)
    assert (pair.id, pair.margin, pair.columns) == ("7", 2.0, {"model": "m"})


texts = st.text(max_size=8) | st.just("asked again")
messages = st.lists(
    st.tuples(st.sampled_from([Role.USER, Role.SYSTEM, Role.ASSISTANT]), texts), max_size=3
).map(lambda found: (*(Message(*each) for each in found), Message(Role.USER, "asked")))


@settings(max_examples=40)
@given(
    prompt=messages,
    other=st.none() | messages,
    answers=st.tuples(texts, texts).filter(lambda two: two[0] != two[1]),
    probability=st.floats(0, 1),
    weight=st.floats(0.01, 9),
    margin=st.none() | st.floats(-9, 9),
    names=st.tuples(texts, texts),
)
def test_what_is_written_is_read_again(
    prompt: tuple[Message, ...],
    other: tuple[Message, ...] | None,
    answers: tuple[str, str],
    probability: float,
    weight: float,
    margin: float | None,
    names: tuple[str, str],
) -> None:
    pair = PreferencePair(
        prompt,
        *answers,
        probability=probability,
        weight=weight,
        margin=margin,
        subset=names[0],
        id=names[1],
        rejected_prompt=None if other == prompt else other,
        columns={"mine": 1},
    )
    assert pair_of(json.loads(json.dumps(row_of(pair)))) == pair


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["prompt", "chosen", "rejected", "margin", "id"]),
                       st.none() | st.booleans() | st.floats() | texts | st.lists(st.just(TWO)),
                       min_size=1))  # fmt: skip
def test_a_row_is_a_pair_or_a_clear_error(row: dict[str, Any]) -> None:
    with suppress(LmgymError):
        assert isinstance(pair_of(row), PreferencePair)


def test_a_data_set_survives_its_file(tmp_path: Path) -> None:
    data = PreferenceDataset.of(
        [PAIR, PreferencePair.of([Message(Role.SYSTEM, "Ädd."), *PAIR.prompt], "2", "3\n\u2028")]
    )
    data.to_jsonl(tmp_path / "x.jsonl")
    assert PreferenceDataset.from_jsonl(tmp_path / "x.jsonl") == data


# Mistakes

GOOD = {"prompt": "1+1=", "chosen": "2", "rejected": "3"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("text", "is no JSON object"),
        ({"prompt": "a", "chosen": "b"}, "the column 'rejected' is missing; there are 'prompt'"),
        ({**GOOD, "chosen": None}, "the column 'chosen' is missing"),
        ({**GOOD, "chosen": 3}, "'chosen' is 3; a text or a list of messages is allowed"),
        ({**GOOD, "chosen": []}, "'chosen' must end with a message of the assistant"),
        ({**GOOD, "chosen": [ASKED]}, "'chosen' must end with a message of the assistant"),
        ({**GOOD, "chosen": [{}]}, "'chosen': message 1 is {}; it needs 'role' and 'content'"),
        ({**GOOD, "chosen": [TWO, TWO]}, "'chosen' has 1 messages before its answer"),
        ({**GOOD, "prompt": ""}, "'prompt' is empty"),
        ({**GOOD, "prompt": 1}, "'prompt': 1 is no prompt"),
        ({**GOOD, "margin": "high"}, "'margin' is 'high'; a number is allowed"),
        ({**GOOD, "margin": True}, "'margin' is True; a number is allowed"),
        ({**GOOD, "margin": 10**400}, "'margin' is too large a number"),
        ({**GOOD, "probability": -(10**400)}, "'probability' is too large a number"),
        ({**GOOD, "weight": 10**400}, "'weight' is too large a number"),
        ({**GOOD, "chosen": [{**TWO, "content": None}]}, "'chosen': message 1 has no content"),
        ({**GOOD, "probability": 2}, "'probability' is 2.0; a number from 0 to 1"),
        ({**GOOD, "weight": -1}, "'weight' is -1.0"),
        ({**GOOD, "subset": 3}, "'subset' is 3; a text is allowed"),
        ({**GOOD, "chosen": "\ud800"}, "'chosen' is no text in Unicode"),
        ({"chosen": "yes", "rejected": "no"}, "begin with nothing in common"),
        ({"chosen": [TWO], "rejected": [THREE]}, "'chosen' holds the answer alone"),
        ({"chosen": "2", "rejected": [THREE]}, "'chosen' is a text without one"),
    ],
)
def test_a_malformed_row_is_named_with_file_row_and_column(
    tmp_path: Path, row: Any, said: str
) -> None:
    file = write(tmp_path / "pairs.jsonl", [GOOD, row])
    with pytest.raises(LmgymError) as caught:
        read_preferences(file)
    assert f"row 2 of '{file}'" in str(caught.value)
    assert said in str(caught.value)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(GOOD) + "\n\n{")
    with pytest.raises(LmgymError, match=r"row 3 of '.*pairs.jsonl' is not JSON"):
        read_preferences(file)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b"\xff", "is not UTF-8"),
        ("x.jsonl", b"", "holds no pairs"),
        ("x.json", b"{}", "must hold a list of objects"),
        ("x.json", b"[", "is not JSON"),
        ("x.jsonl.gz", b"text", "is no whole gzip file"),
        ("x.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], "is no whole gzip file"),
        ("x.csv", b"", "does not end in .jsonl, .json"),
        ("x.jsonl", b'{"a": 1}', "has the columns 'a', which no format has"),
        ("x.jsonl", b'{"prompt": "", "completion": "", "label": 1}', "read_trials"),
    ],
)
def test_a_file_that_holds_no_pairs_is_an_error(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LmgymError, match=said):
        read_preferences(tmp_path / name)


def test_an_unknown_format_lists_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match="unknown format 'hhh'; known: hh, "):
        read_preferences(tmp_path, format="hhh")


def test_a_file_that_is_missing_says_what_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMGYM_DATA", raising=False)
    with pytest.raises(LmgymError, match=r"no file 'nothing.jsonl'; give a file or folder"):
        read_preferences("nothing.jsonl")


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(LmgymError, match=r"holds no file that ends in \.jsonl"):
        read_preferences(tmp_path)


# Formats


def test_equal_answers_are_left_out_and_counted(tmp_path: Path) -> None:
    data = read_preferences(write(tmp_path / "x.jsonl", [GOOD, {**GOOD, "rejected": "2"}]))
    assert (len(data), data.n_equal) == (1, 1)


def test_answers_that_are_all_equal_are_no_data(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [{**GOOD, "rejected": "2"}] * 3)
    with pytest.raises(LmgymError, match=r"in all 3 rows of .* the same text"):
        read_preferences(file)


ODD = {"chosen": "\n\nHuman: \n\nAssistant: 2", "rejected": "\n\nHuman: \n\nAssistant: 3"}


def test_malformed_rows_are_left_out_and_counted_where_that_is_asked_for(tmp_path: Path) -> None:
    ended = {"chosen": DIALOGUE + "2", "rejected": DIALOGUE + "3\n\nHuman: Why?"}
    good = {"chosen": DIALOGUE + "2", "rejected": DIALOGUE + "3"}
    equal = {"chosen": DIALOGUE + "2", "rejected": DIALOGUE + "2"}
    file = write(tmp_path / "x.jsonl", [ODD, good, ended, equal])
    data = read_preferences(file, skip_malformed=True)
    assert (len(data), data.n_equal, data.n_malformed) == (1, 1, 2)
    assert data[0].id == "x/2"
    with pytest.raises(LmgymError, match=r"row 1 of .*'prompt' is empty"):
        read_preferences(file)


def test_rows_that_are_all_malformed_are_an_error_that_names_the_first(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [ODD, ODD])
    with pytest.raises(LmgymError, match=r"row 1 of .*'prompt' is empty"):
        read_preferences(file, skip_malformed=True)


def test_a_byte_order_mark_and_json_lists_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("\ufeff" + json.dumps(GOOD), encoding="utf-8")
    assert [*read_preferences(tmp_path / "x.jsonl")] == [PAIR]
    assert [*read_preferences(write(tmp_path / "y.json", [GOOD]))] == [PAIR]


def test_rewardbench_rows_belong_to_subsets(tmp_path: Path) -> None:
    row = {**GOOD, "subset": "hep-cpp", "id": 3, "chosen_model": "a", "rejected_model": "b"}
    file = write(tmp_path / "x.jsonl", [row])
    (pair,) = read_preferences(file)
    assert (pair.subset, pair.id) == ("hep-cpp", "3")
    assert pair.columns == {"chosen_model": "a", "rejected_model": "b"}
    write(file, [GOOD])
    with pytest.raises(LmgymError, match="the column 'subset' is missing"):
        read_preferences(file, format="rewardbench")


DIALOGUE = "\n\nHuman: Hello\n\nAssistant: Hi.\n\nHuman: 1+1=\n\nAssistant: "


def test_dialogues_are_told_apart_in_their_last_answer(tmp_path: Path) -> None:
    file = tmp_path / "test.jsonl.gz"
    row = {"chosen": DIALOGUE + "2", "rejected": DIALOGUE + "3 "}
    file.write_bytes(gzip.compress(json.dumps(row).encode()))
    (pair,) = read_preferences(file)
    assert [message.role for message in pair.prompt] == ["user", "assistant", "user"]
    assert [message.content for message in pair.prompt] == ["Hello", "Hi.", "1+1="]
    assert (pair.chosen, pair.rejected, pair.id) == ("2", "3", "test/1")
    assert pair.is_within_prompt


def test_dialogues_that_part_early_are_compared_across_prompts(tmp_path: Path) -> None:
    other = DIALOGUE.replace("1+1=", "1+2=")
    row = {"chosen": DIALOGUE + "2", "rejected": other + "3"}
    (pair,) = read_preferences(write(tmp_path / "x.jsonl", [row]))
    assert [prompt[-1].content for prompt in pair.prompts] == ["1+1=", "1+2="]
    assert (pair.chosen, pair.rejected) == ("2", "3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello", "'rejected' is no dialogue"),
        ("\n\nHuman: Hello", "'rejected' must end with an answer of 'Assistant:'"),
        ("\n\nAssistant: Hello", "'rejected' must end with an answer"),
    ],
)
def test_what_is_no_dialogue_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path / "x.jsonl", [{"chosen": DIALOGUE + "2", "rejected": text}])
    with pytest.raises(LmgymError, match=f"row 1 of .*: {said}"):
        read_preferences(file)


LLMBAR = {"input": "1+1=", "output_1": "3", "output_2": "2", "label": 2}


def test_llmbar_subsets_follow_the_names_of_files_and_folders(tmp_path: Path) -> None:
    for name in ("Dataset_LLMBar_Adversarial_GPTOut_dataset.json", "LLMBar/Natural/dataset.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        write(tmp_path / name, [LLMBAR])
    data = read_preferences(tmp_path)
    assert data.subsets == {"llmbar-adver-GPTOut": 1, "llmbar-natural": 1}
    assert (data[0].chosen, data[0].rejected, data[0].id) == ("2", "3", "llmbar-adver-GPTOut/1")


@pytest.mark.parametrize("label", [0, 3, "1", True, None])
def test_llmbar_labels_are_one_or_two(tmp_path: Path, label: Any) -> None:
    file = write(tmp_path / "x.json", [{**LLMBAR, "label": label}])
    with pytest.raises(LmgymError, match=r"row 1 of .*'label'"):
        read_preferences(file)


PANDALM = {"idx": 0, "instruction": "Add.", "input": "1+1=", "response1": "2", "response2": True}


@pytest.mark.parametrize(
    ("votes", "chosen", "probability"),
    [
        ((1, 1, 1), "2", 1.0),
        ((2, 2, 2), "True", 1.0),
        ((1, 1, 2), "2", 2 / 3),
        ((0, 2, 2), "True", 5 / 6),
        ((0, 0, 0), "2", 0.5),
        ((2,), "True", 1.0),
    ],
)
def test_votes_become_a_soft_label(
    tmp_path: Path, votes: tuple[int, ...], chosen: str, probability: float
) -> None:
    row = {**PANDALM, **{f"annotator{i}": vote for i, vote in enumerate(votes, 1)}}
    (pair,) = read_preferences(write(tmp_path / "x.json", [row]))
    assert pair.chosen == chosen
    assert pair.probability == pytest.approx(probability)
    assert pair.prompt[0].content == "Add.\n\n1+1="


def test_votes_need_no_index(tmp_path: Path) -> None:
    row = {key: value for key, value in PANDALM.items() if key != "idx"}
    data = read_preferences(write(tmp_path / "x.json", [row | {"annotator1": 1}] * 2))
    assert [pair.id for pair in data] == ["x/1", "x/2"]


@pytest.mark.parametrize(
    ("votes", "said"), [({"annotator1": 3}, "'annotator1' is 3; 0"), ({}, "1")]
)
def test_votes_out_of_range_are_an_error(tmp_path: Path, votes: dict[str, int], said: str) -> None:
    with pytest.raises(LmgymError, match=said):
        read_preferences(write(tmp_path / "x.json", [PANDALM | votes]), format="pandalm")


# Names


def test_a_name_is_looked_up_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "x.jsonl", [GOOD])
    monkeypatch.setenv("LMGYM_DATA", str(tmp_path))
    assert [*read_preferences("mine")] == [PAIR]


def test_a_name_with_a_split_is_loaded_through_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def load_dataset(name: str, split: str) -> list[dict[str, str]]:
        asked.append((name, split))
        return [GOOD]

    module = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", module)
    assert [*read_preferences("someone/pairs:test")] == [PAIR]
    assert [*read_preferences("someone/pairs")] == [PAIR]
    assert asked == [("someone/pairs", "test"), ("someone/pairs", "train")]


def test_a_name_without_datasets_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(LmgymError, match="install the package 'datasets'"):
        read_preferences("someone/pairs")


@pytest.mark.data
@pytest.mark.parametrize(("name", "n", "n_subsets"), [("llmbar", 419, 5), ("pandalm", 999, 1)])
def test_real_files_are_read_whole(name: str, n: int, n_subsets: int) -> None:
    if not (Path(os.environ.get("LMGYM_DATA", "")) / name).is_dir():
        pytest.skip(f"LMGYM_DATA names no folder that holds {name}")
    data = read_preferences(name)
    assert (len(data), data.n_equal, len(data.subsets)) == (n, 0, n_subsets)
    assert len({pair.id for pair in data}) == n
    unsure = sum(pair.probability < 1 for pair in data)
    assert unsure == {"llmbar": 0, "pandalm": 205}[name]
