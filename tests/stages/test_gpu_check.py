"""``dmp gpu-check``: all of it at toy sizes on the CPU, and its parts."""

import dataclasses
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from harness import ROOT, run_command
from torch.utils.flop_counter import FlopCounterMode

from dmp.errors import DMPError
from dmp.planning.counting import count
from dmp.planning.rates import Rates
from dmp.planning.throughput import Sizes, kind_of, load_gpus, load_throughput
from dmp.stages import gpu_check
from dmp.stages.gpu import arms, measuring
from dmp.stages.gpu.arms import DMP, FINE_TUNING, PATCHED, PLAIN, PUBLIC, Arm
from dmp.stages.gpu.checking import Budget, Check, CheckFailedError, SkippedError, run_checks
from dmp.stages.gpu.exactness import check_against_cpu, check_repeatable
from dmp.stages.gpu.goals import goals, mfu
from dmp.stages.gpu.measuring import Measured
from dmp.stages.gpu.models import Model, models
from dmp.stages.gpu.report import Report
from dmp.studies import load_plan

THROUGHPUT = ROOT / "ablations/throughput"
GPUS = load_gpus(THROUGHPUT)
B = Model(
    Sizes(input_size=32, channels=4, patch_size=2, depth=12, hidden_size=768, num_heads=12),
    128,
    250,
)
XL = Model(
    Sizes(input_size=32, channels=4, patch_size=2, depth=28, hidden_size=1152, num_heads=16), 32, 64
)
TOY = B.toy()
TASK, LONGER = "unconditional", "dmp,position=prepend"


# -- all of it -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The command at toy sizes, and the folder of its results."""
    results = tmp_path_factory.mktemp("gpu-check")
    process = run_command("dmp", "gpu-check", "--toy", "--task", TASK, "--results", str(results))
    assert process.returncode == 0, process.stdout + process.stderr
    return process, results / "paper/gpu-check"


def test_every_check_passes_at_toy_sizes_on_a_cpu(run):
    process, folder = run
    checks = pd.read_csv(folder / "checks.csv")
    assert set(checks["outcome"]) == {"passed"}
    assert [name.split(": ")[-1] for name in checks["name"]] == [
        *("GPU leases", "a step in bf16 is that of the CPU"),
        *("the same bits twice", "the same bits twice, compiled"),
        *("training in a process group", "kill and resume", "training", "sampling"),
    ]
    assert "all-reduce by gloo: the same bits as without" in process.stdout
    assert "killed after iteration 6 and resumed: the same bits as without" in process.stdout
    assert "this device is not in gpus.yaml: MFU is not reported" in process.stdout
    assert "8 of 8 checks passed, 0 skipped" in process.stdout


def test_page_and_tables_have_every_step_and_goal(run):
    _, folder = run
    figures = pd.read_csv(folder / "figures.csv")
    assert len(figures) == 6 + 4
    assert (figures[["ms", "images_per_second", "tflops"]] > 0).all(axis=None)
    assert figures["mfu"].isna().all()
    wanted = pd.read_csv(folder / "goals.csv")
    assert len(wanted) == 2 * (4 + 2)
    assert set(wanted[wanted["goal"].str.contains("MFU")]["verdict"]) == {"not known"}
    page = (folder / "gpu-check.md").read_text()
    assert "# GPU check on CPU" in page
    assert "The models are toys" in page
    assert "| kill and resume" in page
    assert "| public recipe (AMP)" in page.replace("  ", " ")


def test_toys_leave_the_throughput_files_of_the_project_alone(run):
    _, folder = run
    files = load_throughput(folder)
    assert sorted(files) == ["CPU-paper-bf16-compiled.yaml", "CPU-paper-bf16.yaml"]
    for name, file in files.items():
        assert (file.gpu, file.precision, file.compiled) == ("CPU", "bf16", "compiled" in name)
        assert "toys" in file.note
        assert [model.batch_size for model in file.models] == [4]
        for model in file.models:
            assert model.full_training > 0
            assert model.patch_training > 0
            assert model.sampling > 0
            assert model.patched_sampling > 0
            assert model.full_training_memory is None
    assert not list(THROUGHPUT.glob("CPU*"))


