"""Every expected number is computed by loops over floats, apart from the tensors' code."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import pytest
import torch
from torch import Tensor

from lmgym.errors import LmgymError
from lmgym.policy_gradients.losses import (
    LossKind,
    LossStats,
    default_clip,
    global_normalizer,
    merge_stats,
    policy_loss,
)

Rows = list[list[float]]
KINDS: tuple[LossKind, ...] = get_args(LossKind)
RATIO_KINDS: tuple[LossKind, ...] = ("grpo", "dr_grpo", "dapo", "gspo", "cispo", "ppo")
MAX_LENGTH = 6

# Five samples; ratios below and above every clip, with advantages of both signs; lengths 4, 2, 3,
# 1 and 0; holes in the masks (a world's reply between two turns); rubbish under the mask.
LOGP: Rows = [
    [-0.10, -1.20, -0.50, -2.00],
    [-0.70, -0.80, 99.0, 99.0],
    [-1.00, 99.0, -0.20, -0.90],
    [99.0, -0.20, 99.0, 99.0],
    [99.0, 99.0, 99.0, 99.0],
]
OLD: Rows = [
    [-0.60, -1.00, -0.50, -1.00],
    [-0.20, -0.90, -9.0, -9.0],
    [-3.00, -9.0, -0.25, -0.60],
    [-9.0, -0.41, -9.0, -9.0],
    [-9.0, -9.0, -9.0, -9.0],
]
REFERENCE: Rows = [[value - 0.1 * (column + 1) for column, value in enumerate(r)] for r in OLD]
MASK: Rows = [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
ADVANTAGES = [1.5, -0.8, -0.4, 0.7, 2.0]
CLIPS: dict[LossKind, tuple[float, float]] = {
    "grpo": (0.2, 0.2),
    "dr_grpo": (0.2, 0.2),
    "dapo": (0.2, 0.28),
    "gspo": (0.1, 0.15),
    "cispo": (0.0, 1.3),
    "ppo": (0.15, 0.25),
    "reinforce": (0.0, 0.0),
}


def expected_loss(kind: LossKind, logp: Rows, beta: float = 0.0, clip: bool = True) -> float:
    """The loss of the module's batch by plain arithmetic."""
    low, high = CLIPS[kind] if clip else (1.0, math.inf)
    samples, tokens = [], []
    for row, old, reference, mask, advantage in zip(
        logp, OLD, REFERENCE, MASK, ADVANTAGES, strict=True
    ):
        drawn = [t for t in range(4) if mask[t] == 1]
        mean_log_ratio = sum(row[t] - old[t] for t in drawn) / max(len(drawn), 1)
        losses = []
        for t in drawn:
            ratio = math.exp(mean_log_ratio if kind == "gspo" else row[t] - old[t])
            if kind == "cispo":
                loss = -min(ratio, high) * advantage * row[t]
            elif kind == "reinforce":
                loss = -advantage * row[t]
            else:
                clipped = min(max(ratio, 1 - low), 1 + high)
                loss = -min(ratio * advantage, clipped * advantage)
            difference = reference[t] - row[t]
            losses.append(loss + beta * (math.exp(difference) - difference - 1))
        samples.append(sum(losses) / max(len(losses), 1))
        tokens += losses
    if kind in ("grpo", "gspo"):
        return sum(samples) / 5
    if kind == "reinforce":
        return sum(tokens) / 5
    return sum(tokens) / (5 * MAX_LENGTH if kind == "dr_grpo" else 10)


def our_loss(
    kind: LossKind, logp: Tensor, rows: slice = slice(None), **options: float | None
) -> Tensor:
    low, high = CLIPS[kind]
    loss, _ = policy_loss(
        logp[rows],
        tensor(OLD)[rows],
        torch.tensor(ADVANTAGES, dtype=torch.float64)[rows],
        tensor(MASK)[rows],
        kind,
        clip_low=low,
        clip_high=high,
        max_completion_length=MAX_LENGTH,
        reference_logprobs=tensor(REFERENCE)[rows],
        beta=options.get("beta") or 0.0,
        normalizer=options.get("normalizer"),
    )
    return loss


