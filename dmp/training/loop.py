"""The training loop: baseline, fine-tuning, prompt tuning and DMP differ only in what trains."""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch.utils.data import DataLoader
from tqdm import tqdm

from dmp.config import OptimizerConfig
from dmp.data.stream import Batch, GlobalBatches, TrainingStream
from dmp.errors import DMPError
from dmp.runlog import RunLog
from dmp.running.limits import check_checkpoint_interval, job_time_limit
from dmp.running.processes import check_shared
from dmp.running.signals import PreemptedError, StopRequest, stop_requests
from dmp.training.average import Average
from dmp.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from dmp.training.meter import Meter
from dmp.training.objective import Objective, Terms
from dmp.training.repeatable import repeatable

# Iterations between two looks at whether another process was told to stop.
AGREE_EVERY = 10


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
    branch: tuple[Path, str] | None = None,
    kept_states: Mapping[int, Path] | None = None,
    decay_from: int | None = None,
) -> None:
    """Train what in ``objective`` requires a gradient.

    Afterwards ``objective`` holds the trained parameters, averaged if ``ema_decay`` is given.

    Goes on from ``directory/checkpoint.safetensors`` where there is one: a run killed at any
    moment and started again ends bit-identical, on the CPU, to one that ran through. The signals of
    :data:`dmp.running.signals.STOPPING` save after the current iteration and end.

    Several processes share each batch and average their gradients; the first writes all files.

    Args:
        objective: backbone and patch.
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
        branch: file and identity of a checkpoint of another training, with which this one shares
            all that was done until then; it goes on from its iteration.
        kept_states: iterations after which the whole state is kept as well, and where.
        decay_from: the iteration after which the learning rate falls, in equal steps, to 0, which
            it would reach in the iteration after the last; None for a constant rate.

    Raises:
        DivergedError: the loss or a weight is not finite.
        PreemptedError: a signal came; all that was done is saved.
        DMPError: the batch or the patch's losses cannot be shared among the processes, the job's
            time limit does not reach a checkpoint, or a file cannot be read or written.
    """
    attached = objective.attached
    accelerator = Accelerator(
        mixed_precision="bf16" if precision == "bf16" else "no",
        # Says that processes without a GPU are meant to talk to each other.
        cpu=not torch.cuda.is_available(),
        # All buffers are constants, and alike: captions among them, which are large. Newer releases
        # of torch warn that they call this otherwise, by a name that accelerate does not offer.
        kwargs_handlers=[
            DistributedDataParallelKwargs(
                broadcast_buffers=False,
                # There are gates that never read the prompts.
                find_unused_parameters=attached.module is not None,
            )
        ],
    )
    processes, main = accelerator.num_processes, accelerator.is_main_process
    check_shared(config.batch_size, attached.batch_losses, processes)
    objective.to(accelerator.device)
    trainable = objective.trainable()
    optimizer = torch.optim.AdamW(
        objective.groups(config.learning_rate), weight_decay=config.weight_decay, fused=True
    )
    ema = Average(trainable, ema_decay)
    averaged = ema.averages
    checkpoint = directory / "checkpoint.safetensors"
    done, kept = Progress(), kept_states or {}
    # The main process may have removed the checkpoint of another configuration.
    accelerator.wait_for_everyone()
    goes_on_from = (checkpoint, identity) if checkpoint.is_file() else branch
    if goes_on_from is not None:
        done = load_checkpoint(*goes_on_from, trainable, optimizer, averaged)
    elif start is not None:
        begun = load_checkpoint(*start, trainable, optimizer, averaged)
        done = Progress(averaged=begun.averaged)
    first, ema.count = done.step, done.averaged
    rates = [group["lr"] for group in optimizer.param_groups]
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
        disable=not main,
    )
    meter = Meter(stream.num_timesteps, accelerator, done.meter)
    pace = _Pace(config, first)

    def snapshot(step: int) -> None:
        if step in snapshots and on_snapshot is not None and main:
            with ema.in_place():
                on_snapshot(step)

    if first == 0:
        snapshot(0)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        log = stack.enter_context(RunLog(directory / "log.jsonl", first)) if main else None
        for step, batch in enumerate(progress, start=first + 1):
            batch = Batch(*(part.to(accelerator.device) for part in batch))
            with repeatable(objective):
                terms: Terms = wrapped(batch)
                optimizer.zero_grad(set_to_none=True)
                accelerator.backward(terms.total)
            if decay_from is not None and step > decay_from:
                left = (config.iterations - step + 1) / (config.iterations - decay_from)
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * left
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
                if log is not None:
                    log.write(step, values)
                progress.set_postfix(loss=f"{values['loss']:.4f}")
            pace.check(step)
            snapshot(step)
            last = step == config.iterations
            stopping = (last or step % AGREE_EVERY == 0 or processes == 1) and _agreed(
                stop, accelerator
            )
            due = last or stopping or step % config.checkpoint_every == 0
            paths = [path for path in (due and checkpoint, kept.get(step)) if path]
            # Every process adds up what the meter holds.
            if paths:
                state = Progress(step, meter.state(), ema.count)
                for path in paths if main else ():
                    save_checkpoint(path, identity, state, trainable, optimizer, averaged)
            if stopping:
                # Nobody ends, and thereby the job, before the file is written.
                accelerator.wait_for_everyone()
                raise PreemptedError(
                    f"{directory}: told to stop by {stop.signal or 'another process'}; saved after "
                    f"iteration {step} of {config.iterations}: run the same command again to go on"
                )
    ema.keep()


def _agreed(stop: StopRequest, accelerator: Accelerator) -> bool:
    """Return whether any process was told to stop, so that all end after the same iteration."""
    if accelerator.num_processes == 1:
        return bool(stop)
    asked = torch.tensor(float(bool(stop)), device=accelerator.device)
    return bool(accelerator.reduce(asked, reduction="sum"))


class _Pace:
    """Compares the speed of the first iterations with the time limit of the job, once."""

    def __init__(self, config: OptimizerConfig, first: int) -> None:
        self._limit = job_time_limit()
        self._config, self._first = config, first
        self._start = 0.0

    def check(self, step: int) -> None:
        """Call after each iteration.

        Raises:
            DMPError: the time limit does not reach a checkpoint.
        """
        if self._limit is None:
            return
        # The first iteration warms up, and says nothing of the others.
        counted = step - self._first - 1
        if counted == 0:
            self._start = time.perf_counter()
        elif step % self._config.log_every == 0:
            seconds = time.perf_counter() - self._start
            remaining = self._config.iterations - self._first
            check_checkpoint_interval(
                self._limit, counted, seconds, remaining, self._config.checkpoint_every
            )
            self._limit = None
