"""What no numbers of this benchmark can settle."""

from typing import TYPE_CHECKING

from dmp.claims.evidence import Evidence, register_evidence
from dmp.claims.measurement import Measurement, not_tested

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("untested")
class Untested(Evidence):
    """No numbers of this benchmark can settle it."""

    reason: str

    def measure(self, numbers: "Numbers") -> Measurement:
        """Say why."""
        return not_tested(numbers.metric, self.reason)
