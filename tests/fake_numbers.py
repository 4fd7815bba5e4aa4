"""Runs that nothing has computed, with numbers of the right form: each baseline is a unit."""

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dmp.bins import bin_label
from dmp.files import write_csv, write_text
from dmp.layout import Layout
from dmp.metrics.registry import measured
from dmp.recipes import DECAYED, PAPER
from dmp.seals import unseal_text
from dmp.statistics.results import ALL_TIMESTEPS, PARAMETER_COLUMNS, SPEED_COLUMNS
from dmp.studies import Plan
from dmp.studies.run import RunConfig

PORTABLE = {
    "numerics": "portable", "architecture": "x86_64", "machine": "Linux x86_64, cpu",
    "commit": "abc", "dirty": False, "device": "cpu", "python": "3.11.7",
    "versions": {"numpy": "2.4", "torch": "2.15"}, "libc": "glibc 2.36",
    "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T01:00:00Z",
}  # fmt: skip
BINS = [ALL_TIMESTEPS, *(bin_label(number, 10, 1000) for number in range(10))]
# Of a second network, and of U-Nets.
ABSENT = ("second_fd", "gate_weight", "gate_evenness")
HEADER = "metric,bin,iteration,value,samples,protocol,evaluator\n"
# (run, metric) to the factor by which a test moves a number.
Effect = Callable[[RunConfig, str], float]


def no_effect(run: RunConfig, metric: str) -> float:
    """Return 1."""
    return 1.0


def write(path: Path, content: str | dict) -> None:
    """Write a file, as quickly as it goes: nothing is lost if the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unseal_text(path)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def make_runs(
    plan: Plan,
    layout: Layout,
    runs: Iterable[tuple[str, str, int]] | None = None,
    draw: int = 0,
    effect: Effect = no_effect,
) -> None:
    """Write what runs leave, all of the plan's if none are given, and their baselines.

    Args:
        plan: says which runs there are.
        layout: where they go.
        runs: those to make.
        draw: another number draws other baselines.
        effect: see ``Effect``.
    """
    made = plan.runs() if runs is None else list(runs)
    for task, variant, seed in made:
        run = plan.run(task, variant, seed)
        folder = layout.run(task, variant, seed)
        lines = (",".join(map(str, row)) for row in rows(run, draw, effect))
        write(layout.metrics(task, variant, seed), HEADER + "\n".join(lines) + "\n")
        write(folder / "config.json", {"hash": run.hash, "baseline_seed": run.baseline_seed})
        write(folder / "provenance.json", PORTABLE)
    for task, seed in sorted({(task, plan.baseline_seed(seed)) for task, _, seed in made}):
        for recipe in (PAPER, DECAYED) if plan.has_decayed(task) else (PAPER,):
            write(layout.pretrained(task, seed, recipe) / "provenance.json", PORTABLE)
        if not plan.has_decayed(task):
            make_convergence(layout, task, seed, draw)


def make_convergence(layout: Layout, task: str, seed: int, draw: int = 0) -> None:
    """Write what the check of a baseline leaves."""
    fids = [3.0, 2.0 * float(np.exp(0.1 * normal(task, seed, draw)))]
    found = {"converged": True, "fids": fids, "iterations": [20, 40], "p_value": 0.25}
    write(layout.convergence(task, seed), found | {"relative_change": 0.125})


def make_tables(plan: Plan, layout: Layout) -> None:
    """Write the counts of parameters and the timings."""
    rows = [
        {
            **{"study": name, "backbone": f"DiT-{cell.size}/{cell.patch_size}"},
            **{"base_nominal_millions": cell.nominal_millions, "backbone_parameters": 1000},
            **{
                "prompts": 20,
                "gate": 10,
                "added": 30,
                "dmp_millions": cell.nominal_millions + 3e-5,
            },
            **{"increase_percent": 30 / (cell.nominal_millions * 1e4)},
            **{"paper_base": f"{cell.nominal_millions:g}M", "paper_dmp": cell.paper_dmp},
            "paper_increase_percent": cell.paper_increase,
        }
        for name, study in plan.parameter_studies.items()
        for cell in study.cells
    ]
    write_csv(layout.parameters_table, _frame(rows, PARAMETER_COLUMNS))
    timed = [
        (task, variant, stage, repeat, 0.01 * float(np.exp(0.01 * normal(variant, stage, repeat))))
        for task, variants in plan.speed_arms().items()
        for repeat in range(20)
        for stage in ("training", "sampling")
        for variant in variants
    ]
    write_csv(layout.speed_table, _frame(timed, SPEED_COLUMNS))


def rows(run: RunConfig, draw: int, effect: Effect) -> Iterator[tuple]:
    """Yield the lines of a run's metrics: a common part for its baseline, and one of its own."""
    gate = run.patch is not None and run.patch.gate != "none"
    moments = {"end": [run.iterations], "start": [0] if gate else [], "curve": run.snapshots}
    for metric in measured(run.config):
        of_gate = metric.name.startswith(("gate", "prompts"))
        if metric.name in ABSENT or (of_gate and not gate):
            continue
        places = BINS if of_gate or "denoising" in metric.name else BINS[:1]
        protocol = f"p{zlib.crc32(metric.name.encode()):x}"
        for when in metric.measured_at:
            for iteration in moments[when]:
                for where in places:
                    shared = normal(run.task, metric.name, run.baseline_seed, where, draw)
                    key = (run.task, run.variant, run.seed, metric.name, iteration, where, draw)
                    value = np.exp(0.1 * shared + 0.02 * normal(*key)) * effect(run, metric.name)
                    value = 0.0 if metric.name == "diverged" else float(value)
                    count = 160 if where == ALL_TIMESTEPS else 16
                    yield metric.name, where, iteration, repr(value), count, protocol, "x"


def normal(*key: object) -> float:
    """Return a standard normal number that depends on nothing but the key."""
    bits = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    a, b = (int.from_bytes(half, "big") / 2**64 for half in (bits[:8], bits[8:]))
    return math.sqrt(-2 * math.log(a or 0.5)) * math.cos(2 * math.pi * b)


def _frame(rows: list, columns: Mapping[str, type]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def edit_table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Apply ``change`` to a table, whose values are text."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    write_text(path, change(table).to_csv(index=False))
