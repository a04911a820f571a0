"""The learners of Stable-Baselines3: what they learn and refuse, and that a seed is a run."""

from __future__ import annotations

import importlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from string import ascii_letters
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO

from lmgym.agents.embedded import new_policy
from lmgym.errors import LmgymError
from lmgym.evaluation import evaluate
from lmgym.factory import make_task
from lmgym.policies.loading import load_policy
from lmgym.registry import AGENTS, load
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutCollector
from lmgym.training.runs import read_metrics

RunCli = Callable[..., tuple[int, str, str]]
StartCli = Callable[..., subprocess.Popen[str]]

MATH = "lmgym/Math-v0"
NETWORK: dict[str, Any] = {
    "model": "none",
    "hidden": (64,),
    "embedding_dim": 8,
    "window": 6,
    "context": 8,
    "max_tokens": 2,
    "lr": 5e-3,
}
SIZES: dict[str, dict[str, Any]] = {
    "sb3-ppo": {"num_envs": 32, "n_steps": 8, "minibatches": 4},
    "sb3-maskable-ppo": {"num_envs": 32, "n_steps": 8, "minibatches": 4},
    "sb3-a2c": {"num_envs": 32},
    "sb3-dqn": {
        "num_envs": 16,
        "learning_starts": 200,
        "exploration_steps": 2000,
        "batch_size": 128,
        "target_update_interval": 200,
    },
}
LEARNERS = list(SIZES)
CLASSES: dict[str, Any] = {
    "sb3-ppo": PPO,
    "sb3-maskable-ppo": MaskablePPO,
    "sb3-a2c": A2C,
    "sb3-dqn": DQN,
}
FROM_LANGUAGE_MODELS = [name for name in LEARNERS if name != "sb3-dqn"]


def run(
    agent: str, args: dict[str, Any], env: str, world: dict[str, Any], reward: Reward = None
) -> Path:
    args_class = load(AGENTS[agent])
    module: Any = importlib.import_module(args_class.__module__)
    folder: Path = module.train(args_class(**args), env, world, reward)
    return folder


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "lmgym.json").read_text(encoding="utf-8"))
    return record


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A world whose questions end with their answer, one of four digits."""
    rows = [
        {"question": letter + digit, "answer": digit} for letter in ascii_letters
        for digit in "0123"
    ]  # fmt: skip
    file = tmp_path_factory.mktemp("identity") / "identity.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"problems": str(file), "instruction": ""}


@pytest.fixture(scope="module")
def from_scratch(
    identity: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a short run of a learner, made once and not to be changed."""

    @cache
    def folder_of(agent: str) -> Path:
        return short_run(agent, identity, tmp_path_factory.mktemp(agent) / "r", seed=3)

    return folder_of


def short_run(agent: str, identity: dict[str, Any], out: Path, seed: int) -> Path:
    args = {**NETWORK, **SIZES[agent], "updates": 8, "validate_every": 0.01}
    given = {**args, "seed": seed, "out": str(out), "validation_limit": 2, "test_limit": 8}
    return run(agent, given, MATH, identity)


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Any]:
    """Arguments of a short run from a small language model."""
    new_policy(16, 1, 0).save(tmp_path / "policy")
    return {
        "model": str(tmp_path / "policy"),
        "out": str(tmp_path / "run"),
        "num_envs": 8,
        "updates": 2,
        "validation_limit": 4,
        "test_limit": 8,
        "test_samples": 2,
    }


@pytest.mark.learning
@pytest.mark.parametrize("agent", LEARNERS)
def test_every_learner_solves_the_identity_from_scratch(
    agent: str, identity: dict[str, Any], tmp_path: Path
) -> None:
    budget = {"seconds": 60.0, "validate_every": 0.5, "target": 0.99}
    args = {
        **NETWORK,
        **SIZES[agent],
        **budget,
        "alphabet": "chars:0123",
        "out": str(tmp_path / "r"),
    }
    record = record_of(run(agent, args, MATH, identity))
    assert record["before"]["greedy"] < 0.5
    assert record["after"]["greedy"] >= 0.9  # unseen pairs of letter and digit
    assert record["stopped"] == "validation reached the target of 99%"


