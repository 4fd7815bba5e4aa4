"""Two variants do not differ by more than a margin."""

from typing import TYPE_CHECKING, ClassVar

from dmp.claims.evidence import Pair, PrintedPair, lies, percent, register_evidence
from dmp.claims.kinds.difference import PAIR
from dmp.claims.measurement import Effect, Measurement, of_effect, of_paper

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("equivalence")
class Equivalence(Pair):
    """Two variants differ by no more than the smallest relevant effect, either way."""

    in_endpoints: ClassVar[bool] = True
    metric: str | None = None
    paper: PrintedPair | None = None

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test it by two one-sided tests (Schuirmann 1987)."""
        effect = numbers.effect(self.task, [self.variant, self.against], PAIR)
        paper = of_paper(self.paper if numbers.primary else None, PAIR)
        return of_effect(effect, numbers.metric, **equal(effect, numbers.relevant), **paper)

    def prediction(self) -> str:
        return "equal"

    def shown(self, found: Measurement) -> str:
        return f"a difference of {percent(found.relevant)} either way is excluded"

    def refuted(self, found: Measurement) -> str:
        return f"{lies(found)}, and a difference of more than {percent(found.relevant)} is shown"


def equal(effect: Effect, margin: float) -> dict[str, float]:
    """Return the p values of a claim that an effect lies within a margin in percent.

    It is shown if both larger and smaller effects are excluded, and refuted if one that is larger
    than the margin is shown, on either side: hence twice the smaller p value.
    """
    outside = min(effect.p_beyond(margin, 1), effect.p_beyond(margin, -1))
    return {
        "relevant": margin,
        "p_for": max(effect.p_short(margin, 1), effect.p_short(margin, -1)),
        "p_against": min(1.0, 2 * outside) if outside == outside else outside,
    }
