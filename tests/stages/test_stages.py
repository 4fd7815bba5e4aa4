"""The stages of a run: in one process or apart, killed or not, they give the same bytes."""

import contextlib
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from harness import ROOT, edit_yaml, make_tiny
from torch import nn

from dmp.errors import DMPError
from dmp.files import read_json, write_json
from dmp.layout import Layout
from dmp.methods import base
from dmp.methods.selective import Selective
from dmp.metrics import registry
from dmp.metrics.base import REGISTERED
from dmp.products.product import Product
from dmp.running.holding import try_hold
from dmp.stages import pretrain as stages_pretrain
from dmp.stages import run as stages_run
from dmp.stages.collect import collect
from dmp.stages.common import Context, load_weights, pretrained_backbone
from dmp.stages.converge import converge
from dmp.stages.data import TaskData, task_data
from dmp.stages.evaluate import evaluate_run
from dmp.stages.pages import write_pages
from dmp.stages.prepare import make_reference, train_extractor
from dmp.stages.pretrain import pretrain
from dmp.stages.run import complete_run, train_run
from dmp.stages.sample import sample_run
from dmp.statistics.formatting import format_number
from dmp.statistics.results import read_results
from dmp.statistics.study import comparisons
from dmp.studies import load_plan
from dmp.studies.run import RunConfig
from dmp.tensorfile import load_tensors, save_tensors

TASK = "unconditional"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, Path]:
    """Ablations and results with extractor, reference and two baselines."""
    folder = tmp_path_factory.mktemp("stages")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d.update(seeds=4, baseline_seeds=2))
    context = Context.open(load_plan("smoke", ablations), folder / "results")
    train_extractor(context, "digits")
    make_reference(context, TASK)
    for seed in (0, 1):
        pretrain(context, TASK, seed)
        converge(context, TASK, seed)
    return ablations, folder / "results"


@pytest.fixture
def context(prepared, tmp_path) -> Context:
    """A context of its own for each test, on a copy of what is prepared."""
    ablations, results = prepared
    shutil.copytree(results, tmp_path / "results")
    return Context.open(load_plan("smoke", ablations), tmp_path / "results")


def data_of(context: Context, run: RunConfig) -> TaskData:
    return task_data(context, TASK, run.config)


def completed(context: Context, variant: str, seed: int = 0) -> RunConfig:
    run = context.plan.run(TASK, variant, seed)
    complete_run(context, run)
    return run


def trained(context: Context, variant: str = "dmp") -> RunConfig:
    run = context.plan.run(TASK, variant, 0)
    train_run(context, run, data_of(context, run))
    return run


def files(layout: Layout, run) -> dict[str, bytes]:
    folder = layout.run(run.task, run.variant, run.seed)
    names = ("metrics.csv", "protocols.json", "weights.safetensors", "samples.png")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    "variant",
    [
        *("baseline", "fine-tuning", "prompt-tuning", "dmp", "continued", "released"),
        *("fine-tuning,ema_decay=0.9", "dmp,position=prepend", "dmp,prompt_init=0.1"),
        *("lora", "ia3", "bitfit", "adaln", "difffit"),
    ],
)
def test_stages_apart_give_the_bytes_of_stages_together(context, variant):
    run = completed(context, variant)
    together = files(context.layout, run)
    shutil.rmtree(context.layout.run(TASK, variant, 0))
    data = data_of(context, run)
    train_run(context, run, data)
    sample_run(context, run, data)
    evaluate_run(context, run, data)
    assert files(context.layout, run) == together


def test_a_method_of_another_package_is_run_like_our_own(context, monkeypatch):
    """One class, registered by its name: no edit anywhere else."""

    class ReadOut(Selective):
        """The last layer trains."""

        name = "read-out"

        def chosen(self, backbone: nn.Module) -> list[str]:
            return [n for n, _ in backbone.named_parameters() if n.startswith("final_layer.linear")]

    monkeypatch.setitem(base._METHODS, "read-out", ReadOut())
    run = completed(context, "read-out,learning_rate_factor=3")
    layout = context.layout
    assert set(load_tensors(layout.weights(TASK, run.variant, 0))[0]) == {
        "final_layer.linear.weight",
        "final_layer.linear.bias",
    }
    assert np.isfinite(metrics(context, run)["fid", "all"]).all()
    assert read_json(layout.run(TASK, run.variant, 0) / "config.json")["config"]["method"] == (
        "read-out"
    )


