"""Checkpoints: what was put in comes back, and a whole one is there whatever happens."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lmgym.errors import LmgymError
from lmgym.training.checkpoints import Checkpoints, pack, unpack

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.text() | st.integers() | st.booleans()
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """The value with its types, since True == 1 == 1.0."""
    if isinstance(value, dict):
        return [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(item) for item in value]
    return type(value).__name__, value


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "state.safetensors")


@settings(max_examples=40)
@given(nested)
def test_plain_values_come_back_as_they_were_through_json(value: Any) -> None:
    written = json.dumps(pack(value, {}), allow_nan=False)
    assert typed(unpack(json.loads(written), {})) == typed(value)


def test_numbers_that_are_not_finite_come_back(checkpoints: Checkpoints) -> None:
    checkpoints.save({"best": -math.inf}, {"nan": math.nan})
    found = checkpoints.read()
    assert found.facts == {"best": -math.inf}
    assert math.isnan(found.state()["nan"])


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(1.5),
        torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).T,
        torch.zeros(0, 2),
        torch.tensor([1.1, -0.0, math.inf], dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.tensor([2**62], dtype=torch.int64),
    ],
    ids=["scalar", "transposed", "empty", "bfloat16", "bool", "int64"],
)
def test_tensors_come_back_bit_by_bit(checkpoints: Checkpoints, tensor: torch.Tensor) -> None:
    checkpoints.save({}, {"t": tensor})
    found = checkpoints.read().state()["t"]
    assert found.dtype == tensor.dtype
    assert torch.equal(found, tensor)


@pytest.mark.parametrize(
    "array",
    [np.array(3.5), np.array([["ab", "c"]]), np.zeros((0, 3), np.int8), np.arange(4, dtype=">u2")],
    ids=["scalar", "texts", "empty", "other byte order"],
)
def test_arrays_come_back_with_type_and_shape(checkpoints: Checkpoints, array: Any) -> None:
    checkpoints.save({}, {"a": array})
    found = checkpoints.read().state()["a"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array)
    found[...] = found  # can be written to


def test_generators_go_on_as_if_nothing_had_happened(checkpoints: Checkpoints) -> None:
    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    assert len(rng.random(5)) == len(torch.rand(5, generator=generator))
    checkpoints.save({}, {"rng": rng.bit_generator.state, "torch": generator.get_state()})
    expected = rng.random(4), torch.rand(4, generator=generator)
    state = checkpoints.read().state()
    other_rng, other = np.random.default_rng(0), torch.Generator()
    other_rng.bit_generator.state = state["rng"]
    other.set_state(state["torch"])
    assert np.array_equal(other_rng.random(4), expected[0])
    assert torch.equal(torch.rand(4, generator=other), expected[1])


def trained(optimizer_class: Any, **options: Any) -> tuple[torch.nn.Module, Any]:
    torch_rng = torch.Generator().manual_seed(0)
    module = torch.nn.Linear(3, 2)
    optimizer = optimizer_class(module.parameters(), **options)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(4, 3, generator=torch_rng)).square().sum().backward()
        optimizer.step()
    return module, optimizer


@pytest.mark.parametrize(
    ("optimizer_class", "options"),
    [
        (torch.optim.AdamW, {"lr": 1e-3, "betas": (0.9, 0.95)}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    ],
)
def test_an_optimiser_goes_on_bit_by_bit(
    checkpoints: Checkpoints, optimizer_class: Any, options: dict[str, Any]
) -> None:
    module, optimizer = trained(optimizer_class, **options)
    checkpoints.save({}, {"module": module.state_dict(), "optimizer": optimizer.state_dict()})
    state = checkpoints.read().state()
    assert typed(state["optimizer"]["param_groups"]) == typed(
        optimizer.state_dict()["param_groups"]
    )
    other = torch.nn.Linear(3, 2)
    other_optimizer = optimizer_class(other.parameters(), lr=5.0)
    other.load_state_dict(state["module"])
    other_optimizer.load_state_dict(state["optimizer"])
    for some, steps in ((module, optimizer), (other, other_optimizer)):
        steps.zero_grad()
        some(torch.ones(1, 3)).sum().backward()
        steps.step()
    pairs = zip(module.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_shared_memory_is_written_once(checkpoints: Checkpoints) -> None:
    weight = torch.ones(1000)
    checkpoints.save({}, {"head": weight, "embedding": weight.view(1000)})
    assert len(load_file(checkpoints.file)) == 1
    state = checkpoints.read().state()
    assert torch.equal(state["head"], state["embedding"])


def test_parts_of_one_tensor_do_not_become_one(checkpoints: Checkpoints) -> None:
    whole = torch.arange(6.0)
    checkpoints.save({}, {"first": whole[:3], "last": whole[3:]})
    state = checkpoints.read().state()
    assert (state["first"].tolist(), state["last"].tolist()) == ([0, 1, 2], [3, 4, 5])


def test_what_cannot_be_held_is_named_and_nothing_is_written(checkpoints: Checkpoints) -> None:
    with pytest.raises(LmgymError, match=r"cannot hold learner\.pool\.0, a Generator"):
        checkpoints.save({}, {"learner": {"pool": [torch.Generator()]}})
    assert not list(checkpoints.file.parent.iterdir())


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_the_older_one_stands_where_writing_is_cut_off(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoints.save({"n": 1}, {"t": torch.ones(2)})

    def cut_off(*_: object) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(os, moment, cut_off)
        with pytest.raises(OSError, match="cut off"):
            checkpoints.save({"n": 2}, {"t": torch.zeros(2)})
    found = checkpoints.read()
    assert (found.facts, found.state()["t"].tolist()) == ({"n": 1}, [1, 1])
    assert list(checkpoints.file.parent.iterdir()) == [checkpoints.file]


def test_what_a_killed_process_left_is_taken_away(checkpoints: Checkpoints) -> None:
    checkpoints.save({"n": 1}, {})
    (checkpoints.file.parent / ".state.safetensors.123.tmp").write_bytes(b"half")
    checkpoints.tidy()
    assert list(checkpoints.file.parent.iterdir()) == [checkpoints.file]


def test_no_checkpoint_is_told(checkpoints: Checkpoints) -> None:
    with pytest.raises(LmgymError, match="there is no checkpoint"):
        checkpoints.read()


@pytest.mark.parametrize("kept", [0, 5, 200])
def test_a_broken_one_is_told(checkpoints: Checkpoints, kept: int) -> None:
    checkpoints.save({}, {"t": torch.ones(100)})
    checkpoints.file.write_bytes(checkpoints.file.read_bytes()[:kept])
    with pytest.raises(LmgymError, match=r"state\.safetensors' is broken"):
        checkpoints.read()


def test_safetensors_of_others_are_no_checkpoint(checkpoints: Checkpoints) -> None:
    save_file({"t": torch.ones(2)}, checkpoints.file)
    with pytest.raises(LmgymError, match="is broken"):
        checkpoints.read()


def test_a_changed_number_is_found(checkpoints: Checkpoints) -> None:
    checkpoints.save({}, {"t": torch.ones(100)})
    content = bytearray(checkpoints.file.read_bytes())
    content[-7] ^= 1
    checkpoints.file.write_bytes(content)
    found = checkpoints.read()
    for look in (found.check, found.state):
        with pytest.raises(LmgymError, match="is broken: its numbers changed"):
            look()


def test_a_whole_one_passes_the_check(checkpoints: Checkpoints) -> None:
    checkpoints.save({}, {f"t{i}": torch.full((3,), float(i)) for i in range(12)})
    checkpoints.read().check()


def test_another_format_is_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save({}, {})
    with safe_open(checkpoints.file, "pt") as opened:
        heading = opened.metadata()["lmgym"].replace('"format": 1', '"format": 99')
    save_file({}, checkpoints.file, metadata={"lmgym": heading})
    with pytest.raises(LmgymError, match="has format 99, and this version of lmgym reads format 1"):
        checkpoints.read()


def test_the_next_one_is_due_when_it_costs_a_twentieth(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 1.0, 19.9, 20.0])  # a save takes a second
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    checkpoints.save({}, {})
    assert not checkpoints.is_due()
    assert checkpoints.is_due()


@pytest.mark.parametrize(("every", "due"), [(0.0, True), (1e9, False)])
def test_a_given_pause_is_kept(tmp_path: Path, every: float, due: bool) -> None:
    checkpoints = Checkpoints(tmp_path / "s.safetensors", every)
    assert checkpoints.is_due()
    checkpoints.save({}, {})
    assert checkpoints.is_due() is due
