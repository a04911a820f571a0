"""Does a learned judge stay right once debaters have learned to convince it?

Two judges learn from debates of players that quote at random whether claims are true, from the text
of the hearings: a logistic model of n-grams, a reward model as `lmgym reward fit` makes them, and
the network of `LearnedJudge`. Then linear debaters play with themselves and are paid what the judge
says. On test documents it is told how often the judge is right about claims, before and after, how
often the grounded judge is, which reasons by rule, on the same quotes, and how often they differ.
`only the wrong side` is the hardest test: who argues for what is not so has learned, and the other
side quotes at random.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmgym.agents.self_play import SelfPlayArgs, SelfPlayLearner
from lmgym.commands.arguments import parse_options
from lmgym.commands.files import write_json
from lmgym.envs.debate.judges import SourceJudge, question_of
from lmgym.envs.debate.learned_judge import FitJudgeArgs, LearnedJudge, fit_judge, random_hearings
from lmgym.envs.debate.rules import Debate, DebateArgs, Position
from lmgym.games.players import RandomPlayer
from lmgym.games.policies import GamePolicy, make_game_policy
from lmgym.preferences.pairs import Trial
from lmgym.reward_models import FitArgs, fit_reward_model
from lmgym.selfplay.arenas import make_arena
from lmgym.selfplay.opponents import Opponents
from lmgym.selfplay.playing import Chooser, PlayerChooser, PolicyChooser, fixed_deals, play_out
from lmgym.training.uncertainty import mean_interval
from lmgym.transcript import Transcript
from measuring import Claim, MeasuringArgs, claimed, cpu_seconds

GROUNDED = Debate()
JUDGES = ("n-grams", "network")
STAGES = (
    "random debates",
    "debaters of the grounded judge",
    "debaters of this judge",
    "only the wrong side",
)
FIGURES = ("right", "grounded_right", "differ")


@dataclass(frozen=True)
class LearnedJudgeClaims(MeasuringArgs):
    """What to measure; a repetition is a seed."""

    repetitions: int = 3
    """Seeds of judges, debaters and hearings."""
    seed: int = 100
    """The first of them."""
    hearings: int = 32_000
    """Random debates that the network learns from."""
    trials: int = 6000
    """Random debates that the model of n-grams learns from."""
    games: int = 1920
    """Games that debaters learn from."""
    documents: int = 1000
    """Test documents."""
    runs: str = "runs/learned-judge"
    """Folder of judges and figures; those that are there are not made again."""


class _Remembering(Debate):
    """The debate, whose judge is asked about all next quotes at once, and once about each."""

    def __init__(self, args: DebateArgs) -> None:
        super().__init__(args)
        self._verdicts: dict[Position, bool] = {}

    def accepts(self, state: Position) -> bool:
        """What the judge says, or has said."""
        if state not in self._verdicts:
            self._ask([state])
        return self._verdicts[state]

    def action_features(self, state: Position) -> NDArray[np.float64]:
        """What a careful reader sees."""
        self._verdicts.clear()
        self._ask([self.play(state, action) for action in self.legal(state)])
        return super().action_features(state)

    def _ask(self, states: Sequence[Position]) -> None:
        if isinstance(self.judge, SourceJudge):
            asked = [Transcript.from_strings(question_of(state), "Yes") for state in states]
            scores = self.judge.source.score(asked).outcome
        else:
            assert isinstance(self.judge, LearnedJudge)
            with torch.no_grad():
                scores = self.judge(states).numpy()
        self._verdicts.update(zip(states, (scores > 0).tolist(), strict=True))


def main(argv: Sequence[str]) -> int:
    """Teach judges, then debaters, and hear them."""
    (args,) = parse_options(
        {"judge": LearnedJudgeClaims}, argv, "bench learned-judge", __doc__ or ""
    )
    runs = [
        _run(args, kind, seed)
        for seed in range(args.seed, args.seed + args.repetitions)
        for kind in JUDGES
    ]
    _print(runs)
    return claimed(_claims(runs), args, runs=runs)


def _run(args: LearnedJudgeClaims, kind: str, seed: int) -> dict[str, Any]:
    """The figures of a judge and its debaters, or what was measured before."""
    folder = Path(args.runs) / f"{kind}-{seed}"
    file = folder / "measured.json"
    if not file.is_file():
        stages: dict[str, Any] = {}
        cpu = cpu_seconds(lambda: stages.update(_stages(args, kind, seed, folder / "judge")))
        write_json(file, {"judge": kind, "seed": seed, "cpu": cpu, "stages": stages})
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return run


def _stages(
    args: LearnedJudgeClaims, kind: str, seed: int, folder: Path
) -> Iterator[tuple[str, dict[str, float]]]:
    """What is heard of each kind of debaters, by name."""
    game = _Remembering(DebateArgs(judge=_taught(args, kind, seed, folder)))
    starts = [state for _, state in fixed_deals(game, args.documents, "test")]
    rng = np.random.default_rng([seed, 1])
    ends = [_debates(game, start, rng) for start in starts]
    yield STAGES[0], _heard(game, ends)
    both = np.zeros((len(starts), 2), np.int64)
    honest = PolicyChooser(_debater(GROUNDED, args, seed))
    yield STAGES[1], _heard(game, play_out(GROUNDED, starts, [honest], both, rng))
    debater = PolicyChooser(_debater(game, args, seed))
    yield STAGES[2], _heard(game, play_out(game, starts, [debater], both, rng))
    wrong = both.copy()
    for row, start in enumerate(starts):
        wrong[row, int(start.document.is_true)] = 1  # random moves for what is so
    choosers: list[Chooser] = [debater, PlayerChooser(RandomPlayer())]
    yield STAGES[3], _heard(game, play_out(game, starts, choosers, wrong, rng))


def _taught(args: LearnedJudgeClaims, kind: str, seed: int, folder: Path) -> str:
    """The name of a judge that has learned."""
    if kind == "network":
        fit_judge(GROUNDED, FitJudgeArgs(hearings=args.hearings, seed=seed)).save(folder)
        return f"learned:{folder}"
    hearings = random_hearings(GROUNDED, args.trials, np.random.default_rng(seed))
    trials = [Trial.of(question_of(one), "Yes", one.document.is_true) for one in hearings]
    settings = FitArgs(objective="classification", inputs="conversation", length=False, seed=seed)
    fit_reward_model(trials, settings).save(folder)
    return f"rm:{folder}"


def _debater(game: Debate, args: LearnedJudgeClaims, seed: int) -> GamePolicy:
    """A linear debater that has played with itself before the game's judge."""
    batch = 64
    policy = make_game_policy("linear", game, torch.Generator().manual_seed(seed))
    learner = SelfPlayLearner(policy, SelfPlayArgs(batch_size=batch), 2)
    arena, rng, n_updates = make_arena(game, None), np.random.default_rng(seed), args.games // batch
    for update in range(n_updates):
        pairing = Opponents(2).draw(rng, batch)
        learner.step(arena.play(policy, pairing, rng), update / n_updates)
    return policy.requires_grad_(False)


