"""The training loop: baseline, fine-tuning, prompt tuning and DMP differ only in what trains."""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from dmp.bins import bin_label, timestep_bin
from dmp.config import OptimizerConfig
from dmp.data.stream import Batch, GlobalBatches, TrainingStream
from dmp.errors import DMPError
from dmp.training.checkpoint import load_checkpoint, save_checkpoint
from dmp.training.log import RunLog
from dmp.training.objective import Objective, Terms

BINS = 10


class DivergedError(DMPError):
    """Training is no longer finite; ``step`` is the iteration after which that was seen."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


def fit(
    objective: Objective,
    stream: TrainingStream,
    config: OptimizerConfig,
    directory: Path,
    identity: str,
    precision: str = "fp32",
    ema_decay: float | None = None,
    snapshots: Collection[int] = (),
    on_snapshot: Callable[[int], None] | None = None,
    start: tuple[Path, str] | None = None,
) -> None:
    """Train what in ``objective`` requires a gradient.

    Afterwards ``objective`` holds the trained parameters, averaged if ``ema_decay`` is given.

    Goes on from ``directory/checkpoint.safetensors`` where there is one: a run killed at any
    moment and started again ends bit-identical, on the CPU, to one that ran through.

    Args:
        objective: backbone and patch.
        stream: the training examples, by number.
        config: iterations, global batch size, optimiser.
        directory: gets ``log.jsonl`` and, until the caller removes it, the checkpoint.
        identity: hash of the configuration; a checkpoint of another one is refused.
        precision: ``fp32`` or ``bf16`` (autocast).
        ema_decay: if given, an exponential moving average of what trains is kept.
        snapshots: iterations after which ``on_snapshot`` is called; 0 is before the first.
        on_snapshot: called with the iteration, while ``objective`` holds the parameters that
            would be the result had training ended there.
        start: file and identity of another training's checkpoint, whose weights, optimiser state
            and average this one begins with.

    Raises:
        DivergedError: the loss or a weight is not finite.
        DMPError: the batch cannot be shared among the processes, or a file cannot be read or
            written.

    """
    accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no")
    processes = accelerator.num_processes
    if config.batch_size % processes:
        raise DMPError(
            f"batch_size = {config.batch_size} cannot be shared by {processes} processes"
        )
    objective.to(accelerator.device)
    trainable = objective.trainable()
    optimizer = torch.optim.AdamW(
        objective.groups(config.learning_rate), weight_decay=config.weight_decay, fused=True
    )
    ema = _Average(trainable, ema_decay)
    averaged = ema.averages
    checkpoint = directory / "checkpoint.safetensors"
    first = 0
    if checkpoint.is_file():
        first = load_checkpoint(checkpoint, identity, trainable, optimizer, averaged)
    elif start is not None:
        load_checkpoint(*start, trainable, optimizer, averaged)
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    loader = DataLoader(
        stream,
        batch_sampler=GlobalBatches(
            first, config.iterations, config.batch_size, accelerator.process_index, processes
        ),
        collate_fn=lambda batch: batch,
    )
    progress = tqdm(
        loader,
        desc=f"training {directory}",
        initial=first,
        total=config.iterations,
        unit="it",
        mininterval=1,
        disable=not accelerator.is_main_process,
    )
    meter = _Meter(stream.num_timesteps)

    def snapshot(step: int) -> None:
        if step in snapshots and on_snapshot is not None and accelerator.is_main_process:
            with ema.in_place():
                on_snapshot(step)

    if first == 0:
        snapshot(0)
    with RunLog(directory / "log.jsonl", first) as log:
        for step, batch in enumerate(progress, start=first + 1):
            batch = Batch(*(part.to(accelerator.device) for part in batch))
            terms: Terms = wrapped(batch)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(terms.total)
            optimizer.step()
            ema.update()
            meter.add(batch, terms)

            if step % config.log_every == 0 or step == config.iterations:
                values = meter.read()
                finite = math.isfinite(values["loss"])
                if not finite or not all(torch.isfinite(p).all() for p in trainable.values()):
                    raise DivergedError(
                        f"training diverged: the loss or the weights are not finite after "
                        f"iteration {step} (learning_rate = {config.learning_rate}); see "
                        f"{directory / 'log.jsonl'}",
                        step,
                    )
                if accelerator.is_main_process:
                    log.write(step, values)
                progress.set_postfix(loss=f"{values['loss']:.4f}")
            snapshot(step)
            last = step == config.iterations
            if (last or step % config.checkpoint_every == 0) and accelerator.is_main_process:
                save_checkpoint(checkpoint, identity, step, trainable, optimizer, averaged)
    ema.keep()


class _Average:
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
        if self._step is not None:
            self._step(self._averaged, self._current, None)

    @torch.no_grad()
    def keep(self) -> None:
        """Replace the parameters by their averages."""
        for parameter, average in zip(self._current, self._averaged, strict=False):
            parameter.copy_(average)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Replace the parameters by their averages for a while."""
        current = [p.detach().clone() for p in self._current] if self._averaged else []
        self.keep()
        yield
        with torch.no_grad():
            for parameter, value in zip(self._current, current, strict=False):
                parameter.copy_(value)


class _Meter:
    """Averages over the iterations since it was last read; sums stay on the device until then."""

    def __init__(self, timesteps: int) -> None:
        self._timesteps = timesteps
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._start = 0, time.perf_counter()

    def _add(self, name: str, value: Tensor) -> None:
        value = value.detach().double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value

    def add(self, batch: Batch, terms: Terms) -> None:
        self._add("loss", terms.total)
        self._add("loss/mse", terms.mse.mean())
        self._add("loss/vb", terms.vb.mean())
        for name, value in terms.gate.items():
            self._add(name, value)
        membership = nn.functional.one_hot(
            timestep_bin(batch.timesteps, BINS, self._timesteps), BINS
        )
        self._add("bin losses", terms.mse.double() @ membership.double())
        self._add("bin counts", membership.sum(dim=0))
        self._steps += 1

    def read(self) -> dict[str, float]:
        losses, counts = (self._sums.pop(name).tolist() for name in ("bin losses", "bin counts"))
        values = {name: float(total) / self._steps for name, total in self._sums.items()}
        for index, (total, count) in enumerate(zip(losses, counts, strict=True)):
            if count:
                values[f"loss_mse/{bin_label(index, BINS, self._timesteps)}"] = total / count
        values["steps_per_second"] = self._steps / (time.perf_counter() - self._start)
        values["memory_mb"] = _peak_memory_mb()
        self._reset()
        return values


def _peak_memory_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return psutil.Process().memory_info().rss / 2**20
