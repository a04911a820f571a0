"""Weights of strangers: attacks by files, configs and headers, each of them caught."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from lmgym.errors import LmgymError
from lmgym.leaderboards.submissions.architectures import ARCHITECTURES
from lmgym.leaderboards.submissions.checking import check_submission, problems
from lmgym.leaderboards.submissions.manifest import Weights, read_manifest
from lmgym.leaderboards.submissions.tensor_files import read_header
from lmgym.leaderboards.submissions.weights import BoundedTokenizer, load_weights
from lmgym.policies.loading import load_policy
from lmgym.task import Message, Role

if TYPE_CHECKING:
    from tests.leaderboards.submissions.conftest import Entry

WEIGHTS = "model.safetensors"
Header = dict[str, Any]


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def only_problem(entry: Entry) -> str:
    (problem,) = problems(entry.folder)
    return problem


def with_header(content: bytes, change: Callable[[Header], None]) -> bytes:
    """A safetensors file with another header before the same numbers."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + content[8 + length :]


def test_the_embedded_policy_is_in_order(entry: Entry) -> None:
    submission = check_submission(entry.folder)
    assert submission.manifest.entry == "mine@1"
    assert set(submission.hashes) >= {"manifest.toml", WEIGHTS, "config.json"}
    policy = load_weights(submission.folder, submission.manifest)
    assert policy.source == "mine@1"
    messages = [Message(Role.USER, "64+30=")]
    ids, _ = policy.renderer.open(messages)
    own = load_policy("embedded")
    assert torch.equal(
        policy.model(torch.tensor([ids])).logits, own.model(torch.tensor([ids])).logits
    )


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_in_place_of_the_weights_is_refused_and_not_opened(
    entry: Entry, tmp_path: Path, protocol: int
) -> None:
    entry.write(WEIGHTS, pickle.dumps(Bomb(tmp_path / "fired"), protocol))
    assert "model.safetensors: " in only_problem(entry)
    with pytest.raises(LmgymError):
        load_weights(entry.folder, read_manifest(entry.folder))
    assert not (tmp_path / "fired").exists()
    pickle.loads((entry.folder / WEIGHTS).read_bytes())  # noqa: S301 - it is our own, and works
    assert (tmp_path / "fired").exists()


def test_a_model_of_torch_is_refused_whatever_it_is_called(entry: Entry, tmp_path: Path) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(tmp_path / "fired")))
    entry.write(WEIGHTS, buffer.getvalue())
    assert only_problem(entry).startswith("model.safetensors: is a zip archive, as pickled models")
    for name in ("README.md", "config.json", "tokenizer_config.json"):
        entry.write(name, buffer.getvalue())
        assert (
            f"{name}: is a zip archive, as pickled models are, whatever its name says"
            in problems(entry.folder)
        )
    assert not (tmp_path / "fired").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pytorch_model.bin", "pickles are never opened"),
        ("weights.pt", "pickles are never opened"),
        ("x.pkl", "pickles are never opened"),
        ("critic.safetensors", "save all weights in that one file"),
        ("model-00001-of-00002.safetensors", "save all weights in that one file"),
        ("model.safetensors.index.json", "save all weights in that one file"),
        ("modeling_llama.py", 'is code, which an entry of kind "weights" must not hold'),
        ("kernel.so", "is code"),
        ("run.sh", "is code"),
        ("tokenizer.model", "has no place in an entry"),
        ("vocab.json", "has no place in an entry"),
        ("adapter_config.json", "has no place in an entry"),
        ("policy.json", "has no place in an entry"),
    ],
)
def test_a_file_that_has_no_place_is_refused(entry: Entry, name: str, told: str) -> None:
    entry.write(name, '{"weight_map": {"a": "../../etc/passwd"}}')
    problem = only_problem(entry)
    assert problem.startswith(f"{name}: ")
    assert told in problem


def test_code_in_a_folder_below_is_refused(entry: Entry) -> None:
    (entry.folder / "custom_generate").mkdir()
    (entry.folder / "custom_generate" / "generate.py").write_text("raise SystemExit")
    assert only_problem(entry).startswith("custom_generate/generate.py: is code")


