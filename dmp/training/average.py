"""The exponential moving average of what trains."""

import contextlib
from collections.abc import Generator

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Exponential moving average of parameters, from their initial values on; or of nothing.

    The lists are kept: collecting parameters anew costs more than averaging small models does.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], decay: float | None) -> None:
        self._current = list(parameters.values())
        self._averaged = [] if decay is None else [p.detach().clone() for p in self._current]
        self._step = None if decay is None else get_ema_multi_avg_fn(decay)
        self.averages = (
            None if decay is None else dict(zip(parameters, self._averaged, strict=True))
        )

    def update(self) -> None:
        """Count one iteration."""
        if self._step is not None:
            self._step(self._averaged, self._current, None)

    @torch.no_grad()
    def keep(self) -> None:
        """Replace the parameters by their averages."""
        for parameter, average in zip(self._current, self._averaged, strict=False):
            parameter.copy_(average)

    @contextlib.contextmanager
    def in_place(self) -> Generator[None]:
        """Replace the parameters by their averages for a while."""
        current = [p.detach().clone() for p in self._current] if self._averaged else []
        self.keep()
        yield
        with torch.no_grad():
            for parameter, value in zip(self._current, current, strict=False):
                parameter.copy_(value)
