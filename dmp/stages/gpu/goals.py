"""What was measured, as a table, and how it stands beside what we want."""

import math
from collections.abc import Sequence

import pandas as pd

from dmp.planning.throughput import Gpu
from dmp.stages.gpu.arms import COMPILED, DMP, FINE_TUNING, PATCHED, PLAIN, PUBLIC, PUBLIC_AMP
from dmp.stages.gpu.measuring import Measured

FASTER, SHARE, MFU, OVERHEAD = 2.0, 0.72, 45.0, 1.0  # the last two in percent


def mfu(flops_per_second: float, gpu: Gpu | None, precision: str) -> float | None:
    """Return the share of a GPU's peak in matrix products; None for a GPU that is not known.

    Args:
        flops_per_second: of the model, nothing that is computed again among them.
        precision: ``bf16``, ``fp32`` or ``tf32``.
    """
    if gpu is None:
        return None
    peak = (gpu.tf32 or gpu.fp32) if precision == "tf32" else gpu.peak(precision)
    return flops_per_second / (1e12 * peak)


def figures(measured: list[Measured], gpu: Gpu | None, precision: str) -> pd.DataFrame:
    """Return a row for each step that was timed."""
    own = {PUBLIC: "tf32", PUBLIC_AMP: "bf16"}
    return pd.DataFrame(
        {
            "model": each.model.name,
            "stage": each.stage,
            "step": key,
            "batch": each.batch,
            "ms": 1e3 * each.seconds(key),
            "images_per_second": each.batch / each.seconds(key),
            "memory_gib": each.memory.get(key),
            "tflops": each.flops_per_second(key) / 1e12,
            "mfu": mfu(each.flops_per_second(key), gpu, own.get(key, precision)),
            "blocks": len(each.blocks),
        }
        for each in measured
        for key in each.arms
    )


def goals(measured: list[Measured], gpu: Gpu | None, precision: str, largest: str) -> pd.DataFrame:
    """Return all goals, of each model without and with compilation, one a row.

    The columns are ``goal``, what is wanted and of which model; ``measured``, with ``low`` and
    ``high``, its 95 % interval over blocks; ``bound``; ``at_least``, whether more is better;
    ``verdict``: ``met``, ``not met`` or ``not known``. What is not known is NaN.

    Args:
        largest: the name of the model that MFU is wanted of.
    """
    rows = []

    def add(goal: str, found: Sequence[float] | None, bound: float, at_least: bool = False) -> None:
        value, low, high = found or (math.nan,) * 3
        met = value >= bound if at_least else value <= bound
        verdict = "not known" if math.isnan(value) else "met" if met else "not met"
        rows.append((goal, value, low, high, bound, at_least, verdict))

    for each in measured:
        for suffix in ("", COMPILED):
            of, dmp = f"{each.model.name}{suffix}", DMP + suffix
            if each.stage == "sampling":
                ratio = each.ratio(PATCHED + suffix, PLAIN + suffix)
                percent = ratio and [100 * (value - 1) for value in ratio]
                add(f"{of}: a patch in sampling adds at most {OVERHEAD:g} %", percent, OVERHEAD)
                continue
            for public in (PUBLIC, PUBLIC_AMP):
                text = f"{of}: a step of DMP is {FASTER:g} times as fast as one of the {public}"
                add(text, each.ratio(public, dmp), FASTER, at_least=True)
            text = f"{of}: a step of DMP takes at most {SHARE:g} of one of fine-tuning"
            add(text, each.ratio(dmp, FINE_TUNING + suffix), SHARE)
            for arm in (FINE_TUNING, DMP) if each.model.name == largest else ():
                key = arm + suffix
                known = key in each.arms and mfu(each.flops_per_second(key), gpu, precision)
                share = (100 * known, math.nan, math.nan) if known else None
                add(f"{of}: MFU of {arm} is at least {MFU:g} %", share, MFU, at_least=True)
    columns = ["goal", "measured", "low", "high", "bound", "at_least", "verdict"]
    return pd.DataFrame(rows, columns=columns)
