"""The benchmarks of batched environments, over a handful of steps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Script = Callable[[str], Any]

TINY = {
    "vector_kernel": "--rows 4 --contexts 20,24 --env-steps 100",
    "vector_math": "--rows 4 --steps 40 --reference-steps 20",
    "vector_compiled": "--rows 4 --contexts 20,24 --env-steps 100",
    "vector_views": "--rows 4 --short 20 --long 40 --steps 16",
    "vector_memory": "--rows 8 --context 64 --steps 10",
    "env_share": "--rows 4 --steps 10",
}
N_CLAIMS = {
    "vector_kernel": 4,
    "vector_math": 3,
    "vector_compiled": 2,
    "vector_views": 6,
    "env_share": 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_it_writes_its_claims_and_exits_by_them(
    name: str, script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "it.json"
    code = script(name).main([*TINY[name].split(), "--repetitions", "2", "--out", str(out)])
    claims = json.loads(out.read_text(encoding="utf-8"))["claims"]
    assert code == (0 if all(claim["is_met"] for claim in claims) else 1)
    printed = capsys.readouterr().out
    assert all(claim["what"] in printed for claim in claims)
    assert all(len(claim["values"]) == 2 and claim["min"] > 0 for claim in claims)
    assert len(claims) == N_CLAIMS.get(name, len(claims))


@pytest.mark.slow
def test_it_runs_as_a_script(script: Script) -> None:
    words = [*TINY["vector_kernel"].split(), "--repetitions", "1"]
    file = script("vector_kernel").__file__
    done = subprocess.run([sys.executable, file, *words], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert "ns a step" in done.stdout


@pytest.mark.slow
def test_the_kernel_is_drawn(script: Script, tmp_path: Path) -> None:
    plot = tmp_path / "kernel.png"
    words = [*TINY["vector_kernel"].split(), "--repetitions", "1", "--plot", str(plot)]
    sweeps = ["--sweep-rows", "2,4", "--sweep-contexts", "20,24"]
    assert script("vector_kernel").main([*words, *sweeps]) == 0  # no bar for batches so small
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_kernel_is_held_to_the_ratio_of_its_batch_size(script: Script) -> None:
    kernel = script("vector_kernel")
    kinds = {kernel.OURS: [1.0, 2.0], kernel.WHOLE: [10.0, 10.0], kernel.SYNC: [20.0, 30.0]}
    no_reference = {kernel.OURS: [1.0], kernel.WHOLE: [10.0]}
    ours, whole, large, *rest = kernel.claims(
        {(64, 512): kinds, (256, 512): kinds, (1024, 512): no_reference}
    )
    assert (ours.values, ours.least, ours.is_met) == ([20.0, 15.0], 10.0, True)
    assert (whole.values, whole.bar) == ([2.0, 3.0], "")
    assert (large.least, large.is_met) == (25.0, False)
    assert len(rest) == 1


def test_compiled_steps_are_held_to_copies_of_large_batches(script: Script) -> None:
    compiled = script("vector_compiled")
    kinds = {compiled.STEP: [3.0], compiled.COPY: [1.0]}
    small, large = compiled.claims({(512, 64): kinds, (1024, 64): kinds})
    assert (small.values, small.is_met) == ([3.0], True)
    assert (large.values, large.is_met) == ([3.0], False)


def test_batches_are_held_to_the_reference_in_the_same_mode(script: Script) -> None:
    math = script("vector_math")
    kinds = {"next_step": [2.0], "next_step, compiled": [1.0], "same_step": [4.0]}
    kinds |= {"sync, next_step": [12.0], "sync, same_step": [12.0]}
    next_step, compiled, same_step = math.claims({64: kinds})
    assert (next_step.values, next_step.is_met) == ([6.0], True)
    assert (compiled.values, compiled.is_met) == ([12.0], True)
    assert (same_step.values, same_step.is_met) == ([3.0], False)


def test_the_share_is_that_of_the_environment(script: Script) -> None:
    share = script("env_share")
    spent = {share.SB3: 4.0, share.OURS: 24.0, share.SYNC: 32.0}
    kinds = {f"{name}, policy": [96.0] for name in spent}
    kinds |= {f"{name}, environment": [seconds] for name, seconds in spent.items()}
    rollouts, ours, sync = share.claims({64: kinds})
    assert (rollouts.values, rollouts.is_met) == ([4.0], False)
    assert (ours.values, ours.bar) == ([20.0], "")
    assert (sync.values, sync.bar) == ([25.0], "")


def test_memory_is_held_to_what_the_tokens_need(script: Script) -> None:
    (steady,) = script("vector_memory").claims({"traced, steady": [74.0, 74.0]}, 64.0)
    assert (steady.values, steady.is_met) == ([74 / 64] * 2, False)


def test_ids_end_the_text_as_often_as_they_should(script: Script) -> None:
    loops = script("loops")
    ids = np.array(loops.ids_of(50, 200, 0.25, seed=1))
    assert ids.shape == (50, 200)
    assert abs((ids == 257).mean() - 0.25) < 0.02
    assert 257 not in np.array(loops.ids_of(50, 200, 0.0, seed=1))


def test_the_kernel_starts_rows_again_at_its_prompt(script: Script) -> None:
    loops = script("loops")
    end, other = np.array([257, 65]), np.array([66, 66])
    loop = loops.KernelLoop(2, 30, [other, end, other])
    assert loop() > 0
    first, second = loop.buffers.tokens.tolist()
    prompt = loop.buffers.lengths[0, 0] - 1
    assert first[:prompt] == second[:prompt]
    assert first[prompt : prompt + 2] == [66, loop.buffers.pad_id]
    assert second[prompt : prompt + 3] == [66, 65, 66]


def test_the_reference_starts_at_one_problem(script: Script) -> None:
    loops = script("loops")
    sync = loops.make_sync(loops.COPY, 2, "same_step", wrappers=[loops.FixedProblem])
    _, infos = sync.reset(seed=0)
    assert infos["task_id"].tolist() == [loops.TASK_ID] * 2
    *_, infos = sync.step(np.array([257, 65]))
    assert infos["task_id"][0] == loops.TASK_ID