def test_baseline_trains_nothing_and_dmp_saves_only_the_patch(context):
    for variant, names in (("baseline", set()), ("dmp", {"prompts", "gate.linear.weight"})):
        trained(context, variant)
        tensors, _ = load_tensors(context.layout.weights(TASK, variant, 0))
        assert names <= set(tensors)
        assert len(tensors) <= 3


def metrics(context: Context, run) -> pd.DataFrame:
    table = pd.read_csv(context.layout.metrics(run.task, run.variant, run.seed))
    return table.set_index(["metric", "bin", "iteration"])["value"].sort_index()


def with_task(context: Context, task) -> Context:
    """The context with its one task changed."""
    scale = context.plan.scale.model_copy(update={"tasks": {TASK: task}})
    return replace(context, plan=replace(context.plan, scale=scale))


def test_patch_that_is_no_no_op_is_measured_before_training_too(context):
    baseline, prepend = (completed(context, v) for v in ("baseline", "dmp,position=prepend"))
    found = metrics(context, prepend)
    assert {0, 10} == set(found.loc["fid", "all"].index)
    before = metrics(context, baseline)["denoising_mse", "all", 0]
    # Zero keys take attention away from the tokens.
    assert found["denoising_mse", "all", 0] != pytest.approx(before, rel=1e-6)


def test_curve_is_measured_on_the_way(context):
    task = context.plan.scale.tasks[TASK]
    training = task.training.model_copy(update={"curve": 2})
    other = with_task(context, task.model_copy(update={"training": training}))
    run = completed(other, "dmp")
    assert set(metrics(other, run).loc["fid", "all"].index) == {5, 10}
    # The rest of the run is that of one without a curve.
    with_curve = metrics(other, run)
    without = metrics(context, completed(context, "dmp"))
    assert with_curve["fid", "all", 10] == without["fid", "all", 10]


def test_training_that_is_not_finite_is_an_outcome_of_the_run(context):
    run = completed(context, "fine-tuning,learning_rate=100")
    assert metrics(context, run).to_dict() == {("diverged", "all", 10): 1.0}
    assert metrics(context, completed(context, "dmp"))["diverged", "all", 10] == 0


def test_held_out_loss_beyond_the_threshold_counts_as_diverged(context):
    run = completed(context, "prompt-tuning,prompt_init=200")
    path = context.layout.baseline_loss(TASK, 0)
    record = read_json(path)
    for baseline, diverged in ((0.8, 0), (0.5, 1)):
        write_json(path, record | {"mse": baseline})
        evaluate_run(context, run, data_of(context, run))
        found = metrics(context, run)
        assert (found["denoising_mse", "all", 10] > 1.5 * baseline) == diverged
        assert found["diverged", "all", 10] == diverged


BRIGHTNESS = """
from dmp.metrics.base import SampleMetric, register

@register
class Brightness(SampleMetric):
    name, label, better, unit = "brightness", "Brightness", "higher", "grey levels"

    def compute(self, samples):
        return samples.images().mean()
"""


@pytest.fixture
def brightness(tmp_path, monkeypatch):
    """Another package, installed, that brings a metric."""
    (tmp_path / "foreign_metrics.py").write_text(BRIGHTNESS)
    installed = tmp_path / "foreign-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[dmp.metrics]\nb = foreign_metrics\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._load.cache_clear()
    yield
    REGISTERED.pop("brightness", None)
    sys.modules.pop("foreign_metrics", None)
    registry._load.cache_clear()