def test_without_a_gpu_one_line_says_what_toy_does(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    process = run_command("dmp", "gpu-check", "--results", str(tmp_path))
    assert process.returncode == 2
    assert process.stderr.startswith("error: there is no GPU here that this process may use; ")
    assert "--toy" in process.stderr
    assert process.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def check(folder: Path, **options) -> None:
    scale = load_plan("paper", ROOT / "ablations").scale
    gpu_check.gpu_check(scale, THROUGHPUT, folder, toy=True, **options)


@pytest.fixture
def quick(monkeypatch):
    """Checks that do nothing, on a machine without a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("check_leases", "check_against_cpu", "check_repeatable"):
        monkeypatch.setattr(gpu_check, name, lambda *_: "fine")
    monkeypatch.setattr(gpu_check, "settle_torch", lambda _: "cpu")
    for name in ("check_joined", "check_resumed"):
        monkeypatch.setattr(gpu_check.Trainings, name, lambda _: "fine")
    monkeypatch.setattr(
        gpu_check, "measure", lambda model, stage, *_: (timed(model, stage), [], [])
    )


def test_failed_check_is_named_after_all_others_and_ends_in_status_1(tmp_path, quick, monkeypatch):
    def fails(self):
        raise CheckFailedError("other weights")

    monkeypatch.setattr(gpu_check.Trainings, "check_resumed", fails)
    with pytest.raises(CheckFailedError, match="1 of 12 checks failed: kill and resume") as error:
        check(tmp_path)
    assert error.value.status == 1
    checks = pd.read_csv(tmp_path / "checks.csv").set_index("name")
    assert tuple(checks.loc["kill and resume"][["outcome", "detail"]]) == (
        "failed",
        "other weights",
    )
    assert (checks["outcome"] == "passed").sum() == 11
    assert len(load_throughput(tmp_path)) == 1


def test_step_that_fails_is_a_failure_and_the_others_are_measured(tmp_path, quick, monkeypatch):
    def measure(model, stage, *_):
        return timed(model, stage), ["DMP (compiled): no"] * (stage == "training"), ["batch of 2"]

    monkeypatch.setattr(gpu_check, "measure", measure)
    with pytest.raises(CheckFailedError, match=r"2 of 12 checks failed: .*training; .*training"):
        check(tmp_path)
    assert len(pd.read_csv(tmp_path / "figures.csv")) == 2 * (3 + 2)
    assert "training: batch of 2" in (tmp_path / "gpu-check.md").read_text()


def test_wrong_budget_and_task_are_errors_before_anything_is_checked(tmp_path):
    with pytest.raises(DMPError, match="a budget of 0 minutes: accepted are positive numbers"):
        check(tmp_path, budget=0)
    with pytest.raises(DMPError, match=r"unknown task 'uncond.*did you mean 'unconditional'\?"):
        check(tmp_path, tasks=["unconditionl"])
    with pytest.raises(DMPError, match="'stable-diffusion' is not measured: its backbone is not"):
        check(tmp_path, tasks=["stable-diffusion"])
    assert list(tmp_path.iterdir()) == []


# -- checks one after the other --------------------------------------------------------------------


def fail(error: Exception):
    def run() -> str:
        raise error

    return run


def test_one_failure_stops_no_other_check(capsys):
    checks = [
        Check("a", 1, lambda: "fine"),
        Check("b", 1, fail(ZeroDivisionError("by zero"))),
        Check("c", 1, fail(torch.OutOfMemoryError("out of memory"))),
        Check("d", 1, fail(SkippedError("no such thing here"))),
        Check("e", 1, fail(CheckFailedError("other bits"))),
        Check("f", 1, lambda: "fine"),
    ]
    seen = []
    outcomes = run_checks(checks, Budget(1), lambda some: seen.append(len(some)))
    assert [(each.name, each.outcome) for each in outcomes] == [
        *(("a", "passed"), ("b", "failed"), ("c", "skipped"), ("d", "skipped"), ("e", "failed")),
        ("f", "passed"),
    ]
    assert [each.detail for each in outcomes[1:5]] == [
        "ZeroDivisionError: by zero",
        "it does not fit into the memory of this GPU",
        "no such thing here",
        "other bits",
    ]
    assert seen == [1, 2, 3, 4, 5, 6]
    assert "[6/6] f" in capsys.readouterr().out


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_budget_tells_what_is_left_and_skips_aloud_when_nothing_is(capsys):
    clock = Clock()

    def take(seconds: float):
        def run() -> str:
            clock.now += seconds
            return "fine"

        return run

    budget = Budget(1, clock)
    assert budget.share(4) == 60 / 8
    checks = [Check("a", 10, take(20)), Check("b", 10, take(50)), Check("c", 30, take(1))]
    outcomes = run_checks(checks, budget)
    assert [each.outcome for each in outcomes] == ["passed", "passed", "skipped"]
    assert outcomes[2].detail == "no time is left of the budget of 1 minutes"
    assert budget.share(2) == 0
    # The first took twice as long as was thought.
    assert "[2/3] b (about 80 s left)" in capsys.readouterr().out


# -- what has to come out --------------------------------------------------------------------------


def test_frozen_weight_that_moves_and_bits_that_differ_are_found(monkeypatch):
    assert check_repeatable(TOY, "cpu", True).endswith("the same bits twice")
    build, calls = Model.build, []

    def other_each_time(self, device):
        backbone = build(self, device)
        calls.append(None)
        with torch.no_grad():
            backbone.final_layer.linear.bias.add_(1e-3 * len(calls))
        return backbone

    with monkeypatch.context() as patched:
        patched.setattr(Model, "build", other_each_time)
        with pytest.raises(CheckFailedError, match=r"dmp: added\.prompts has other bits"):
            check_repeatable(TOY, "cpu", True)
    step = torch.optim.AdamW.step

    def moves_all(self, *arguments):
        step(self, *arguments)
        with torch.no_grad():
            backbones[-1].final_layer.linear.bias.add_(1)

    backbones = []
    monkeypatch.setattr(
        Model, "build", lambda self, device: backbones.append(build(self, device)) or backbones[-1]
    )
    monkeypatch.setattr(torch.optim.AdamW, "step", moves_all)
    with pytest.raises(CheckFailedError, match=r"final_layer.linear.bias has changed, and must"):
        check_repeatable(TOY, "cpu", True)


def test_gradient_that_is_further_from_the_cpus_than_rounding_is_found(monkeypatch):
    assert check_against_cpu(TOY, "cpu").startswith("gradients differ by 0.00%; bf16 from float32")
    from dmp.stages.gpu import exactness

    original, calls = exactness.autocast, []

    def scaled(device, enabled):
        calls.append(None)
        if len(calls) == 3:  # the device's
            for parameter in torch.nn.Module.parameters(made[-1]):
                parameter.data.mul_(1.1)
        return original(device, enabled)

    made, build = [], exactness.objective
    monkeypatch.setattr(exactness, "objective", lambda *of: made.append(build(*of)) or made[-1])
    monkeypatch.setattr(exactness, "autocast", scaled)
    with pytest.raises(CheckFailedError, match="3 times as much is accepted"):
        check_against_cpu(TOY, "cpu")


# -- time, memory, MFU -----------------------------------------------------------------------------


def timed(model: Model, stage: str, **seconds: float) -> Measured:
    """Three blocks of steps that take 1, 2 and 3 s, or as given; each computes 2 TFLOP an image."""
    names = (DMP, FINE_TUNING, PUBLIC) if stage == "training" else (PLAIN, PATCHED)
    given = {name: float(number) for number, name in enumerate(names, 1)} | seconds
    made = {name: Arm(name, False, 2e12, None, None, lambda: iter(())) for name in given}
    noise = (1.0, 1.01, 0.99)
    blocks = [{name: factor * value for name, value in given.items()} for factor in noise]
    return Measured(model, stage, 10, made, blocks)


def test_counted_operations_are_those_of_flop_counter_mode():
    batch = dataclasses.replace(TOY, batch_size=2).batch(2, "cpu")
    found = {}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for stage in ("training", "sampling"):
            for build in arms.builders(TOY, stage, "cpu", True).values():
                for arm in (arm for arm in build() if not arm.compiled):
                    if stage == "sampling":  # else the counter looks for gradients
                        for tensor in arm.tensors():
                            tensor.requires_grad_(False)
                    with FlopCounterMode(display=False) as counter:
                        arm.step(batch)
                    assert counter.get_total_flops() == 2 * arm.flops, arm.name
                    found[arm.name] = arm.flops
    assert 2 * found[PLAIN] < found[DMP] < 2.1 * found[PATCHED]
    assert found[FINE_TUNING] == found[PUBLIC]


def test_mfu_is_the_share_of_the_peak_of_the_steps_precision():
    # The public counts: 118.6 GMACs forward, three times as many in a step.
    flops = arms.count_flops(XL, "fine-tuning", training=True)
    assert flops == pytest.approx(6 * 118.6e9, rel=0.01)
    h100 = GPUS.gpus["H100"]
    assert mfu(32 * flops / 0.05, h100, "bf16") == pytest.approx(0.46, abs=0.005)
    assert mfu(67e12, h100, "fp32") == 1
    assert mfu(494.5e12, h100, "tf32") == 1
    assert mfu(15.7e12, GPUS.gpus["V100-32GB"], "tf32") == 1  # which has none
    assert mfu(1e12, None, "bf16") is None


def test_cards_are_known_by_the_names_of_their_driver():
    assert kind_of(GPUS, "NVIDIA H100 80GB HBM3") == "H100"
    assert kind_of(GPUS, "NVIDIA A100-SXM4-40GB") == "A100-40GB"
    assert kind_of(GPUS, "NVIDIA H100 80GB HBM3 MIG 3g.40gb") is None  # a part of one
    assert kind_of(GPUS, "CPU") is None
    names = [name for gpu in GPUS.gpus.values() for name in gpu.devices]
    assert len(names) == len(set(names))


def test_goals_are_met_or_not_or_not_known():
    found = [
        timed(B, "training", **{DMP: 1.0, FINE_TUNING: 1.5, PUBLIC: 1.9}),
        timed(XL, "training", **{DMP: 0.04, FINE_TUNING: 0.05, PUBLIC: 0.1}),
        timed(XL, "sampling", **{PLAIN: 1.0, PATCHED: 1.009}),
    ]
    by_text = goals(found, GPUS.gpus["H100"], "bf16", XL.name).set_index("goal")
    verdicts = by_text["verdict"].to_dict()
    public = "a step of DMP is 2 times as fast as one of the public recipe"
    assert verdicts[f"DiT-B/2: {public}"] == "not met"
    assert verdicts[f"DiT-XL/2: {public}"] == "met"
    assert verdicts[f"DiT-XL/2: {public} (AMP)"] == "not known"
    tuning = "a step of DMP takes at most 0.72 of one of fine-tuning"
    assert verdicts[f"DiT-B/2: {tuning}"] == "met"
    assert verdicts[f"DiT-XL/2: {tuning}"] == "not met"
    assert by_text.loc[f"DiT-XL/2: {tuning}", "measured"] == pytest.approx(0.8)
    overhead = by_text.loc["DiT-XL/2: a patch in sampling adds at most 1 %"]
    assert (overhead.verdict, overhead.measured) == ("met", pytest.approx(0.9))
    assert overhead.low <= overhead.measured <= overhead.high
    # 10 images of 2 TFLOP in 50 ms are 400 TFLOP/s of 989.5.
    tuned = by_text.loc["DiT-XL/2: MFU of fine-tuning is at least 45 %"]
    assert (tuned.verdict, tuned.measured) == ("not met", pytest.approx(100 * 400 / 989.5))
    assert verdicts["DiT-XL/2: MFU of DMP is at least 45 %"] == "met"
    assert not [text for text in verdicts if text.startswith("DiT-B/2: MFU")]
    unknown = goals(found, None, "bf16", XL.name)
    assert set(unknown[unknown["goal"].str.contains("MFU")]["verdict"]) == {"not known"}


def fake_arm(name: str, compiled: bool, step) -> Arm:
    return Arm(name, compiled, 1.0, step, lambda _: torch.ones(2), lambda: iter(()))


def fitting(most: int):
    def step(batch):
        if len(batch.images) > most:
            raise torch.OutOfMemoryError("out of memory")
        return torch.ones(2)

    return step


@pytest.fixture
def steps(monkeypatch):
    """Replaces the steps that are measured."""

    def replace(**builders):
        monkeypatch.setattr(measuring, "builders", lambda *_: builders)

    return replace


MODEL = dataclasses.replace(TOY, batch_size=16)


def measure():
    return measuring.measure(MODEL, "training", "cpu", True, 0.0)


def test_batch_is_halved_until_all_steps_fit(steps):
    steps(
        a=lambda: [fake_arm("a", False, fitting(100))], b=lambda: [fake_arm("b", False, fitting(5))]
    )
    found, failed, notes = measure()
    assert (found.batch, list(found.arms), failed) == (4, ["a", "b"], [])
    assert notes == ["4 images at once, since 16 do not fit into memory"]
    assert len(found.blocks) == measuring.FEWEST


def test_what_does_not_fit_at_all_is_left_out_with_a_word(steps):
    steps(a=lambda: [fake_arm("a", False, fitting(100))], b=fail(torch.OutOfMemoryError()))
    found, failed, notes = measure()
    assert (found.batch, list(found.arms), failed) == (16, ["a"], [])
    assert notes == ["b does not fit into memory"]
    steps(a=fail(torch.OutOfMemoryError()))
    with pytest.raises(torch.OutOfMemoryError):
        measure()


def test_compiled_step_must_compute_the_same(steps):
    steps(
        a=lambda: [
            fake_arm("a", False, fitting(100)),
            fake_arm("a", True, lambda _: torch.tensor([1.0, 1.1])),
            fake_arm("b", True, lambda _: torch.tensor([1.0, 1.01])),
            fake_arm("c", True, lambda _: torch.tensor([1.0, math.nan])),
            fake_arm("d", True, lambda _: 1 / 0),
        ]
    )
    found, failed, _ = measure()
    assert list(found.arms) == ["a", "b (compiled)"]
    assert failed == [
        "a (compiled): CheckFailedError: differs by 7.1% from the step that is not compiled",
        "c (compiled): CheckFailedError: what comes out is not finite",
        "d (compiled): ZeroDivisionError: division by zero",
    ]


def test_steps_share_a_state_and_say_how_large_it_is():
    plain, compiled = arms.builders(TOY, "training", "cpu", True)[FINE_TUNING]()
    numbers = sum(p.numel() for p in TOY.build("cpu").parameters())
    assert plain.state_bytes() == compiled.state_bytes()
    assert 4 * numbers <= plain.state_bytes() < 4 * numbers + 2**12  # and the diffusion's none
    plain.step(TOY.batch(2, "cpu"))
    trained = numbers - TOY.build("cpu").pos_embed.numel()
    assert plain.state_bytes() == pytest.approx(4 * (numbers + 2 * trained), abs=2**12)


# -- backbones, and files for the plan -------------------------------------------------------------


def test_smallest_and_largest_backbone_are_taken_unless_tasks_are_named():
    scale = load_plan("paper", ROOT / "ablations").scale
    found = models(scale, None, None, toy=False)
    assert [(m.name, m.batch_size, m.sampling_batch_size) for m in found] == [
        ("DiT-B/2", 128, 250),
        ("DiT-XL/2", 128, 250),
    ]
    (large,) = models(scale, ["unconditional-large"], 32, toy=False)
    assert (large.name, large.batch_size) == ("DiT-L/2", 32)
    small = models(scale, None, 32, toy=True)
    assert [m.name for m in small] == ["DiT-XXS/2 at 8x8x4", "DiT-3x48/2 at 8x8x4"]
    assert {m.batch_size for m in small} == {4}


def report(folder: Path, throughput: Path, *measured: Measured) -> Report:
    gpu = GPUS.gpus["H100"]
    name = "NVIDIA H100 80GB HBM3"
    return Report("paper", "bf16", name, "H100", gpu, XL.name, folder, throughput,
                  measured=list(measured))  # fmt: skip


def test_plan_reads_what_was_measured(tmp_path):
    folder = tmp_path / "throughput"
    folder.mkdir()
    shutil.copy(THROUGHPUT / "gpus.yaml", folder)
    both = [timed(model, stage) for model in (B, XL) for stage in ("training", "sampling")]
    paths = report(tmp_path, folder, *both).write_throughput()
    assert [path.name for path in paths] == ["H100-paper-bf16.yaml"]
    (file,) = load_throughput(folder).values()
    assert [model.name for model in file.models] == ["DiT-B/2", "DiT-XL/2"]
    one = file.models[0]
    # 10 images in a step of 1, 2 and 1, 2 seconds.
    measured = (one.patch_training, one.full_training, one.sampling, one.patched_sampling)
    assert measured == (10, 5, 10, 5)
    assert (one.batch_size, one.sampling_batch_size) == (10, 10)
    plan = load_plan("paper", ROOT / "ablations")
    rates = Rates(GPUS.gpus["H100"], GPUS.utilisation, "bf16", [file])
    tuned, patched, longer = (
        count(plan.run(TASK, variant, 0)) for variant in ("fine-tuning", "dmp", LONGER)
    )
    found = rates.training(tuned, 1000)
    assert found.seconds == found.measured == pytest.approx(1000 / 5)
    assert rates.training(patched, 1000).measured == pytest.approx(1000 / 10)
    assert rates.sampling(patched, 7).measured == pytest.approx(7 / 5)
    # Prepended prompts make the sequence longer: the same GPU, more arithmetic.
    assert rates.sampling(longer, 7).measured > 7 / 5
    assert rates.training(dataclasses.replace(tuned, sizes=TOY.sizes), 1000).measured == 0


def test_file_of_the_same_code_and_device_keeps_its_other_models(tmp_path):
    shutil.copy(THROUGHPUT / "gpus.yaml", tmp_path)
    report(tmp_path, tmp_path, timed(B, "training")).write_throughput()
    report(tmp_path, tmp_path, timed(XL, "training")).write_throughput()
    report(tmp_path, tmp_path, timed(XL, "sampling")).write_throughput()
    (file,) = load_throughput(tmp_path).values()
    assert [(m.name, m.full_training, m.sampling) for m in file.models] == [
        ("DiT-B/2", 5, None),
        ("DiT-XL/2", None, 10),
    ]
    path = tmp_path / "H100-paper-bf16.yaml"
    path.write_text(path.read_text().replace("commit: ", "commit: x"))
    report(tmp_path, tmp_path, timed(XL, "training")).write_throughput()
    (file,) = load_throughput(tmp_path).values()
    assert [m.name for m in file.models] == ["DiT-XL/2"]
