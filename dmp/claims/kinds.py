"""What each kind of evidence from runs finds: one function per kind.

All raise :class:`dmp.claims.measured.NotTested` where numbers are missing, and DMPError where they
cannot be compared. Signs: an effect is a variant minus what it is compared with; ``sign`` is -1 for
a metric of which less is better.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from dmp.claims.contrast import Contrast, contrast, line_weights
from dmp.claims.finding import CONTRADICTED, NAN, Finding, from_contrast
from dmp.claims.measured import DERIVED, Aligned, Arm, Measured, NotTested, align
from dmp.claims.pieces import (
    UNTRAINED,
    Difference,
    Divergence,
    Entropy,
    Equivalence,
    Interaction,
    Speed,
    Trend,
)
from dmp.claims.reasons import p_text
from dmp.errors import DMPError
from dmp.statistics.estimates import mean_interval, unit_means
from dmp.statistics.results import DIVERGED, require_columns

PAIR = (1, -1)
SPEED_COLUMNS = {"task": str, "variant": str, "stage": str, "repeat": int, "seconds": float}


def difference(
    evidence: Difference, measured: Measured, metric: str, sign: int, paper: bool
) -> Finding:
    """Test a paired difference; ``paper``: whether the paper's numbers are of this metric."""
    data = measured.arms(evidence.task, [evidence.variant, evidence.against], metric)
    found, reference = contrast(data.values, PAIR, data.baselines), _reference(data, metric)
    better, worse = _directions(found, sign)
    if evidence.predicts.startswith("not-"):
        if not reference > 0:
            raise NotTested(f"the margin is a share of {evidence.against}, whose {metric} is not "
                            f"positive")  # fmt: skip
        margin = evidence.margin_percent / 100 * reference
        # Two-sided like the other tests: the 95 % interval excludes the margin.
        if evidence.predicts == "not-better":
            beyond = found.p_below(margin) if sign > 0 else found.p_above(-margin)
            p_for, p_against = _twice(beyond), better
        else:
            beyond = found.p_above(-margin) if sign > 0 else found.p_below(margin)
            p_for, p_against = _twice(beyond), worse
    else:
        p_for, p_against = (better, worse) if evidence.predicts == "better" else (worse, better)
    same = {} if evidence.predicts.startswith("not-") else _identical(data, found)
    return from_contrast(
        found, metric, reference=reference, p_for=p_for, p_against=p_against,
        **_paper(evidence.paper, PAIR, paper), **same,
    )  # fmt: skip


def equivalence(evidence: Equivalence, measured: Measured, metric: str, paper: bool) -> Finding:
    """Test by two one-sided tests (Schuirmann 1987) that a difference lies within the margin.

    The margin's reference, the mean of ``against``, is taken as known.
    """
    data = measured.arms(evidence.task, [evidence.variant, evidence.against], metric)
    found, reference = contrast(data.values, PAIR, data.baselines), _reference(data, metric)
    if not reference > 0:
        raise NotTested(f"the margin is a share of {evidence.against}, whose {metric} is not "
                        f"positive")  # fmt: skip
    margin = evidence.margin_percent / 100 * reference
    p_for, p_against = within(found, -margin, margin)
    return from_contrast(
        found, metric, reference=reference, p_for=p_for, p_against=p_against,
        **_paper(evidence.paper, PAIR, paper),
    )  # fmt: skip


def within(found: Contrast, low: float, high: float) -> tuple[float, float]:
    """Return the p values for a true effect inside [low, high], and outside it."""
    inside = max(found.p_above(low), found.p_below(high))
    return inside, _twice(min(found.p_below(low), found.p_above(high)))


