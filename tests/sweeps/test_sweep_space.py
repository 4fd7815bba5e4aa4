"""A point that a scale's backbone has no place for is known before the first trial."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_sweep import choice, make_sweep, number
from harness import ROOT

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.patching import patch
from dmp.stages.common import new_backbone
from dmp.studies import load_plan
from dmp.studies.loading import scale_names
from dmp.sweeps.checking import MOST, make_space
from dmp.sweeps.loading import (
    fresh_seeds,
    load_space,
    load_sweep,
    search_seeds,
    study_name,
    sweep_names,
)
from dmp.sweeps.parameters import CategoricalParameter, IntParameter

ABLATIONS = ROOT / "ablations"


def values_of(parameter):
    """All whole numbers and choices; of other numbers the ends, and one within."""
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices
    low, high = parameter.low, parameter.high
    if isinstance(parameter, IntParameter):
        return range(low, high + 1)
    return [low, (low * high) ** 0.5, high]


def build(plan, task):
    """Return a task's real backbone, without memory for its weights."""
    context = SimpleNamespace(layout=Layout(Path("nowhere"), plan.name), plan=plan)
    with torch.device("meta"):
        return new_backbone(context, task, plan.scale.tasks[task])


@pytest.mark.parametrize("scale", scale_names(ABLATIONS))
@pytest.mark.parametrize("name", sweep_names(ABLATIONS))
def test_every_point_of_every_sweep_can_be_attached_to_the_model_of_every_scale(name, scale):
    plan = load_plan(scale, ABLATIONS)
    sweep = load_sweep(ABLATIONS, name)
    space = load_space(ABLATIONS, sweep, plan)
    assert not set(search_seeds(sweep, plan)) & set(fresh_seeds(sweep, plan))
    backbone = build(plan, sweep.task)
    points = list(space.points(values_of))
    assert len(points) >= 6
    # Only the sweep of the smoke scale has thousands at others.
    for point in points[:: 1 + len(points) // 1000]:
        run = plan.run(sweep.task, space.variant(point), plan.seeds[0])
        with torch.device("meta"):
            patch(backbone, run.patch).remove()


@pytest.mark.parametrize(("scale", "side"), [("smoke", 4), ("digits", 4), ("mnist", 16)])
def test_grids_left_out_are_those_that_the_model_refuses(scale, side):
    plan = load_plan(scale, ABLATIONS)
    sweep = load_sweep(ABLATIONS, "prompt-count")
    space = load_space(ABLATIONS, sweep, plan)
    backbone = build(plan, sweep.task)
    refused = []
    for grid in range(1, side + 1):
        try:
            with torch.device("meta"):
                patch(backbone, PatchConfig(grid=grid, resize="nearest")).remove()
        except DMPError:
            refused.append(grid)
    (left_out,) = space.left_out
    assert refused
    assert (left_out.name, list(left_out.values)) == ("grid", refused)
    assert f"nearest cannot spread 3 x 3 prompts over {side} x {side} tokens" in left_out.reason
    kept = next(p for p in space.parameters if p.name == "grid").choices
    assert sorted([*kept, *refused]) == list(range(1, side + 1))


def test_numbers_that_are_left_are_a_range_where_they_can_be(digits):
    space = make_space(make_sweep(parameters=[number("depth", 2, 9)]), digits, "try.yaml")
    (depth,) = space.parameters
    assert (depth.kind, depth.low, depth.high) == ("int", 2, 4)
    assert str(space.left_out[0]).startswith("depth = 5, 6, 7, 8, 9; for 5: depth = 5, but the")


def test_value_that_another_one_allows_stays(digits):
    either = [number("grid", 1, 4), choice("resize", "nearest", "bilinear")]
    space = make_space(make_sweep(parameters=either), digits, "try.yaml")
    assert space.left_out == ()
    assert (space.parameters[0].low, space.parameters[0].high) == (1, 4)


def test_parameter_that_only_an_impossible_value_asks_for_goes_with_it(digits):
    parameters = [
        number("grid", 2, 3),
        choice("resize", "nearest"),
        choice("gate_noise", False, True, when={"grid": 3}),
    ]
    space = make_space(make_sweep(parameters=parameters), digits, "try.yaml")
    assert [p.name for p in space.parameters] == ["grid", "resize"]
    assert [each.name for each in space.left_out] == ["grid"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            [choice("grid", 3), choice("resize", "nearest")],
            r"try.yaml: parameters: no point can exist for task 'unconditional' at scale 'digits'; "
            r"'dmp,grid=3,resize=nearest': resize = nearest cannot spread 3 x 3 prompts",
        ),
        (
            [choice("resize", "nearest", "nearset"), choice("grid", 2)],
            r"try.yaml: parameters: 'dmp,resize=nearset,grid=2'.*nearset.*'bicubic'",
        ),
        # Within a range as well as at its ends.
        (
            [number("grid", 1, 4), choice("gate_init", 1, -1, when={"grid": 2})],
            r"try.yaml: parameters: 'dmp,grid=1'.*grid = 1 has no effect",
        ),
        (
            [number("depth", 1, 4), choice("gate_init", 1, -1, when={"depth": 2})],
            r"try.yaml: parameters: 'dmp,depth=2,gate_init=-1'.*gate_init",
        ),
    ],
)
def test_space_of_nothing_or_with_a_mistake_is_one_error(digits, parameters, message):
    with pytest.raises(DMPError, match=message) as raised:
        make_space(make_sweep(parameters=parameters), digits, "try.yaml")
    assert "\n" not in str(raised.value)


def test_space_too_large_for_every_point_is_checked_at_a_sample_of_its_ends(digits):
    many = [number(name, 1, 200) for name in ("prompts", "batch_size", "iterations")]
    parameters = [choice("position", "prepend"), *many]
    built = []
    checked = digits.run

    class Counting:
        name, seeds, scale = digits.name, digits.seeds, digits.scale

        def run(self, *arguments):
            built.append(arguments)
            return checked(*arguments)

    space = make_space(make_sweep(parameters=parameters), Counting(), "try.yaml")
    assert space.left_out == ()
    # The base, and every combination of two ends.
    assert len(built) == 1 + 2**3 <= 1 + MOST


def test_study_is_another_where_other_values_can_exist(digits, monkeypatch):
    sweep = load_sweep(ABLATIONS, "prompt-count")
    before = study_name(sweep, digits)
    monkeypatch.setattr(PatchConfig, "check_grid", lambda *_: None)
    assert load_space(ABLATIONS, sweep, digits).left_out == ()
    assert study_name(sweep, digits) != before
