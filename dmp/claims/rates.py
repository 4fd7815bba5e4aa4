"""The effective rate of prompts: the learning rate times the mean weight that they enter with."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dmp.claims.measurement import Effect
from dmp.claims.schema import Curve
from dmp.methods import Variant
from dmp.statistics.arms import Arms, Unmeasured
from dmp.statistics.contrast import align
from dmp.statistics.labels import metric_name

METRIC = "denoising_mse"
BASELINE = "baseline"
_ONE_OVER_N, _ONE = ("softmax", "one-over-n"), ("n-softmax", "one")


@dataclass(frozen=True)
class Point:
    """One arm of a curve.

    Attributes:
        tokens: N.
        rate: the learning rate times E[w], as a multiple of the task's learning rate.
        effect: on the held-out loss against the baseline.
    """

    task: str
    variant: str
    tokens: int
    rate: float
    effect: Effect


def mean_weight(variant: Variant, tokens: int) -> float | None:
    """Return E[w] of the prompts of a variant, whatever the timestep; None if it is not fixed.

    The weights of a softmax over N prompts sum to 1, those of N times it to N.
    """
    options = variant.patch
    if options is None or options.type != "soft" or options.position != "add":
        return None
    if options.gate not in ("linear", "constant", "none"):
        return None
    if options.weights in _ONE_OVER_N:
        return 1 / tokens
    return 1.0 if options.weights in _ONE else None


def points(
    curves: Iterable[Curve],
    results: Arms,
    tokens: Mapping[str, int],
    factor: Callable[[str, str], float],
) -> tuple[list[Point], list[str]]:
    """Return the arms of curves, and what is left out.

    Args:
        curves: as in the file; the variants may include the baseline, which is no point.
        tokens: N of each task that this scale runs.
        factor: the learning rate of a (task, variant), as a multiple of the task's.
    """
    found, left = [], []
    for curve in curves:
        if curve.task not in tokens:
            left.append(f"{curve.task} is not run at this scale.")
            continue
        for name in curve.variants:
            weight = mean_weight(Variant.parse(name), tokens[curve.task])
            if name == BASELINE or weight is None:
                continue
            try:
                both = [results.arm(curve.task, v, METRIC) for v in (name, BASELINE)]
                contrast = align(both).logs().contrast((1, -1))
            except Unmeasured as missing:
                left.append(f"{curve.task}: {missing}.")
                continue
            rate = factor(curve.task, name) * weight
            effect = Effect(contrast, metric_name(METRIC), log=True)
            found.append(Point(curve.task, name, tokens[curve.task], rate, effect))
    return sorted(found, key=lambda p: (p.tokens, p.rate, p.variant)), left


def spread(points: Iterable[Point]) -> float:
    """Return the largest distance, in percent of loss, of arms of one task and equal rate."""
    groups: dict[tuple[str, float], list[float]] = {}
    for point in points:
        # Products of rates and weights that are equal may differ in the last bits.
        key = (point.task, round(math.log(point.rate), 9))
        groups.setdefault(key, []).append(point.effect.percent(point.effect.found.mean))
    return max((max(own) - min(own) for own in groups.values()), default=0.0)
