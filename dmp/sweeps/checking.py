"""The space of a sweep at a scale, checked before its first trial: no torch, no compute."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

from dmp.config import TaskConfig, UNetConfig
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.rng import generator
from dmp.studies import Plan
from dmp.studies.checks import UnfitVariantError, resolve_variant
from dmp.sweeps.schema import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Sweep,
    Value,
)
from dmp.sweeps.space import LeftOut, Point, Space, among, spell

# Spaces of up to so many points are checked point by point, which takes a second.
EVERY = 10_000
# In larger ones so many points are drawn, whose values are the ends of ranges.
DRAWN = 512


def make_space(sweep: Sweep, plan: Plan, where: str) -> Space:
    """Return the space of a sweep at a scale, without the values that cannot exist there.

    Every value of a whole number and every choice is built with all others as far as the scale
    can tell without a model, of other numbers both ends are. A value of one parameter with which
    no point fits the task's backbone is left out. Points that only a combination of values makes
    impossible stay: workers pass them over.

    Args:
        sweep: the sweep.
        plan: the scale.
        where: the sweep's file, for messages.

    Raises:
        DMPError: the task is not run at this scale, a range is empty there, a condition can never
            hold, a point is refused by the options' own rules, or no point at all can exist.

    """
    plan.run(sweep.task, sweep.base, plan.seeds[0])
    sizes = task_sizes(plan.scale.tasks[sweep.task])
    parameters = [_with_numbers(p, sizes, where, plan.name) for p in sweep.parameters]

    def build(variant: str) -> None:
        plan.run(sweep.task, variant, plan.seeds[0])

    space = Space(sweep.base, parameters, build=build)
    asked = _asked(space)
    _check_conditions(space, asked, where)
    points = list(itertools.islice(space.points(lambda p: _every(p, asked)), EVERY + 1))
    if complete := len(points) <= EVERY:
        checked: Iterable[Point] = points
    else:
        checked = _ends(space, asked)
    existing: list[Point] = []
    refused: list[tuple[Point, str]] = []
    for point in checked:
        variant = space.variant(point)
        try:
            # First with the name of the file, for messages.
            resolve_variant(variant, sweep.task, plan.scale, f"{where}: parameters")
            build(variant)
        except UnfitVariantError as error:
            refused.append((point, error.reason))
        else:
            existing.append(point)
    if not existing:
        raise DMPError(
            f"{where}: parameters: no point can exist for task '{sweep.task}' at scale "
            f"'{plan.name}'; '{space.variant(refused[0][0])}': {refused[0][1]}"
        )
    return _reduced(space, existing, refused) if complete else space


def task_sizes(task: TaskConfig) -> dict[str, int]:
    """Return the sizes of a task that bounds may be given as."""
    if isinstance(task.backbone, UNetConfig):
        # Its blocks differ in tokens: there is no one number of them to bound anything by.
        return {"blocks": task.backbone.depth}
    side = input_shape(task.data).size // task.backbone.patch_size
    return {"tokens": side**2, "side": side, "blocks": task.backbone.depth}


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


def _asked(space: Space) -> dict[str, list[Value]]:
    """Return the values of each parameter that are a condition of another."""
    asked: dict[str, list[Value]] = {}
    for parameter in space.parameters:
        for name in parameter.when:
            asked.setdefault(name, []).extend(parameter.accepted(name))
    return asked


def _every(parameter: Parameter, asked: dict[str, list[Value]]) -> Sequence[Value]:
    """Return all values of a parameter, or of one that is no whole number those of interest."""
    if isinstance(parameter, IntParameter):
        assert isinstance(parameter.low, int)
        assert isinstance(parameter.high, int)
        return range(parameter.low, parameter.high + 1)
    return _of_interest(parameter, asked.get(parameter.name, []))


def _of_interest(parameter: Parameter, asked: list[Value]) -> list[Value]:
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


def _ends(space: Space, asked: dict[str, list[Value]]) -> list[Point]:
    """Return points at the ends of ranges: every combination, or a sample of them."""

    def values(parameter: Parameter) -> list[Value]:
        return _of_interest(parameter, asked.get(parameter.name, []))

    points = list(itertools.islice(space.points(values), DRAWN + 1))
    if len(points) <= DRAWN:
        return points

    def drawer(draw: int) -> Callable[[Parameter], Value]:
        def choose(parameter: Parameter) -> Value:
            options = values(parameter)
            drawn = generator(0, f"sweep check {parameter.name}", draw).integers(len(options))
            return options[int(drawn)]

        return choose

    return [space.fill(drawer(draw)) for draw in range(DRAWN)]


def _check_conditions(space: Space, asked: dict[str, list[Value]], where: str) -> None:
    known = {parameter.name: parameter for parameter in space.parameters}
    for parameter in space.parameters:
        for name in parameter.when:
            for value in parameter.accepted(name):
                if not among(value, _of_interest(known[name], [value])):
                    raise DMPError(
                        f"{where}: parameter '{parameter.name}': when.{name} = {value!r} can never "
                        f"hold: {name} is {_describe(known[name])}"
                    )
    held = {name for point in _ends(space, asked) for name in point}
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


def _reduced(space: Space, existing: list[Point], refused: list[tuple[Point, str]]) -> Space:
    """Return the space without the values that none of its existing points has."""
    alive = {(name, spell(value)) for point in existing for name, value in point.items()}
    present = {name for name, _ in alive}
    reasons: dict[tuple[str, str], str] = {}
    for point, reason in refused:
        for name, value in point.items():
            if (name, spell(value)) not in alive:
                reasons.setdefault((name, spell(value)), reason)
    parameters, left_out = [], []
    for parameter in space.parameters:
        # Without one, its conditions are of a value that is left out itself.
        if parameter.name not in present:
            continue
        if isinstance(parameter, FloatParameter):
            parameters.append(parameter)
            continue
        name, values = parameter.name, _every(parameter, {})
        kept = [value for value in values if (name, spell(value)) in alive]
        gone = tuple(value for value in values if (name, spell(value)) in reasons)
        if gone:
            left_out.append(LeftOut(name, gone, reasons[name, spell(gone[0])]))
        parameters.append(_with_values(parameter, kept) if gone else parameter)
    return dataclasses.replace(space, parameters=parameters, left_out=tuple(left_out))


def _with_values(parameter: Parameter, kept: list[Value]) -> Parameter:
    """Return a parameter of whole numbers or choices, with only some of its values."""
    if isinstance(parameter, CategoricalParameter):
        return parameter.model_copy(update={"choices": kept})
    low, high = kept[0], kept[-1]
    assert isinstance(low, int)
    assert isinstance(high, int)
    if len(kept) == high - low + 1:
        return parameter.model_copy(update={"low": low, "high": high})
    return CategoricalParameter(
        name=parameter.name, kind="categorical", choices=kept, when=parameter.when
    )
