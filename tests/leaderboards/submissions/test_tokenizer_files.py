"""Tokenizers of strangers: what makes the library panic, hang or draw lots is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lmgym.leaderboards.submissions.tokenizer_files import check_tokenizer

if TYPE_CHECKING:
    from tests.leaderboards.submissions.conftest import Entry

NAMES: dict[str, None] = {"tokenizer.json": None, "tokenizer_config.json": None}
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEGIN = {"id": "<|pad|>", "ids": [256], "tokens": ["<|pad|>"]}


def problems_of(entry: Entry) -> list[str]:
    return check_tokenizer(entry.folder, NAMES, 262)


def template(**changes: Any) -> dict[str, Any]:
    """A post-processor as Llama 3 has one."""
    pieces = [
        {"SpecialToken": {"id": "<|pad|>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    whole = {"single": pieces, "pair": pieces, "special_tokens": {"<|pad|>": BEGIN}}
    return {"type": "TemplateProcessing", **whole, **changes}


def test_the_embedded_tokenizer_is_in_order(entry: Entry) -> None:
    assert problems_of(entry) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"post_processor": template()},
        {
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {
                        "type": "Split",
                        "pattern": {"Regex": LLAMA_3},
                        "behavior": "Isolated",
                        "invert": False,
                    },
                    {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
                ],
            }
        },
        {
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "▁"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                ],
            }
        },
    ],
)
def test_parts_of_known_models_are_in_order(entry: Entry, changes: dict[str, Any]) -> None:
    entry.edit_json("tokenizer.json", **changes)
    assert problems_of(entry) == []


def nested(depth: int) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "NFC"}
    for _ in range(depth):
        part = {"type": "Sequence", "normalizers": [part]}
    return part


def replacing(n: int) -> dict[str, Any]:
    part = {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"}
    return {"type": "Sequence", "normalizers": [part] * n}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "'Precompiled'"),
        (
            {"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "xx"}},
            "Replace.pattern",
        ),
        (
            {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}},
            "the regular expression of GPT-2, Llama 3 or Qwen is allowed",
        ),
        ({"normalizer": replacing(3)}, "that lengthen a text"),
        ({"normalizer": nested(9)}, "levels of them"),
        ({"normalizer": {"type": "Sequence", "normalizers": "x"}}, "a Sequence is a list"),
        ({"normalizer": 3}, "is of type 'None'"),
        ({"padding": {"strategy": {"Fixed": 10**9}}}, "padding is a table of 1; None is allowed"),
        ({"truncation": {"max_length": 1}}, "truncation is a table of 1; None is allowed"),
        ({"post_processor": template(special_tokens={})}, "names unknown tokens"),
        (
            {"post_processor": template(special_tokens={"<|pad|>": BEGIN | {"ids": []}})},
            "names unknown tokens",
        ),
        (
            {"post_processor": template(special_tokens={"<|pad|>": BEGIN | {"tokens": []}})},
            "names unknown tokens",
        ),
        ({"post_processor": template(single=[{"Sequence": {"id": "C"}}])}, "names unknown tokens"),
        ({"added_tokens": [{"id": 262, "content": "x"}]}, "id 262 is beyond the model's ids"),
        ({"added_tokens": [{"id": -1, "content": "x"}]}, "id is -1"),
        ({"added_tokens": [{"id": 1, "content": ""}]}, "content is ''"),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, "of another type than BPE"),
        ({"model": {"type": "BPE", "vocab": {"a": 4294967295}, "merges": []}}, "from 0 to 261"),
        ({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "from 0 to 261"),
        ({"model": {"type": "BPE", "vocab": {"a": 1, "b": 1}, "merges": []}}, "gives an id twice"),
        ({"model": {"type": "BPE", "vocab": [], "merges": []}}, "vocab is no object"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 1}, "merges": [], "dropout": 0.5}},
            "dropout is 0.5",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": 1}, "merges": [3]}}, "merges is a list of 1"),
        (
            {"model": {"vocab": {"a": 1}, "merges": [], "continuing_subword_prefix": "#"}},
            "continuing_subword_prefix is '#'; allowed: None, ",
        ),
        (
            {"model": {"vocab": {"a": 1}, "merges": [], "end_of_word_suffix": "é"}},
            "end_of_word_suffix is ",
        ),
        (
            {"decoder": {"type": "Strip", "content": " ", "start": 1, "stop": 1}},
            "Strip.stop is 1; allowed: 0",
        ),
        ({"added_tokens": [{"id": 1, "content": "\ud83d"}]}, "half of a surrogate pair"),
        ({"plugin": "x"}, "'plugin' is not allowed"),
    ],
)
def test_a_part_that_might_do_harm_is_refused(
    entry: Entry, changes: dict[str, Any], told: str
) -> None:
    entry.edit_json("tokenizer.json", **changes)
    found = problems_of(entry)
    assert any(told in line for line in found), found
    assert all(line.startswith("tokenizer.json: ") for line in found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"auto_map": {"AutoTokenizer": ["x.Y", None]}}, "it names code, and no code"),
        ({"tokenizer_class": "EvilTokenizer"}, "tokenizer_class is 'EvilTokenizer'; allowed: "),
        ({"tokenizer_class": ["LlamaTokenizer"]}, "tokenizer_class is a list"),
        ({"tokenizer_file": "/etc/passwd"}, "'tokenizer_file' is not allowed"),
        ({"vocab_file": "../x"}, "'vocab_file' is not allowed"),
        ({"eos_token": {"content": "x", "evil": 1}}, "'evil' is not allowed"),
        ({"eos_token": 3}, "eos_token is 3"),
        ({"chat_template": "{{ 'a' * 9 }}"}, "chat_template uses Mul"),
        ({"chat_template": [{"name": "x", "template": "y"}]}, "chat_template is a list of 1"),
        ({"model_max_length": 0}, "model_max_length is 0"),
    ],
)
def test_settings_that_are_refused(entry: Entry, changes: dict[str, Any], told: str) -> None:
    entry.edit_json("tokenizer_config.json", **changes)
    found = problems_of(entry)
    assert any(told in line for line in found), found


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff", "is no UTF-8 at byte 0"),
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[]", "holds no object"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1e999}', "too large a number"),
        (b'{"a": 1, "a": 2}', "'a' stands there twice"),
        (b'{"a": %s}' % (b"9" * 5000), "5000 digits"),
    ],
)
def test_what_is_no_strict_json_is_refused(
    entry: Entry, name: str, content: bytes, told: str
) -> None:
    entry.write(name, content)
    (problem,) = problems_of(entry)
    assert problem.startswith(f"{name}: ")
    assert told in problem


def test_a_missing_tokenizer_is_named(entry: Entry) -> None:
    found = check_tokenizer(entry.folder, {}, 262)
    assert [line.partition(":")[0] for line in found] == list(NAMES)


def test_a_template_in_a_file_of_its_own_is_checked(entry: Entry, tmp_path: Path) -> None:
    entry.write("chat_template.jinja", "{{ range(3) }}")
    found = check_tokenizer(entry.folder, {**NAMES, "chat_template.jinja": None}, 262)
    assert found == [
        "chat_template.jinja uses the function range, which chat templates of submissions may not"
    ]
    entry.write("special_tokens_map.json", json.dumps({"evil": 1}))
    (line,) = check_tokenizer(entry.folder, {**NAMES, "special_tokens_map.json": None}, 262)
    assert line.startswith("special_tokens_map.json: 'evil' is not allowed")
