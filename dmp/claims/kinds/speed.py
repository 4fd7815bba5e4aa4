"""One variant is not slower than another by more than a margin."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from dmp.claims.evidence import Pair, Run, percent, register_evidence, size
from dmp.claims.kinds.difference import PAIR
from dmp.claims.measurement import Effect, Measurement, not_tested, of_effect
from dmp.errors import DMPError

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("speed")
class Speed(Pair):
    """A variant is slower than another by no more than the margin; timed on its own."""

    own_metric: ClassVar[str] = "seconds"
    stage: Literal["training", "sampling"]

    def runs(self) -> list[Run]:
        return []

    def timed(self) -> list[Run]:
        return super().runs()

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the ratio of the times of the same blocks against the margin.

        Raises:
            DMPError: a time is not positive, or a block is listed twice.
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
            seconds[variant] = rows
        found = numbers.paired(seconds).logs().contrast(PAIR)
        effect, margin = Effect(found, f"the time of {self.stage}", log=True), numbers.relevant
        tested = of_effect(
            effect,
            numbers.metric,
            relevant=margin,
            p_for=effect.p_short(margin, 1),
            p_against=effect.p_beyond(margin, 1),
        )
        return replace(tested, unit="block")

    def prediction(self) -> str:
        return f"{self.stage} not slower"

    def observed(self, found: Measurement) -> str:
        side = "longer" if found.effect > 0 else "less long"
        return f"{self.stage} takes {side} by {size(found.effect)}"

    def shown(self, found: Measurement) -> str:
        return f"a slowdown by {percent(found.relevant)} is excluded"

    def refuted(self, found: Measurement) -> str:
        return f"{self.observed(found)}, and more than {percent(found.relevant)} is shown"
