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
            {"task": "unconditional", "variant": "dmp,depth=2"},
            {"task": "unconditional", "variant": "dmp"},
        ],
        "comparisons": [{"variant": "dmp,depth=2", "against": "dmp"}],
    }
    before = set(load_plan("digits", ablations).runs())
    (ablations / "studies/depth.yaml").write_text(yaml.safe_dump(study))
    plan = load_plan("digits", ablations)
    new = {("unconditional", "dmp,depth=2", seed) for seed in plan.seeds}
    assert set(plan.runs()) == before | new
    assert plan.studies["depth"].comparisons[0].task == "unconditional"


def test_scopes_part_the_studies_and_claims_belong_to_the_tables(ablations):
    plan = load_plan("digits", ablations)
    tables, studies = set(plan.variants("tables")), set(plan.variants("studies"))
    assert set(plan.variants()) == tables | studies
    assert set(plan.variants("claims")) <= tables
    assert set(plan.variants("mechanism")) <= studies
    assert plan.targeted("tables")[:4] == ["figure2", "figure4", "figure5", "figure6"]
    shutil.copy(ablations / "studies/init.yaml", ablations / "studies/tables.yaml")
    with pytest.raises(DMPError, match="no study may be called 'tables'"):
        load_plan("digits", ablations)


def test_a_single_claim_is_a_scope(ablations):
    """Who doubts one verdict adds baselines for that one alone."""
    plan = load_plan("digits", ablations)
    tested = {id: page for id, page in plan.judged_one_by_one.items() if plan.variants(id)}
    for page in ("claims", "hypotheses"):
        alone = [set(plan.variants(id)) for id, own in tested.items() if own == page]
        drawn = {(c.task, v) for c in plan.judged[page].curves for v in c.variants}
        assert set.union(*alone) | drawn >= set(plan.variants(page))
    recipes = ("baseline", "baseline,recipe=decayed", "dmp,recipe=decayed")
    assert plan.variants("H5") == [("unconditional", variant) for variant in recipes]
    shutil.copy(ablations / "studies/init.yaml", ablations / "studies/H5.yaml")
    with pytest.raises(DMPError, match="'H5', which is the id of one of the hypotheses"):
        load_plan("digits", ablations)


def test_a_look_at_more_baselines_costs_level_at_its_own_scale_alone(ablations):
    edit_yaml(ablations / "hypotheses.yaml", lambda data: data.update(looks={"digits": 2}))
    assert load_plan("digits", ablations).hypotheses.at("digits").each_way == 0.0125
    assert load_plan("digits", ablations).hypotheses.at("mnist").each_way == 0.025
    edit_yaml(ablations / "hypotheses.yaml", lambda data: data.update(looks={"digit": 2}))
    with pytest.raises(DMPError, match=r"hypotheses.yaml: looks: unknown scale 'digit': did you"):
        load_plan("digits", ablations)


def test_number_of_seeds_can_be_given(ablations):
    plan = load_plan("digits", ablations, seeds=7)
    assert plan.seeds == list(range(7))
    run = ("unconditional", "dmp", 1)
    assert plan.run(*run).hash == load_plan("digits", ablations).run(*run).hash


def test_learning_rate_is_divided_by_the_number_of_tokens(ablations):
    plan = load_plan("digits", ablations)
    plain, lowered, tenth = (
        plan.run("unconditional", variant, 0).config.training.learning_rate
        for variant in (
            "prompt-tuning",
            "prompt-tuning,learning_rate_factor=one-over-n",
            "prompt-tuning,learning_rate_factor=0.1",
        )
    )
    assert lowered == plain / 16
    assert tenth == pytest.approx(plain / 10)


def test_sizes_of_further_training_are_given_relative_to_the_scale(ablations):
    """So that one study fits every scale."""
    for scale in ("digits", "paper"):
        plan = load_plan(scale, ablations)
        plain = plan.run("unconditional", "dmp", 0).config
        half = plan.run("unconditional", "dmp,iterations_factor=0.5", 0).config.training
        averaged = plan.run("unconditional", "dmp,ema_decay=baseline", 0).config.training
        assert half.iterations * 2 == plain.training.iterations
        assert averaged.ema_decay == plain.pretraining.ema_decay is not None
        assert plain.training.ema_decay is None


def test_training_that_does_not_fit_the_scale_is_told_with_its_variant_and_task(ablations):
    where = "variant 'dmp,iterations=7' of task 'unconditional-large'"
    with pytest.raises(DMPError, match=rf"{where}.*curve = 5 does not divide iterations = 7"):
        load_plan("digits", ablations).run("unconditional-large", "dmp,iterations=7", 0)


def test_speed_is_measured_of_what_the_claims_compare_and_of_nothing_without_them(ablations):
    timed = {"unconditional": ["baseline", "dmp", "fine-tuning"]}
    assert load_plan("smoke", ablations).speed_arms() == timed
    (ablations / "claims.yaml").unlink()
    assert load_plan("smoke", ablations).speed_arms() == {}