def test_a_metric_of_another_package_is_measured_and_tabulated(
    context, prepared, brightness, tmp_path
):
    ablations = Path(shutil.copytree(prepared[0], tmp_path / "ablations"))
    study, scale = ablations / "studies/table2.yaml", ablations / "scales/smoke.yaml"
    edit_yaml(study, lambda data: data.update(metrics=["fid", "brightness"]))
    cell = load_plan("smoke", ablations).study("table2").cells[0]
    assert cell.unmeasured == {"brightness": "evaluation.metrics of this scale does not name it"}
    edit_yaml(scale, lambda d: d["defaults"]["evaluation"].update(metrics=["brightness"]))
    plan = load_plan("smoke", ablations, seeds=1)
    other = replace(context, plan=plan)
    plain, run = (each.run(TASK, "dmp", 0) for each in (context.plan, plan))
    assert plain.fingerprint("samples") == run.fingerprint("samples")
    assert plain.fingerprint("metrics") != run.fingerprint("metrics")
    for name in plan.runs("table2"):
        complete_run(other, plan.run(*name))
    with np.load(context.layout.samples(TASK, "dmp", 0)) as file:
        expected = file["images"].mean()
    assert metrics(other, run)["brightness", "all", 10] == expected
    collect(plan, context.layout, "table2")
    write_pages(plan, context.layout, ["table2"])
    table = (context.layout.tables / "table2.md").read_text()
    assert "Brightness ↑" in table
    assert format_number(expected) in table


def test_gate_is_recorded_before_and_after_training(context):
    run = completed(context, "dmp")
    found = metrics(context, run)
    with np.load(context.layout.gate(TASK, "dmp", 0)) as file:
        weights, timesteps = file["weights"], file["timesteps"]
    assert weights.shape == (len(timesteps), 2, 16)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
    assert 0 < found["gate_entropy", "all", 0] < found["gate_entropy", "all", 10] <= np.log(16)
    plain = completed(context, "prompt-tuning")
    assert "gate_entropy" not in metrics(context, plain).index.get_level_values(0)
    with np.load(context.layout.gate(TASK, "prompt-tuning", 0)) as file:
        assert not file.files


def test_load_loss_as_written_changes_no_weight_and_no_number(context):
    """Table 4e's two pairs are repetitions of the same run."""
    outcomes = []
    for variant in ("dmp", "dmp,load_weight=0"):
        run = completed(context, variant)
        weights = load_tensors(context.layout.weights(TASK, run.variant, 0))[0]
        outcomes.append((weights, metrics(context, run)))
    (first, numbers), (second, others) = outcomes
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    pd.testing.assert_series_equal(numbers, others, check_exact=True)


def test_seeds_are_nested_in_their_baselines_and_the_statistics_follow(context):
    study = context.plan.study("table2")
    with pytest.raises(DMPError, match=r"metrics.csv does not exist: the run unconditional/base"):
        collect(context.plan, context.layout, "tables")
    for _, variant, seed in context.plan.runs("table2"):
        completed(context, variant, seed)
    collect(context.plan, context.layout, "tables")
    results = read_results(context.layout.results_table("tables"))
    nested = results.drop_duplicates(["seed"]).set_index("seed")["baseline_seed"].to_dict()
    assert nested == {0: 0, 1: 1, 2: 0, 3: 1}
    # Four seeds on two baselines: the baseline is the unit of inference.
    assert set(comparisons(results, study)["n"]) == {2}


def test_weights_that_are_not_those_of_the_configuration_are_refused(context):
    run = trained(context)
    other = context.plan.run(TASK, "dmp,selection=uniform", 0)
    source, target = (context.layout.weights(TASK, r.variant, 0) for r in (run, other))
    target.parent.mkdir(parents=True)
    shutil.copy(source, target)
    with pytest.raises(DMPError, match=r"weights.safetensors was trained under another config"):
        load_weights(context, other)
    path = context.layout.pretrained_weights(TASK, 0)
    tensors, description = load_tensors(path)
    save_tensors(path, tensors, {**description, "identity": "something else"})
    with pytest.raises(DMPError, match=r"was trained under another configuration \(something else"):
        pretrained_backbone(context, run)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DMPError, match=r"weights.safetensors is truncated or corrupt"):
        pretrained_backbone(context, run)


