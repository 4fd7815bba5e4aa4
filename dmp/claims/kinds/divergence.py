"""More runs of one variant diverge than of another."""

from typing import TYPE_CHECKING, ClassVar, Literal

from dmp.claims.evidence import Pair, register_evidence
from dmp.claims.measurement import Measurement

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("divergence")
class Divergence(Pair):
    """More runs of ``variant`` diverge than of ``against``."""

    own_metric: ClassVar[str] = "diverged"
    predicts: Literal["more"]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Compare the shares of runs that diverged by Fisher's exact test.

        The interval of the difference is Newcombe's (1998), those of the shares are Clopper and
        Pearson's. Every run counts by itself, whatever baseline it rests on.
        """
        # Here, since every command reads the claims and these take a second.
        from scipy import stats
        from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

        counts = []
        for task, variant in self.runs():
            numbers.require(task, [variant])
            diverged = numbers.results.arm(task, variant, numbers.metric).last > 0
            counts.append((int(diverged.sum()), len(diverged)))
        (a, n_a), (b, n_b) = counts
        p_value = float(stats.fisher_exact([[a, n_a - a], [b, n_b - b]]).pvalue)
        low, high = confint_proportions_2indep(a, n_a, b, n_b, method="newcomb", compare="diff")
        shares = [proportion_confint(count, n, method="beta") for count, n in counts]
        told = " against ".join(
            f"{count} of {n} [{low:.2f}, {high:.2f}]"
            for (count, n), (low, high) in zip(counts, shares, strict=True)
        )
        effect = a / n_a - b / n_b
        return Measurement(
            metric=numbers.metric,
            effect=effect,
            low=float(low),
            high=float(high),
            p_for=p_value if effect > 0 else 1.0,
            p_against=p_value if effect < 0 else 1.0,
            n=min(n_a, n_b),
            unit="run",
            reason=f"diverged: {told}",
        )

    def prediction(self) -> str:
        return "diverges more often"

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        return f"{'more' if found.effect > 0 else 'fewer'} runs diverge"
