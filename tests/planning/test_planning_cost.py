"""What a scale costs: costs add up, shared runs count once, and errors say what is accepted."""

import datetime
import re

import pandas as pd
import pytest
import yaml
from harness import ROOT, edit_yaml
from torch import nn

from dmp.errors import DMPError
from dmp.patching import GATES, LinearGate
from dmp.planning import networks, plan_scale
from dmp.planning.cost import Job, jobs
from dmp.planning.counting import count
from dmp.planning.rates import Rates, Time
from dmp.planning.tables import cost_table, gigabytes, judged, total, wall_hours
from dmp.planning.throughput import find_gpu, load_gpus, load_throughput
from dmp.studies import load_plan

ABLATIONS = ROOT / "ablations"
FOLDER = ABLATIONS / "throughput"
PER_SECOND = 0.3 * 312e12 / 2  # MACs of the backbone on an A100
KEPT = ("table1.yaml", "table2.yaml", "table3.yaml", "fine-tuning.yaml")


def rates(gpu="A100-80GB", precision="bf16", measured=()):
    gpus = load_gpus(FOLDER)
    return Rates(find_gpu(gpus, gpu, precision), gpus.utilisation, precision, list(measured))


@pytest.fixture(scope="module")
def paper():
    return load_plan("paper", ABLATIONS)


@pytest.fixture(scope="module")
def every(paper):
    return jobs(paper, rates())


@pytest.fixture
def few(ablations):
    """A copy of the project's own ablations/ with a few studies, and no claims."""
    for path in (ablations / "studies").iterdir():
        if path.name not in KEPT:
            path.unlink()
    for name in ("claims", "hypotheses"):
        (ablations / f"{name}.yaml").unlink()
    # What is kept says how fast real GPUs are, and scales name studies that are not here.
    for path in (ablations / "throughput").glob("*-paper-*.yaml"):
        path.unlink()
    edit_yaml(ablations / "scales/mnist-s2.yaml", lambda data: data.pop("affords"))
    return ablations


def throughput(folder, **changes):
    """Write a throughput file of DiT-B/2 on an A100."""
    model = {"name": "DiT-B/2", "input_size": 32, "channels": 4, "patch_size": 2, "depth": 12}
    model |= {"hidden_size": 768, "num_heads": 12, "batch_size": 128, "sampling_batch_size": 250}
    model |= {"full_training": 1000.0, "patch_training": 1500.0, "sampling": 5000.0}
    data = {"gpu": "A100-80GB", "device": "NVIDIA A100-SXM4-80GB", "torch": "2.9.0"}
    data |= {"commit": "abc", "date": datetime.date(2026, 1, 2), "precision": "bf16"}
    data |= {"compiled": False, "models": [model], **changes}
    path = folder / "measured.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def test_paper_scale_has_the_cells_of_the_paper(paper):
    task = paper.scale.tasks
    assert {name: each.training.iterations for name, each in task.items()} == {
        "unconditional": 30_000,
        "class-conditional": 20_000,
        "text-conditional": 40_000,
        "unconditional-large": 50_000,
        "stable-diffusion": 50_000,
    }
    assert {"baseline", "fine-tuning", "prompt-tuning", "dmp"} <= {
        variant for name, variant in paper.variants("table2") if name == "class-conditional"
    }
    (large,) = {paper.run(*run).snapshots[-1] for run in paper.runs("figure2") if run[1] == "dmp"}
    assert large == 40_000
    # Table 4d prepends 50 prompts.
    config = paper.run("unconditional", "dmp,position=prepend,prompts=0.195", 0).patch
    assert config.count(256) == 50
    assert not paper.scale.not_run