@pytest.mark.learning
@pytest.mark.parametrize("agent", FROM_LANGUAGE_MODELS)
def test_every_actor_critic_improves_the_embedded_policy(agent: str, tmp_path: Path) -> None:
    def ends_with_a_five(prompts: list[str], completions: list[str]) -> list[float]:
        return [float(text.endswith("5")) for text in completions]

    n_updates = 60 if agent == "sb3-a2c" else 12  # of one gradient step, or of eight
    args = {"out": str(tmp_path / "r"), "num_envs": 32, "lr": 4e-3, "updates": n_updates}
    quick = {"test_limit": 4, "validation_limit": 4, "validate_every": 1e9}
    folder = run(agent, {**args, **quick}, MATH, {}, ends_with_a_five)
    rewards = [row["reward"] for row in read_metrics(folder) if "reward" in row]
    assert np.mean(rewards[:2]) < 0.35
    assert np.mean(rewards[-2:]) > 0.8


@pytest.mark.parametrize("agent", LEARNERS)
def test_the_same_seed_gives_the_same_weights(
    agent: str, identity: dict[str, Any], from_scratch: Callable[[str], Path], tmp_path: Path
) -> None:
    folders = [short_run(agent, identity, tmp_path / str(seed), seed) for seed in (3, 4)]
    first, again, other = (
        load_file(folder / "last" / "policy.safetensors")
        for folder in (from_scratch(agent), *folders)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("agent", FROM_LANGUAGE_MODELS)
def test_the_same_seed_gives_the_same_language_model(
    agent: str, small: dict[str, Any], tmp_path: Path
) -> None:
    def parts(args: dict[str, Any]) -> tuple[dict[str, torch.Tensor], ...]:
        last = run(agent, args, "lmgym/Copy-v0", {}, share_of_a) / "last"
        return load_file(last / "model.safetensors"), load_file(last / "critic.safetensors")

    start = load_file(Path(small["model"]) / "model.safetensors")
    first, again = parts(small), parts({**small, "out": str(tmp_path / "again")})
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(first[0][name], start[name]) for name in start)


def test_training_leaves_the_global_generators_alone(
    identity: dict[str, Any], tmp_path: Path
) -> None:
    def states() -> tuple[Any, ...]:
        numpy: Any = np.random.get_state()  # noqa: NPY002
        return random.getstate(), numpy[1].tolist(), numpy[2], torch.get_rng_state().tolist()

    before = states()
    args = {**NETWORK, **SIZES["sb3-dqn"], "updates": 8, "out": str(tmp_path / "r")}
    run("sb3-dqn", args, MATH, identity)
    assert states() == before


@pytest.mark.parametrize("agent", LEARNERS)
def test_a_run_from_scratch_leaves_a_complete_folder(
    agent: str, from_scratch: Callable[[str], Path]
) -> None:
    folder = from_scratch(agent)
    names = {path.name for path in folder.iterdir()}
    assert {"best", "last", "curve.png", "lmgym.json", "metrics.jsonl", "tensorboard"} == names
    for checkpoint in ("best", "last"):
        inside = {path.name for path in (folder / checkpoint).iterdir()}
        assert inside == {"lmgym.json", "policy.safetensors", "sb3.zip"}
    record = record_of(folder)
    assert (record["status"], record["updates"], record["agent"]) == ("finished", 8, agent)
    assert record["alphabet"] == "digits"  # the world's own
    rows = read_metrics(folder)
    assert [row["step"] for row in rows] == list(range(9))
    logged = {"reward", "accuracy", "completion_length", "steps", "tokens_per_second", "seconds"}
    assert logged <= set(rows[6])
    assert "train/loss" in rows[6] or "train/policy_loss" in rows[6]


@pytest.mark.parametrize("agent", FROM_LANGUAGE_MODELS)
def test_the_checkpoint_of_a_language_model_is_one(agent: str, small: dict[str, Any]) -> None:
    folder = run(agent, small, "lmgym/Copy-v0", {}, share_of_a)
    names = {path.name for path in (folder / "best").iterdir()}
    assert {"model.safetensors", "config.json", "critic.safetensors", "sb3.zip"} <= names
    assert (folder / "curve.png").stat().st_size > 10_000
    policy = load_policy(folder / "best")
    collector = RolloutCollector(policy, make_task("lmgym/Copy-v0"), None)
    found = evaluate(collector, None, split="test", limit=8, samples=0)
    after = record_of(folder)["after"]
    assert (found.greedy, found.mean_length) == (after["greedy"], after["mean_length"])
    opened = CLASSES[agent].load(folder / "best" / "sb3.zip", device="cpu").policy
    weights = opened.language_model.state_dict()
    assert all(torch.equal(weights[n], t) for n, t in policy.model.state_dict().items())


@pytest.mark.parametrize("agent", LEARNERS)
def test_stable_baselines3_opens_its_checkpoint(
    agent: str, from_scratch: Callable[[str], Path]
) -> None:
    folder = from_scratch(agent)
    algorithm = CLASSES[agent].load(folder / "last" / "sb3.zip", device="cpu")
    saved = load_file(folder / "last" / "policy.safetensors")
    state = algorithm.policy.state_dict()
    assert all(torch.equal(saved[name], state[name]) for name in saved)


