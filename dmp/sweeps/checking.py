"""The space of a sweep at a scale, checked before its first trial: no torch, no compute."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from dmp.config import TaskConfig, UNetConfig
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.studies import Plan
from dmp.studies.checks import UnfitVariantError, resolve_variant
from dmp.sweeps.parameters import CategoricalParameter, IntParameter, Parameter, Value, among
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import LeftOut, Point, Space, spell

# Spaces of up to so many points are checked point by point, which takes a second; of larger ones,
# so many combinations of the ends of ranges are.
MOST = 10_000


def make_space(sweep: Sweep, plan: Plan, where: str) -> Space:
    """Return the space of a sweep at a scale, without the values that cannot exist there.

    Every value of a whole number and every choice is built with all others as far as the scale
    can tell without a model, of other numbers both ends are. A value of one parameter with which
    no point fits the task's backbone is left out. Points that only a combination of values makes
    impossible stay: workers pass them over.

    Args:
        where: the sweep's file, for messages.

    Raises:
        DMPError: the task is not run at this scale, a range is empty there, a condition can never
            hold, a point is refused by the options' own rules, or no point at all can exist.
    """
    plan.run(sweep.task, sweep.base, plan.seeds[0])
    sizes = task_sizes(plan.scale.tasks[sweep.task])
    parameters = [_with_numbers(p, sizes, where, plan.name) for p in sweep.parameters]
    space = Space(
        sweep.base, parameters, build=lambda variant: plan.run(sweep.task, variant, plan.seeds[0])
    )
    asked = _asked(parameters, where)
    points = list(itertools.islice(space.points(lambda p: _every(p, asked)), MOST + 1))
    complete = len(points) <= MOST
    if not complete:
        points = list(itertools.islice(space.points(lambda p: _ends(p, asked)), MOST))
    for parameter in parameters:
        if len(points) < MOST and not any(parameter.name in point for point in points):
            raise DMPError(
                f"{where}: parameter '{parameter.name}': its conditions can never hold together: "
                f"{parameter.when}"
            )
    existing: list[Point] = []
    refused: list[tuple[Point, str]] = []
    for point in points:
        variant = space.variant(point)
        try:
            # First with the name of the file, for messages.
            resolve_variant(variant, sweep.task, plan.scale, f"{where}: parameters")
            space.build(variant)
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
    bounds = []
    for bound in (parameter.low, parameter.high):
        if isinstance(bound, str) and bound not in sizes:
            raise DMPError(
                f"{where}: parameter '{parameter.name}': '{bound}' is not one number for this "
                f"task's backbone at scale '{scale}'; give a number, or {', '.join(sizes)}"
            )
        bounds.append(sizes[bound] if isinstance(bound, str) else bound)
    low, high = bounds
    if low > high:
        raise DMPError(
            f"{where}: parameter '{parameter.name}' has no value at scale '{scale}': low = "
            f"{parameter.low} is {low} and high = {parameter.high} is {high} there"
        )
    return parameter.model_copy(update={"low": low, "high": high})


def _asked(parameters: Sequence[Parameter], where: str) -> dict[str, list[Value]]:
    """Return which values within the range of a parameter are a condition of another."""
    known = {parameter.name: parameter for parameter in parameters}
    asked: dict[str, list[Value]] = {name: [] for name in known}
    for parameter in parameters:
        for name in parameter.when:
            for value in parameter.accepted(name):
                if not known[name].contains(value):
                    raise DMPError(
                        f"{where}: parameter '{parameter.name}': when.{name} = {value!r} can never "
                        f"hold: {name} is {known[name]}"
                    )
                if not among(value, known[name].limits) and not among(value, asked[name]):
                    asked[name].append(value)
    return asked


def _ends(parameter: Parameter, asked: Mapping[str, Sequence[Value]]) -> Sequence[Value]:
    """Return the ends of a range and what is asked within it, or all choices."""
    return [*parameter.limits, *asked.get(parameter.name, ())]


def _every(parameter: Parameter, asked: Mapping[str, Sequence[Value]]) -> Sequence[Value]:
    """Return all whole numbers of a range, or all choices; of other numbers, as :func:`_ends`."""
    if isinstance(parameter, IntParameter):
        low, high = parameter.bounds
        return range(low, high + 1)
    return _ends(parameter, asked)


def _reduced(space: Space, existing: list[Point], refused: list[tuple[Point, str]]) -> Space:
    """Return the space without the values that none of its existing points has."""
    alive = {(name, spell(value)) for point in existing for name, value in point.items()}
    present = {name for name, _ in alive}
    gone: dict[str, dict[str, str]] = {}
    for point, reason in refused:
        for name, value in point.items():
            if (name, spell(value)) not in alive:
                gone.setdefault(name, {}).setdefault(spell(value), reason)
    parameters, left_out = [], []
    for parameter in space.parameters:
        name = parameter.name
        # Without one, its conditions are of a value that is left out itself.
        if name not in present:
            continue
        if name not in gone or not isinstance(parameter, IntParameter | CategoricalParameter):
            parameters.append(parameter)
            continue
        values = _every(parameter, {})
        missing = tuple(value for value in values if spell(value) in gone[name])
        left_out.append(LeftOut(name, missing, gone[name][spell(missing[0])]))
        kept = [value for value in values if (name, spell(value)) in alive]
        parameters.append(_with_values(parameter, kept))
    return dataclasses.replace(space, parameters=parameters, left_out=tuple(left_out))


def _with_values(parameter: IntParameter | CategoricalParameter, kept: list[Value]) -> Parameter:
    """Return a parameter with only some of its values: a range where they are one."""
    if isinstance(parameter, IntParameter):
        first, last = kept[0], kept[-1]
        if kept == list(range(int(first), int(last) + 1)):
            return parameter.model_copy(update={"low": first, "high": last})
    return CategoricalParameter(
        name=parameter.name, kind="categorical", choices=kept, when=parameter.when
    )