def test_continued_training_is_the_baselines_own(ablations):
    run = load_plan("digits", ablations).run("class-conditional", "continued", 0)
    for name in ("batch_size", "learning_rate", "ema_decay"):
        assert getattr(run.config.training, name) == getattr(run.config.pretraining, name)
    assert run.config.training.iterations == 200


def test_snapshots_are_those_of_the_curve_and_the_start_where_it_differs(ablations):
    plan = load_plan("digits", ablations)
    assert plan.run("unconditional-large", "dmp", 0).snapshots == [40, 80, 120, 160]
    assert plan.run("unconditional-large", "baseline", 0).snapshots == []
    assert plan.run("unconditional", "dmp", 0).snapshots == []
    assert plan.run("unconditional", "dmp,position=prepend", 0).snapshots == [0]
    assert plan.run("unconditional", "dmp,prompt_init=0.2", 0).snapshots == [0]


def test_every_disagreement_of_priority_a_is_an_option_of_the_discrepancies(ablations):
    """Each names the option that isolates it, and the study or the paper's tables run it."""
    plan = load_plan("digits", ablations)
    run = {variant for task, variant in plan.variants() if task == "unconditional"}
    assert run >= {
        "prompt-tuning,weights=one-over-n", "dmp,weights=n-softmax", "dmp,weights=sigmoid",
        "dmp,mixture=pool", "dmp,condition=t+c", "dmp,block_index=normalised",
        "dmp,block_index=embedded", "dmp,block_index=own-gate", "dmp,selection=uniform",
        "dmp,gate_noise=true", "dmp,prompt_init=0.02", "dmp,gate_learning_rate_factor=10",
        "dmp,hard_weights=renormalised,type=hard", "dmp,hard_weights=one-over-k,type=hard",
        "dmp,gate_noise=true,load=smooth", "dmp,gate_noise=true,load=probability,type=hard",
        "dmp,importance=summed", "dmp,importance=batch", "dmp,importance=per-block-mean",
        "dmp,load_weight=0", "dmp,importance_weight=0", "dmp,gate=attention-literal",
        "dmp,gate=attention-released", "dmp,ema_decay=baseline", "fine-tuning,ema_decay=baseline",
        "dmp,position=prepend", "dmp,iterations_factor=0.5", "released",
        "dmp,hard_weights=renormalised,importance_on=applied,type=hard",
        "dmp,depth=half,position=prepend,prepended=stays,prompts=0.195",
    }  # fmt: skip


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
            lambda d: d["tasks"]["unconditional"].update(sampling={"guidance_scale": 2.0}),
            r"tasks.unconditional.sampling.guidance_scale = 2.0 needs .* label_dropout > 0",
        ),
        (
            STUDY,
            lambda d: d["comparisons"][0].update(variant="dmp,depth=1"),
            r"comparisons.0: no task of the study has both 'dmp,depth=1' and 'baseline'",
        ),
        (
            "studies/pairing.yaml",
            lambda d: d["variance"].update(variant="dmp,depth=1"),
            r"variance.0: no task of the study has both 'dmp,depth=1' and 'baseline'",
        ),
        (
            "claims.yaml",
            lambda d: d["claims"][0]["evidence"][0].update(variant="dpm"),
            r"claims.yaml: .*unknown method 'dpm'",
        ),
        (
            "claims.yaml",
            lambda d: d["claims"][0]["evidence"][0].update(variant="dmp,depth=13"),
            r"claims.yaml: variant 'dmp,depth=13'.*has 6 blocks",
        ),
        (
            "scales/digits.yaml",
            lambda d: d["tasks"]["text-conditional"].update(text=None),
            r"digits.yaml: 'tasks.text-conditional'.*text must be given with conditioning = text",
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


def test_sizes_of_images_on_disk_are_compared_too(ablations):
    def change(data: dict) -> None:
        data["defaults"]["evaluation"].update(kid_subset_size=45)

    edit_yaml(ablations / "scales/paper-smoke.yaml", change)
    with pytest.raises(DMPError, match=r"kid_subset_size = 45 is more than the 40 samples"):
        load_plan("paper-smoke", ablations)
    edit_yaml(
        ablations / "scales/paper-smoke.yaml",
        lambda d: d["defaults"]["sampling"].update(samples=64),
    )
    with pytest.raises(DMPError, match=r"kid_subset_size = 45 is more than the \d+ real images"):
        load_plan("paper-smoke", ablations)


def test_an_extractor_without_logits_leaves_the_inception_score_out_and_says_why(ablations):
    def change(data: dict) -> None:
        data["defaults"]["evaluation"].update(extractor={"name": "dinov2-vit-b-14"})

    edit_yaml(ablations / SCALE, change)
    cells = load_plan("digits", ablations).studies["table2"].cells
    told = [cell.unmeasured for cell in cells if not cell.not_run]
    assert told
    assert all(
        each == {"inception_score": "the extractor dinov2-vit-b-14 has no logits"} for each in told
    )
