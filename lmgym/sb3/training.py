"""Training with Stable-Baselines3: its `learn`, and around it what every learner of ours does."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.evaluation import Collector, Evaluation
from lmgym.policies.loading import load_policy
from lmgym.rewards.schedule import RewardSchedule
from lmgym.rewards.source import Reward
from lmgym.rollouts import RolloutBatch
from lmgym.sb3.arguments import SB3Args
from lmgym.sb3.collector import AlgorithmCollector
from lmgym.sb3.generators import seeded_globals
from lmgym.sb3.language_model import CRITIC_FILE
from lmgym.sb3.policy import MaskableTokenActorCriticPolicy, TokenActorCriticPolicy
from lmgym.sb3.workbench import Workbench
from lmgym.training.base_session import BaseSession
from lmgym.training.presets import use_threads
from lmgym.training.progress import Sample
from lmgym.training.session import reward_name, shown_samples

__all__ = ["ENDLESS", "SB3Session", "train_at_bench", "train_with_sb3"]

ENDLESS = 10**12
"""The steps that `learn` is asked for: the session ends it, by its budget and its target."""

_ZIP, _WEIGHTS = "sb3.zip", "policy.safetensors"
_LANGUAGE_MODEL = "language_model."


class _Bench(Protocol):
    """What holds an environment."""

    env: Any


B = TypeVar("B", bound=_Bench)


def train_with_sb3(
    agent: str,
    args: SB3Args,
    env: str,
    world_args: Mapping[str, Any],
    make: Callable[[Workbench], BaseAlgorithm],
    reward: Reward = None,
    *,
    mask: str | None = None,
) -> Path:
    """Train an algorithm of Stable-Baselines3 on a world; returns the run folder.

    Args:
        agent: the learner's name.
        args: its arguments.
        env: id of the world.
        world_args: arguments of the world.
        make: the algorithm, from the parts on the workbench.
        reward: a function or source, in place of the name in `args`.
        mask: an alphabet that the masks let through.
    """
    return train_at_bench(
        args.seed,
        lambda: Workbench(args, env, world_args, reward, mask=mask),
        lambda bench: SB3Session(agent, env, world_args, bench, make(bench), reward),
    )


def train_at_bench(
    seed: int, make_bench: Callable[[], B], make_session: Callable[[B], SB3Session]
) -> Path:
    """Train what a session makes of the parts on a bench; returns the run folder.

    Args:
        seed: of the global generators that the algorithm draws from.
        make_bench: the parts; their environment is closed in the end.
        make_session: the run.
    """
    with seeded_globals(seed):
        bench = make_bench()
        try:
            with make_session(bench) as session:
                session.learn()
        finally:
            bench.env.close()
    return session.run.path


class SB3Session(BaseSession):
    """One training run of an algorithm of Stable-Baselines3.

    Args:
        agent: the learner's name.
        env: id of the world.
        world_args: arguments of the world.
        bench: what the algorithm was made of.
        algorithm: is trained.
        reward: what stands for `args.reward`.
    """

    def __init__(
        self,
        agent: str,
        env: str,
        world_args: Mapping[str, Any],
        bench: Workbench,
        algorithm: BaseAlgorithm,
        reward: Reward = None,
    ) -> None:
        """Connect the algorithm with the logs."""
        self.bench = bench
        self.algorithm = algorithm
        algorithm.set_logger(Logger(None, []))
        self._shown: list[Sample] = []
        args = bench.args
        use_threads(self._n_parameters, args.threads)
        facts = {
            "world": dict(world_args),
            "lr": bench.lr,
            "alphabet": bench.alphabet,
            "algorithm": _public_name(type(algorithm)),
            "reward": args.reward if reward is None else reward_name(reward),
        }
        super().__init__(agent, args, env, facts)

    def learn(self) -> None:
        """Train until the session ends it."""
        self.algorithm.learn(ENDLESS, callback=_Driver(self), log_interval=None)  # type: ignore[arg-type]

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self._interrupt.interrupted

    @property
    def n_gradient_steps(self) -> int:
        """How often the algorithm says that it has trained; in passes for PPO."""
        algorithm: Any = self.algorithm
        return int(algorithm._n_updates)

    def has_time(self) -> bool:
        """Whether playing may go on before the first gradient step; else the session ends."""
        if self.seconds >= self.args.seconds:
            self.stop(
                f"the budget of {self.args.seconds:g} seconds is spent before the first gradient"
                " step, so nothing was trained; give more --seconds or a smaller --learning-starts"
            )
        return self._stopped is None

    @property
    def _n_parameters(self) -> int:
        return sum(p.numel() for p in self.algorithm.policy.parameters())

    @property
    def _evaluator(self) -> Collector:
        return self._examiner

    @cached_property
    def _examiner(self) -> Collector:
        return AlgorithmCollector(self.algorithm, self.bench.task, self.bench.make_view)

    @property
    def _schedule(self) -> RewardSchedule:
        return self.bench.schedule

    @property
    def _is_judged(self) -> bool:
        return self.bench.is_judged

    @property
    def _is_sampled(self) -> bool:
        from stable_baselines3 import DQN

        return not isinstance(self.algorithm, DQN)  # its policy is the greedy one

    @property
    def _validation_split(self) -> str:
        return self.bench.args.validate_on

    def _further_figures(self) -> dict[str, Any]:
        """What it knows of the problems it was trained on, where that is what counts."""
        if self.bench.args.validate_on != "train":
            return {}
        found = self._measure("train", *self._limits(is_test=True), is_shown=True)
        shares = [f"greedy {found.greedy:.1%}"]
        if found.pass_at_1 is not None:
            shares.append(f"sampled {found.pass_at_1:.1%}")
        self.say(f"on {found.n} training problems: {', '.join(shares)}")
        return {"train_after": found.as_dict()}

    def _is_better(self, score: float) -> bool:
        return score >= self._best  # of equals the later one: it has seen more

    def _evaluate(self, split: str) -> Evaluation:
        found = super()._evaluate(split)
        ones = np.ones(found.n)
        batch = RolloutBatch(found.transcripts, ones, ones > 0)
        self._shown = list(shown_samples(batch))
        return found

    def log_update(self, metrics: Mapping[str, float]) -> None:
        """Log an update with what Stable-Baselines3 has to say of it."""
        logged = {
            name: float(value)
            for name, value in self.algorithm.logger.name_to_value.items()
            if isinstance(value, int | float | np.number)
        }
        self.algorithm.logger.dump()  # forgets them
        _require_finite(logged, self._n_updates)
        if "train/entropy_loss" in logged:
            logged["entropy"] = -logged["train/entropy_loss"]
        self.log_numbers({**metrics, **logged}, self._shown)

    def _introduce(self) -> None:
        args, bench = self.args, self.bench
        start = "a small network" if bench.args.is_from_scratch else f"policy {args.model}"
        actions = bench.env.action_space
        self.say(
            f"{start}: {self._n_parameters:,} parameters on {self.algorithm.device}, actions"
            f" {actions} ({bench.alphabet or 'every id'}), learning rate {bench.lr:g}, run folder"
            f" {self.run.path}"
        )

    def _finish(self) -> None:
        super()._finish()
        allowed = self.bench.mask or self.bench.alphabet
        if allowed is not None and not self.bench.args.is_from_scratch:
            self.say(
                f"measured with {allowed!r} as all that may be written; lmgym eval and play let"
                f" the checkpoint write every id, and {_ZIP} keeps to the alphabet"
            )

    def _save(self, directory: Path) -> None:
        """Write `sb3.zip`, and the weights so that nothing need be unpickled to read them."""
        policy, tensors = self.algorithm.policy, self._tensors()
        if isinstance(policy, TokenActorCriticPolicy | MaskableTokenActorCriticPolicy):
            policy.language_policy.save(directory)
            rest = {n: t for n, t in tensors.items() if not n.startswith(_LANGUAGE_MODEL)}
            _write(directory / CRITIC_FILE, lambda path: save_file(rest, path))
        else:
            directory.mkdir(exist_ok=True)
            _write(directory / _WEIGHTS, lambda path: save_file(tensors, path))
        _write(directory / _ZIP, self.algorithm.save)

    def _take_back(self, directory: Path) -> None:
        policy = self.algorithm.policy
        if isinstance(policy, TokenActorCriticPolicy | MaskableTokenActorCriticPolicy):
            chosen = load_policy(directory, device=self.args.device)
            policy.language_model.load_state_dict(chosen.model.state_dict())
            rest = load_file(directory / CRITIC_FILE)
            state = self._tensors().items()
            language_model = {n: t for n, t in state if n.startswith(_LANGUAGE_MODEL)}
            policy.load_state_dict(language_model | rest)
        else:
            policy.load_state_dict(load_file(directory / _WEIGHTS))

    def _tensors(self) -> dict[str, Tensor]:
        """The policy's tensors, each with memory of its own."""
        state = self.algorithm.policy.state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


