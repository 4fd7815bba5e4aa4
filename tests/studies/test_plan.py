"""From YAML to unique runs; every name is checked before anything is computed."""

import shutil

import pytest
import yaml
from harness import ROOT, edit_yaml

from dmp.errors import DMPError
from dmp.studies import load_plan

ABLATIONS = ROOT / "ablations"


@pytest.mark.parametrize("scale", sorted(p.stem for p in (ABLATIONS / "scales").glob("*.yaml")))
def test_every_scale_of_the_project_has_a_plan(scale):
    plan = load_plan(scale, ABLATIONS)
    assert plan.runs()
    for task, variant, seed in plan.runs():
        assert plan.run(task, variant, seed).variant == variant


def test_a_cell_of_several_studies_is_run_once(ablations):
    runs = load_plan("digits", ablations).runs()
    shutil.copy(ablations / "studies/table3.yaml", ablations / "studies/table3-again.yaml")
    assert load_plan("digits", ablations).runs() == runs


def test_a_new_study_is_one_new_file(ablations):
    study = {
        "title": "How deep?",
        "source": "ours",
        "cells": [
            {"task": "unconditional", "variant": "dmp,depth=1"},
            {"task": "unconditional", "variant": "dmp"},
        ],
        "comparisons": [{"variant": "dmp,depth=1", "against": "dmp"}],
    }
    before = set(load_plan("digits", ablations).runs())
    (ablations / "studies/depth.yaml").write_text(yaml.safe_dump(study))
    plan = load_plan("digits", ablations)
    new = {("unconditional", "dmp,depth=1", seed) for seed in range(3)}
    assert set(plan.runs()) == before | new
    assert plan.studies["depth"].comparisons[0].task == "unconditional"


def test_more_seeds_leave_earlier_runs_as_they_are(ablations):
    def hashes(plan):
        return {run: plan.run(*run).hash for run in plan.runs()}

    path = ablations / "scales/digits.yaml"
    edit_yaml(path, lambda d: d.update(baseline_seeds=2))
    before = hashes(load_plan("digits", ablations))
    edit_yaml(path, lambda d: d.update(seeds=5))
    after = hashes(load_plan("digits", ablations))
    assert before.items() <= after.items()
    assert len(after) > len(before)


def test_seeds_are_nested_in_baselines(ablations):
    edit_yaml(ablations / "scales/digits.yaml", lambda d: d.update(seeds=4, baseline_seeds=2))
    plan = load_plan("digits", ablations)
    assert [plan.baseline_seed(seed) for seed in plan.seeds] == [0, 1, 0, 1]
    assert {seed for _, seed in plan.baselines()} == {0, 1}


def test_edit_of_one_stage_changes_only_what_depends_on_it(ablations):
    def slices(plan):
        return (
            plan.slice("pretraining", "unconditional", seed=0),
            plan.slice("training", "unconditional", "dmp", 0),
            plan.slice("run", "unconditional", "dmp", 0),
        )

    path = ablations / "scales/digits.yaml"
    before = slices(load_plan("digits", ablations))
    edit_yaml(path, lambda d: d["defaults"]["training"].update(iterations=120))
    trained = slices(load_plan("digits", ablations))
    assert [a == b for a, b in zip(before, trained, strict=True)] == [True, False, False]
    edit_yaml(path, lambda d: d["defaults"]["evaluation"].update(bins=5))
    evaluated = slices(load_plan("digits", ablations))
    assert trained[1] == evaluated[1]
    assert trained[2] != evaluated[2]


SCALE, STUDY = "scales/digits.yaml", "studies/table3.yaml"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            SCALE,
            lambda d: d.update(sedes=3),
            r"digits.yaml: unknown key 'sedes': did you mean 'seeds'\?",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["training"].update(learning_rat=1),
            r"unknown key 'tasks.unconditional.training.learning_rat': did you mean 'learning",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["data"].update(name="digitz"),
            r"digits.yaml: tasks.\S+.data.name: unknown dataset 'digitz': did you mean 'digits'\?",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["backbone"].update(patch_size=3),
            r"patch_size = 3 does not divide the 8-pixel images of 'digits'",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["backbone"].update(num_heads=7),
            r"hidden_size = \d+ is not a multiple of 4 × num_heads = 28",
        ),
        (
            SCALE,
            lambda d: d["tasks"]["unconditional"].update(sampling={"guidance_scale": 2.0}),
            r"tasks.unconditional.sampling.guidance_scale = 2.0 needs .* label_dropout > 0",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["sampling"].update(steps=2000),
            r"sampling.steps = 2000 is more than the 1000 timesteps",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["evaluation"].update(bins=1001),
            r"evaluation.bins = 1001 is more than the 1000 timesteps",
        ),
        (
            SCALE,
            lambda d: d["defaults"]["pretraining"].update(convergence_every=5000),
            r"checkpoints 5000 iterations apart do not fit into",
        ),
        (
            STUDY,
            lambda d: d["cells"][0].update(variant="dmp,depth=13"),
            r"table3.yaml: cells.0: variant 'dmp,depth=13'.*has 6 blocks; accepted: 1 to 6",
        ),
        (
            STUDY,
            lambda d: d["cells"][0].update(task="unconditional-larg"),
            r"table3.yaml: cells.0: unknown task 'unconditional-larg': did you mean 'uncondit",
        ),
        (
            STUDY,
            lambda d: d["comparisons"][0].update(variant="dmp,depth=1"),
            r"comparisons.0: no task of the study has both 'dmp,depth=1' and 'baseline'",
        ),
        (
            STUDY,
            lambda d: d["comparisons"][0].update(claims=["C99"]),
            r"comparisons.0: unknown claim 'C99': .*accepted: C01, C03",
        ),
        (
            STUDY,
            lambda d: d["cells"].append(dict(d["cells"][0])),
            r"the cell unconditional-large/baseline is given twice",
        ),
    ],
)
def test_bad_input_names_file_key_value_and_what_is_accepted(ablations, file, change, message):
    edit_yaml(ablations / file, change)
    with pytest.raises(DMPError, match=message):
        load_plan("digits", ablations)


def test_unknown_scale_and_study_name_the_known_ones(ablations):
    with pytest.raises(DMPError, match=r"unknown scale 'digit'.*did you mean 'digits'\?"):
        load_plan("digit", ablations)
    with pytest.raises(DMPError, match=r"unknown study 'table9'.*table2"):
        load_plan("digits", ablations).study("table9")


def test_task_that_the_scale_leaves_out_says_why(ablations):
    plan = load_plan("digits", ablations)
    with pytest.raises(DMPError, match=r"'stable-diffusion' is not run at scale 'digits': needs"):
        plan.run("stable-diffusion", "dmp", 0)


def test_key_given_twice_is_refused(ablations):
    path = ablations / SCALE
    path.write_text(path.read_text() + "\nseeds: 9\n")
    with pytest.raises(DMPError, match=r"digits.yaml: key 'seeds' is given twice"):
        load_plan("digits", ablations)


def test_file_that_is_no_yaml_is_named(ablations):
    (ablations / STUDY).write_text("title: [")
    with pytest.raises(DMPError, match=r"table3.yaml is not valid YAML"):
        load_plan("digits", ablations)
