"""What rules work out: how runs are divided, what a call may say, and what wildcards stand for."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import ROOT, edit_yaml, run_command, snakemake
from hypothesis import given
from hypothesis import strategies as st

from dmp.config import PatchConfig, TrainingConfig
from dmp.errors import DMPError
from dmp.studies import load_plan
from dmp.workflow.bundles import bundle_of_each_run, by_page
from dmp.workflow.inputs import Inputs
from dmp.workflow.outdated import newer_than
from dmp.workflow.scales import Scales
from dmp.workflow.settings import Settings, read_settings
from dmp.workflow.wildcards import NAMES, by_wildcards

RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]


def blocks(ablations: Path, seeds: int) -> set[tuple[int, ...]]:
    bundles = bundle_of_each_run(load_plan("digits", ablations, seeds))
    return {bundle.seeds for bundle in bundles.values()}


def test_more_seeds_leave_the_bundles_of_others_alone(ablations):
    assert blocks(ablations, 4) == {(0, 1), (2, 3)}
    assert blocks(ablations, 7) == {(0, 1), (2, 3), (4, 5), (6,)}


@pytest.mark.parametrize("scale", ["smoke", "digits", "paper-smoke"])
def test_every_run_is_in_one_bundle_of_the_size_that_the_scale_says(ablations, scale):
    plan = load_plan(scale, ablations)
    bundles = bundle_of_each_run(plan)
    assert sorted(bundles) == sorted(plan.runs())
    assert sorted(run for each in set(bundles.values()) for run in each.runs) == plan.runs()
    execution = plan.scale.execution
    largest = (execution.variants_per_job, execution.seeds_per_job)
    sizes = [(len(each.variants), len(each.seeds)) for each in bundles.values()]
    limits = largest if execution.job == "bundle" else (1, 1)
    assert all(size <= limit for each in sizes for size, limit in zip(each, limits, strict=True))


def test_the_table_that_is_made_first_waits_for_little_else(ablations):
    plan = load_plan("digits", ablations)
    bundles = bundle_of_each_run(plan)
    wanted = plan.runs("table2")
    together = {run for each in dict.fromkeys(bundles[run] for run in wanted) for run in each.runs}
    assert set(wanted) <= together
    assert len(together) < 1.25 * len(wanted)


@given(st.lists(st.integers(1, 12), min_size=1), st.integers(1, 8))
def test_pages_are_divided_into_few_bundles(sizes, size):
    pages = [[f"{page}.{k}" for k in range(count)] for page, count in enumerate(sizes)]
    blocks = by_page(pages, size)
    assert [name for block in blocks for name in block] == [name for page in pages for name in page]
    assert max(map(len, blocks)) <= size
    # All but the last are half full.
    assert all(2 * len(block) >= size for block in blocks[:-1])


def test_what_the_tables_need_is_in_no_bundle_with_anything_else(ablations):
    plan = load_plan("digits", ablations)
    assert plan.scale.execution.variants_per_job > 1
    bundles, tables = bundle_of_each_run(plan), set(plan.runs("tables"))
    assert {run for asked in tables for run in bundles[asked].runs} == tables


def test_run_that_is_not_the_last_of_its_bundle_is_done_alone(tiny, tmp_path):
    """It was asked for by its own file; what all others wait for is the last one's."""
    scales = Scales(Settings("smoke", tmp_path, tiny))
    task = "unconditional"
    assert scales.arguments("smoke", task, "dmp", 0) == "dmp --seed 0"
    assert scales.arguments("smoke", task, "dmp", 1) == "dmp --seed 0 --seed 1"
    assert scales.arguments("smoke", task, "dmp,depth=1", 1) == "dmp,depth=1 --seed 1"
    finished = Inputs(scales).finished("smoke", "table2")
    assert [path.parent.name for path in finished] == ["seed1", "seed1"]