class _Driver(BaseCallback):
    """Lets a session count, log and end the updates of an algorithm."""

    def __init__(self, session: SB3Session) -> None:
        super().__init__()
        self._session = session
        self._updates = session.updates()
        self._n_steps = 0
        self._goes_on = True
        self._tally: _Tally | None = None

    def _on_rollout_start(self) -> None:
        """An update lies behind, unless it is the first time or nothing was trained."""
        if self._tally is None:
            is_by_tokens = self._session.bench.args.level == "token"
            self._tally = _Tally(self.training_env.num_envs, is_by_tokens)
        elif self._has_trained():
            self._session.log_update(self._tally.metrics(self.num_timesteps))
        else:
            self._goes_on = self._session.has_time()
            return
        self._goes_on = next(self._updates, None) is not None
        self._tally.start(self.num_timesteps)

    def _has_trained(self) -> bool:
        """Whether the algorithm has taken gradient steps since it was asked the last time."""
        before, self._n_steps = self._n_steps, self._session.n_gradient_steps
        return self._n_steps > before

    def _on_step(self) -> bool:
        assert self._tally is not None
        now = self.locals
        self._tally.add(now["rewards"], now["dones"], now["infos"])
        return self._goes_on and not self._session.is_interrupted


class _Tally:
    """What the episodes of an update were worth.

    Args:
        num_envs: how many are played at a time.
        is_by_tokens: whether a step is a token.
    """

    def __init__(self, num_envs: int, is_by_tokens: bool) -> None:
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs)
        self._rate = "tokens_per_second" if is_by_tokens else "steps_per_second"
        length = "completion_length" if is_by_tokens else "episode_steps"
        self._names = ("reward", length, "accuracy")
        self.start(0)

    def start(self, steps: int) -> None:
        """Begin an update; episodes go on."""
        self._finished: list[tuple[float, float, bool]] = []
        self._steps, self._clock = steps, time.perf_counter()

    def add(self, rewards: Any, dones: Any, infos: Any) -> None:
        """Count a step of all environments."""
        self._returns += rewards
        self._lengths += 1
        rows = np.flatnonzero(dones).tolist()
        successes = [infos[row]["is_success"] for row in rows]
        self._finished += zip(self._returns[rows], self._lengths[rows], successes, strict=True)
        self._returns[rows] = self._lengths[rows] = 0.0

    def metrics(self, steps: int) -> dict[str, float]:
        """Means over the episodes that ended in the update, and its speed."""
        rate = (steps - self._steps) / (time.perf_counter() - self._clock)
        numbers = {"steps": float(steps), self._rate: rate}
        if self._finished:
            means = np.mean(self._finished, 0).tolist()
            numbers |= dict(zip(self._names, means, strict=True))
        return numbers


def _public_name(algorithm: type[BaseAlgorithm]) -> str:
    """Where people import it from."""
    root = algorithm.__module__.partition(".")[0]
    return f"{'lmgym.sb3' if root == 'lmgym' else root}.{algorithm.__name__}"


def _require_finite(logged: Mapping[str, float], update: int) -> None:
    for name, value in logged.items():
        if name.endswith("loss") and not math.isfinite(value):
            raise LmgymError(
                f"{name} is {value} in update {update}; the weights are spoilt, and those before it"
                " are in the best checkpoint. Lower --lr or --max-grad-norm, and look at"
                " metrics.jsonl for what grew before"
            )


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place and move it there, whole."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
