"""More runs of one variant diverge than of another."""

from typing import TYPE_CHECKING, ClassVar, Literal

from dmp.claims.evidence import Pair, percent, register_evidence
from dmp.claims.measurement import Measurement

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

# The share of the level that the variant's own limit gets, and the smallest level that is told.
_FIRST, _SMALLEST = 0.99, 1e-12


@register_evidence("divergence")
class Divergence(Pair):
    """More runs of ``variant`` diverge than of ``against``."""

    own_metric: ClassVar[str] = "diverged"
    predicts: Literal["more"]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Compare the shares of runs that diverged, exactly.

        The claim is shown by Fisher's test, one-sided, and refuted by :func:`p_fewer`. The interval
        of the difference is Newcombe's (1998). Every run counts by itself.
        """
        # Here, since every command reads the claims and these take a second.
        from scipy import stats
        from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

        counts = []
        for task, variant in self.runs():
            diverged = numbers.diverged(task, variant)
            counts.append((int(diverged.sum()), len(diverged)))
        (a, n_a), (b, n_b) = counts
        table = [[a, n_a - a], [b, n_b - b]]
        more, fewer = (
            float(stats.fisher_exact(table, alternative=side).pvalue)
            for side in ("greater", "less")
        )
        low, high = confint_proportions_2indep(a, n_a, b, n_b, method="newcomb", compare="diff")
        shares = [proportion_confint(count, n, method="beta") for count, n in counts]
        told = " against ".join(
            f"{count} of {n} [{low:.2f}, {high:.2f}]"
            for (count, n), (low, high) in zip(counts, shares, strict=True)
        )
        return Measurement(
            metric=numbers.metric,
            effect=100 * (a / n_a - b / n_b),
            low=100 * float(low),
            high=100 * float(high),
            of="runs",
            relevant=numbers.relevant,
            p_for=more,
            p_against=p_fewer((a, n_a), (b, n_b), numbers.relevant / 100),
            p_same=more,
            p_opposite=fewer,
            n=min(n_a, n_b),
            unit="run",
            reason=f"diverged: {told}",
        )

    def prediction(self) -> str:
        return "diverges more often"

    def observed(self, found: Measurement) -> str:
        return f"{'more' if found.effect > 0 else 'fewer'} runs diverge"

    def excluded(self, found: Measurement) -> str:
        return f"divergence of {percent(found.relevant)} more runs"


def p_fewer(one: tuple[int, int], other: tuple[int, int], more: float) -> float:
    """Return the p value of "at least ``more`` of the runs more diverge", exact and conservative.

    The difference of two shares is at most the upper limit of the one minus the lower limit of the
    other, by Clopper and Pearson, at levels that sum to that of the difference: nearly all of it
    goes to the first, since the lower limit is 0 wherever no run of the other diverged. With 0 of
    36 against none, 10 % more are excluded: p = 0.9^36 / 0.99.

    Args:
        one: how many diverged, of how many.
        other: the same of what it is compared with.
        more: a difference of shares above 0.
    """
    from scipy import optimize, stats

    (a, n), (b, m) = one, other

    def exceeds(level: float) -> float:
        upper = 1.0 if a == n else stats.beta.ppf(1 - _FIRST * level, a + 1, n - a)
        lower = 0.0 if b == 0 else stats.beta.ppf((1 - _FIRST) * level, b, m - b + 1)
        return float(upper - lower - more)

    if exceeds(1.0) >= 0:
        return 1.0
    if exceeds(_SMALLEST) <= 0:
        return _SMALLEST
    return float(optimize.brentq(exceeds, _SMALLEST, 1.0, xtol=1e-14))
