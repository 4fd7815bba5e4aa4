"""What was measured, as a table, and how it stands beside what we want."""

from dataclasses import dataclass

import pandas as pd

from dmp.planning.throughput import Gpu
from dmp.stages.gpu.arms import COMPILED, DMP, FINE_TUNING, PATCHED, PLAIN, PUBLIC, PUBLIC_AMP
from dmp.stages.gpu.measuring import Measured

FASTER, SHARE, MFU, OVERHEAD = 2.0, 0.72, 45.0, 1.0  # the last two in percent


Values = tuple[float | None, float | None, float | None]


def mfu(flops_per_second: float, gpu: Gpu | None, precision: str) -> float | None:
    """Return the share of a GPU's peak in matrix products; None for a GPU that is not known.

    Args:
        flops_per_second: of the model, nothing that is computed again among them.
        gpu: its kind.
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


@dataclass(frozen=True)
class Goal:
    """What we want of a number.

    Attributes:
        goal: what it is, and of which model.
        measured: the number; None if it is not known.
        low: limit of its 95 % interval over blocks; None without one.
        high: likewise.
        bound: what is wanted.
        at_least: whether more is better.

    """

    goal: str
    measured: float | None
    low: float | None
    high: float | None
    bound: float
    at_least: bool

    @property
    def verdict(self) -> str:
        """``met``, ``not met`` or ``not known``."""
        if self.measured is None:
            return "not known"
        met = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return "met" if met else "not met"


def goals(measured: list[Measured], gpu: Gpu | None, precision: str, largest: str) -> list[Goal]:
    """Return all goals, of each model without and with compilation.

    Args:
        measured: what was measured.
        gpu: the kind of GPU; None if it is not known.
        precision: of this project's steps.
        largest: the name of the model that MFU is wanted of.

    """
    found: list[Goal] = []
    for each in measured:
        for suffix in ("", COMPILED):
            of, dmp = f"{each.model.name}{suffix}", DMP + suffix
            if each.stage == "sampling":
                text = f"{of}: a patch in sampling adds at most {OVERHEAD:g} %"
                values = _percent_added(each, PATCHED + suffix, PLAIN + suffix)
                found.append(Goal(text, *values, OVERHEAD, at_least=False))
                continue
            for public in (PUBLIC, PUBLIC_AMP):
                text = f"{of}: a step of DMP is {FASTER:g} times as fast as one of the {public}"
                found.append(Goal(text, *_ratio(each, public, dmp), FASTER, at_least=True))
            text = f"{of}: a step of DMP takes at most {SHARE:g} of one of fine-tuning"
            values = _ratio(each, dmp, FINE_TUNING + suffix)
            found.append(Goal(text, *values, SHARE, at_least=False))
            for arm in (FINE_TUNING, DMP) if each.model.name == largest else ():
                key, share = arm + suffix, None
                if key in each.arms:
                    share = mfu(each.flops_per_second(key), gpu, precision)
                share = None if share is None else 100 * share
                text = f"{of}: MFU of {arm} is at least {MFU:g} %"
                found.append(Goal(text, share, None, None, MFU, at_least=True))
    return found


def _ratio(measured: Measured, key: str, against: str) -> Values:
    return measured.ratio(key, against) or (None, None, None)


def _percent_added(measured: Measured, key: str, against: str) -> Values:
    ratio = measured.ratio(key, against)
    if ratio is None:
        return None, None, None
    value, low, high = (100 * (each - 1) for each in ratio)
    return value, low, high
