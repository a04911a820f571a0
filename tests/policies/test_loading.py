"""Policies and renderers by name, and what is said where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lmgym.errors import LmgymError
from lmgym.policies import loading
from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy, load_renderer
from lmgym.rendering import ByteRenderer, ChatRenderer


@pytest.fixture
def saved(policy: LanguagePolicy, tmp_path: Path) -> Path:
    policy.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_hub_answers", lambda: False)


def test_opens_what_was_saved(policy: LanguagePolicy, saved: Path) -> None:
    loaded = load_policy(saved)
    expected = policy.model.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in loaded.model.state_dict().items())
    assert isinstance(loaded.renderer, ByteRenderer)
    prompt = [[259, 65, 257, 260]]
    assert loaded.sample(prompt, max_tokens=20, greedy=True) == policy.sample(
        prompt, max_tokens=20, greedy=True
    )


def test_a_string_names_a_directory_as_well(saved: Path) -> None:
    assert load_policy(str(saved)).n_parameters == load_policy(saved).n_parameters


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("auto", torch.float32), ("bf16", torch.bfloat16), ("float32", torch.float32)],
)
def test_loads_in_the_dtype_asked_for(saved: Path, name: str, dtype: torch.dtype) -> None:
    loaded = load_policy(saved, dtype=name)
    assert {p.dtype for p in loaded.model.parameters()} == {dtype}


def test_a_model_in_bf16_is_loaded_in_fp32(policy: LanguagePolicy, tmp_path: Path) -> None:
    policy.model.to(torch.bfloat16)
    policy.save(tmp_path / "half")
    assert load_policy(tmp_path / "half").model.dtype == torch.float32


@pytest.mark.parametrize("name", [None, "byte", "embedded"])
def test_the_embedded_tokenizer_needs_no_file(name: str | None) -> None:
    assert isinstance(load_renderer(name), ByteRenderer)


def test_the_embedded_tokenizer_is_recognised(saved: Path) -> None:
    assert isinstance(load_renderer(saved), ByteRenderer)


def test_another_tokenizer_brings_its_end_ids(policy: LanguagePolicy, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "<stop>": 2, "hello": 3}
    raw = Tokenizer(models.WordLevel(words, unk_token="hello"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=raw, eos_token="</s>", pad_token="<s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] + '</s>' }}{% endfor %}"
    policy.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    tokenizer.save_pretrained(tmp_path)
    policy.model.generation_config.eos_token_id = [1, 2]
    policy.model.generation_config.save_pretrained(tmp_path)
    for renderer in (load_renderer(tmp_path), load_policy(tmp_path).renderer):
        assert isinstance(renderer, ChatRenderer)
        assert renderer.end_ids == {1, 2}
    (tmp_path / "generation_config.json").unlink()
    assert load_renderer(tmp_path).end_ids == {1, 257}  # those of the model's config


def test_a_missing_directory_names_its_neighbours(saved: Path) -> None:
    with pytest.raises(LmgymError, match=r"unknown model '.*/save'; known: .*/saved, .*FILE\.gguf"):
        load_policy(saved.parent / "save")


@pytest.mark.parametrize("name", ["gpt2", "some package", "a/b/c", "./runs/a", ""])
@pytest.mark.parametrize("load", [load_policy, load_renderer])
def test_what_cannot_be_a_hub_id_fails_at_once(load: Callable[[str], object], name: str) -> None:
    with pytest.raises(LmgymError, match="owner/model"):  # sockets are disabled in tests
        load(name)


@pytest.mark.usefixtures("unreachable_hub")
@pytest.mark.parametrize("load", [load_policy, load_renderer])
def test_a_hub_id_without_a_network_says_so(load: Callable[[str], object]) -> None:
    with pytest.raises(LmgymError, match=r"'some/model'.*nor can the hub be reached"):
        load("some/model")


def test_the_hub_does_not_answer_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert not loading._hub_answers()


@pytest.mark.parametrize(("code", "answers"), [(None, False), (404, True), (200, True)])
def test_the_hub_answers_when_anything_comes_back(
    monkeypatch: pytest.MonkeyPatch, code: int | None, answers: bool
) -> None:
    from email.message import Message
    from io import BytesIO
    from urllib.error import HTTPError, URLError

    def urlopen(request: Any, timeout: float) -> BytesIO:
        assert timeout <= 10
        if code is None:
            raise URLError("no route")
        if code != 200:
            raise HTTPError("", code, "", Message(), None)
        return BytesIO()

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    assert loading._hub_answers() == answers


def test_the_embedded_policy_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loading, "_EMBEDDED", tmp_path / "embedded")
    with pytest.raises(LmgymError, match="the embedded policy is not there"):
        load_policy()


def test_the_embedded_policy_is_a_directory(monkeypatch: pytest.MonkeyPatch, saved: Path) -> None:
    monkeypatch.setattr(loading, "_EMBEDDED", saved)
    assert load_policy("embedded").n_parameters == load_policy().n_parameters


def test_a_directory_without_a_config_names_those_inside(saved: Path) -> None:
    with pytest.raises(LmgymError, match=r"no config\.json.*these hold one: .*saved"):
        load_policy(saved.parent)


def test_a_directory_without_weights_is_an_error(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(LmgymError, match=r"no weights in model\.safetensors"):
        load_policy(saved)


def test_pickled_weights_are_never_opened(saved: Path) -> None:
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    with pytest.raises(LmgymError, match="pickles are never opened"):
        load_policy(saved)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
@pytest.mark.parametrize("content", ["", "broken", "null", "[1]"])
def test_a_broken_file_is_an_error(saved: Path, name: str, content: str) -> None:
    (saved / name).write_text(content)
    with pytest.raises(LmgymError, match=r"saved.* cannot be read"):
        load_policy(saved)


def test_a_config_that_makes_no_sense_is_an_error(saved: Path) -> None:
    (saved / "config.json").write_text('{"model_type": "llama", "hidden_size": "wide"}')
    with pytest.raises(LmgymError, match=r"cannot be read .*hidden_size"):
        load_policy(saved)


def test_a_lost_tokenizer_is_an_error(saved: Path) -> None:
    (saved / "tokenizer.json").unlink()
    with pytest.raises(LmgymError, match="cannot be read"):
        load_policy(saved)


def test_weights_that_lack_a_tensor_are_an_error(saved: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LmgymError, match=r"lack 1 tensors .*layers\.1\.mlp\.up_proj"):
        load_policy(saved)


def test_weights_of_another_shape_are_an_error(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"intermediate_size": 128}))
    with pytest.raises(LmgymError, match="cannot be read"):
        load_policy(saved)


def test_code_in_a_directory_is_not_run(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (saved / "config.json").write_text(json.dumps(config))
    (saved / "own.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(LmgymError, match="cannot be read"):
        load_policy(saved)


def test_a_file_is_no_model_directory(saved: Path) -> None:
    with pytest.raises(LmgymError, match=r"neither a directory nor a \.gguf"):
        load_policy(saved / "config.json")


def test_a_missing_gguf_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "model-q4.gguf").write_bytes(b"")
    with pytest.raises(LmgymError, match=r"unknown GGUF file.*model-q4\.gguf.*does not exist"):
        load_policy(tmp_path / "model-q8.gguf")


def test_gguf_without_its_packages_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LmgymError, match=r"gguf and accelerate.*lmgym\[gguf\]"):
        load_policy(tmp_path / "model.gguf")


def test_a_device_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, saved: Path
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(LmgymError, match="unknown device 'cuda'; known: cpu"):
        load_policy(saved, device="cuda")


def test_an_unknown_dtype_is_an_error(saved: Path) -> None:
    with pytest.raises(LmgymError, match="unknown dtype 'int8'"):
        load_policy(saved, dtype="int8")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, lmgym.policies, lmgym.policies.loading\n"
        "heavy = {'torch', 'transformers', 'tokenizers'} & sys.modules.keys()\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