def test_costs_that_tables_add_sum_to_the_whole(paper, every):
    table = cost_table(paper, every, 8)
    whole = total(every, every).hours
    assert table["adds, GPU-h"].sum() == pytest.approx(whole)
    assert table["so far, GPU-h"].iloc[-1] == pytest.approx(whole)
    assert table["adds, GB"].sum() == pytest.approx(gigabytes(every, every))
    assert (table["adds, GPU-h"] <= table["alone, GPU-h"] * (1 + 1e-9)).all()
    # What the paper shows and claims comes first, the cheapest before the others.
    shown = len(paper.targeted("tables")) + 1
    assert {*table["table"][:shown]} == {*paper.targeted("tables"), "claims"}
    assert table["alone, GPU-h"][:shown].is_monotonic_increasing
    # Tables 3 and figure 2 show the same runs.
    by_name = table.set_index("table")
    assert 0 == by_name.loc["table3", "adds, GPU-h"] < by_name.loc["table3", "alone, GPU-h"]


def test_budget_takes_tables_that_fit_and_no_more(paper, every):
    table = cost_table(paper, every, 8, 300)
    within = table[table["fits"] == "yes"]
    assert 0 < len(within) < len(table)
    assert within["adds, GPU-h"].sum() == pytest.approx(within["so far, GPU-h"].iloc[-1])
    assert (
        within["so far, GPU-h"].max() <= 300 < table["so far, GPU-h"][table["fits"] == "no"].min()
    )


def test_claims_are_judged_when_their_runs_are_there(paper, every):
    assert judged(paper, frozenset()) < judged(paper, every) < len(paper.claims.claims)
    table = cost_table(paper, every, 8).set_index("table")
    assert table.loc["claims", "rows"] == len(paper.claims.claims)
    assert table.loc["claims", "claims judged"] == judged(paper, every)


def test_costs_grow_with_iterations_samples_seeds_and_depth(few):
    def hours(change=lambda data: None):
        edit_yaml(few / "scales/digits.yaml", change)
        plan = load_plan("digits", few)
        found = jobs(plan, rates(precision="fp32"))
        return total(found, found).seconds

    costs = [
        hours(lambda d: d.update(baseline_seeds=1)),
        hours(lambda d: d["defaults"]["training"].update(iterations=600)),
        hours(lambda d: d["defaults"]["sampling"].update(samples=2000)),
        hours(lambda d: d["defaults"]["backbone"].update(depth=6)),
        hours(lambda d: d.update(seeds=5)),
        hours(lambda d: d.update(baseline_seeds=2)),
    ]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


@pytest.mark.parametrize(
    ("task", "images", "size", "added"),
    [
        ("unconditional", 30_000 * 128, 129_744_416, 2_359_296 + 197_120),
        ("stable-diffusion", 50_000 * 16, 859_520_964, 18_524_800),
    ],
)
def test_further_training_follows_from_what_is_counted(paper, every, task, images, size, added):
    for variant, numbers in (("fine-tuning", size), ("dmp", added)):
        job = every["train", task, variant, "0"]
        expected = images * count(paper.run(task, variant, 0)).training / PER_SECOND
        assert job.time.seconds == pytest.approx(expected)
        assert job.time.measured == 0
        # Weights and the checkpoint's weights and moments.
        assert job.disk == 4 * 4 * numbers
    nothing = every["train", task, "baseline", "0"]
    assert (nothing.time.seconds, nothing.disk) == (0, 0)


def test_sampling_counts_guidance_twice(paper, every):
    forward = count(paper.run("stable-diffusion", "baseline", 0)).forward
    network = 10_000 * 250 * 2 * forward / PER_SECOND
    around = 2 * 10_000 * (networks.decode(512) + networks.INCEPTION) / (0.3 * 156e12)
    found = every["sample", "stable-diffusion", "baseline", "0"].time.seconds
    assert found == pytest.approx(network + around)


def test_disk_follows_from_shapes(paper, every):
    # Image and mirror, mean and log-variance, 4 × 32 × 32 numbers of two bytes: FFHQ once.
    latents = {key[1]: job.disk for key, job in every.items() if key[0] == "latents"}
    assert latents["ffhq"] == 70_000 * 2 * 2 * 4 * 32 * 32 * 2
    assert latents["laion"] == 100_000 * 2 * 2 * 4 * 64 * 64 * 2
    assert set(latents) == {"ffhq", "coco", "imagenet", "laion"}
    # Of each caption 77 states and the pooled one in half precision, and that one again in single.
    assert every["captions", "stable-diffusion"].disk == 100_000 * 768 * (78 * 2 + 4)
    # Of a baseline the averages of six checkpoints, the last one its weights; its weights as they
    # were without averaging, their moments, and the average from which it can train on.
    assert paper.scale.tasks["unconditional"].pretraining.convergence_checkpoints == 6
    assert every["baseline", "unconditional", "0"].disk == (6 + 4) * 4 * 129_744_416