def test_other_weights_than_those_of_the_manifest_are_refused(entry: Entry) -> None:
    content = bytearray((entry.folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (entry.folder / WEIGHTS).write_bytes(content)
    assert "manifest.toml: weights.sha256 is not that of model.safetensors" in only_problem(entry)


def test_missing_weights_are_named(entry: Entry) -> None:
    (entry.folder / WEIGHTS).unlink()
    assert only_problem(entry).startswith("model.safetensors: is missing; save the weights as")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_number_that_is_not_finite_is_found(entry: Entry, value: float, dtype: Any) -> None:
    from safetensors.torch import load, save

    tensors = load((entry.folder / WEIGHTS).read_bytes())
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    entry.write(WEIGHTS, save(tensors))
    assert problems(entry.folder) == []
    tensors["model.norm.weight"][-1] = value
    entry.write(WEIGHTS, save(tensors))
    assert only_problem(entry) == (
        "model.safetensors: tensor model.norm.weight holds a number that is not finite"
    )


def _set(name: str, key: str, value: Any) -> Callable[[Header], None]:
    return lambda header: header[name].__setitem__(key, value)


NORM, LAST = "model.norm.weight", "model.layers.1.self_attn.v_proj.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set(NORM, "data_offsets", [0, 256]), "overlaps another"),
        (_set(NORM, "data_offsets", [0, 10**12]), "other bytes than its shape and dtype need"),
        (_set(NORM, "data_offsets", [256, 0]), "other bytes than its shape and dtype need"),
        (_set(NORM, "data_offsets", [-256, 0]), "no two whole numbers"),
        (_set(NORM, "data_offsets", [0.0, 256.0]), "no two whole numbers"),
        (_set(NORM, "shape", [2**39, 2**39]), "other bytes than its shape and dtype need"),
        (_set(NORM, "shape", [0]), "a shape other than 1 to 4 whole numbers from 1 on"),
        (_set(NORM, "shape", [-64]), "a shape other than 1 to 4 whole numbers from 1 on"),
        (_set(NORM, "shape", [True]), "a shape other than 1 to 4 whole numbers from 1 on"),
        (_set(NORM, "shape", [1] * 5), "a shape other than 1 to 4 whole numbers from 1 on"),
        (_set(NORM, "dtype", "I64"), "has dtype 'I64'; allowed: F32, BF16, F16"),
        (_set(NORM, "dtype", ["F32"]), "allowed: F32, BF16, F16"),
        (_set(NORM, "extra", 1), "has other fields than"),
        (lambda header: header.pop(NORM), "leaves a hole before it|the tensors end at byte"),
        (lambda header: header.update({"x" * 300: {}}), "has a long name"),
        (lambda header: header.update({"__metadata__": [1]}), "__metadata__ is no object"),
        (lambda header: header.clear(), "0 tensors; from 1 to 20000 are allowed"),
    ],
)
def test_a_header_that_lies_is_refused(
    entry: Entry, change: Callable[[Header], None], told: str
) -> None:
    entry.write(WEIGHTS, with_header((entry.folder / WEIGHTS).read_bytes(), change))
    problem = only_problem(entry)
    assert problem.startswith("model.safetensors: header: ")
    assert any(each in problem for each in told.split("|"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "a header of 0 bytes in a file of 0"),
        (b"\x01\x02\x03", "a file of 3"),
        (struct.pack("<Q", 2**63) + b"{}", "a header of 9223372036854775808 bytes"),
        (struct.pack("<Q", 100) + b"{}", "a header of 100 bytes in a file of 10"),
        (struct.pack("<Q", 2) + b"[]", "header: holds no object"),
        (struct.pack("<Q", 4) + b'{"a"', "header: is no JSON"),
        (struct.pack("<Q", 90_000) + b"[" * 90_000, "header: is nested too deeply"),
        (struct.pack("<Q", 13) + b'{"a":1,"a":1}', "header: 'a' stands there twice"),
        (b"GGUF" + b"\xff" * 90, "is a GGUF file, not safetensors"),
        (b"\x7fELF" + b"\xff" * 90, "is a program, not safetensors"),
    ],
)
def test_a_file_that_is_no_safetensors_is_refused(entry: Entry, content: bytes, told: str) -> None:
    entry.write(WEIGHTS, content)
    problem = only_problem(entry)
    assert problem.startswith("model.safetensors: ")
    assert told in problem


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", 2**33))
    os.truncate(tmp_path / WEIGHTS, 2**33 + 100)  # a hole
    with pytest.raises(LmgymError, match="has a header of 8589934592 bytes"):
        read_header(tmp_path / WEIGHTS)


def test_bytes_behind_the_tensors_are_refused(entry: Entry) -> None:
    entry.write(WEIGHTS, (entry.folder / WEIGHTS).read_bytes() + b"secret")
    assert "the tensors end at byte" in only_problem(entry)


