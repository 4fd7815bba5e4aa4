"""The exponential moving average of what trains, debiased as Adam's moments are.

``a_t = a_(t-1) + (1 - d) / (1 - d^t) (θ_t - a_(t-1))``: after t iterations it is made of those
alone, and not of the weights that training began with, which a plain average holds to d^t.
"""

import contextlib
from collections.abc import Generator

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Exponential moving average of parameters; or of nothing.

    The lists are kept: collecting parameters anew costs more than averaging small models does.

    Attributes:
        averages: by name; the parameters' own values before the first iteration. None if nothing is
            averaged.
        count: t, the iterations that have been averaged over.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], decay: float | None) -> None:
        self._current = list(parameters.values())
        self._averaged = [] if decay is None else [p.detach().clone() for p in self._current]
        self._decay, self.count = decay, 0
        self.averages = (
            None if decay is None else dict(zip(parameters, self._averaged, strict=True))
        )

    def update(self) -> None:
        """Count one iteration."""
        if self._decay is None:
            return
        self.count += 1
        weight = (1 - self._decay) / (1 - self._decay**self.count)
        get_ema_multi_avg_fn(1 - weight)(self._averaged, self._current, None)

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
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self._current, current, strict=False):
                    parameter.copy_(value)
