"""The text-conditional task from captions to numbers, and mnist's token geometry on a CPU."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import ROOT, edit_yaml

from dmp.errors import DMPError
from dmp.files import read_json
from dmp.methods import Variant
from dmp.stages import speed
from dmp.stages.common import Context
from dmp.stages.data import task_data
from dmp.stages.prepare import encode_captions, make_reference, train_extractor
from dmp.stages.pretrain import pretrain
from dmp.stages.run import complete_run
from dmp.stages.speed import measure_speed
from dmp.studies import load_plan

TASK = "text-conditional"


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> Context:
    folder = tmp_path_factory.mktemp("text")
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def small(data: dict) -> None:
        data["defaults"]["pretraining"].update(iterations=20, convergence_every=5)
        data["defaults"]["pretraining"].update(checkpoint_every=10, convergence_samples=40)
        data["defaults"]["training"].update(iterations=9)
        data["defaults"]["sampling"].update(steps=3, samples=110)

    edit_yaml(ablations / "scales/smoke.yaml", small)
    context = Context.open(load_plan("smoke", ablations), folder / "results")
    train_extractor(context, "digits")
    make_reference(context, TASK)
    encode_captions(context, TASK)
    pretrain(context, TASK, 0)
    return context


def test_samples_follow_captions_that_training_never_sees(context):
    run = context.plan.run(TASK, "dmp,condition=t+c", 0)
    complete_run(context, run)
    data = task_data(context, TASK, run.config)
    with np.load(context.layout.samples(TASK, run.variant, 0)) as file:
        labels = file["labels"]
    assert set(labels.tolist()) == set(data.captions.test.ravel().tolist())
    assert np.bincount(labels).max() - np.bincount(labels)[data.captions.test.ravel()].min() <= 1
    metrics = pd.read_csv(context.layout.metrics(TASK, run.variant, 0))
    protocols = read_json(context.layout.run(TASK, run.variant, 0) / "protocols.json")
    fid = metrics[metrics["metric"] == "fid"].iloc[0]
    assert protocols[fid["protocol"]]["labels"] == "captions of the test split"


def test_held_out_images_have_test_captions_of_their_own_label(context):
    run = context.plan.run(TASK, "baseline", 0)
    data = task_data(context, TASK, run.config)
    classes = task_data(context, "class-conditional", context.plan.scale.tasks["class-conditional"])
    for caption, label in zip(data.held_out.labels, classes.held_out.labels, strict=True):
        assert caption in data.captions.test[label]
    for caption, label in zip(data.seen.labels, classes.seen.labels, strict=True):
        assert caption in data.captions.train[label]


def test_captions_of_a_task_without_text_are_refused(context):
    with pytest.raises(DMPError, match=r"'unconditional' has no captions: .* is none"):
        encode_captions(context, "unconditional")


def test_speed_is_measured_for_the_arms_that_the_claims_name(context, monkeypatch):
    monkeypatch.setattr(speed, "FEWEST", 3)  # no more: of scale smoke nothing is concluded
    monkeypatch.setattr(speed, "TURNS", 2)
    make_reference(context, "unconditional")
    pretrain(context, "unconditional", 0)
    measure_speed(context)
    table = pd.read_csv(context.layout.speed_table)
    arms = context.plan.speed_arms()
    assert set(table["variant"]) == {Variant.parse(v).name for v in arms["unconditional"]}
    assert (table["seconds"] > 0).all()
    counts = table.groupby(["variant", "stage"])["repeat"].nunique()
    assert (counts == 3).all()
    # The baseline is not trained further.
    assert ("baseline", "training") not in counts.index
    assert len(counts) == 2 * len(arms["unconditional"]) - 1


@pytest.fixture(scope="module")
def mnist(tmp_path_factory) -> Context:
    """The paper's token geometry, with a baseline that has hardly trained."""
    plan = load_plan("mnist-smoke", ROOT / "ablations")
    context = Context.open(plan, tmp_path_factory.mktemp("mnist"))
    train_extractor(context, "mnist5k")
    make_reference(context, "unconditional")
    pretrain(context, "unconditional", 0)
    return context


def test_papers_token_geometry_runs_on_mnist(mnist):
    run = mnist.plan.run("unconditional", "dmp,position=prepend,prompts=0.195", 0)
    complete_run(mnist, run)
    with np.load(mnist.layout.gate("unconditional", run.variant, 0)) as file:
        assert file["weights"].shape == (10, 2, 50)
    with np.load(mnist.layout.samples("unconditional", run.variant, 0)) as file:
        assert file["images"].shape == (64, 1, 32, 32)


def test_patch_is_measured_at_other_resolutions_and_may_be_trained_there(mnist):
    names = ["baseline", "dmp,resize=bicubic", "dmp,resize=bicubic,resolution=24", "dmp"]
    found = {}
    for name in names:
        run = mnist.plan.run("unconditional", name, 0)
        complete_run(mnist, run)
        table = pd.read_csv(mnist.layout.metrics("unconditional", run.variant, 0))
        whole = table[table["bin"] == "all"].set_index("metric")["value"]
        found[name] = whole[whole.index.str.contains("denoising_mse")]
    resized = [f"resized_denoising_mse/{edge}" for edge in (24, 40)]
    for name in names[:3]:
        assert np.isfinite(found[name][resized]).all()
    # Prompts of one for each token belong to one resolution.
    assert not set(resized) & set(found["dmp"].index)
    # At its own resolution an interpolated patch is the same as any.
    assert found["dmp"]["denoising_mse"] == found["dmp,resize=bicubic"]["denoising_mse"]
    # Six iterations change something at each resolution, whichever the patch was trained at.
    everywhere = found["baseline"].index
    for name in names[1:3]:
        assert (found[name][everywhere] != found["baseline"]).all()
    with np.load(mnist.layout.gate("unconditional", names[2], 0)) as file:
        assert file["weights"].shape == (10, 2, 144)


@pytest.mark.parametrize(("grid", "fits"), [(4, True), (8, False)])
def test_prompts_in_blocks_are_measured_where_blocks_fit(mnist, grid, fits):
    """Images of 24 and 40 pixels are 12 and 20 tokens wide; those of 32 are 16."""
    run = mnist.plan.run("unconditional", f"dmp,grid={grid},resize=nearest", 0)
    complete_run(mnist, run)
    metrics = pd.read_csv(mnist.layout.metrics("unconditional", run.variant, 0))["metric"]
    assert "denoising_mse" in set(metrics)
    resized = {f"resized_denoising_mse/{edge}" for edge in (24, 40)}
    assert resized & set(metrics) == (resized if fits else set())