def test_names_and_shapes_are_those_that_the_config_implies(entry: Entry) -> None:
    tensors = load_file(entry.folder / WEIGHTS)
    tensors["evil"] = tensors.pop(NORM)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    tensors[LAST] = tensors[LAST][:32].copy()
    entry.write(WEIGHTS, save(tensors))
    assert problems(entry.folder) == [
        "model.safetensors: tensor 'evil' is none of the architecture's",
        "model.safetensors: tensor lm_head.weight is the same as model.embed_tokens.weight; leave"
        " it out",
        f"model.safetensors: tensor {LAST} has shape [32, 64]; [64, 64] is implied",
        f"model.safetensors: tensor {NORM} is missing, which the config implies",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; a whole number from 1"),
        ({"hidden_size": 2**40}, "hidden_size is 1099511627776"),
        ({"vocab_size": -1}, "vocab_size is -1"),
        ({"vocab_size": 262.0}, "vocab_size is 262.0"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings is"),
        ({"max_position_embeddings": 16}, "a whole number from 32 to 1048576 is allowed"),
        ({"auto_map": {"AutoModelForCausalLM": "x.Y"}}, "'auto_map' is not allowed: it names code"),
        ({"quantization_config": {}}, "'quantization_config' is not allowed: save the weights in"),
        ({"_attn_implementation": "evil/kernel"}, "'_attn_implementation' is not allowed"),
        ({"attn_implementation": "evil/kernel"}, "'attn_implementation' is not allowed"),
        ({"_name_or_path": "../../x"}, "'_name_or_path' is not allowed"),
        ({"model_type": "gpt2"}, "model_type is 'gpt2'; allowed: llama"),
        ({"architectures": ["EvilModel"]}, "architectures is a list of 1; ['LlamaForCausalLM']"),
        ({"hidden_act": "eval"}, "hidden_act is 'eval'; allowed: silu"),
        ({"rope_parameters": {"rope_type": "evil"}}, "in it, rope_type is 'evil'; allowed"),
        ({"rope_parameters": {"evil": 1}}, "in it, 'evil' is not allowed"),
        ({"dtype": "float8"}, "dtype is 'float8'; allowed: float32"),
        ({"eos_token_id": [0] * 99}, "eos_token_id is a list of 99"),
        ({"pretraining_tp": 8}, "pretraining_tp is 8; allowed: 1"),
        ({"\u202e": 1}, "'\\u202e' is not allowed"),
    ],
)
def test_a_config_that_might_do_harm_is_refused(
    entry: Entry, changes: dict[str, Any], told: str
) -> None:
    entry.edit_json("config.json", **changes)
    problem = only_problem(entry)
    assert problem.startswith("config.json: ")
    assert told in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 128, "hidden_size": 16384, "intermediate_size": 65536},
        {"num_hidden_layers": 3},
        {"num_attention_heads": 3},
        {"tie_word_embeddings": False},
        {"vocab_size": 200},
    ],
)
def test_a_config_of_other_sizes_allocates_nothing_and_is_refused(
    entry: Entry, changes: dict[str, Any]
) -> None:
    entry.edit_json("config.json", **changes)
    found = problems(entry.folder)
    assert found
    starts = ("model.safetensors: ", "config.json ", "tokenizer.json: ")
    assert all(line.startswith(starts) for line in found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"head_dim": 1}, "a head has 1 numbers, which rotations cannot turn in pairs"),
        ({"head_dim": 3}, "a head has 3 numbers, which rotations cannot turn in pairs"),
        ({"head_dim": None, "hidden_size": 60}, "a head has 15 numbers"),
        ({"head_dim": None, "hidden_size": 62}, "62 numbers cannot be split into 4 heads"),
        ({"num_key_value_heads": 8}, "4 heads cannot share 8 heads of keys"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3 heads of keys"),
        (
            {"rope_parameters": {"rope_type": "linear", "partial_rotary_factor": 0.5}},
            "models of type llama turn all of a head",
        ),
    ],
)
def test_sizes_that_do_not_fit_one_another_are_refused(
    entry: Entry, changes: dict[str, Any], told: str
) -> None:
    entry.edit_json("config.json", **changes)
    assert only_problem(entry).startswith(f"config.json describes no model: {told}")


