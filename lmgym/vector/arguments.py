"""`VectorArgs`: arguments of every batched view, checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gymnasium.vector import AutoresetMode

from lmgym.base_env import RenderModeError
from lmgym.errors import LmgymError, unknown
from lmgym.vector.buffers import TokenBuffers

__all__ = ["VectorArgs"]

_MODES = [mode.name.lower() for mode in AutoresetMode]


@dataclass(frozen=True)
class VectorArgs:
    """Arguments of every batched view."""

    num_envs: int = 1
    """Rows of the batch."""
    split: str = "train"
    """Where problems are drawn from unless the options of `reset` say otherwise."""
    autoreset_mode: str | AutoresetMode = "next_step"
    """When a row that is over starts again: next_step, same_step or disabled."""
    copy: bool = True
    """Whether observations are fresh arrays; False returns read-only views that the next step
    changes."""
    group_size: int = 1
    """So many rows, one after the other, play the same problems in the same order."""
    compiled: bool = False
    """Whether the hot path is compiled by numba."""
    max_episode_steps: int | None = None
    """Steps after which an episode is truncated."""
    render_mode: str | None = None
    """"ansi" or None."""

    def __post_init__(self) -> None:
        """Raise where an argument is out of range."""
        for name in ("num_envs", "group_size", "max_episode_steps"):
            value = getattr(self, name)
            is_absent = value is None and name == "max_episode_steps"
            if not is_absent and not (isinstance(value, int) and value >= 1):
                raise LmgymError(f"{name}={value!r} is out of range; allowed is 1 or more")
        if self.num_envs % self.group_size:
            raise LmgymError(
                f"num_envs={self.num_envs} rows do not make groups of {self.group_size}; take a"
                " multiple of group_size"
            )
        if self.render_mode not in (None, "ansi"):
            raise RenderModeError(str(unknown("render_mode", self.render_mode, ["ansi", "None"])))
        _ = self.mode

    @property
    def mode(self) -> AutoresetMode:
        """The autoreset mode as gymnasium's constant."""
        given = self.autoreset_mode
        if isinstance(given, AutoresetMode):
            return given
        for mode in AutoresetMode:
            if str(given).lower() in (mode.name.lower(), mode.value.lower()):
                return mode
        raise unknown("autoreset_mode", given, _MODES)

    @property
    def buffers(self) -> Callable[..., TokenBuffers]:
        """Makes the arrays; rows that nobody copies lie where they are written fastest."""
        return partial(self._class, is_spread=not self.copy)

    @property
    def _class(self) -> type[TokenBuffers]:
        if not self.compiled:
            return TokenBuffers
        try:
            from lmgym.vector.compiled import CompiledBuffers
        except ImportError:
            raise LmgymError(
                "compiled=True needs numba, which is not installed: pip install 'lmgym[fast]', or"
                " leave compiled out"
            ) from None
        return CompiledBuffers