def test_another_sampling_seed_changes_samples_and_not_weights(context):
    prompts, images = [], []
    for name in ("dmp", "dmp,sampling_seed=7"):
        run = completed(context, name)
        prompts.append(load_tensors(context.layout.weights(TASK, run.variant, 0))[0]["prompts"])
        images.append(np.load(context.layout.samples(TASK, run.variant, 0))["images"])
    assert torch.equal(*prompts)
    assert not np.array_equal(*images)


def test_missing_reference_is_noticed_before_a_baseline_is_trained_again(context):
    context.layout.baseline_snapshot(TASK, 0, 10).unlink()
    context.layout.reference(TASK).unlink()
    with pytest.raises(DMPError, match=r"unconditional.npz does not exist"):
        converge(context, TASK, 0)
    assert not context.layout.baseline_snapshot(TASK, 0, 10).exists()


def test_baseline_is_checked_anew_without_training_and_its_weights_stay(context, capsys):
    """Another number of samples needs the same averages; averages not kept are trained again."""
    folder, path = context.layout.pretrained(TASK, 0), context.layout.convergence(TASK, 0)
    weights, before = context.layout.pretrained_weights(TASK, 0), read_json(path)
    assert before["iterations"] == [10, 20, 30, 40]
    assert len(before["fids"]) == 4
    assert weights.read_bytes() != context.layout.pretrained_weights(TASK, 1).read_bytes()
    bits, log = weights.read_bytes(), (folder / "log.jsonl").read_bytes()
    task = context.plan.scale.tasks[TASK]

    def check_with(**changes) -> dict:
        pretraining = task.pretraining.model_copy(update=changes)
        converge(with_task(context, task.model_copy(update={"pretraining": pretraining})), TASK, 0)
        assert weights.read_bytes() == bits
        assert (folder / "log.jsonl").read_bytes() == log
        return read_json(path)

    fewer = check_with(convergence_samples=32)
    assert fewer["iterations"] == before["iterations"]
    assert fewer["fids"] != before["fids"]
    assert "trained again" not in capsys.readouterr().out
    nearer = check_with(convergence_every=5)
    assert "after iterations 25, 35 have not been kept" in capsys.readouterr().out
    assert nearer["iterations"] == [25, 30, 35, 40]
    # The average after iteration 30 has the bits that it had, and so has the last.
    assert nearer["fids"][1::2] == before["fids"][2:]
    again = check_with()
    assert again["fids"] == before["fids"]


def test_what_is_there_of_a_run_is_not_computed_again(context, capsys):
    """A killed job, or another setting of a metric, costs no training and no samples."""
    run = completed(context, "dmp")
    before = files(context.layout, run)
    context.layout.metrics(TASK, "dmp", 0).unlink()
    capsys.readouterr()
    complete_run(context, run)
    said = capsys.readouterr().out
    assert "its weights are there already" in said
    assert "its samples are there already" in said
    assert files(context.layout, run) == before
    complete_run(context, run)
    assert "dmp/seed0 is there already" in capsys.readouterr().out
    # Of samples cut short on the way nothing is taken for what it should be.
    path = context.layout.samples(TASK, "dmp", 0)
    path.write_bytes(path.read_bytes()[:-1])
    complete_run(context, run)
    said = capsys.readouterr().out
    assert "its weights are there already" in said
    assert "its samples are there already" not in said
    assert files(context.layout, run) == before


def test_job_killed_after_each_piece_of_several_runs_ends_and_makes_each_once(
    context, tmp_path, monkeypatch
):
    runs = [context.plan.run(TASK, variant, 0) for variant in ("baseline", "dmp")]
    straight = Context(
        context.plan, Layout(Path(shutil.copytree(tmp_path / "results", tmp_path / "b")), "smoke"),
        context.device,
    )  # fmt: skip
    for run in runs:
        complete_run(straight, run)
    made, mark = [], Product.mark_finished

    class Killed(BaseException):
        pass

    def mark_and_die(product: Product) -> None:
        # What is there already is marked anew by its job, which makes nothing.
        made_now = not product.is_current()
        mark(product)
        if made_now:
            made.append((product.names[1], product.stage))
            raise Killed

    monkeypatch.setattr(Product, "mark_finished", mark_and_die)
    pieces = [(r.variant, stage) for r in runs for stage in ("weights", "samples", "metrics")]
    for _ in pieces:
        with pytest.raises(Killed):
            for run in runs:
                complete_run(context, run)
    for run in runs:
        complete_run(context, run)
    assert made == pieces
    for run in runs:
        assert context.layout.finished(TASK, run.variant, 0).is_file()
        assert files(context.layout, run) == files(straight.layout, run)


