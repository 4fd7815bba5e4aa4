"""A difference between two variants as a share of what a method gains."""

from typing import TYPE_CHECKING, Literal

from dmp.claims.evidence import Pair, Run, VariantName, percent, register_evidence, size
from dmp.claims.kinds.equivalence import equal
from dmp.claims.measurement import Effect, Measurement, of_effect
from dmp.statistics.labels import metric_name

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

_DIFFERENCE, _GAIN = (1, -1, 0, 0), (0, 0, 1, -1)


@register_evidence("share-of-gain")
class ShareOfGain(Pair):
    """Two variants differ by no more than a share of what another variant gains over its own.

    The margin is ``relevant_percent`` of that gain, which is measured in the same seeds: the t
    tests are of ``difference - margin × gain`` and ``difference + margin × gain``, unit by unit, so
    that no gain is taken as known. Both can be passed only where there is a gain.

    Attributes:
        gain_over: what it gains over.
        metric: what is compared; it counts with the primary endpoint.
    """

    predicts: Literal["equal"] = "equal"
    gain_of: VariantName
    gain_over: VariantName
    metric: str

    def runs(self) -> list[Run]:
        return [(self.task, variant) for variant in self._arms]

    @property
    def _arms(self) -> tuple[str, str, str, str]:
        return self.variant, self.against, self.gain_of, self.gain_over

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test it by two one-sided tests."""
        from dmp.statistics.arms import Unmeasured

        data = numbers.aligned(self.task, self._arms)
        gain = [numbers.sign * weight for weight in _GAIN]
        name = metric_name(numbers.metric)
        of = f"the gain of {self.gain_of} over {self.gain_over} in {name}"
        try:
            effect = Effect(data.share(_DIFFERENCE, gain), of)
        except Unmeasured:
            raise Unmeasured(f"there is no gain of {self.gain_of} over {self.gain_over} in {name}, "
                             f"so that nothing is a share of it") from None  # fmt: skip
        return of_effect(effect, numbers.metric, **equal(effect, numbers.relevant))

    def prediction(self) -> str:
        return "equal"

    def observed(self, found: Measurement) -> str:
        return f"the difference is {size(found.effect)} of {found.of}"

    def shown(self, found: Measurement) -> str:
        return f"a difference of {percent(found.relevant)} of {found.of} is excluded"

    def refuted(self, found: Measurement) -> str:
        return f"{self.observed(found)}, and more than {percent(found.relevant)} is shown"