def tensor(rows: Rows) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def gradient(logp: Rows, loss: Callable[[Tensor], Tensor]) -> Tensor:
    leaf = tensor(logp).requires_grad_()
    loss(leaf).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_loss_equals_plain_arithmetic(kind: LossKind, beta: float) -> None:
    got = our_loss(kind, tensor(LOGP), beta=beta)
    assert got.item() == pytest.approx(expected_loss(kind, LOGP, beta), abs=1e-12)


def test_the_batch_clips_on_both_sides() -> None:
    for kind in RATIO_KINDS:
        assert expected_loss(kind, LOGP) != pytest.approx(expected_loss(kind, LOGP, clip=False))
    _, stats = policy_loss(
        tensor(LOGP), tensor(OLD), torch.tensor(ADVANTAGES), tensor(MASK), "grpo"
    )
    assert stats.clip_fraction_low > 0
    assert stats.clip_fraction_high > 0


def test_one_token_by_hand() -> None:
    logp, old, ones = torch.tensor([[math.log(0.6)]]), torch.tensor([[math.log(0.4)]]), torch.ones
    loss, stats = policy_loss(logp, old, torch.tensor([2.0]), ones(1, 1), "grpo")
    assert loss.item() == pytest.approx(-2.4)  # ratio 1.5 is clipped to 1.2
    assert stats.mean_ratio == pytest.approx(1.5)
    assert stats.clip_fraction == 1.0
    loss, _ = policy_loss(logp, old, torch.tensor([-2.0]), ones(1, 1), "grpo")
    assert loss.item() == pytest.approx(3.0)  # not clipped where that would be optimistic


@pytest.mark.parametrize("kind", ["grpo", "dr_grpo", "dapo", "gspo", "ppo", "reinforce"])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_gradient_equals_finite_differences(kind: LossKind, beta: float) -> None:
    got = gradient(LOGP, lambda leaf: our_loss(kind, leaf, beta=beta))
    step = 1e-6
    for i in range(5):
        for t in range(4):
            up, down = [list(row) for row in LOGP], [list(row) for row in LOGP]
            up[i][t] += step
            down[i][t] -= step
            want = (expected_loss(kind, up, beta) - expected_loss(kind, down, beta)) / (2 * step)
            assert got[i, t].item() == pytest.approx(want, abs=1e-7)


def test_cispo_gradient_is_the_clipped_weight_times_the_advantage() -> None:
    got = gradient(LOGP, lambda leaf: our_loss("cispo", leaf))
    for i in range(5):
        for t in range(4):
            weight = min(math.exp(LOGP[i][t] - OLD[i][t]), 1.3) if MASK[i][t] else 0.0
            assert got[i, t].item() == pytest.approx(-weight * ADVANTAGES[i] / 10, abs=1e-12)


def test_cispo_has_no_lower_clip() -> None:
    logp, old = torch.tensor([[-5.0]]), torch.tensor([[-1.0]])
    loss, stats = policy_loss(logp, old, torch.tensor([-1.0]), torch.ones(1, 1), "cispo")
    assert loss.item() == pytest.approx(-5.0 * math.exp(-4.0))
    assert stats.clip_fraction == 0


@pytest.mark.parametrize("kind", KINDS)
def test_on_policy_gradients_agree_at_equal_lengths(kind: LossKind) -> None:
    scale = 4 if kind == "reinforce" else 1  # the sum over an answer, not its mean
    torch_rng = torch.Generator().manual_seed(0)
    logp = -torch.rand(3, 4, generator=torch_rng, dtype=torch.float64)
    advantages = torch.tensor([1.0, -0.5, -0.5], dtype=torch.float64)

    def loss(leaf: Tensor) -> Tensor:
        ones = torch.ones(3, 4)
        return policy_loss(leaf, logp, advantages, ones, kind, max_completion_length=4)[0]

    want = (-advantages * scale / 12).unsqueeze(1).expand(3, 4)
    torch.testing.assert_close(gradient(logp.tolist(), loss), want)


