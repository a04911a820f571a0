"""`LearnedJudge`: a judge that has learned from hearings whether claims are true.

It reads the claim and the messages, as words, and nothing else. `fit_judge` teaches it on debates
of players that quote at random. What it says of debates of players who have learned to convince it
is another matter: `judge_correct` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lmgym.commands.files import write_json
from lmgym.errors import LmgymError
from lmgym.games.deals import draw_deal, start_of
from lmgym.games.reader_network import N_MARKS, ReaderNetwork, draw_weights, stacked, words_of
from lmgym.reward_models.storage import read_json, read_tensors, write_tensors

from .positions import Position

if TYPE_CHECKING:
    from .rules import Debate

__all__ = ["FitJudgeArgs", "LearnedJudge", "fit_judge", "load_judge", "random_hearings"]

_DESCRIPTION, _WEIGHTS = "judge.json", "model.safetensors"


@dataclass(frozen=True)
class FitJudgeArgs:
    """How a judge is taught."""

    hearings: int = 16_000
    """Debates to learn from, of players that quote at random on training deals."""
    target: Literal["truth", "verdict"] = "truth"
    """What is learned: whether the claim is true, or what the grounded judge says."""
    epochs: int = 4
    """Passes over the hearings."""
    batch_size: int = 128
    """Hearings of an update."""
    lr: float = 3e-3
    """Learning rate of Adam; it falls to 0 in a line."""
    seed: int = 0
    """Seed of hearings and weights."""

    def __post_init__(self) -> None:
        """Raise for what cannot be."""
        for name in ("hearings", "epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise LmgymError(f"{name}={getattr(self, name)} is out of range; give more than 0")
        if self.target not in ("truth", "verdict"):
            raise LmgymError(f"target={self.target!r} does not exist; give truth or verdict")


class LearnedJudge(nn.Module):
    """Believes a claim by what was said for and against it, in words.

    Args:
        width, word_width, heads, layers: of the `ReaderNetwork`.

    Example:
        >>> from lmgym.envs.debate.rules import Debate
        >>> judge = fit_judge(Debate(), FitJudgeArgs(hearings=256, epochs=1))
        >>> position = Debate().start(np.random.default_rng(0))
        >>> judge.accepts(position) in (True, False)
        True
    """

    def __init__(
        self, width: int = 48, word_width: int = 24, heads: int = 4, layers: int = 3
    ) -> None:
        super().__init__()
        with torch.device("meta"):  # makes no draw from the global generator
            self.network = ReaderNetwork(width, word_width, heads, layers)
            self.score = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
            )
        self.to_empty(device="cpu")

    def forward(self, positions: Sequence[Position]) -> Tensor:
        """Log-odds that claims are true, shape (B,), where equally much was said of each."""
        texts = [words_of(_claim_and_messages(position)) for position in positions]
        n = len(positions[0].quotes) + 1
        marks = torch.zeros(len(positions), n, N_MARKS)
        marks[:, 0, 0] = marks[:, 1::2, 1] = marks[:, 2::2, 2] = 1
        reading = self.network.read(stacked(texts, n), len(texts))
        logits: Tensor = self.score(self.network.think(reading, marks)[:, 0])[:, 0]
        return logits

    @torch.no_grad()
    def accepts(self, position: Position) -> bool:
        """Whether the claim is more likely true than not."""
        return bool(self([position])[0] > 0)

    def save(self, directory: str | Path) -> None:
        """Write a directory that `learned:DIR` names; the description last."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: values.numpy() for name, values in self.state_dict().items()}
        write_tensors(folder / _WEIGHTS, weights)
        names = ("width", "word_width", "heads", "layers")
        write_json(folder / _DESCRIPTION, {name: getattr(self.network, name) for name in names})


def load_judge(directory: str | Path) -> LearnedJudge:
    """A judge from the directory that it was saved in."""
    folder = Path(directory).expanduser()
    sizes: Mapping[str, Any] = read_json(folder / _DESCRIPTION)
    weights = {name: torch.tensor(v) for name, v in read_tensors(folder / _WEIGHTS).items()}
    try:
        judge = LearnedJudge(**sizes)
        judge.load_state_dict(weights)
    except (TypeError, RuntimeError) as error:
        raise LmgymError(f"{folder} does not hold a learned judge: {error}") from None
    return judge.requires_grad_(False)


def fit_judge(game: Debate, args: FitJudgeArgs | None = None) -> LearnedJudge:
    """A judge that has learned from the hearings of random debates."""
    args = args or FitJudgeArgs()
    rng = np.random.default_rng(args.seed)
    hearings = random_hearings(game, args.hearings, rng)
    is_true = torch.tensor([float(_label(hearing, args.target)) for hearing in hearings])
    judge = LearnedJudge()
    draw_weights(judge, torch.Generator().manual_seed(args.seed))
    optimizer = torch.optim.Adam(judge.parameters(), args.lr)
    for rows, share in _batches(args, rng):
        optimizer.param_groups[0]["lr"] = args.lr * (1 - share)
        logits = judge([hearings[row] for row in rows])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, is_true[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
    return judge.requires_grad_(False)


def _batches(
    args: FitJudgeArgs, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Numbers of the hearings of each update, with the share of all updates that were made."""
    for epoch in range(args.epochs):
        order = rng.permutation(args.hearings)
        for start in range(0, args.hearings, args.batch_size):
            share = (epoch + start / args.hearings) / args.epochs
            yield order[start : start + args.batch_size], share


def random_hearings(
    game: Debate, n: int, rng: np.random.Generator, split: str = "train"
) -> list[Position]:
    """Debates that are over, of players that quote at random."""
    found = []
    for _ in range(n):
        position = start_of(game, draw_deal(rng, split))
        for place in rng.permutation(game.n_actions)[: game.max_moves].tolist():
            position = game.play(position, place)
        found.append(position)
    return found


def _label(hearing: Position, target: str) -> bool:
    if target == "truth":
        return hearing.document.is_true
    return hearing.document.stands(sum(1 << place for place in hearing.quotes))


def _claim_and_messages(position: Position) -> list[str]:
    """What the judge reads; who says it is told by marks."""
    sentences = position.document.sentences
    heard = [f"Claim: {position.document.claim}"]
    for place, message in zip(position.quotes, position.messages, strict=True):
        heard.append(message or sentences[place])
    return heard