def test_scales_are_told_apart_by_how_their_runs_are_done(ablations):
    edit_yaml(
        ablations / "scales/mnist.yaml",
        lambda d: d["execution"].update(job="stage", sampling_shards=3),
    )
    scales = Scales(Settings("mnist", ablations=ablations))
    assert scales.pattern("bundle") == "smoke"
    assert scales.pattern("stage") == scales.pattern("stage", sharded=True) == "mnist"
    assert scales.pattern("stage", sharded=False) == "none"


def test_call_is_read_and_its_jobs_inherit_data_and_seeds():
    environment = {"PATH": "/bin"}
    config = {"scale": "smoke", "results": "r", "seeds": 5, "data": "/data"}
    assert read_settings(config, environment) == Settings("smoke", Path("r"), seeds=5)
    assert environment["DMP_SEEDS"] == "5"
    assert environment["DMP_DATA"] == "/data"
    assert environment["PATH"].endswith(f"{os.pathsep}/bin")
    assert read_settings({}, {"DMP_SEEDS": "4"}).seeds == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"scael": "smoke"}, "unknown --config key 'scael'; accepted: scale, results, ablations"),
        ({"seeds": 0}, "--config seeds=0: accepted is a positive whole number"),
        ({"seeds": "two"}, "seeds=two"),
    ],
)
def test_call_that_cannot_be_is_one_clear_error(config, message):
    with pytest.raises(DMPError, match=re.escape(message)):
        read_settings(config, {})


def test_wildcards_are_handed_on_by_name_and_seeds_as_numbers():
    wildcards = SimpleNamespace(scale="smoke", task="unconditional", seed="3")

    def told(seed: int, scale: str, target: str = "") -> tuple[int, str, str]:
        return seed, scale, target

    assert by_wildcards(told, target="tables")(wildcards) == (3, "smoke", "tables")


def test_job_of_a_cluster_is_of_the_variant_that_was_asked_for(tiny, tmp_path):
    """Its process is told so on the command line, which Snakemake splits at every comma."""
    job = 'bundle:scale=smoke,task=unconditional,variant="dmp,gate=constant,depth=1",seed=1'
    said = snakemake(*("--target-jobs", job, "--force", "-n"), place=tmp_path)
    assert "unconditional: dmp,gate=constant,depth=1 --seed 1;" in said
    assert not {*PatchConfig.model_fields, *TrainingConfig.model_fields} & set(NAMES)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_wildcard_is_known_by_name(path):
    found = re.findall(r'wildcards\.(\w+)|"{(\w+)}"', path.read_text())
    assert {name or other for name, other in found} <= {*NAMES, "figure"}


def test_what_makes_a_job_run_again_is_newer_than_all_that_was_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = newer_than(2e9)
    assert path.stat().st_mtime > 2e9
    assert path.parent == tmp_path / ".snakemake/outdated"


def test_numerics_are_checked_of_the_scales_that_a_call_uses_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("MKL_CBWR", "AVX2")

    def dry_run(target: str, scale: str) -> tuple[int, str]:
        process = run_command(
            *("snakemake", "-n", target, "--nolock", "--cores", "1"),
            *("--config", f"scale={scale}", f"results={tmp_path}"),
        )
        return process.returncode, process.stdout + process.stderr

    # Native numerics of the one, portable ones of the other.
    assert dry_run("tables", "paper-smoke")[0] == 0
    status, said = dry_run("smoke", "paper-smoke")
    assert status != 0
    assert "the environment sets MKL_CBWR=AVX2, but scale 'smoke' has numerics: portable" in said


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_plain(path):
    """A rule made in a loop would see the loop's last values when its job runs."""
    text = path.read_text()
    assert not re.search(r"^[ \t]+(rule|name)\b", text, re.MULTILINE)
    # A shell between would die of the signal, and the job with it before it has saved.
    assert not re.findall(r'"dmp (?:pretrain|converge|train|run|sweep work|sweep confirm) ', text)