def test_run_older_than_its_baseline_is_computed_again(context, capsys):
    run = completed(context, "dmp")
    before = files(context.layout, run)
    shutil.rmtree(context.layout.pretrained(TASK, 0))
    pretrain(context, TASK, 0)
    capsys.readouterr()
    complete_run(context, run)
    assert "there already" not in capsys.readouterr().out
    assert files(context.layout, run) == before


def test_unfinished_training_of_another_configuration_is_kept_aside(context):
    """A damaged one is an error: nothing says that it is of another configuration."""
    run, folder = trained(context), context.layout.run(TASK, "dmp", 0)
    checkpoint = folder / "checkpoint.safetensors"
    bits = checkpoint.read_bytes()
    task = context.plan.scale.tasks[TASK]
    training = task.training.model_copy(update={"learning_rate": 0.5})
    other = with_task(context, task.model_copy(update={"training": training}))
    train_run(other, other.plan.run(TASK, "dmp", 0), data_of(context, run))
    assert (folder / "superseded.safetensors").read_bytes() == bits
    checkpoint.write_bytes(bits[:-100])
    with pytest.raises(DMPError, match=r"checkpoint.safetensors is truncated or corrupt"):
        train_run(other, other.plan.run(TASK, "dmp", 0), data_of(context, run))
    assert checkpoint.read_bytes() == bits[:-100]
    # A changed bit in what it says of its configuration is no edit.
    fingerprint = run.fingerprint("weights").encode()
    flipped = bits.replace(fingerprint, fingerprint[:-1] + bytes([fingerprint[-1] ^ 1]))
    checkpoint.write_bytes(flipped)
    with pytest.raises(DMPError, match=r"checkpoint.safetensors is truncated or corrupt"):
        train_run(context, run, data_of(context, run))
    assert checkpoint.read_bytes() == flipped


def test_killed_process_started_again_ends_with_the_same_bytes(prepared, tmp_path):
    """A real SIGKILL, as soon as the first checkpoint is on disk."""
    ablations, results = prepared
    shutil.copytree(results, tmp_path / "results")
    layout = Layout(tmp_path / "results", "smoke")
    folder = layout.pretrained(TASK, 0)
    expected = layout.pretrained_weights(TASK, 0).read_bytes()
    shutil.rmtree(folder)
    command = [
        *(sys.executable, "-c", "from dmp.cli import main; main()", "pretrain", TASK),
        *("--scale", "smoke", "--results", tmp_path / "results", "--ablations", ablations),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT) as process:
        # Reading its progress is the clock here.
        while process.stderr.read(16) and not (folder / "checkpoint.safetensors").exists():
            pass
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not layout.pretrained_weights(TASK, 0).exists()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert layout.pretrained_weights(TASK, 0).read_bytes() == expected
    assert not [path for path in folder.rglob("*") if ".tmp" in path.name]


def test_what_another_process_has_trained_meanwhile_is_not_trained_again(context, monkeypatch):
    """Such as one that a killed workflow has left behind."""
    trained(context)
    for module in (stages_run, stages_pretrain):
        monkeypatch.setattr(module, "alone", lambda *_: contextlib.nullcontext(True))
        monkeypatch.setattr(module, "fit", lambda *_, **__: pytest.fail("trained again"))
    trained(context)
    pretrain(context, TASK, 0)


def test_training_is_held_against_other_processes_meanwhile(context, monkeypatch):
    held = context.layout.run(TASK, "dmp", 0) / ".training.held"
    original, seen = stages_run.fit, []

    def fit(*arguments, **named):
        seen.append(try_hold(held))
        original(*arguments, **named)

    monkeypatch.setattr(stages_run, "fit", fit)
    trained(context)
    assert seen == [None]
    assert not held.exists()
