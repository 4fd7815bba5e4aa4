"""What a sweep varies: options, and the values that each may have."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dmp.config import Strict
from dmp.config.numbers import Count
from dmp.config.numbers import Value as Limited
from dmp.errors import DMPError

# Sizes of the task that a bound may be given as, so that one file serves every scale.
Size = Literal["tokens", "blocks", "side"]
Value = bool | Annotated[int, Field(ge=-(10**9), le=10**9)] | Limited | str
Values = Value | list[Value]

DIGITS = 3
"""Significant digits of a number in a variant's name: what is run is what the name says."""


def rounded(value: float) -> float:
    """Return a number as a variant's name spells it."""
    return float(format(value, f".{DIGITS}g"))


def among(value: Value, accepted: Iterable[Value]) -> bool:
    """Return whether a value is one of others: True == 1 in Python, but not in a variant."""
    return any(type(value) is type(other) and value == other for other in accepted)


def _check_order(low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low = {low:g} must be below high = {high:g}")


class _Parameter(Strict):
    """What every kind of parameter has.

    Attributes:
        name: an option of the patch or of further training.
        when: names of parameters above this one, and their values, at which this one has an
            effect; elsewhere it is left at its default.
    """

    name: str
    when: dict[str, Values] = {}

    def accepted(self, name: str) -> list[Value]:
        """Return the values of a parameter at which this one has an effect."""
        values = self.when[name]
        return values if isinstance(values, list) else [values]


class IntParameter(_Parameter):
    """A whole number; a bound may be a size of the task.

    Attributes:
        low: the smallest; ``tokens``, ``blocks`` or ``side`` (of the grid of tokens) for that of
            the task.
        high: the largest.
        log: whether each doubling is as likely.
    """

    kind: Literal["int"]
    low: Count | Size
    high: Count | Size
    log: bool = False

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if isinstance(self.low, int) and isinstance(self.high, int):
            _check_order(self.low, self.high)
        return self

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest value, once they are those of a scale."""
        if isinstance(self.low, str) or isinstance(self.high, str):
            raise DMPError(f"parameter '{self.name}' has no numbers yet: {self.low}, {self.high}")
        return self.low, self.high

    @property
    def limits(self) -> list[Value]:
        """Both ends of the range."""
        return list(self.bounds)

    def contains(self, value: Value) -> bool:
        """Return whether it can have a value."""
        low, high = self.bounds
        return type(value) is int and low <= value <= high

    def __str__(self) -> str:
        return f"int from {self.low} to {self.high}"


class FloatParameter(_Parameter):
    """A number, every value as likely (``float``) or every ratio (``log``)."""

    kind: Literal["float", "log"]
    low: Limited
    high: Limited

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        _check_order(self.low, self.high)
        if self.kind == "log" and self.low <= 0:
            raise ValueError(f"low = {self.low:g} must be above 0 with kind = log")
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound != rounded(bound):
                raise ValueError(
                    f"{name} = {bound!r} has more than {DIGITS} significant digits, which is what "
                    f"the names of variants hold"
                )
        return self

    @property
    def limits(self) -> list[Value]:
        """Both ends of the range."""
        return [self.low, self.high]

    def contains(self, value: Value) -> bool:
        """Return whether it can have a value."""
        return type(value) is float and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.kind} from {self.low:g} to {self.high:g}"


class CategoricalParameter(_Parameter):
    """One of some values."""

    kind: Literal["categorical"]
    choices: Annotated[list[Value], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_distinct(self) -> Self:
        for index, choice in enumerate(self.choices):
            if among(choice, self.choices[:index]):
                raise ValueError(f"choices: {choice!r} is given twice")
        return self

    @property
    def limits(self) -> list[Value]:
        """All choices."""
        return self.choices

    def contains(self, value: Value) -> bool:
        """Return whether it can have a value."""
        return among(value, self.choices)

    def __str__(self) -> str:
        return " or ".join(map(repr, self.choices))


Parameter = Annotated[
    IntParameter | FloatParameter | CategoricalParameter, Field(discriminator="kind")
]
