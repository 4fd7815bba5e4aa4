"""A percentage of the paper follows from its own numbers."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from dmp.claims.evidence import Evidence, Printed, register_evidence
from dmp.claims.measurement import CONTRADICTED, SUPPORTED, Measurement

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("arithmetic")
class Arithmetic(Evidence):
    """A percentage of the paper follows from its own numbers, |from - to| / from.

    Attributes:
        start: the number before; ``from`` in the file.
        end: the number after; ``to`` in the file.
        claimed_percent: as printed.
        digits: decimals to which the percentage is rounded or truncated.
    """

    start: Annotated[Printed, Field(alias="from")]
    end: Annotated[Printed, Field(alias="to")]
    claimed_percent: Printed
    digits: Annotated[int, Field(ge=0, le=20)]

    @model_validator(mode="after")
    def _not_from_zero(self) -> Self:
        if Decimal(self.start) == 0:
            raise ValueError("from = 0 has no percentage; give another number")
        return self

    def measure(self, numbers: "Numbers") -> Measurement:
        """Check that the percentage follows, rounded or truncated."""
        start, end = Decimal(self.start), Decimal(self.end)
        percent = 100 * abs(end - start) / abs(start)
        way = printed_how(percent, self.claimed_percent, self.digits)
        change = f"{self.start} to {self.end} is {abs(end - start)} or {percent:.3f} %"
        return Measurement(
            metric=numbers.metric,
            effect=float(percent),
            paper_effect=float(self.claimed_percent),
            verdict=SUPPORTED if way else CONTRADICTED,
            reason=f"{change}, {way or 'neither rounded nor truncated'} {self.claimed_percent} %",
        )

    def compared(self) -> dict[str, str]:
        return {"variant": f"{self.start} → {self.end}"}

    def prediction(self) -> str:
        return f"{self.claimed_percent} %"


def printed_how(value: Decimal, claimed: str, digits: int) -> str:
    """Return how a value becomes the claimed one, such as ``rounded``; empty if it does not."""
    unit = Decimal(1).scaleb(-digits)
    for way, rounding in (("rounded", ROUND_HALF_UP), ("truncated", ROUND_DOWN)):
        if value.quantize(unit, rounding=rounding) == Decimal(claimed):
            return way
    return ""
