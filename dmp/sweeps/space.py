"""The points of a sweep, and from points to variants."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dmp.methods import Variant
from dmp.methods.variant import spell
from dmp.sweeps.parameters import Parameter, Value, among, rounded

Point = dict[str, Value]


class LeftOut(NamedTuple):
    """Values of a parameter with which no point can exist at a scale.

    Attributes:
        name: the parameter's.
        values: in the order of the file.
        reason: why the first of them cannot exist.
    """

    name: str
    values: tuple[Value, ...]
    reason: str

    def __str__(self) -> str:
        values = ", ".join(map(spell, self.values))
        first = f"; for {spell(self.values[0])}" if len(self.values) > 1 else ""
        return f"{self.name} = {values}{first}: {self.reason}"


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep at a scale, bounds as numbers.

    Attributes:
        base: the variant whose options are varied.
        parameters: in the order of the file: conditions look back.
        left_out: values that the file names and that cannot exist at this scale.
        build: called with the name of a variant; raises a DMPError if it cannot be built.
    """

    base: str
    parameters: list[Parameter]
    left_out: tuple[LeftOut, ...] = ()
    build: Callable[[str], object] = Variant.parse

    def has_effect(self, parameter: Parameter, point: Point) -> bool:
        """Return whether a parameter's conditions hold at the values of those above it."""
        return all(
            name in point and among(point[name], parameter.accepted(name))
            for name in parameter.when
        )

    def fill(self, propose: Callable[[Parameter], Value]) -> Point:
        """Return a point: a value for each parameter whose conditions hold, asked for in order."""
        return next(self.points(lambda parameter: [propose(parameter)]))

    def points(self, values: Callable[[Parameter], Sequence[Value]]) -> Iterator[Point]:
        """Yield every combination of some values of each parameter, each point once."""

        def extend(point: Point, rest: list[Parameter]) -> Iterator[Point]:
            if not rest:
                yield point
            elif self.has_effect(rest[0], point):
                for value in values(rest[0]):
                    chosen = rounded(value) if isinstance(value, float) else value
                    yield from extend({**point, rest[0].name: chosen}, rest[1:])
            else:
                yield from extend(point, rest[1:])

        return extend({}, self.parameters)

    def variant(self, point: Point) -> str:
        """Return the name of the variant at a point, in no particular spelling."""
        return ",".join([self.base, *(f"{name}={spell(v)}" for name, v in point.items())])
