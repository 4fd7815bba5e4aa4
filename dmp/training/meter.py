"""What a training logs: averages over the iterations since the last record."""

import time
from typing import NamedTuple

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dmp.bins import bin_label, timestep_bin
from dmp.data.stream import Batch
from dmp.training.objective import Terms

BINS = 10


class MeterState(NamedTuple):
    """Sums over the iterations since the last record, so that a checkpoint may fall anywhere.

    Attributes:
        steps: how many iterations.
        sums: float64, by name, averaged over the processes.
    """

    steps: int = 0
    sums: dict[str, Tensor] = {}


class Meter:
    """Averages over the iterations since it was last read; sums stay on the device until then.

    Args:
        timesteps: T of the diffusion.
        accelerator: knows the other processes.
        state: what a checkpoint held.
    """

    def __init__(self, timesteps: int, accelerator: Accelerator, state: MeterState) -> None:
        self._timesteps = timesteps
        self._accelerator = accelerator
        self._reset()
        self._steps = self._carried = state.steps
        self._sums = {name: total.to(accelerator.device) for name, total in state.sums.items()}

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = self._carried = 0
        self._start = time.perf_counter()

    def _add(self, name: str, value: Tensor) -> None:
        value = value.detach().double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value

    def add(self, batch: Batch, terms: Terms) -> None:
        """Count one iteration."""
        self._add("loss", terms.total)
        self._add("loss/mse", terms.mse.mean())
        if terms.vb is not None:
            self._add("loss/vb", terms.vb.mean())
        for name, value in terms.method.items():
            self._add(name, value)
        membership = nn.functional.one_hot(
            timestep_bin(batch.timesteps, BINS, self._timesteps), BINS
        )
        self._add("bin losses", terms.mse.double() @ membership.double())
        self._add("bin counts", membership.sum(dim=0))
        self._steps += 1

    def state(self) -> MeterState:
        """Return the sums; all processes have to call it, and all get the same."""
        if self._accelerator.num_processes == 1:
            return MeterState(self._steps, dict(self._sums))
        # The bins' sums and counts are averaged as well: their quotient stays what it is.
        means = {k: self._accelerator.reduce(v, reduction="mean") for k, v in self._sums.items()}
        return MeterState(self._steps, means)

    def read(self) -> dict[str, float]:
        """Return the averages over all processes, and begin anew; all have to call it."""
        sums = self.state().sums
        losses, counts = (sums.pop(name).tolist() for name in ("bin losses", "bin counts"))
        values = {name: float(total) / self._steps for name, total in sums.items()}
        for index, (total, count) in enumerate(zip(losses, counts, strict=True)):
            if count:
                values[f"loss_mse/{bin_label(index, BINS, self._timesteps)}"] = total / count
        elapsed = time.perf_counter() - self._start
        values["steps_per_second"] = (self._steps - self._carried) / elapsed
        values["memory_mb"] = _peak_memory_mb()
        self._reset()
        return values


def _peak_memory_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return psutil.Process().memory_info().rss / 2**20