def test_published_weights_are_sampled_and_not_trained(every):
    for task, size, path in (
        ("class-conditional", 675_129_632, "models/DiT-XL-2-256x256.pt"),
        ("stable-diffusion", 859_520_964, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    ):
        job = every["baseline", task, "0"]
        assert job.weights.startswith(f"imported: {path}; training would take ")
        # The weights; and those and their average, from which training could go on.
        assert job.disk == 3 * 4 * size
        assert job.time.seconds < every["sample", task, "baseline", "0"].time.seconds
    others = [job for key, job in every.items() if key[0] == "baseline" and job.gpus != 1]
    assert [job.weights for job in others] == ["trained"] * 3


def test_gate_from_elsewhere_has_its_cost_in_the_plan(few, monkeypatch):
    class Wide(LinearGate):
        def __init__(self, config, points, prompts, blocks) -> None:
            super().__init__(config, points, prompts, blocks)
            self.first = nn.Linear(points.condition_size, points.condition_size)

        def logits(self, condition, block, prompts):
            return super().logits(self.first(condition), block, prompts)

    plan = load_plan("digits", few)
    before = jobs(plan, rates("H200", "fp32"))
    monkeypatch.setitem(GATES, "linear", Wide)
    monkeypatch.setattr("dmp.planning.counting._COUNTED", {})
    after = jobs(plan, rates("H200", "fp32"))
    width = plan.scale.tasks["unconditional"].backbone.hidden_size
    train, sample = (
        ("train", "unconditional", "dmp", "0"),
        ("sample", "unconditional", "dmp", "0"),
    )
    assert after[train].disk - before[train].disk == 4 * 4 * width * (width + 1)
    assert after[train].time.seconds > before[train].time.seconds
    assert after[sample].time.seconds > before[sample].time.seconds


def test_wall_time_is_between_the_bounds_of_list_scheduling():
    chain = [Job(("a",), Time(4 * 3600)), Job(("b",), Time(2 * 3600), needs=(("a",),))]
    free = [Job((str(i),), Time(3600)) for i in range(6)]
    graph = {job.key: job for job in (*chain, *free)}
    assert wall_hours(graph, graph, 1) == (12, 12)
    assert wall_hours(graph, graph, 2) == (6, 9)
    shared = graph | {("a",): Job(("a",), Time(4 * 3600), gpus=4)}
    assert wall_hours(shared, shared, 100)[0] == 3
    assert wall_hours(graph, graph, 100) == pytest.approx((6, 0.12 + 0.99 * 6))


def test_measured_rates_replace_computed_ones_and_are_named(few):
    folder, plan = few / "throughput", load_plan("paper", few)
    before = plan_scale(plan, "A100-80GB", 8, throughput=folder)
    assert "Measured: nothing on A100-80GB (bf16, not compiled); there is no file." in before
    path = throughput(folder)
    after = plan_scale(plan, "A100-80GB", 8, throughput=folder)
    assert (
        "Measured: measured.yaml: NVIDIA A100-SXM4-80GB, 2026-01-02, commit abc: DiT-B/2." in after
    )
    assert re.search(r"train +\d+ +[\d,]+ +\d+% measured", after)
    found = jobs(plan, rates(measured=load_throughput(folder).values()))
    training = found["train", "unconditional", "fine-tuning", "0"].time
    assert training.seconds == training.measured == pytest.approx(30_000 * 128 / 1000)
    training = found["train", "unconditional", "dmp", "0"].time
    assert training.seconds == training.measured == pytest.approx(30_000 * 128 / 1500)
    # The pace of a measured backbone holds for no other backbone.
    assert found["train", "unconditional-large", "dmp", "0"].time.measured == 0
    # What was not measured is computed, in the same file.
    assert found["sample", "unconditional", "dmp", "0"].time.measured == 0
    throughput(folder, compiled=True)
    text = plan_scale(plan, "A100-80GB", 8, throughput=folder)
    assert "there is measured.yaml (A100-80GB, bf16, compiled)." in text
    assert "% measured" not in text
    text = plan_scale(plan, "A100-80GB", 8, throughput=folder, compiled=True)
    assert "% measured" in text
    edit_yaml(few / "scales/paper.yaml", lambda data: data["execution"].update(compile=True))
    assert plan_scale(load_plan("paper", few), "A100-80GB", 8, throughput=folder) == text
    path.unlink()


def test_unknown_kind_of_gpu_lists_the_known_ones(paper):
    with pytest.raises(DMPError, match=r"unknown kind of GPU 'H20': did you mean 'H200'\?.*A100"):
        plan_scale(paper, "H20", throughput=FOLDER)
    with pytest.raises(DMPError, match="precision: bf16, which a V100-32GB lacks; accepted: A100"):
        plan_scale(paper, "V100-32GB", throughput=FOLDER)
    with pytest.raises(DMPError, match="0 GPUs: at least 1"):
        plan_scale(paper, "H200", 0, throughput=FOLDER)
    with pytest.raises(DMPError, match="budget of -1 GPU-hours"):
        plan_scale(paper, "H200", 1, -1, throughput=FOLDER)


def test_wrong_keys_of_files_name_the_nearest_one(ablations):
    folder = ablations / "throughput"
    path = throughput(folder, presicion="bf16")
    with pytest.raises(
        DMPError, match=r"measured.yaml: unknown key 'presicion': did you mean 'prec"
    ):
        load_throughput(folder)
    path.unlink()
    edit_yaml(folder / "gpus.yaml", lambda d: d["gpus"]["H200"].update(bf61=1))
    with pytest.raises(
        DMPError, match=r"gpus.yaml: unknown key 'gpus.H200.bf61': did you mean 'bf16"
    ):
        load_gpus(folder)


def test_reference_of_a_test_split_costs_its_own_images(few):
    def compare_with_test(images):
        def change(data):
            task = data["tasks"]["text-conditional"]
            task["evaluation"] = {"reference": "test"}
            task["data"]["test"].pop("images", None)
            task["data"]["test"] |= images

        edit_yaml(few / "scales/paper.yaml", change)
        return jobs(load_plan("paper", few), rates())["reference", "text-conditional"]

    found = compare_with_test({"images": 40_504}).time.seconds
    assert found == pytest.approx(2 * 40_504 * networks.INCEPTION / (0.3 * 156e12))
    with pytest.raises(DMPError, match=r"'coco' depends on how many.*give data.test.images"):
        compare_with_test({})


def test_dataset_of_unknown_size_says_which_key_is_missing(few):
    def change(data):
        del data["tasks"]["text-conditional"]["data"]["source"]["images"]

    edit_yaml(few / "scales/paper.yaml", change)
    with pytest.raises(DMPError, match=r"'coco' depends on how many.*give data.source.images"):
        plan_scale(load_plan("paper", few), "H200", throughput=FOLDER)


@pytest.mark.parametrize("scale", ["smoke", "digits", "mnist-s2"])
def test_every_scale_has_a_cost_and_csv_has_what_the_text_rounds(scale, few, tmp_path):
    csv = tmp_path / "plan.csv"
    text = plan_scale(load_plan(scale, few), "H200", 2, 1e6, FOLDER, csv=csv)
    assert "4 of 4 tables fit into 1e+06 GPU-hours" in text
    assert "extractor" in text
    table, each = pd.read_csv(csv), pd.read_csv(tmp_path / "plan-jobs.csv")
    assert table["table"].iloc[0] == "table1"
    assert table["adds, GPU-h"].sum() == pytest.approx(each["GPU-hours"].sum())