@pytest.mark.parametrize("kind", KINDS)
def test_on_policy_nothing_is_clipped_by_default(kind: LossKind) -> None:
    logp = tensor(OLD)
    _, stats = policy_loss(
        logp, logp, torch.tensor(ADVANTAGES), tensor(MASK), kind, max_completion_length=4
    )
    assert stats.clip_fraction == 0
    assert stats.mean_ratio == 1
    assert stats.approximate_kl == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [(0, 1, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)])
def test_micro_batches_add_up(kind: LossKind, cuts: tuple[int, ...]) -> None:
    count = global_normalizer(kind, tensor(MASK))
    whole = our_loss(kind, tensor(LOGP), beta=0.1)
    whole_gradient = gradient(LOGP, lambda leaf: our_loss(kind, leaf, beta=0.1))
    parts = [slice(a, b) for a, b in pairwise(cuts)]

    def split(leaf: Tensor) -> Tensor:
        losses = [our_loss(kind, leaf, rows, beta=0.1, normalizer=count) for rows in parts]
        return torch.stack(losses).sum()

    torch.testing.assert_close(split(tensor(LOGP)), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient(LOGP, split), whole_gradient, atol=1e-6, rtol=0)


def test_stats_equal_plain_arithmetic() -> None:
    _, stats = policy_loss(
        tensor(LOGP), tensor(OLD), torch.tensor(ADVANTAGES), tensor(MASK), "dapo",
        reference_logprobs=tensor(REFERENCE), beta=0.1,
    )  # fmt: skip
    drawn = [(i, t) for i in range(5) for t in range(4) if MASK[i][t]]
    logs = [LOGP[i][t] - OLD[i][t] for i, t in drawn]
    references = [REFERENCE[i][t] - LOGP[i][t] for i, t in drawn]
    signs = [ADVANTAGES[i] for i, _ in drawn]
    high = sum(math.exp(x) > 1.28 and a > 0 for x, a in zip(logs, signs, strict=True))
    low = sum(math.exp(x) < 0.8 and a < 0 for x, a in zip(logs, signs, strict=True))
    assert (stats.n_tokens, stats.n_samples) == (10, 5)
    assert stats.clip_fraction_high == pytest.approx(high / 10)
    assert stats.clip_fraction_low == pytest.approx(low / 10)
    assert stats.clip_fraction == pytest.approx((high + low) / 10)
    assert stats.mean_ratio == pytest.approx(sum(map(math.exp, logs)) / 10)
    assert stats.approximate_kl == pytest.approx(sum(math.exp(x) - x - 1 for x in logs) / 10)
    assert stats.reference_kl == pytest.approx(sum(math.exp(x) - x - 1 for x in references) / 10)


def test_merged_stats_equal_those_of_the_whole() -> None:
    def stats(rows: slice) -> LossStats:
        parts = tensor(LOGP)[rows], tensor(OLD)[rows], torch.tensor(ADVANTAGES)[rows]
        return policy_loss(*parts, tensor(MASK)[rows], "grpo")[1]

    whole, merged = stats(slice(5)), merge_stats([stats(slice(2)), stats(slice(2, 5))])
    for name in ("n_tokens", "n_samples", "clip_fraction", "mean_ratio", "approximate_kl"):
        assert getattr(merged, name) == pytest.approx(getattr(whole, name))


def test_gspo_reports_the_ratio_of_the_sequence() -> None:
    logp, old = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.7]])
    _, stats = policy_loss(logp, old, torch.tensor([1.0]), torch.ones(1, 2), "gspo")
    assert stats.mean_ratio == pytest.approx(math.exp((0.5 - 0.3) / 2))
    assert stats.clip_fraction_high == 1


