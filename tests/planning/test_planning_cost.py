"""What a scale costs: costs add up, shared runs count once, and errors say what is accepted."""

import datetime
import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from harness import ROOT, edit_yaml

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.planning import flops, plan_scale
from dmp.planning.cost import Job, jobs
from dmp.planning.rates import Rates, Time
from dmp.planning.tables import disk, judged, order, tables, total, wall_time
from dmp.planning.throughput import (
    Measurement,
    find_gpu,
    load_gpus,
    load_published,
    load_throughput,
)
from dmp.studies import load_plan

ABLATIONS = ROOT / "ablations"
FOLDER = ABLATIONS / "throughput"


def rates(gpu="A100-80GB", precision="bf16", measured=()):
    gpus = load_gpus(FOLDER)
    return Rates(find_gpu(gpus, gpu, precision), gpus.utilisation, precision, list(measured))


@pytest.fixture(scope="module")
def paper():
    return load_plan("paper", ABLATIONS)


@pytest.fixture(scope="module")
def every(paper):
    return jobs(paper, rates(), load_published(FOLDER))


@pytest.fixture(scope="module")
def steps(paper, every):
    return order(paper, every, 8)


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
    transformers = [each for each in task.values() if each.backbone.kind == "dit"]
    assert [flops.geometry(each).tokens for each in transformers] == [256] * 4
    assert {"baseline", "fine-tuning", "prompt-tuning", "dmp"} <= {
        variant for name, variant in paper.variants("table2") if name == "class-conditional"
    }
    (large,) = {paper.run(*run).snapshots[-1] for run in paper.runs("figure2") if run[1] == "dmp"}
    assert large == 40_000
    # Table 4d prepends 50 prompts.
    config = paper.run("unconditional", "dmp,position=prepend,prompts=0.195", 0).patch
    assert config.count(256) == 50
    assert not paper.scale.not_run


def test_marginal_costs_add_up_to_the_whole(every, steps):
    reached = frozenset().union(*(step.table.jobs for step in steps))
    assert reached == set(every)
    whole = total(every, every).seconds
    assert sum(step.added.seconds for step in steps) == pytest.approx(whole, rel=1e-9)
    assert sum(step.disk for step in steps) == disk(every, every)
    assert steps[-1].total.seconds == pytest.approx(whole, rel=1e-9)
    for step in steps:
        assert step.added.seconds <= step.alone.seconds * (1 + 1e-9)


def test_table_whose_runs_are_all_in_others_adds_nothing(steps):
    added = {step.table.name: step.added.seconds for step in steps}
    assert added["table3"] == 0 or added["figure2"] == 0
    assert next(s for s in steps if s.table.name == "table3").alone.seconds > 0


def test_costs_grow_with_iterations_samples_seeds_and_depth(ablations):
    def hours(change=lambda data: None):
        edit_yaml(ablations / "scales/digits.yaml", change)
        plan = load_plan("digits", ablations)
        found = jobs(plan, rates(precision="fp32"))
        return total(found, found).seconds

    costs = [
        hours(),
        hours(lambda d: d["defaults"]["training"].update(iterations=600)),
        hours(lambda d: d["defaults"]["sampling"].update(samples=2000)),
        hours(lambda d: d["defaults"]["backbone"].update(depth=6)),
        hours(lambda d: d.update(seeds=4)),
        hours(lambda d: d.update(baseline_seeds=2)),
    ]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


def test_time_of_further_training_follows_from_its_arithmetic(paper, every):
    g = flops.geometry(paper.scale.tasks["unconditional"])
    per_second = 0.3 * 312e12 / 2
    for variant, patch in (("fine-tuning", None), ("dmp", PatchConfig())):
        expected = 30_000 * 128 * flops.train(g, patch) / per_second
        found = every["train", "unconditional", variant, "0"].time
        assert found.seconds == pytest.approx(expected)
        assert found.measured == 0
    assert every["train", "unconditional", "baseline", "0"].time.seconds == 0


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
    # Weights and the checkpoint's weights and moments.
    assert every["train", "unconditional", "fine-tuning", "0"].disk == 4 * 4 * 129_744_416
    assert every["train", "unconditional", "dmp", "0"].disk == 4 * 4 * (2_359_296 + 197_120)
    assert every["train", "unconditional", "baseline", "0"].disk == 0


