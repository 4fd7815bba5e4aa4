"""The kinds of evidence that ``ablations/claims.yaml`` may name."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, model_validator

from dmp.config import Strict
from dmp.errors import DMPError
from dmp.methods import Variant

UNTRAINED = "untrained"


def _canonical(text: str) -> str:
    try:
        return Variant.parse(text).name
    except DMPError as error:
        raise ValueError(str(error).removeprefix("variant: ")) from error


def _control(text: str) -> str:
    return text if text == UNTRAINED else _canonical(text)


def _plain_number(text: str) -> str:
    try:
        finite = Decimal(text).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise ValueError("must be a plain number in quotes, with the digits that are printed")
    return text


VariantName = Annotated[str, AfterValidator(_canonical)]
Printed = Annotated[str, AfterValidator(_plain_number)]
Run = tuple[str, str]


class _Evidence(Strict):
    """What all kinds of evidence have in common."""

    def runs(self) -> list[Run]:
        """Return the (task, variant) pairs that must be run."""
        return [(self.task, variant) for variant in self._run_variants()]

    def _run_variants(self) -> list[str]:
        return []


class _Arms(_Evidence):
    task: str
    variant: VariantName
    against: VariantName

    def _run_variants(self) -> list[str]:
        return [self.variant, self.against]


class Difference(_Arms):
    """A paired difference ``variant - against``.

    Attributes:
        predicts: ``not-better`` holds if an improvement by more than the margin is excluded.
        margin_percent: of the mean of ``against``; for ``not-better`` and ``not-worse`` only.
        metric: one metric in place of the endpoints; it then counts with the primary endpoint.
        paper: the paper's numbers of ``variant`` and ``against`` in the primary endpoint.

    """

    test: Literal["difference"]
    predicts: Literal["better", "worse", "not-better", "not-worse"]
    margin_percent: PositiveFloat = 5.0
    metric: str | None = None
    paper: tuple[Printed, Printed] | None = None

    @model_validator(mode="after")
    def _margin_has_an_effect(self) -> Self:
        if "margin_percent" in self.model_fields_set and not self.predicts.startswith("not-"):
            raise ValueError(f"margin_percent has no effect with predicts = {self.predicts}; "
                             f"it needs not-better or not-worse")  # fmt: skip
        return self


class Equivalence(_Arms):
    """Two arms differ by no more than a margin, in percent of the mean of ``against``."""

    test: Literal["equivalence"]
    margin_percent: PositiveFloat
    metric: str | None = None
    paper: tuple[Printed, Printed] | None = None


class Trend(_Evidence):
    """The endpoints improve from each variant to the next; ``paper`` as the variants."""

    test: Literal["trend"]
    task: str
    variants: Annotated[list[VariantName], Field(min_length=3)]
    predicts: Literal["better"]
    paper: list[Printed] | None = None

    @model_validator(mode="after")
    def _one_number_per_variant(self) -> Self:
        if self.paper is not None and len(self.paper) != len(self.variants):
            raise ValueError(f"paper has {len(self.paper)} numbers for {len(self.variants)} "
                             f"variants; give one per variant")  # fmt: skip
        return self

    def _run_variants(self) -> list[str]:
        return self.variants


class Entropy(_Evidence):
    """The entropy of the gate rises with the timestep, more so than in a control.

    Attributes:
        against: a variant; ``untrained``, the same gates before training; or nothing, a slope of 0.

    """

    test: Literal["entropy"]
    task: str
    variant: VariantName
    against: Annotated[str, AfterValidator(_control)] | None = None
    predicts: Literal["rises-with-timestep"]

    def _run_variants(self) -> list[str]:
        others = [] if self.against in (None, UNTRAINED) else [self.against]
        return [self.variant, *others]


class Divergence(_Arms):
    """More runs of ``variant`` diverge than of ``against``."""

    test: Literal["divergence"]
    predicts: Literal["more"]


class Interaction(_Evidence):
    """Two parts do more together than alone: ``(both - first) - (second - neither)``.

    ``paper`` has the numbers of both, first, second and neither.
    """

    test: Literal["interaction"]
    task: str
    both: VariantName
    first: VariantName
    second: VariantName
    neither: VariantName
    predicts: Literal["better", "worse"]
    paper: tuple[Printed, Printed, Printed, Printed] | None = None

    @property
    def variants(self) -> list[str]:
        """The four arms in the order of ``paper``."""
        return [self.both, self.first, self.second, self.neither]

    def _run_variants(self) -> list[str]:
        return self.variants


class Arithmetic(_Evidence):
    """A percentage of the paper follows from its own numbers, |from - to| / from.

    Attributes:
        start: the number before; ``from`` in the file.
        end: the number after; ``to`` in the file.
        claimed_percent: as printed.
        digits: decimals to which the percentage is rounded or truncated.

    """

    test: Literal["arithmetic"]
    start: Annotated[Printed, Field(alias="from")]
    end: Annotated[Printed, Field(alias="to")]
    claimed_percent: Printed
    digits: NonNegativeInt

    @model_validator(mode="after")
    def _not_from_zero(self) -> Self:
        if Decimal(self.start) == 0:
            raise ValueError("from = 0 has no percentage; give another number")
        return self


class Parameters(_Evidence):
    """The smallest and the largest increase in parameters, in percent, as printed."""

    test: Literal["parameters"]
    study: str
    backbones: Annotated[list[str], Field(min_length=1)]
    claimed: tuple[Printed, Printed]


class Speed(_Arms):
    """An arm is slower than another by no more than a margin in percent; timed on its own."""

    test: Literal["speed"]
    stage: Literal["training", "sampling"]
    margin_percent: Annotated[float, Field(gt=0, lt=100)]

    def _run_variants(self) -> list[str]:
        return []


class Untested(_Evidence):
    """No numbers of this benchmark can settle it."""

    test: Literal["untested"]
    reason: str


Evidence = Annotated[
    Difference | Equivalence | Trend | Entropy | Divergence | Interaction | Arithmetic
    | Parameters | Speed | Untested,
    Field(discriminator="test"),
]  # fmt: skip