def trend(evidence: Trend, measured: Measured, metric: str, sign: int, paper: bool) -> Finding:
    """Test the slope over the ranks of the variants; Page's test is told beside it."""
    data = measured.arms(evidence.task, evidence.variants, metric)
    weights = line_weights(range(len(evidence.variants)))
    found = contrast(data.values, weights, data.baselines)
    better, worse = _directions(found, sign)
    note = ""
    if found.n > 1:
        rows = np.column_stack([unit_means(arm, data.baselines) for arm in data.values.T])
        page = stats.page_trend_test(sign * rows)
        note = f"Page's test of this order: {p_text(page.pvalue)}"
    return from_contrast(
        found, metric, reference=_reference(data, metric, column=0), p_for=better,
        p_against=worse, reason=note, **_paper(evidence.paper, weights, paper, reference=0),
    )  # fmt: skip


def interaction(
    evidence: Interaction, measured: Measured, metric: str, sign: int, paper: bool
) -> Finding:
    """Test ``(both - first) - (second - neither)``."""
    data = measured.arms(evidence.task, evidence.variants, metric)
    weights = (1, -1, -1, 1)
    found = contrast(data.values, weights, data.baselines)
    better, worse = _directions(found, sign)
    p_for, p_against = (better, worse) if evidence.predicts == "better" else (worse, better)
    return from_contrast(
        found, metric, reference=_reference(data, metric), p_for=p_for, p_against=p_against,
        **_paper(evidence.paper, weights, paper), **_identical(data, found),
    )  # fmt: skip


def entropy(evidence: Entropy, measured: Measured) -> Finding:
    """Test the slope of the gate's entropy over timesteps, in nats per 1000 timesteps."""
    task, variant = evidence.task, evidence.variant
    arms = {variant: _slopes(measured.entropies(task, variant))}
    if evidence.against == UNTRAINED:
        arms[UNTRAINED] = _slopes(measured.entropies(task, variant, untrained=True))
    elif evidence.against:
        arms[evidence.against] = _slopes(measured.entropies(task, evidence.against))
    data = align(arms, f"claims: task {task}, metric gate_entropy")
    found = contrast(data.values, PAIR[: len(arms)], data.baselines)
    rises, falls = _directions(found, sign=1)
    return from_contrast(found, "gate_entropy", p_for=rises, p_against=falls)


def divergence(evidence: Divergence, measured: Measured) -> Finding:
    """Compare the shares of runs that diverged by Fisher's exact test.

    The interval of the difference is Newcombe's (1998), those of the shares are Clopper and
    Pearson's. Every run counts by itself, whatever baseline it rests on.
    """
    counts = [
        (int(runs.sum()), len(runs))
        for runs in (
            measured.diverged(evidence.task, variant)
            for variant in (evidence.variant, evidence.against)
        )
    ]
    (a, n_a), (b, n_b) = counts
    p_value = float(stats.fisher_exact([[a, n_a - a], [b, n_b - b]]).pvalue)
    low, high = confint_proportions_2indep(a, n_a, b, n_b, method="newcomb", compare="diff")
    shares = [proportion_confint(count, n, method="beta") for count, n in counts]
    told = " against ".join(
        f"{count} of {n} [{low:.2f}, {high:.2f}]"
        for (count, n), (low, high) in zip(counts, shares, strict=True)
    )
    effect = a / n_a - b / n_b
    return Finding(
        metric=DIVERGED,
        effect=effect,
        low=float(low),
        high=float(high),
        p_for=p_value if effect > 0 else 1.0,
        p_against=p_value if effect < 0 else 1.0,
        n=min(n_a, n_b),
        unit="run",
        reason=f"diverged: {told}",
    )


