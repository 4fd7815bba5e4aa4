"""One variant is better or worse than another, or not by more than a margin."""

from typing import TYPE_CHECKING, ClassVar, Literal

from dmp.claims.evidence import Pair, PrintedPair, lies, percent, register_evidence
from dmp.claims.measurement import Measurement, directed, of_effect, of_paper

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

PAIR = (1, -1)
CHANGES = {"better": "an improvement", "worse": "a decline"}


@register_evidence("difference")
class Difference(Pair):
    """A paired difference between ``variant`` and ``against``, in percent.

    Attributes:
        predicts: ``better`` and ``worse`` hold if that direction is shown, and are refuted if a
            relevant effect in it is excluded. ``not-better`` and ``not-worse`` hold if an
            improvement, or a decline, by more than the margin is excluded, and are refuted if one
            is shown. The margin is the smallest relevant effect.
        metric: one metric in place of the endpoints; it then counts with the primary endpoint.
        paper: the paper's numbers of ``variant`` and ``against`` in the primary endpoint.
    """

    in_endpoints: ClassVar[bool] = True
    predicts: Literal["better", "worse", "not-better", "not-worse"]
    metric: str | None = None
    paper: PrintedPair | None = None

    @property
    def _towards(self) -> str:
        return self.predicts.removeprefix("not-")

    @property
    def _change(self) -> str:
        return CHANGES[self._towards]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test it by the paired t test."""
        effect = numbers.effect(self.task, [self.variant, self.against], PAIR)
        sign = numbers.sign if self._towards == "better" else -numbers.sign
        p_values = directed(effect, sign, numbers.relevant)
        if self.predicts.startswith("not-"):
            p_values = {
                "relevant": numbers.relevant,
                "p_for": effect.p_short(numbers.relevant, sign),
                "p_against": effect.p_beyond(numbers.relevant, sign),
            }
        paper = of_paper(self.paper if numbers.primary else None, PAIR)
        return of_effect(effect, numbers.metric, **p_values, **paper)

    def prediction(self) -> str:
        return self.predicts.replace("-", " ")

    def shown(self, found: Measurement) -> str:
        if self.predicts.startswith("not-"):
            return f"{self._change} by {percent(found.relevant)} is excluded"
        return self.observed(found)

    def refuted(self, found: Measurement) -> str:
        return f"{lies(found)}, and {self._change} by more than {percent(found.relevant)} is shown"

    def excluded(self, found: Measurement) -> str:
        return f"{self._change} by {percent(found.relevant)}"