def test_unet_is_planned_with_its_own_arithmetic_and_never_trained(paper, every):
    g = flops.geometry(paper.scale.tasks["stable-diffusion"])
    per_second = 0.3 * 312e12 / 2
    rows = {row[1] for row in paper.runs("table2") if row[0] == "stable-diffusion"}
    assert rows == {"baseline", "fine-tuning", "prompt-tuning", "dmp"}
    for variant, patch in (("fine-tuning", None), ("dmp", PatchConfig())):
        expected = 50_000 * 16 * flops.train(g, patch) / per_second
        found = every["train", "stable-diffusion", variant, "0"].time.seconds
        assert found == pytest.approx(expected)
    # Weights, and the checkpoint's weights and moments.
    assert every["train", "stable-diffusion", "dmp", "0"].disk == 4 * 4 * 18_524_800
    assert every["train", "stable-diffusion", "fine-tuning", "0"].disk == 4 * 4 * 859_520_964
    guided = 10_000 * 250 * 2 * flops.forward(g) / per_second
    assert every["sample", "stable-diffusion", "baseline", "0"].time.seconds > guided
    for imported in (True, False):
        job = jobs(paper, rates(), imported=imported)["baseline", "stable-diffusion", "0"]
        assert job.imported
        assert job.published == "stable-diffusion-v1-5/stable-diffusion-v1-5"
        assert job.disk == 3 * 4 * 859_520_964
    text = plan_scale(paper, "A100-80GB", throughput=FOLDER)
    assert "imported: stable-diffusion-v1-5/stable-diffusion-v1-5\n" in text


def test_published_baseline_is_imported_and_says_what_it_spares(paper, every):
    trained = jobs(paper, rates(), load_published(FOLDER), imported=False)
    key = ("baseline", "class-conditional", "0")
    assert "DiT-XL/2" in every[key].published
    assert trained[key].spared.seconds == 0
    spared = trained[key].time.seconds - every[key].time.seconds
    assert every[key].spared.seconds == pytest.approx(spared)
    text = plan_scale(paper, "H200", throughput=FOLDER)
    assert "trained; public weights could be imported: DiT-XL/2 at 256×256" in text
    text = plan_scale(paper, "H200", throughput=FOLDER, import_published=True)
    assert "imported: DiT-XL/2 at 256×256" in text
    # Nor is the U-Net's trained; see above.
    keys = {key, ("baseline", "stable-diffusion", "0")}
    others = [job for job in every.values() if job.stage == "baseline" and job.key not in keys]
    assert all(not job.published and job.time.seconds > 0 for job in others)


def test_budget_takes_tables_that_fit_and_no_more(paper, every, steps):
    budget = 500
    chosen = order(paper, every, 8, budget)
    within = [step for step in chosen if step.fits]
    assert 0 < len(within) < len(steps)
    assert within[-1].total.seconds <= budget * 3600
    done = frozenset().union(*(step.table.jobs for step in within))
    for step in chosen[len(within) :]:
        assert not step.fits
        assert total(done | step.table.jobs, every).seconds > budget * 3600


def test_order_is_the_paper_first_and_then_rows_per_hour(steps):
    paper_first = [step.table.paper for step in steps]
    assert paper_first == sorted(paper_first, reverse=True)
    first = next(step for step in steps if step.added.seconds)
    for step in (s for s in steps if s.table.paper):
        # At the first choice nothing was shared yet.
        assert (
            step.table.rows / max(step.alone.seconds, 1e-9)
            <= (first.table.rows / first.alone.seconds * (1 + 1e-9))
            or not step.table.jobs
        )


