"""Noticing that the weights of a model have changed, so that what was computed is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["WeightStamp"]


class WeightStamp:
    """What tells the weights of a model from those of before, in microseconds.

    An optimizer's step, `load_state_dict`, a copy into a weight, another tensor in its place and
    another device all count as changes. Writes through `.data` leave no trace in torch and are not
    seen; neither are those to weights that were made under `torch.inference_mode`.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 2)
        >>> stamp = WeightStamp(layer)
        >>> before = stamp.now()
        >>> with torch.no_grad():
        ...     _ = layer.weight.mul_(2)
        >>> stamp.now() == before
        False
    """

    def __init__(self, model: Any) -> None:
        """Find the places of the weights: walking through the modules takes longer than looking."""
        self._places = [
            (module._parameters, name)
            for module in model.modules()
            for name, parameter in module._parameters.items()
            if parameter is not None
        ]

    @property
    def device(self) -> torch.device:
        """Where the first weight is; a model of transformers walks through its modules for that."""
        parameters, name = self._places[0]
        device: torch.device = parameters[name].device
        return device

    def now(self) -> list[tuple[int, int]]:
        """Equal to that of another time where no weight has changed in between."""
        weights = (parameters[name] for parameters, name in self._places)
        return [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights]
