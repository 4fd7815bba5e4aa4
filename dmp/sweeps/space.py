"""From a sweep's parameters to points, and from points to variants."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from dmp.config import TaskConfig, UNetConfig
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.rng import generator
from dmp.studies import Plan
from dmp.studies.checks import resolve_variant
from dmp.sweeps.schema import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Sweep,
    Value,
    rounded,
)

# Up to so many extreme points are all checked; of more, as many are drawn.
CHECKED = 512

Point = dict[str, Value]


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep at a scale, bounds as numbers.

    Attributes:
        base: the variant whose options are varied.
        parameters: in the order of the file: conditions look back.

    """

    base: str
    parameters: list[Parameter]

    def has_effect(self, parameter: Parameter, point: Point) -> bool:
        """Return whether a parameter's conditions hold at the values of those above it."""
        return all(
            name in point and _among(point[name], parameter.accepted(name))
            for name in parameter.when
        )

    def fill(self, propose: Callable[[Parameter], Value]) -> Point:
        """Return a point: a value for each parameter whose conditions hold, asked for in order."""
        point: Point = {}
        for parameter in self.parameters:
            if self.has_effect(parameter, point):
                value = propose(parameter)
                point[parameter.name] = rounded(value) if isinstance(value, float) else value
        return point

    def variant(self, point: Point) -> str:
        """Return the name of the variant at a point, in no particular spelling."""
        return ",".join([self.base, *(f"{name}={_spell(v)}" for name, v in point.items())])


def _spell(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "g") if isinstance(value, float) else str(value)


def _among(value: Value, accepted: list[Value]) -> bool:
    # True == 1 in Python, but not in a variant.
    return any(type(value) is type(other) and value == other for other in accepted)


def task_sizes(task: TaskConfig) -> dict[str, int]:
    """Return the sizes of a task that bounds may be given as."""
    if isinstance(task.backbone, UNetConfig):
        # Its blocks differ in tokens: there is no one number of them to bound anything by.
        return {"blocks": task.backbone.depth}
    side = input_shape(task.data).size // task.backbone.patch_size
    return {"tokens": side**2, "side": side, "blocks": task.backbone.depth}


def make_space(sweep: Sweep, plan: Plan, where: str) -> Space:
    """Return the space of a sweep at a scale, once it is sure that every point can be run.

    Args:
        sweep: the sweep.
        plan: the scale.
        where: the sweep's file, for messages.

    Raises:
        DMPError: the task is not run at this scale, a range is empty there, a condition can never
            hold, or a point is refused by the options' own rules.

    """
    plan.run(sweep.task, sweep.base, plan.seeds[0])
    sizes = task_sizes(plan.scale.tasks[sweep.task])
    parameters = [_with_numbers(p, sizes, where, plan.name) for p in sweep.parameters]
    space = Space(sweep.base, parameters)
    _check_conditions(space, where)
    for point in _extreme_points(space):
        resolve_variant(space.variant(point), sweep.task, plan.scale, f"{where}: parameters")
        plan.run(sweep.task, space.variant(point), plan.seeds[0])
    return space


def _with_numbers(parameter: Parameter, sizes: dict[str, int], where: str, scale: str) -> Parameter:
    if not isinstance(parameter, IntParameter):
        return parameter
    for bound in (parameter.low, parameter.high):
        if isinstance(bound, str) and bound not in sizes:
            raise DMPError(
                f"{where}: parameter '{parameter.name}': '{bound}' is not one number for this "
                f"task's backbone at scale '{scale}'; give a number, or {', '.join(sizes)}"
            )
    low, high = (
        bound if isinstance(bound, int) else sizes[bound]
        for bound in (parameter.low, parameter.high)
    )
    if low > high:
        raise DMPError(
            f"{where}: parameter '{parameter.name}' has no value at scale '{scale}': low = "
            f"{parameter.low} is {low} and high = {parameter.high} is {high} there"
        )
    return parameter.model_copy(update={"low": low, "high": high})


def _candidates(parameter: Parameter, asked: list[Value]) -> list[Value]:
    """Return the ends of a parameter's range, or its choices, and those of ``asked`` in it."""
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.choices)
    low, high = parameter.low, parameter.high
    inside = [
        value
        for value in asked
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and isinstance(value, int if isinstance(parameter, IntParameter) else float)
        and low <= value <= high
    ]
    return list(dict.fromkeys([low, high, *inside]))


def _check_conditions(space: Space, where: str) -> None:
    known = {parameter.name: parameter for parameter in space.parameters}
    for parameter in space.parameters:
        for name in parameter.when:
            for value in parameter.accepted(name):
                candidates = _candidates(known[name], [value])
                if not _among(value, candidates):
                    raise DMPError(
                        f"{where}: parameter '{parameter.name}': when.{name} = {value!r} can never "
                        f"hold: {name} is {_describe(known[name])}"
                    )
    held: set[str] = set()
    for point in _extreme_points(space):
        held |= set(point)
    for parameter in space.parameters:
        if parameter.name not in held:
            raise DMPError(
                f"{where}: parameter '{parameter.name}': its conditions can never hold together: "
                f"{parameter.when}"
            )


def _describe(parameter: Parameter) -> str:
    if isinstance(parameter, CategoricalParameter):
        return " or ".join(map(repr, parameter.choices))
    assert isinstance(parameter, IntParameter | FloatParameter)
    return f"{parameter.kind} from {parameter.low:g} to {parameter.high:g}"


def _extreme_points(space: Space) -> Iterator[Point]:
    """Yield points at the ends of ranges: every combination, or a sample of them."""
    asked: dict[str, list[Value]] = {}
    for parameter in space.parameters:
        for name in parameter.when:
            asked.setdefault(name, []).extend(parameter.accepted(name))
    choices = [_candidates(p, asked.get(p.name, [])) for p in space.parameters]
    names = [parameter.name for parameter in space.parameters]
    if prod(map(len, choices)) <= CHECKED:
        every = itertools.product(*choices)
    else:
        every = (
            tuple(
                options[int(generator(0, f"sweep check {name}", draw).integers(len(options)))]
                for name, options in zip(names, choices, strict=True)
            )
            for draw in range(CHECKED)
        )
    for values in every:
        assigned = dict(zip(names, values, strict=True))
        yield space.fill(lambda parameter, assigned=assigned: assigned[parameter.name])
