"""Token observations as policies need them: ids and lengths, untouched by wrappers."""

from __future__ import annotations

from typing import Any, NamedTuple

from gymnasium import spaces
from torch import Tensor

from lmgym.errors import LmgymError

__all__ = ["TokenSpaces", "require_ids", "token_spaces"]

_NORMALISED = "observations are normalised; wrap with VecNormalize(env, norm_obs=False)"


class TokenSpaces(NamedTuple):
    """What a policy has to know of an environment's observations."""

    vocab: int
    """Ids."""
    context: int
    """Places."""
    budget: int
    """Tokens or chunks that an episode may write."""


def token_spaces(space: spaces.Space[Any]) -> TokenSpaces:
    """Sizes of token observations; raises where they are none, or stacked.

    Example:
        >>> import gymnasium as gym, lmgym
        >>> token_spaces(gym.make("lmgym/Math-v0").observation_space).vocab
        262
    """
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    boxes = [parts.get(name) for name in ("tokens", "length", "remaining")]
    tokens, length, remaining = boxes
    if not (
        isinstance(tokens, spaces.Box)
        and isinstance(length, spaces.Box)
        and isinstance(remaining, spaces.Box)
    ):
        raise LmgymError(
            f"the observation space {space} holds no tokens; make the environment with"
            ' level="token" or level="chunk"'
        )
    if length.shape != (1,):
        raise LmgymError(
            "frames are stacked; the tokens already hold the past, leave VecFrameStack out"
        )
    return TokenSpaces(int(tokens.high.max()) + 1, tokens.shape[0], int(remaining.high[0]))


def require_ids(tokens: Tensor, lengths: Tensor) -> None:
    """Raise where ids or lengths have been normalised; whole numbers are cheap to check.

    Args:
        tokens: the ids that are to be read.
        lengths: of the rows.
    """
    is_spoilt = (lengths < 1).any()
    for part in (tokens, lengths):
        if part.is_floating_point():
            is_spoilt = is_spoilt | (part != part.floor()).any()
    if is_spoilt:
        raise LmgymError(_NORMALISED)