def test_sizes_that_are_left_to_transformers_are_asked_for(entry: Entry) -> None:
    entry.write("config.json", '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    assert "config.json: vocab_size is missing" in problems(entry.folder)


def test_an_unknown_architecture_is_named(entry: Entry) -> None:
    entry.sign(weights=Weights("transformer-x", "0" * 64))
    known = ", ".join((*ARCHITECTURES, "game-policy"))
    assert f"manifest.toml: weights.arch is 'transformer-x'; known: {known}" in problems(
        entry.folder
    )


def test_a_generation_config_names_no_code(entry: Entry) -> None:
    entry.edit_json("generation_config.json", custom_generate="evil/repo")
    assert only_problem(entry).startswith(
        "generation_config.json: 'custom_generate' is not allowed"
    )


def test_all_problems_of_a_folder_are_told_at_once(entry: Entry) -> None:
    entry.write("evil.py", "")
    entry.edit_json("config.json", auto_map={})
    entry.write(WEIGHTS, b"x")
    text = (entry.folder / "manifest.toml").read_text()
    entry.write("manifest.toml", text.replace('"MIT"', '""'))
    with pytest.raises(LmgymError) as error:
        check_submission(entry.folder)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{entry.folder} cannot be submitted:"
    files = {line.removeprefix("- ").partition(":")[0] for line in lines[1:]}
    assert files == {"manifest.toml", "evil.py", "config.json", "model.safetensors"}


def test_a_model_that_answers_nan_is_not_loaded(entry: Entry) -> None:
    tensors = load_file(entry.folder / WEIGHTS)
    tensors[NORM][:] = 3e38
    tensors["model.embed_tokens.weight"] *= 1000
    entry.write(WEIGHTS, save(tensors))
    submission = check_submission(entry.folder)
    with pytest.raises(LmgymError, match=r"mine@1: the model answers .* with what is no number"):
        load_weights(entry.folder, submission.manifest)


def test_a_process_has_no_weights_to_load(process_entry: Path) -> None:
    with pytest.raises(LmgymError, match="talker@1 is of kind process; it has no weights"):
        load_weights(process_entry, read_manifest(process_entry))


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_each_architecture_is_checked_and_loaded(entry: Entry, arch: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from lmgym.policies.quiet import no_progress_bars

    sizes: dict[str, int] = SMALL
    if arch == "gpt2":
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
    elif arch == "gpt_neox":
        sizes = {name: size for name, size in SMALL.items() if name != "num_key_value_heads"}
    n_ids = 263 if arch == "qwen2" else 262  # transformers gives its tokenizer one more
    config = AutoConfig.for_model(
        arch, vocab_size=n_ids, pad_token_id=256, eos_token_id=257, **sizes
    )
    maker: Any = AutoModelForCausalLM
    with torch.random.fork_rng(), no_progress_bars():
        maker.from_config(config).save_pretrained(entry.folder)
    entry.sign()
    text = (entry.folder / "manifest.toml").read_text()
    entry.write("manifest.toml", text.replace('arch = "llama"', f'arch = "{arch}"'))
    submission = check_submission(entry.folder)
    policy = load_weights(entry.folder, submission.manifest)
    assert policy.model.config.model_type == arch


def test_a_chat_template_is_rendered_within_bounds(entry: Entry) -> None:
    template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }} <|end|>{% endfor %}"
    loops = "{% for m in t %}" * 9 + "{% endfor %}" * 9
    entry.edit_json(
        "tokenizer_config.json",
        chat_template="{% set t = messages[0].content %}"
        + "{% if '!' in t %}"
        + loops
        + "{% endif %}"
        + template,
    )
    submission = check_submission(entry.folder)
    policy = load_weights(entry.folder, submission.manifest)
    renderer: Any = policy.renderer
    assert isinstance(renderer.tokenizer, BoundedTokenizer)
    ids, _ = renderer.open([Message(Role.USER, "1+1=")])
    assert renderer.tokenizer.decode(ids) == "<|user|>1+1= <|end|>"
    with pytest.raises(LmgymError, match="takes too many steps"):
        renderer.open([Message(Role.USER, "!" * 100)])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tokenizer.json", {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AA"}}),
        ("tokenizer.json", {"normalizer": {"type": "Sequence"}}),
        ("tokenizer_config.json", {"chat_template": "{{ raise_exception('no') }}"}),
    ],
)
def test_a_tokenizer_that_fails_is_an_error_of_the_entry(
    entry: Entry, name: str, changes: dict[str, Any]
) -> None:
    """Loading alone must not end the process either: the first would panic in Rust."""
    entry.edit_json(name, **changes)
    with pytest.raises(LmgymError, match=r"mine@1: its tokenizer fails"):
        load_weights(entry.folder, read_manifest(entry.folder))


def test_checking_imports_no_torch_for_what_is_no_model(process_entry: Path) -> None:
    code = (
        "import sys; from lmgym.leaderboards.submissions.checking import check_submission;"
        f"check_submission({str(process_entry)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