@pytest.mark.parametrize("kind", KINDS)
def test_advantages_may_differ_by_token(kind: LossKind) -> None:
    logp, old = tensor(LOGP), tensor(OLD)
    by_row = torch.tensor(ADVANTAGES, dtype=torch.float64)
    losses = [
        policy_loss(logp, old, given, tensor(MASK), kind, max_completion_length=MAX_LENGTH)[0]
        for given in (by_row, by_row.unsqueeze(1).expand(5, 4))
    ]
    torch.testing.assert_close(losses[0], losses[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rubbish", [math.nan, math.inf, -math.inf])
def test_nothing_under_the_mask_is_read(kind: LossKind, rubbish: float) -> None:
    filled = [
        [x if m else rubbish for x, m in zip(*pair, strict=True)]
        for pair in zip(LOGP, MASK, strict=True)
    ]
    got = our_loss(kind, tensor(filled), beta=0.3)
    assert got.item() == pytest.approx(expected_loss(kind, LOGP, 0.3), abs=1e-12)
    assert gradient(filled, lambda leaf: our_loss(kind, leaf, beta=0.3)).isfinite().all()


@pytest.mark.parametrize("kind", RATIO_KINDS)
@pytest.mark.parametrize("argument", range(3))
def test_a_value_that_is_not_a_number_shows(kind: LossKind, argument: int) -> None:
    given = (tensor(LOGP), tensor(OLD), torch.tensor(ADVANTAGES, dtype=torch.float64))
    given[argument].view(-1)[0] = math.nan
    loss, _ = policy_loss(*given, tensor(MASK), kind, max_completion_length=MAX_LENGTH)
    assert loss.isnan()


def test_an_overflowing_ratio_shows_in_statistics_and_gradient() -> None:
    logp = torch.zeros(1, 1, requires_grad=True)
    loss, stats = policy_loss(logp, torch.tensor([[-1e4]]), torch.ones(1), torch.ones(1, 1))
    loss.backward()  # type: ignore[no-untyped-call]
    assert stats.mean_ratio == math.inf
    assert logp.grad is not None
    assert not logp.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_reaches_old_or_reference(kind: LossKind) -> None:
    logp, old, reference = (tensor(r).requires_grad_() for r in (LOGP, OLD, REFERENCE))
    loss, _ = policy_loss(
        logp, old, torch.tensor(ADVANTAGES), tensor(MASK), kind,
        max_completion_length=4, reference_logprobs=reference, beta=0.1,
    )  # fmt: skip
    loss.backward()  # type: ignore[no-untyped-call]
    assert old.grad is None
    assert reference.grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_tokens_has_loss_zero(kind: LossKind) -> None:
    zeros = torch.zeros(2, 3)
    loss, stats = policy_loss(zeros, zeros, torch.ones(2), zeros, kind, max_completion_length=3)
    assert loss.item() == 0
    assert stats.n_tokens == 0


def test_default_clips() -> None:
    assert default_clip("grpo") == (0.2, 0.2)
    assert default_clip("dapo") == (0.2, 0.28)
    assert default_clip("gspo") == (3e-4, 4e-4)
    assert default_clip("cispo")[1] == 5.0


def test_unknown_kind_is_told() -> None:
    zeros = torch.zeros(1, 1)
    with pytest.raises(LmgymError, match="unknown loss 'gpro'; known: grpo"):
        policy_loss(zeros, zeros, torch.ones(1), zeros, "gpro")  # type: ignore[arg-type]


def test_dr_grpo_needs_a_length() -> None:
    zeros = torch.zeros(1, 1)
    with pytest.raises(LmgymError, match="max_completion_length, which was None"):
        policy_loss(zeros, zeros, torch.ones(1), zeros, "dr_grpo")


def test_beta_needs_a_reference() -> None:
    zeros = torch.zeros(1, 1)
    with pytest.raises(LmgymError, match="needs reference_logprobs"):
        policy_loss(zeros, zeros, torch.ones(1), zeros, beta=0.1)


@pytest.mark.parametrize("argument", range(1, 4))
def test_shapes_must_match(argument: int) -> None:
    shapes = [(2, 3), (2, 3), (2,), (2, 3)]
    shapes[argument] = (1, 3)  # would broadcast
    a, b, c, d = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(LmgymError, match=r"has shape \(1, 3\) and logprobs \(2, 3\)"):
        policy_loss(a, b, c, d)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("advantage", [-1.5, 2.0])
def test_the_dual_clip_bounds_the_loss_of_what_was_bad(ratio: float, advantage: float) -> None:
    """The formula of verl: where A < 0, min(l, -c A) with c = 3."""
    logp = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    loss, stats = policy_loss(
        logp,
        torch.zeros(1, 1, dtype=torch.float64),
        torch.tensor([advantage], dtype=torch.float64),
        torch.ones(1, 1),
        "ppo",
        dual_clip=3.0,
    )
    plain = max(-ratio * advantage, -min(max(ratio, 0.8), 1.2) * advantage)
    assert loss.item() == pytest.approx(min(plain, -3 * advantage) if advantage < 0 else plain)
    (slope,) = torch.autograd.grad(loss, logp)
    is_cut = advantage < 0 and ratio > 3
    assert is_cut == (advantage < 0 and float(slope) == 0 and ratio > 1)
    assert stats.clip_fraction_high == float(is_cut or (advantage > 0 and ratio > 1.2))


def test_a_dual_clip_of_one_or_less_is_told() -> None:
    one = torch.ones(1, 1)
    with pytest.raises(LmgymError, match=r"dual_clip 0.5 .* above 1"):
        policy_loss(one, one, torch.ones(1), one, "ppo", dual_clip=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_weights_multiply_the_policy_loss_and_not_the_penalty(kind: LossKind) -> None:
    weights = torch.rand(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(leaf: Tensor, given: Tensor | None, beta: float) -> Tensor:
        low, high = CLIPS[kind]
        return policy_loss(
            leaf, tensor(OLD), torch.tensor(ADVANTAGES, dtype=torch.float64), tensor(MASK), kind,
            clip_low=low, clip_high=high, max_completion_length=MAX_LENGTH, weights=given,
            reference_logprobs=tensor(REFERENCE), beta=beta,
        )[0]  # fmt: skip

    bare = gradient(LOGP, lambda leaf: loss(leaf, None, 0.0))
    penalty = gradient(LOGP, lambda leaf: loss(leaf, None, 0.3)) - bare
    got = gradient(LOGP, lambda leaf: loss(leaf, weights, 0.3))
    torch.testing.assert_close(got, bare * weights + penalty)


def test_the_ratio_corrects_the_penalty_with_gradient() -> None:
    """As TRL's use_bias_correction_kl: the k3 of each token times its ratio."""
    logp, old, reference = -0.3, -0.9, -1.1

    def by_hand(value: float) -> float:
        r = reference - value
        return -min(math.exp(value - old), 1.2) + 0.5 * math.exp(value - old) * (
            math.exp(r) - r - 1
        )

    def loss(leaf: Tensor) -> Tensor:
        return policy_loss(
            leaf, tensor([[old]]), torch.ones(1, dtype=torch.float64), torch.ones(1, 1), "ppo",
            reference_logprobs=tensor([[reference]]), beta=0.5, kl_ratio=True,
        )[0]  # fmt: skip

    assert loss(tensor([[logp]])).item() == pytest.approx(by_hand(logp))
    step = 1e-6
    slope = (by_hand(logp + step) - by_hand(logp - step)) / (2 * step)
    assert gradient([[logp]], loss).item() == pytest.approx(slope, abs=1e-7)
