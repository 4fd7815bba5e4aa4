"""A baseline whose training begins at a smaller resolution."""

import shutil
from pathlib import Path

import pytest
import torch
from harness import ROOT, edit_yaml, make_tiny

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.running.signals import PreemptedError
from dmp.stages import pretrain as stage
from dmp.stages.common import Context
from dmp.stages.pretrain import pretrain
from dmp.studies import load_plan
from dmp.tensorfile import load_tensors

TASK = "unconditional"
BEGIN = {"resolution": 4, "iterations": 10, "batch_size": 8, "learning_rate": 3e-3}


def planned(folder: Path, begin: dict | None):
    """Return the plan of a tiny benchmark whose baselines begin so."""
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    if begin is not None:
        edit_yaml(
            ablations / "scales/smoke.yaml",
            lambda scale: scale["defaults"]["pretraining"].update(begin=begin),
        )
    return load_plan("smoke", ablations)


def trained(plan, results: Path) -> dict[str, torch.Tensor]:
    pretrain(Context.open(plan, results), TASK, 0)
    return load_tensors(Layout(results, "smoke").pretrained_weights(TASK, 0))[0]


@pytest.fixture
def plan(tmp_path):
    return planned(tmp_path, BEGIN)


def test_training_begins_with_small_images_and_leaves_the_baseline_alone(
    plan, tmp_path, monkeypatch
):
    fit, seen = stage.fit, []

    def watched(objective, stream, config, directory, *more, **named):
        edge = stream.__getitems__(range(2)).images.shape[-1]
        before = {k: v.clone() for k, v in objective.backbone.state_dict().items()}
        fit(objective, stream, config, directory, *more, **named)
        after = {k: v.clone() for k, v in objective.backbone.state_dict().items()}
        how = (edge, config.iterations, config.batch_size, config.learning_rate)
        seen.append((how, before, after))

    monkeypatch.setattr(stage, "fit", watched)
    weights = trained(plan, tmp_path / "results")
    recipe = plan.pretraining(TASK, 0).config.pretraining
    (small, _, learned), (large, started, _) = seen
    assert small == (4, 10, 8, 3e-3)
    assert large == (8, recipe.iterations, recipe.batch_size, recipe.learning_rate)
    # The rest starts from what was learned, at positions of its own.
    for name, value in started.items():
        assert torch.equal(value, learned[name]) == (name != "pos_embed"), name
    assert weights["pos_embed"].shape[1] == 16
    folder = Layout(tmp_path / "results", "smoke").pretrained(TASK, 0)
    assert not (folder / stage.BEGIN).exists()


def test_without_a_rate_of_its_own_a_beginning_has_that_of_the_rest(plan):
    recipe = plan.pretraining(TASK, 0).config.pretraining
    begin = recipe.begin.model_copy(update={"learning_rate": None})
    config = recipe.model_copy(update={"begin": begin})
    assert config.learning_rate == stage.beginning(config, begin).learning_rate


@pytest.mark.parametrize("part", [stage.BEGIN, ""])
def test_training_that_is_stopped_in_either_part_ends_with_the_same_bytes(
    plan, tmp_path, monkeypatch, part
):
    expected = trained(plan, tmp_path / "whole")
    results, fit = tmp_path / "stopped", stage.fit

    def stopped(objective, stream, config, directory, *more, **named):
        if (directory.name == stage.BEGIN) != (part == stage.BEGIN):
            return fit(objective, stream, config, directory, *more, **named)
        half = config.model_copy(update={"iterations": config.iterations // 2})
        fit(objective, stream, half, directory, *more, **named)
        raise PreemptedError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(stage, "fit", stopped)
        with pytest.raises(PreemptedError):
            trained(plan, results)
    found = trained(plan, results)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_beginning_is_part_of_the_fingerprint_of_those_that_have_one(plan, tmp_path):
    without = planned(tmp_path / "other", None).pretraining(TASK, 0)
    assert "begin" not in without.config.pretraining.model_dump()
    assert plan.pretraining(TASK, 0).fingerprint("baseline") != without.fingerprint("baseline")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 8}, "begin.resolution = 8 has to be smaller than the dataset's 8"),
        ({"resolution": 3}, "begin.resolution = 3 .* a multiple of patch_size = 2"),
        ({"iterations": 0}, "pretraining.begin.iterations"),
        ({"learning_rate": 0}, "pretraining.begin.learning_rate"),
        ({"edge": 4}, "pretraining.begin.edge"),
    ],
)
def test_beginnings_that_make_no_sense_are_refused(tmp_path, change, message):
    with pytest.raises(DMPError, match=message):
        planned(tmp_path, {**BEGIN, **change})
