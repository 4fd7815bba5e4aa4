"""A trial is a run like any other: the same code, the same files, computed once."""

import json
import shutil
from pathlib import Path

import optuna
import pandas as pd
import pytest
import torch
import yaml
from harness import ROOT, edit_yaml, make_tiny

from dmp.config import PatchConfig
from dmp.files import write_json
from dmp.stages.common import Context
from dmp.stages.data import task_data
from dmp.stages.evaluate import evaluate_run
from dmp.stages.prepare import make_reference, train_extractor
from dmp.stages.pretrain import pretrain
from dmp.stages.run import complete_run
from dmp.stages.sample import sample_run
from dmp.stages.sweep import added_parameters, confirm_variant, make_objective, read_values
from dmp.statistics.results import read_csv
from dmp.studies import load_plan
from dmp.sweeps.files import CONFIRMED_COLUMNS, SweepFiles
from dmp.sweeps.loading import fresh_seeds, load_space, load_sweep, study_name
from dmp.sweeps.outcome import ImpossibleError, PrunedError
from dmp.sweeps.report import write_report
from dmp.sweeps.storage import load_study, open_storage
from dmp.sweeps.trials import point_variant
from dmp.sweeps.worker import COMPUTED, VARIANT, Search
from dmp.tensorfile import load_tensors, save_tensors


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tiny scale with its baseline, and a sweep over two depths."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = tmp_path_factory.mktemp("stage")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d.update(seeds=1))
    sweep = {
        "title": "A tiny sweep",
        "task": "unconditional",
        "base": "dmp",
        "objectives": ["fid", "added_parameters"],
        "sampler": {"kind": "qmc"},
        "trials": 4,
        "parameters": [{"name": "depth", "kind": "int", "low": 1, "high": "blocks"}],
        "confirmation": {"points": 1, "seeds": 2},
    }
    (ablations / "sweeps/tiny.yaml").write_text(yaml.safe_dump(sweep))
    context = Context.open(load_plan("smoke", ablations), folder / "results")
    train_extractor(context, "digits")
    make_reference(context, "unconditional")
    pretrain(context, "unconditional", 0)
    return context, ablations


@pytest.fixture
def context(place):
    return place[0]


@pytest.fixture
def sweep(place):
    return load_sweep(place[1], "tiny")


def never(*_):
    raise AssertionError("a sweep without pruning reports nothing")


def test_sweep_from_trials_to_page(place, sweep):
    context, ablations = place
    plan = context.plan
    files = SweepFiles(context.layout, "tiny")
    storage, name = open_storage(files.journal), study_name(sweep, plan)
    # A study has computed one of the points before.
    known = plan.run("unconditional", "dmp,depth=1", 0)
    complete_run(context, known)
    before = context.layout.metrics("unconditional", "dmp,depth=1", 0).stat().st_mtime_ns

    search = Search(sweep, load_space(ablations, sweep, plan), files, storage, name)
    assert search.work(make_objective(context, sweep)) == 4
    study = load_study(storage, name)
    trials = study.get_trials()
    # Of four trials over two depths, the other depth alone was computed, and once.
    assert sum(trial.user_attrs[COMPUTED] for trial in trials) == 1
    metrics = context.layout.metrics("unconditional", "dmp,depth=1", 0)
    assert metrics.stat().st_mtime_ns == before
    table = pd.read_csv(metrics)
    fid = table.loc[(table["metric"] == "fid") & (table["iteration"] == 10), "value"].item()
    values = {trial.user_attrs[VARIANT]: trial.values for trial in trials}
    # One block: 16 prompts of 32 numbers, and a gate from 32 + 1 numbers to 16 with biases.
    assert values["dmp,depth=1"] == [fid, 16 * 32 + 33 * 16 + 16]

    for point in (0, 1):
        variant = point_variant(sweep, study, point)
        confirm_variant(context, sweep, variant, point)
    assert fresh_seeds(sweep, plan) == [1, 2]
    confirmed = pd.read_csv(files.confirmation(0))
    assert list(confirmed["seed"]) == [1, 2]
    for row in confirmed.itertuples():
        measured = pd.read_csv(context.layout.metrics("unconditional", "dmp", row.seed))
        found = measured[(measured["metric"] == "fid") & (measured["iteration"] == 10)]
        assert found["value"].item() == row.fid
    write_report(plan, sweep, files, study)
    assert (files.root / "tiny.md").is_file()