def speed(evidence: Speed, table: pd.DataFrame | None) -> Finding:
    """Test that the ratio of the times of paired repeats is not above 1 by more than the margin.

    Raises:
        DMPError: a column is missing, a time is not positive, or a repeat is listed twice.

    """
    if table is None:
        raise NotTested("no timings were taken")
    require_columns(table, SPEED_COLUMNS, "speed")
    seconds = pd.to_numeric(table["seconds"]).to_numpy(dtype=float)
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise DMPError("speed: seconds must be finite and above 0")
    arms = {}
    for variant in (evidence.variant, evidence.against):
        rows = table[
            (table["task"] == evidence.task)
            & (table["variant"] == variant)
            & (table["stage"] == evidence.stage)
        ].sort_values("repeat")
        if rows["repeat"].duplicated().any():
            raise DMPError(f"speed: task {evidence.task}, variant {variant}, stage "
                           f"{evidence.stage}: a repeat is listed twice")  # fmt: skip
        if rows.empty:
            raise NotTested(f"no timing of {evidence.stage} of {variant} on {evidence.task}")
        one = np.zeros(len(rows))
        logs = np.log(rows["seconds"].to_numpy(dtype=float))
        arms[variant] = Arm(rows["repeat"].to_numpy(), one, logs, ())
    data = align(arms, "speed")
    found = contrast(data.values, PAIR, data.baselines)
    margin = float(np.log1p(evidence.margin_percent / 100))
    p_for, p_against = _twice(found.p_below(margin)), _twice(found.p_above(margin))
    reference = float(np.exp(np.sort(data.values[:, 1]).mean()))
    effect, low, high = (reference * np.expm1(x) for x in (found.mean, found.low, found.high))
    return Finding(
        metric="seconds",
        effect=float(effect),
        low=float(low),
        high=float(high),
        reference=reference,
        p_for=p_for,
        p_against=p_against,
        n=found.n,
        unit="repeat",
        # The delta method: a standard deviation of log times is a relative one.
        sd=found.sd * reference,
        detectable=found.detectable * reference,
    )


def _twice(p_value: float) -> float:
    return min(1.0, 2 * p_value) if p_value == p_value else NAN


def _directions(found: Contrast, sign: int) -> tuple[float, float]:
    """Return the two-sided p values for an improvement and for the opposite."""
    up, down = _twice(found.p_above(0)), _twice(found.p_below(0))
    return (up, down) if sign > 0 else (down, up)


def _identical(data: Aligned, found: Contrast) -> dict[str, str]:
    """Return a verdict where all contrasts are exactly 0, although the seeds differ.

    That is no coincidence of a noisy measurement: what is compared does not enter the runs.
    """
    if found.n > 1 and found.mean == found.sd == 0 and np.ptp(data.values[:, 0]) > 0:
        told = f"equal to the last digit in each of {len(data.values)} seeds: it has no effect"
        return {"verdict": CONTRADICTED, "reason": told}
    return {}


def _reference(data: Aligned, metric: str, column: int = -1) -> float:
    """Return the mean of an arm; NaN for a metric that is itself a difference."""
    return NAN if metric in DERIVED else mean_interval(data.values[:, column], data.baselines).mean


def _paper(numbers: tuple | list | None, weights, used: bool, reference: int = -1) -> dict:
    """Return the same contrast of the paper's numbers."""
    if numbers is None or not used:
        return {}
    exact = [Decimal(number) for number in numbers]
    effect = float(sum(Decimal(str(w)) * x for w, x in zip(weights, exact, strict=True)))
    return {"paper_effect": effect, "paper_relative": 100 * effect / float(exact[reference])}


def _slopes(rows: pd.DataFrame) -> Arm:
    """Return the slope of each run's entropy over the middle of its ranges of timesteps."""
    seeds, slopes, baselines = [], [], []
    for seed, run in rows.groupby("seed", sort=True):
        limits = run["bin"].str.extract(r"^(\d+)-(\d+)$")
        if limits.isna().any(axis=None) or run["bin"].duplicated().any() or len(run) < 2:
            row = run.iloc[0]
            raise DMPError(
                f"claims: task {row.task}, variant {row.variant}, seed {seed}: gate_entropy needs "
                f"two or more bins, each a range of timesteps such as 0-99 and each in one row; "
                f"it has {', '.join(run['bin'])}"
            )
        middles = limits.astype(float).mean(axis=1).to_numpy() / 1000
        order = np.argsort(middles)
        weights = line_weights(middles[order])
        slopes.append(float(np.sum(weights * run["value"].to_numpy(dtype=float)[order])))
        seeds.append(seed)
        baselines.append(run["baseline_seed"].iloc[0])
    return Arm(np.array(seeds), np.array(baselines), np.array(slopes), ())