def test_validation_may_be_on_the_problems_that_are_trained_on(
    identity: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def watched(*args: Any, split: str, **words: Any) -> Any:
        asked.append(split)
        return evaluate(*args, split=split, **words)

    monkeypatch.setattr("lmgym.training.examination.evaluate", watched)
    args = {**NETWORK, **SIZES["sb3-a2c"], "updates": 2, "validate_every": 0.0, "target": 0.0}
    words = {**args, "out": str(tmp_path / "r"), "validate_on": "train"}
    record = record_of(run("sb3-a2c", words, MATH, identity))
    assert asked[:2] == asked[-2:] == ["test", "train"]
    assert "validation" not in asked
    n_train = len(make_task(MATH, **identity).task_ids("train", 1000))
    assert (record["train_after"]["split"], record["train_after"]["n"]) == ("train", n_train)
    assert record["stopped"] == "validation on the train split reached the target of 0%"


def test_updates_are_counted_from_the_first_gradient_step(
    identity: dict[str, Any], tmp_path: Path
) -> None:
    args = {**NETWORK, **SIZES["sb3-dqn"], "updates": 2, "out": str(tmp_path / "r")}
    folder = run("sb3-dqn", {**args, "learning_starts": 300}, MATH, identity)
    rows = read_metrics(folder)
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert [row["steps"] for row in rows[:2]] == [320, 384]  # 64 at a time
    assert all("train/loss" in row for row in rows[:2])


def test_a_run_that_ends_before_the_first_gradient_step_says_so(
    identity: dict[str, Any], tmp_path: Path
) -> None:
    args = {**NETWORK, **SIZES["sb3-dqn"], "seconds": 0.2, "out": str(tmp_path / "r")}
    record = record_of(run("sb3-dqn", {**args, "learning_starts": 10**9}, MATH, identity))
    assert record["updates"] == 0
    assert "before the first gradient step, so nothing was trained" in record["stopped"]


@pytest.mark.parametrize(
    ("agent", "words"), [("sb3-maskable-ppo", {"mask": "digits"}), ("sb3-a2c", {})]
)
def test_runs_with_an_alphabet_say_that_evaluations_let_more_be_written(
    agent: str, words: dict[str, Any], small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(agent, {**small, **words, "updates": 1}, MATH, {})
    told = " ".join(capsys.readouterr().out.split())
    assert ("measured with 'digits' as all that may be written" in told) == bool(words)


def share_of_a(prompts: list[str], completions: list[str]) -> list[float]:
    return [text.count("a") / max(1, len(text)) for text in completions]


@pytest.mark.parametrize(
    ("agent", "given", "said"),
    [
        ("sb3-dqn", {"level": "chunk"}, "make the environment with level='token'"),
        ("sb3-dqn", {"model": "embedded"}, "leave --model out"),
        ("sb3-ppo", {"level": "chunk"}, "choose level token, or --model none"),
        ("sb3-ppo", {"num_envs": 3, "minibatches": 5}, "choose a divisor"),
        ("sb3-ppo", {"dtype": "bfloat16"}, "leave dtype out"),
        ("sb3-ppo", {"alphabet": "letters"}, "unknown alphabet 'letters'"),
        ("sb3-ppo", {"model": "none", "hidden": ()}, "give the width of one layer"),
        ("sb3-ppo", {"seed": 2**32}, "allowed is 0 or more, up to"),
        ("sb3-ppo", {"reward": "shuffled"}, "choose a causal reward"),
        ("sb3-a2c", {"context": 4}, "the prompt takes 9 tokens and the context has 4"),
        ("sb3-maskable-ppo", {"mask": "digits", "alphabet": "digits"}, "exclude each other"),
    ],
)
def test_what_cannot_be_trained_names_the_fix_and_leaves_no_folder(
    agent: str, given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(LmgymError) as refused:
        run(agent, {**given, "out": str(tmp_path / "r")}, MATH, {})
    assert said in str(refused.value)
    assert not (tmp_path / "r").exists()


def test_a_loss_that_is_not_finite_is_told_and_the_best_checkpoint_stays(
    identity: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: PPO) -> None:
        self._n_updates += 1
        self.logger.record("train/value_loss", float("nan"))

    monkeypatch.setattr(PPO, "train", spoil)
    args = {**NETWORK, **SIZES["sb3-ppo"], "updates": 3, "out": str(tmp_path / "r")}
    with pytest.raises(LmgymError, match="train/value_loss is nan in update 0"):
        run("sb3-ppo", args, MATH, identity)
    assert record_of(tmp_path / "r")["status"].startswith("failed: train/value_loss is nan")
    assert (tmp_path / "r" / "best" / "policy.safetensors").is_file()


def test_a_mask_keeps_a_language_model_to_its_alphabet(small: dict[str, Any]) -> None:
    written: list[str] = []

    def listen(prompts: list[str], completions: list[str]) -> list[float]:
        written.extend(completions)
        return [0.0 for _ in completions]

    run("sb3-maskable-ppo", {**small, "mask": "digits"}, MATH, {}, listen)
    assert written
    assert set("".join(written)) <= set("0123456789")


@pytest.mark.parametrize("env", ["lmgym/Copy-v0", "lmgym/GuessNumber-v0"])
@pytest.mark.parametrize("agent", LEARNERS)
def test_every_learner_takes_every_world_without_options(
    run_cli: RunCli, agent: str, env: str, tmp_path: Path
) -> None:
    quick = ("--updates", "2", "--test-limit", "4", "--validation-limit", "4", "--num-envs", "16")
    at_once = ("--learning-starts", "0") if agent == "sb3-dqn" else ()
    code, out, _ = run_cli("train", agent, env, "--out", "r", *quick, *at_once)
    assert code == 0
    found = [set(row) for row in read_metrics(tmp_path / "r")[:2]]
    assert all({"train/loss", "train/policy_loss"} & names for names in found)
    assert (
        "load it: stable_baselines3.DQN.load('r/best/sb3.zip', env=...)"
        if agent == "sb3-dqn"
        else "watch it: lmgym play"
    ) in out
    assert record_of(tmp_path / "r")["status"] == "finished"


def test_large_models_play_fewer_episodes_at_a_time(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmgym.sb3.workbench.is_large", lambda n_parameters: n_parameters > 1000)
    del small["num_envs"]
    folder = run("sb3-a2c", {**small, "updates": 1}, "lmgym/Copy-v0", {})
    assert read_metrics(folder)[0]["steps"] == 16 * 4


def test_ppo_takes_chunks_from_scratch(small: dict[str, Any]) -> None:
    given = {**small, "model": "none", "level": "chunk", "chunk_size": 2, "alphabet": "all"}
    folder = run("sb3-ppo", given, MATH, {})
    assert record_of(folder)["alphabet"] is None
    assert {"steps_per_second", "episode_steps"} <= set(read_metrics(folder)[0])


def test_of_equal_checkpoints_the_later_is_the_best(
    identity: dict[str, Any], tmp_path: Path
) -> None:
    def nothing(prompts: list[str], completions: list[str]) -> list[float]:
        return [0.0 for _ in completions]

    args = {**NETWORK, **SIZES["sb3-dqn"], "updates": 6, "validate_every": 0.0, "lr": 1e-9}
    folder = run("sb3-dqn", {**args, "out": str(tmp_path / "r")}, MATH, identity, nothing)
    assert record_of(folder)["best"]["update"] == 6


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_weights(start_cli: StartCli, tmp_path: Path) -> None:
    words = ["train", "sb3-a2c", "lmgym/Copy-v0", "--model", "none", "--out", "r"]
    quick = ["--test-limit", "4", "--validation-limit", "4"]
    process = start_cli([*words, *quick], cwd=tmp_path, start_new_session=True)
    metrics = tmp_path / "r" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert record_of(tmp_path / "r")["status"] == "interrupted"
    inside = {path.name for path in (tmp_path / "r" / "last").iterdir()}
    assert inside == {"lmgym.json", "policy.safetensors", "sb3.zip"}


def test_a_world_that_judges_nothing_needs_another_reward(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"say {n}" for n in range(60)))
    out = tmp_path / "run"
    with pytest.raises(LmgymError, match=r"nothing judges answers .* give --reward rm:DIR"):
        run("sb3-ppo", {"out": str(out)}, "lmgym/Preference-v0", {"prompts": str(prompts)})
    assert not out.exists()


@pytest.mark.slow
def test_the_best_checkpoint_is_the_best_paid_on_validation(tmp_path: Path) -> None:
    limits = {"validation_limit": 8, "test_limit": 8, "test_samples": 1}
    args = {"out": str(tmp_path / "run"), "reward": "length", "updates": 2, "num_envs": 8, **limits}
    folder = run("sb3-ppo", args, MATH, {})
    record = json.loads((folder / "lmgym.json").read_text())
    assert "validation/reward" in record["best"]
    assert record["after"]["reward"] == pytest.approx(record["after"]["mean_length"])
