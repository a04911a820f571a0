"""The shipped policy: what it is, and where reinforcement learning starts from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

import lmgym
from lmgym.evaluation import evaluate
from lmgym.factory import make_task
from lmgym.policies.loading import load_policy
from lmgym.rendering import ByteRenderer
from lmgym.rollouts import RolloutCollector
from lmgym.task import Message, Role

FOLDER = Path(lmgym.__file__).parent / "policies" / "embedded"
SHA256 = "15e6b7495148527e3f880c88250679ea5a7880f97de42b62d227ab066f0fff02"


def test_the_weights_are_those_of_the_card() -> None:
    weights = (FOLDER / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == SHA256
    assert len(weights) <= 4 * 2**20


def test_it_solves_some_default_problems_and_leaves_room_to_learn() -> None:
    collector = RolloutCollector(load_policy("embedded"), make_task("lmgym/Math-v0"), None)
    found = evaluate(collector, torch.Generator().manual_seed(0))
    assert 0.15 <= found.greedy <= 0.40
    assert found.pass_at_1 is not None
    assert found.pass_at_1 >= 0.15
    assert f"{found.greedy:.3f}" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_it_writes_in_the_format_of_every_world() -> None:
    policy = load_policy("embedded")
    for world in ("lmgym/Math-v0", "lmgym/Copy-v0", "lmgym/GuessNumber-v0"):
        collector = RolloutCollector(policy, make_task(world), None)
        found = evaluate(collector, None, limit=32, samples=0)
        finished = [all(t.is_finished for t in e.segments[0].turns) for e in found.transcripts]
        assert sum(finished) / len(finished) > 0.9


def test_transformers_opens_it() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER)
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    chat = [{"role": "user", "content": "12+34="}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    assert ids == ByteRenderer().open([Message(Role.USER, "12+34=")])[0]