def test_claims_are_judged_when_their_runs_are_there(paper, every):
    assert judged(paper, frozenset()) < judged(paper, every)
    # C19 and its like cannot be tested by runs, C16 only with Stable Diffusion.
    assert judged(paper, every) < len(paper.claims.claims)
    names = {table.name: table for table in tables(paper, every)}
    assert names["claims"].rows == len(paper.claims.claims)
    assert judged(paper, names["claims"].jobs) == judged(paper, every)


def test_wall_time_is_between_the_bounds_of_list_scheduling():
    chain = [Job(("a",), Time(4)), Job(("b",), Time(2), needs=(("a",),))]
    free = [Job((str(i),), Time(1)) for i in range(6)]
    graph = {job.key: job for job in (*chain, *free)}
    assert wall_time(graph, graph, 1) == (12, 12)
    assert wall_time(graph, graph, 2) == (6, 9)
    shared = graph | {("a",): Job(("a",), Time(4), gpus=4)}
    assert wall_time(shared, shared, 100)[0] == 3
    assert wall_time(graph, graph, 100) == pytest.approx((6, 0.12 + 0.99 * 6))


def test_measured_rates_replace_computed_ones_and_are_named(ablations):
    folder, plan = ablations / "throughput", load_plan("paper", ablations)
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
    # The pace of a measured backbone holds for every variant of it, and for no other backbone.
    longer = found["train", "unconditional", "dmp,position=prepend", "0"].time
    assert longer.measured > found["train", "unconditional", "dmp", "0"].time.measured > 0
    assert found["train", "unconditional-large", "dmp", "0"].time.measured == 0
    # What was not measured is computed, in the same file.
    assert found["sample", "unconditional", "dmp", "0"].time.measured == 0
    for changes in ({"compiled": True}, {"gpu": "H100"}, {"precision": "fp32"}):
        throughput(folder, **changes)
        text = plan_scale(plan, "A100-80GB", 8, throughput=folder)
        assert "there is measured.yaml (" in text
        assert "% measured" not in text
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


def test_dataset_of_unknown_size_says_which_key_is_missing(ablations):
    def change(data):
        del data["tasks"]["text-conditional"]["data"]["source"]["images"]

    edit_yaml(ablations / "scales/paper.yaml", change)
    with pytest.raises(DMPError, match=r"'coco' depends on how many.*give data.source.images"):
        plan_scale(load_plan("paper", ablations), "H200", throughput=FOLDER)


@pytest.mark.parametrize("scale", ["smoke", "digits", "mnist"])
def test_every_scale_has_a_cost(scale):
    text = plan_scale(load_plan(scale, ABLATIONS), "H200", 2, 1e6, FOLDER)
    assert "of 20 tables fit into 1e+06 GPU-hours" in text
    assert "extractor" in text


def test_csv_has_what_the_text_rounds(paper, tmp_path):
    text = plan_scale(paper, "A100-80GB", 8, throughput=FOLDER, csv=tmp_path / "plan.csv")
    table, each = (pd.read_csv(tmp_path / name) for name in ("plan.csv", "plan-jobs.csv"))
    assert table["table"].iloc[0] == "table1"
    whole = each["gpu_seconds"].sum()
    assert table["gpu_seconds_added"].sum() == pytest.approx(whole)
    assert f"{whole / 3600:,.0f} GPU-hours (computed)" in text


def test_measurement_is_of_the_arithmetic_that_was_timed():
    sizes = {"input_size": 32, "channels": 4, "patch_size": 2, "depth": 12, "hidden_size": 768}
    model = Measurement(
        name="DiT-B/2", **sizes, num_heads=12, batch_size=1, sampling_batch_size=1,
        patch_training=2.0,
    )  # fmt: skip
    g = flops.Geometry(**sizes, num_heads=12)
    assert model.macs_per_second("patch_training") == 2 * flops.train(g, PatchConfig())
    assert model.macs_per_second("sampling") is None


def test_planning_never_imports_torch():
    code = (
        "import sys; from pathlib import Path; from dmp.studies import load_plan;"
        "from dmp.planning import plan_scale;"
        f"plan_scale(load_plan('paper', Path({str(ABLATIONS)!r})), 'H200', 8,"
        f" throughput=Path({str(FOLDER)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