def test_run_of_another_configuration_is_computed_again(context, sweep):
    objective = make_objective(context, sweep)
    first = objective("dmp,depth=1", never)
    folder = context.layout.run("unconditional", "dmp,depth=1", 0)
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | {"hash": "another"})
    again = objective("dmp,depth=1", never)
    assert again.computed == 1
    assert again.values == first.values
    assert objective("dmp,depth=1", never).computed == 0


def test_diverged_run_has_no_values(context, sweep):
    outcome = make_objective(context, sweep)("fine-tuning,learning_rate=100", never)
    assert outcome.values is None
    files = SweepFiles(context.layout, "tiny")
    confirm_variant(context, sweep, None, 9)
    assert len(read_csv(files.confirmation(9), CONFIRMED_COLUMNS)) == 0
    confirm_variant(context, sweep, "fine-tuning,learning_rate=100", 8)
    confirmed = read_csv(files.confirmation(8), CONFIRMED_COLUMNS)
    assert confirmed["diverged"].all()
    assert confirmed["fid"].isna().all()


def test_run_whose_weights_are_finite_and_whose_losses_are_not_has_diverged(context, sweep):
    run = context.plan.run("unconditional", "dmp,gate_init=0.5", 0)
    complete_run(context, run)
    path = context.layout.weights(run.task, run.variant, run.seed)
    tensors, description = load_tensors(path)
    huge = {name: torch.full_like(t, 3e38) for name, t in tensors.items() if name == "prompts"}
    save_tensors(path, tensors | huge, description)
    data = task_data(context, run.task, run.config)
    sample_run(context, run, data)
    evaluate_run(context, run, data)
    assert read_values(context.layout, run) is None
    outcome = make_objective(context, sweep)(run.variant, never)
    assert outcome.ordered(sweep) is None


def test_point_that_does_not_fit_the_model_is_told_before_anything_is_computed(
    context, sweep, monkeypatch
):
    monkeypatch.setattr("dmp.stages.sweep.compute", lambda *_, **__: pytest.fail("is computed"))
    monkeypatch.setattr(PatchConfig, "check_grid", lambda *_: None)
    # What the configuration lets pass, the model refuses.
    with pytest.raises(ImpossibleError, match="nearest cannot spread 3 x 3 prompts over 4 x 4"):
        make_objective(context, sweep)("dmp,grid=3,resize=nearest", never)


@pytest.mark.parametrize(
    "variant", ["dmp", "dmp,depth=1", "dmp,position=prepend,prompts=3", "prompt-tuning"]
)
def test_added_parameters_are_those_of_the_saved_patch(context, variant):
    run = context.plan.run("unconditional", variant, 0)
    blocks = 1 if "depth=1" in variant else 2
    prompts = 3 if "prompts=3" in variant else 16
    gate = 0 if run.method == "prompt-tuning" else 33 * prompts + prompts
    assert added_parameters(context, run) == blocks * prompts * 32 + gate


def test_watched_run_ends_as_any_other_and_a_pruned_one_goes_on_later(place):
    context, ablations = place
    data = yaml.safe_load((ablations / "sweeps/tiny.yaml").read_text())
    data |= {"objectives": ["denoising_mse"], "pruning": {"at": [0.3, 0.7], "startup": 1}}
    (ablations / "sweeps/pruned.yaml").write_text(yaml.safe_dump(data))
    objective = make_objective(context, load_sweep(ablations, "pruned"))
    # Options of which the patch knows whether it is trained or looked at.
    variant = "dmp,gate_noise=true,prompt_init=0.02"
    run = context.plan.run("unconditional", variant, 0)
    folder = context.layout.run("unconditional", run.variant, 0)
    complete_run(context, run)
    plain = {name: (folder / name).read_bytes() for name in ("weights.safetensors", "metrics.csv")}
    shutil.rmtree(folder)

    def prune(iteration, loss):
        assert iteration == 3
        raise PrunedError

    with pytest.raises(PrunedError):
        objective(variant, prune)
    assert not (folder / "metrics.csv").exists()
    seen = {}
    objective(variant, lambda iteration, loss: seen.update({iteration: loss}))
    assert sorted(seen) == [3, 7]
    assert {name: (folder / name).read_bytes() for name in plain} == plain
    # The loss on the way is what a run of so many iterations ends with.
    shorter = context.plan.run("unconditional", f"{variant},iterations=7", 0)
    complete_run(context, shorter)
    assert seen[7] == read_values(context.layout, shorter)["denoising_mse"]