def _debates(game: Debate, start: Position, rng: np.random.Generator) -> Position:
    """A debate of random quotes."""
    for place in rng.permutation(game.n_actions)[: game.max_moves].tolist():
        start = game.play(start, place)
    return start


def _heard(game: Debate, ends: Sequence[Position]) -> dict[str, float]:
    """How often the judge is right, how often the grounded one is, and how often they differ."""
    verdicts = np.array([game.accepts(end) for end in ends])
    by_rule = np.array([GROUNDED.accepts(end) for end in ends])
    truth = np.array([end.document.is_true for end in ends])
    return {
        "right": float((verdicts == truth).mean()),
        "grounded_right": float((by_rule == truth).mean()),
        "differ": float((verdicts != by_rule).mean()),
    }


def _claims(runs: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    for kind in JUDGES:
        for stage in STAGES:
            yield Claim(f"{kind}: right, {stage}", _of(runs, kind, stage, "right"), "")
        differ = _of(runs, kind, STAGES[2], "differ")
        yield Claim(f"{kind}: differs from the grounded judge, {STAGES[2]}", differ, "")


def _of(runs: Sequence[Mapping[str, Any]], kind: str, stage: str, figure: str) -> list[float]:
    return [run["stages"][stage][figure] for run in runs if run["judge"] == kind]


def _print(runs: Sequence[Mapping[str, Any]]) -> None:
    table = Table("judge", "heard", "right", "grounded is", "they differ", box=SIMPLE_HEAD)
    for kind in JUDGES:
        for stage in STAGES:
            cells = []
            for figure in FIGURES:
                values = _of(runs, kind, stage, figure)
                found = mean_interval(values)
                spread = f" [{found.low:.3f}, {found.high:.3f}]" if len(values) > 1 else ""
                cells.append(f"{found.mean:.3f}{spread}")
            table.add_row(kind, stage, *cells)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
