"""One variant is not slower than another by more than a margin."""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dmp.claims.evidence import Pair, Run, register_evidence
from dmp.claims.kinds.difference import PAIR
from dmp.claims.measurement import Measurement, not_tested, two_sided
from dmp.errors import DMPError

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("speed")
class Speed(Pair):
    """A variant is slower than another by no more than a margin in percent; timed on its own."""

    own_metric: ClassVar[str] = "seconds"
    stage: Literal["training", "sampling"]
    margin_percent: Annotated[float, Field(gt=0, lt=100)]

    def runs(self) -> list[Run]:
        return []

    def timed(self) -> list[Run]:
        return super().runs()

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test that the ratio of the times of paired repeats is not above the margin.

        Raises:
            DMPError: a time is not positive, or a repeat is listed twice.

        """
        if numbers.speed is None:
            return not_tested(numbers.metric, "no timings were taken")
        seconds = {}
        for task, variant in self.timed():
            chosen = numbers.speed[["task", "variant", "stage"]] == [task, variant, self.stage]
            rows = numbers.speed[chosen.all(axis=1)].set_index("repeat")["seconds"]
            if rows.empty:
                told = f"no timing of {self.stage} of {variant} on {task}"
                return not_tested(numbers.metric, told)
            where = f"speed: task {task}, variant {variant}, stage {self.stage}"
            if rows.index.has_duplicates:
                raise DMPError(f"{where}: a repeat is listed twice")
            if not rows.between(0, math.inf, inclusive="neither").all():
                raise DMPError(f"{where}: seconds must be finite and above 0")
            seconds[variant] = rows.map(math.log)
        data = numbers.paired(seconds)
        found = data.contrast(PAIR)
        margin = math.log1p(self.margin_percent / 100)
        reference = math.exp(data.mean(-1))
        effect, low, high = (reference * math.expm1(x) for x in (found.mean, found.low, found.high))
        return Measurement(
            metric=numbers.metric,
            effect=effect,
            low=low,
            high=high,
            reference=reference,
            p_for=two_sided(found.p_below(margin)),
            p_against=two_sided(found.p_above(margin)),
            n=found.n,
            unit="repeat",
            # The delta method: a standard deviation of log times is a relative one.
            sd=found.sd * reference,
            detectable=found.detectable * reference,
        )

    def prediction(self) -> str:
        return f"{self.stage} not slower by more than {self.margin_percent:g} %"

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        side = "above" if contradicted else "below"
        return f"the slowdown is {side} {self.margin_percent:g} %"
