"""``dmp gpu-check``: is what this project computes on a GPU right, and how fast is it?"""

import tempfile
from functools import partial
from pathlib import Path

import torch

from dmp.errors import DMPError
from dmp.planning.throughput import kind_of, load_gpus, load_throughput
from dmp.running.lease import check_device
from dmp.stages.common import settle_torch
from dmp.stages.gpu.arms import Stage
from dmp.stages.gpu.checking import Budget, Check, CheckFailedError, Outcome, run_checks
from dmp.stages.gpu.exactness import check_against_cpu, check_repeatable
from dmp.stages.gpu.measuring import measure
from dmp.stages.gpu.models import Model, models
from dmp.stages.gpu.processes import Trainings, check_leases
from dmp.stages.gpu.report import Report
from dmp.studies.schema import Scale

TOY_SECONDS = 0.3


def gpu_check(
    scale: Scale,
    throughput: Path,
    folder: Path,
    *,
    tasks: list[str] | None = None,
    batch_size: int | None = None,
    budget: float = 8,
    toy: bool = False,
    note: str = "",
) -> list[Outcome]:
    """Make all checks and measurements, write what they found after each, and return it.

    Args:
        throughput: folder of ``gpus.yaml``; throughput files are written there, but of toys.
        folder: gets the page and its tables, and the throughput files of toys.
        tasks: whose backbones; the smallest and the largest of the scale, if left out.
        batch_size: of training, in place of each task's own.
        budget: minutes; fewer minutes mean fewer repetitions.
        toy: whether backbones are replaced by small ones, for a CPU.
        note: for readers of the throughput files.

    Raises:
        CheckFailedError: one of them or several failed.
        DMPError: nothing can be checked: an unknown task, no GPU, a file cannot be written.
    """
    if not budget > 0:
        raise DMPError(f"a budget of {budget:g} minutes: accepted are positive numbers")
    gpus = load_gpus(throughput)
    load_throughput(folder if toy else throughput)  # is what it may be added to valid?
    chosen = models(scale, tasks, batch_size, toy)
    threads = scale.execution.threads
    device = settle_torch(1 if toy else threads)
    check_device(1, device)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    kind = kind_of(gpus, name)
    report = Report(
        scale.name, scale.precision, name, kind, gpus.gpus.get(kind or ""), chosen[-1].name, folder,
        folder if toy else throughput, toy, note,
    )  # fmt: skip
    print(f"{name}: {', '.join(model.name for model in chosen)}, {scale.precision}", flush=True)
    if kind is None:
        print("this device is not in gpus.yaml: MFU is not reported", flush=True)
    time = Budget(budget)
    with tempfile.TemporaryDirectory(prefix="dmp-gpu-check-") as temporary:
        place = Path(temporary)
        trainings = Trainings(chosen[0], scale.precision, 1 if toy else threads, place)
        bf16 = scale.precision == "bf16"
        # With about how many seconds each takes on a large GPU.
        checks = [
            Check("GPU leases", 2, lambda: check_leases(place / "leases")),
            Check("a step in bf16 is that of the CPU", 10,
                  lambda: check_against_cpu(chosen[0], device)),
            *(Check(f"{model.name}: the same bits twice{', compiled' * compiled}",
                    25 if compiled else 10,
                    partial(check_repeatable, model, device, bf16, compiled))
              for model in chosen for compiled in (False, True)),
            Check("training in a process group", 25, trainings.check_joined),
            Check("kill and resume", 25, trainings.check_resumed),
        ]  # fmt: skip
        parts: list[tuple[Model, Stage]] = [
            (model, stage) for model in chosen for stage in ("training", "sampling")
        ]

        def measured(number: int) -> str:
            model, stage = parts[number]
            seconds = TOY_SECONDS if toy else time.share(len(parts) - number)
            found, failed, notes = measure(model, stage, device, bf16, seconds)
            report.measured.append(found)
            report.notes += [f"{model.name}, {stage}: {text}" for text in notes]
            if failed:
                raise CheckFailedError("; ".join(failed))
            times = (f"{key} {1e3 * found.seconds(key):.3g} ms" for key in found.arms)
            return "; ".join([f"{len(found.blocks)} blocks: {', '.join(times)}", *notes])

        checks += [
            Check(f"{model.name}: {stage}", 90, partial(measured, number))
            for number, (model, stage) in enumerate(parts)
        ]
        outcomes = run_checks(checks, time, report.write)
    paths = [folder / "gpu-check.md", *report.write_throughput()]
    print("\n".join(["Goals:", *report.goal_lines(), *map(str, paths)]))
    words = [each.outcome for each in outcomes]
    print(
        f"{words.count('passed')} of {len(words)} checks passed, {words.count('skipped')} skipped, "
        f"in {time.spent:.0f} s",
        flush=True,
    )
    wrong = [each.name for each in outcomes if each.outcome == "failed"]
    if wrong:
        raise CheckFailedError(f"{len(wrong)} of {len(outcomes)} checks failed: {'; '.join(wrong)}")
    return outcomes
