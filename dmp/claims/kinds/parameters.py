"""What a method adds to the parameters of backbones."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from dmp.claims.evidence import Evidence, PrintedPair, register_evidence
from dmp.claims.kinds.arithmetic import printed_how
from dmp.claims.measurement import CONTRADICTED, SUPPORTED, Measurement, not_tested

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("parameters")
class Parameters(Evidence):
    """The smallest and the largest increase in parameters, in percent, as printed."""

    study: str
    backbones: Annotated[list[str], Field(min_length=1)]
    claimed: PrintedPair

    def measure(self, numbers: "Numbers") -> Measurement:
        """Check both ends, rounded or truncated."""
        table = numbers.parameters
        if table is None:
            return not_tested(numbers.metric, "no parameters were counted")
        rows = table[(table["study"] == self.study) & table["backbone"].isin(self.backbones)]
        lacking = sorted(set(self.backbones) - set(rows["backbone"]))
        if lacking:
            told = f"study {self.study} has not counted {', '.join(lacking)}"
            return not_tested(numbers.metric, told)
        counted = [Decimal(str(value)) for value in rows["increase_percent"]]
        ways, told = [], []
        for value, claimed in zip((min(counted), max(counted)), self.claimed, strict=True):
            _, _, decimals = claimed.partition(".")
            ways.append(printed_how(value, claimed, len(decimals)))
            told.append(f"{value:.4f} %, {ways[-1] or 'neither rounded nor truncated'} {claimed} %")
        return Measurement(
            metric=numbers.metric,
            effect=float(max(counted)),
            paper_effect=float(self.claimed[1]),
            verdict=SUPPORTED if all(ways) else CONTRADICTED,
            reason="; ".join(dict.fromkeys(told)),
        )

    def compared(self) -> dict[str, str]:
        return {"variant": ", ".join(self.backbones)}

    def prediction(self) -> str:
        low, high = self.claimed
        return f"{low} %" if low == high else f"{low} to {high} %"
