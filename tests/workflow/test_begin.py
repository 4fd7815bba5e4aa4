"""What is known before any job is planned: folders, and whether there is a Slurm."""

import shlex
from pathlib import Path

import pytest
from harness import run_command

from dmp.errors import DMPError
from dmp.layout import usable_folder
from dmp.running.programs import NoAnswerError
from dmp.workflow.scales import Scales
from dmp.workflow.settings import Settings, read_settings
from dmp.workflow.slurm import check_slurm

ODD = [
    "a b",
    "res(1)",
    "it's",
    'a"b',
    "$HOME",
    "a;b",
    "-x",
    "ü-ß",
    "a #1",
    "1e3",
    "yes",
    "a: b",
    "*",
]


@pytest.mark.parametrize("name", ODD)
def test_folder_is_the_one_that_was_written(name, tmp_path):
    """Snakemake reads --config as YAML, which takes some of these for something else."""
    arguments = [f"results={name}", f"ablations={tmp_path}/{name}", f"data={name}"]
    environment = {}
    found = read_settings({"results": "other", "data": 1e3}, environment, arguments)
    assert found.results == Path(name)
    assert found.ablations == tmp_path / name
    assert environment["DMP_DATA"] == name


@pytest.mark.parametrize("name", ODD)
def test_folder_reaches_the_command_line_as_it_is(name):
    text = Scales(Settings("smoke", Path(name), Path(name))).options("smoke")
    assert shlex.split(text) == ["--scale=smoke", f"--results={name}", f"--ablations={name}"]


def test_folder_in_quotes_of_yaml_is_what_they_hold():
    found = read_settings({"results": "a #1"}, {}, ["results='a #1'"])
    assert found.results == Path("a #1")


def test_home_directory_has_its_usual_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert usable_folder("~/results", "--results") == tmp_path / "results"


@pytest.mark.parametrize("name", ["a{b}", "a\nb", "a\0b", "", " ", None, ["a"], "s3://bucket/x"])
def test_folder_that_cannot_be_is_one_clear_error(name):
    with pytest.raises(DMPError, match="--config results= "):
        read_settings({"results": name}, {}, [])


def test_variables_that_are_left_empty_are_not_set():
    assert read_settings({}, {"DMP_SEEDS": ""}).seeds is None


def test_snakemake_itself_refuses_what_it_would_take_for_wildcards(tmp_path):
    done = run_command(
        *("snakemake", "-n", "tables", "--cores", "1"),
        *("--config", "scale=smoke", f"results={tmp_path}/{{x}}"),
    )
    assert done.returncode == 1
    assert "a path without braces, which Snakemake takes for wildcards" in done.stdout + done.stderr


def test_machine_without_slurm_is_said_to_be_one_at_once():
    with pytest.raises(
        DMPError, match=r"there is no Slurm on .*sbatch and squeue.*--profile local"
    ):
        check_slurm("slurm", which=lambda name: None)


def test_slurm_that_does_not_answer_is_said_not_to():
    def answer(program, *_):
        raise NoAnswerError(program, "says: Unable to contact controller")

    with pytest.raises(DMPError, match=r"does not answer \(squeue says: Unable to contact contr"):
        check_slurm("slurm", which=lambda name: name, answer=answer)


@pytest.mark.parametrize("executor", ["", "local", "dryrun"])
def test_nobody_else_needs_slurm(executor):
    check_slurm(executor, which=lambda name: pytest.fail("asked"))
