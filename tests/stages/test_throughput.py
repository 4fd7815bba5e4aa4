"""Throughput files: measured here, written whole, and read by the plan."""

import dataclasses
import shutil

import pytest
from harness import ROOT, edit_yaml

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.planning.counting import count
from dmp.planning.rates import Rates
from dmp.planning.throughput import find_gpu, load_gpus, load_throughput
from dmp.stages.common import Context
from dmp.stages.throughput import CPU, measure_throughput
from dmp.studies import load_plan


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    root = tmp_path_factory.mktemp("throughput")
    ablations = shutil.copytree(ROOT / "ablations", root / "ablations")
    for path in (ablations / "throughput").glob("*.yaml"):
        if path.name != "gpus.yaml":
            path.unlink()
    return Context(load_plan("smoke", ablations), Layout(root / "results", "smoke"), "cpu")


@pytest.fixture(scope="module")
def folder(context):
    return context.layout.results.parent / "ablations/throughput"


@pytest.fixture(scope="module")
def measured(context, folder):
    tasks = ["unconditional", "class-conditional", "unconditional-large"]
    path = measure_throughput(
        context, tasks=tasks, batch_size=4, repeats=2, note="a test", folder=folder
    )
    (file,) = load_throughput(folder).values()
    assert path.name == "CPU-smoke-fp32.yaml"
    return file


def test_file_says_what_was_measured_on_what(measured):
    assert (measured.gpu, measured.precision, measured.compiled) == (CPU, "fp32", False)
    assert measured.note == "a test"
    # Two tasks have one backbone, which is measured once.
    assert [(m.depth, m.hidden_size, m.input_size) for m in measured.models] == [
        (2, 32, 8),
        (3, 32, 8),
    ]
    for model in measured.models:
        assert (model.batch_size, model.sampling_batch_size) == (4, 256)
        assert model.full_training > 0
        assert model.patch_training > 0
        assert model.sampling > 0
        assert model.patched_sampling > 0
        assert model.full_training_memory is None  # on a CPU nobody knows


def test_plan_takes_measured_rates_for_the_backbone_that_they_are_of(measured, folder, context):
    gpus = load_gpus(folder)
    rates = Rates(find_gpu(gpus, "H200", "fp32"), gpus.utilisation, "fp32", [measured])
    model = measured.models[0]

    def counted(variant, task="unconditional"):
        return count(context.plan.run(task, variant, 0))

    found = rates.training(counted("fine-tuning"), 1000)
    assert found.seconds == found.measured == pytest.approx(1000 / model.full_training)
    patched = counted("dmp")
    assert rates.training(patched, 1000).measured == pytest.approx(1000 / model.patch_training)
    assert rates.sampling(patched, 7).measured == pytest.approx(7 / model.patched_sampling)
    # Prepended prompts make the sequence longer: the same GPU, more arithmetic.
    longer = counted("dmp,position=prepend")
    assert rates.sampling(longer, 7).measured > rates.sampling(patched, 7).measured
    other = dataclasses.replace(patched, sizes=patched.sizes.model_copy(update={"depth": 5}))
    assert rates.training(other, 1000).measured == 0


def test_device_task_and_kind_are_checked_first(context, folder):
    with pytest.raises(DMPError, match=r"computes on 'cpu', which is not H200.*or CPU"):
        measure_throughput(context, "H200", folder=folder)
    with pytest.raises(DMPError, match=r"unknown task 'uncond.*did you mean 'unconditional'\?"):
        measure_throughput(context, tasks=["unconditionl"], folder=folder)


def test_wrong_key_names_the_nearest_one(measured, folder):
    path = folder / "CPU-smoke-fp32.yaml"
    text = path.read_text()
    try:
        edit_yaml(path, lambda d: d["models"][0].update(full_trainin=1.0))
        with pytest.raises(DMPError, match=r"fp32.yaml: unknown key 'models.0.full_trainin': did "
                                           r"you mean 'full_training'\?"):  # fmt: skip
            load_throughput(folder)
    finally:
        path.write_text(text)


def test_unet_is_left_out_and_the_file_says_so(context, tmp_path):
    shutil.copytree(ROOT / "ablations", tmp_path / "ablations")
    small = Context(
        load_plan("paper-smoke", tmp_path / "ablations"), Layout(tmp_path, "paper-smoke"), "cpu"
    )
    folder = tmp_path / "ablations/throughput"
    with pytest.raises(DMPError, match=r"nothing was measured: stable-diffusion is not measured"):
        measure_throughput(small, tasks=["stable-diffusion"], folder=folder)
    tasks = ["unconditional", "stable-diffusion"]
    measure_throughput(small, tasks=tasks, batch_size=2, repeats=1, folder=folder)
    file = load_throughput(folder)["CPU-paper-smoke-fp32.yaml"]
    assert "stable-diffusion is not measured: its backbone is not a DiT" in file.note
    assert len(file.models) == 1
