"""What jobs ask for: by their scale, whatever the site calls it."""

import re

import pytest
import yaml
from harness import ROOT, edit_yaml, run_command

from dmp.numerics import REQUIRED
from dmp.studies import load_plan

ASKED = ("gpu", "gpu_share", "mem_mb", "runtime")


def dry_run(ablations, results, *arguments: str) -> str:
    """Return what a dry run says; jobs without a message say all that they ask for."""
    snakefile = results.with_name("Snakefile")
    snakefile.write_text(
        f'include: "{ROOT}/Snakefile"\nfor rule in workflow.rules: rule.message = None\n'
    )
    process = run_command(
        *("snakemake", "tables", "--nolock", "-n", "--cores", "2", *arguments),
        *("--snakefile", str(snakefile), "--workflow-profile", "none"),
        *("--config", "scale=smoke", f"results={results}", f"ablations={ablations}"),
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def jobs(text: str) -> dict[str, list[dict]]:
    """Rule to what each of its jobs asks for, from a dry run's words."""
    found, rule = {}, ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] in (["rule"], ["localrule"]):
            rule = words[1].rstrip(":")
        elif words[:1] == ["resources:"]:
            pairs = (part.strip().split("=", 1) for part in line.split(":", 1)[1].split(","))
            found.setdefault(rule, []).append({k: v for k, v in pairs if k in ASKED})
    return found


def execution(**changes):
    return lambda scale: scale.update(execution={"job": "stage", **changes})


def test_scale_says_what_each_stage_asks_for(tiny, tmp_path):
    stages = {"pretrain": {"runtime": 600}, "evaluate": {"mem_mb": 9000, "gpus": 0}}
    edit_yaml(
        tiny / "scales/smoke.yaml",
        execution(gpus=2, gpu_share=50, mem_mb=5000, runtime=30, stages=stages),
    )
    found = jobs(dry_run(tiny, tmp_path / "results"))
    whole = {"gpu": "2", "gpu_share": "200", "mem_mb": "5000", "runtime": "600"}
    assert found["pretrain"] == [whole]
    assert found["train"][0] == whole | {"runtime": "30"}
    assert found["sample"][0] == whole | {"gpu": "1", "gpu_share": "50", "runtime": "30"}
    expected = {"gpu": "0", "gpu_share": "0", "mem_mb": "9000", "runtime": "30"}
    assert found["evaluate"][0] == expected


@pytest.mark.parametrize("conclusive", [True, False])
def test_what_is_timed_has_the_machine_for_itself(tiny, tmp_path, conclusive):
    """Unless nothing is concluded from it; batch systems give it a machine or a part of one."""
    edit_yaml(tiny / "scales/smoke.yaml", lambda data: data.update(conclusive=conclusive))
    said = dry_run(tiny, tmp_path / "results")
    threads = {
        words[1].rstrip(":"): re.search(r"^    threads: (\d+)", block, re.MULTILINE)
        for block in re.split(r"^(?=rule )", said, flags=re.MULTILINE)
        if (words := block.split())[:1] == ["rule"]
    }
    assert {name: found[1] for name, found in threads.items() if found} == (
        {"speed": "2"} if conclusive else {}
    )


def test_threads_of_what_is_timed_are_no_more_than_those_of_its_scale():
    """Snakemake would tell libraries to use all that the job has, which portable runs refuse."""
    rule = (ROOT / "workflow/rules/compare.smk").read_text().split("rule speed:")[1]
    unset = re.search(r'"unset ([\w ]+); "\n\s+"dmp speed', rule)
    assert unset
    pinned = {name for name in REQUIRED if name.endswith("_NUM_THREADS")}
    assert pinned
    assert pinned < set(unset[1].split())


def test_samples_are_divided_among_jobs_and_joined(tiny, tmp_path):
    edit_yaml(tiny / "scales/smoke.yaml", execution(sampling_shards=3))
    found = jobs(dry_run(tiny, tmp_path / "results"))
    runs = len(load_plan("smoke", tiny).runs("tables"))
    assert len(found["shard"]) == 3 * runs
    assert len(found["merge"]) == runs
    assert "sample" not in found
    assert {job["gpu"] for job in found["merge"]} == {"0"}


@pytest.mark.parametrize("profile", ["slurm", "local"])
def test_profiles_are_found_by_name_and_plan_every_job(tiny, tmp_path, profile):
    edit_yaml(tiny / "scales/smoke.yaml", execution(gpus=1, sampling_shards=2))
    executor = ["--executor", "dryrun"] if profile == "slurm" else []
    text = dry_run(tiny, tmp_path / "results", "--profile", profile, *executor)
    assert "merge" in text


def test_slurm_profile_tells_training_to_stop_before_the_time_limit():
    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    extra = profile["default-resources"]["slurm_extra"]
    # Not to the batch script (B:), which hands no signal on.
    assert extra == "'--signal=TERM@120'"
    assert profile["retries"] >= 1


def test_partition_for_a_job_with_and_without_gpu():
    """The executor's own choice among the profile's partitions."""
    import logging
    from types import SimpleNamespace

    from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    partitions = read_partition_file(ROOT / profile["slurm-partition-config"])
    for gpu, partition in ((0, "cpu"), (1, "gpu"), (4, "gpu")):
        resources = {"gpu": gpu, "mem_mb": 3000, "runtime": 60}
        job = SimpleNamespace(name="train", resources=resources, threads=4)
        assert get_best_partition(partitions, job, logging.getLogger()) == partition
