"""The command line loads only what it needs, and every mistake is one clear line."""

import re
import shutil
import subprocess
import sys

import pytest
from harness import ROOT, edit_yaml, run_command

from dmp import __version__


def dmp(*arguments: str) -> subprocess.CompletedProcess:
    return run_command("dmp", *arguments)


def test_help_answers_without_importing_torch_pandas_or_yaml():
    code = (
        "import sys; from dmp.cli import app; heavy = {'torch', 'pandas', 'numpy', 'pydantic'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run_command(sys.executable, "-c", code).stdout.strip() == "[]"


def test_process_ends_with_its_status_and_words_without_taking_itself_apart():
    code = (
        "import atexit, sys; from dmp import __main__, cli\n"
        "class Kept:\n    def __del__(self): print('taken apart')\n"
        "kept, sys.argv = Kept(), ['dmp', {!r}]\n"
        "say = cli.settle_surroundings\n"
        "cli.settle_surroundings = lambda: atexit.register(print, 'registered')\n"
        "__main__.main()"
    )
    done = run_command(sys.executable, "-c", code.format("--version"))
    assert (done.returncode, done.stdout) == (0, f"dmp-bench {__version__}\nregistered\n")
    done = run_command(sys.executable, "-c", code.format("what"))
    assert (done.returncode, done.stdout) == (2, "registered\n")
    assert "what" in done.stderr


@pytest.mark.parametrize("module", ["studies", "statistics.study", "reporting.tables", "tracking"])
def test_planning_statistics_and_tables_do_not_import_torch(module):
    code = f"import sys, dmp.{module}; print('torch' in sys.modules)"
    assert run_command(sys.executable, "-c", code).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "--scale", "digit"), "unknown scale 'digit'"),
        (("run", "unconditional", "dpm"), "unknown method 'dpm': did you mean 'dmp'?"),
        (("run", "unconditional", "dmp,depth=13"), "depth = 13, but the backbone has 4 blocks"),
        (("run", "uncond", "dmp"), "unknown task 'uncond': did you mean 'unconditional'?"),
        (("pages", "table9"), "unknown study 'table9'"),
        (("run", "stable-diffusion", "dmp"), "is not run at scale 'digits'"),
        (("extractor", "digit"), "unknown dataset 'digit': did you mean 'digits'?"),
        (("reference", "uncond"), "unknown task 'uncond': did you mean 'unconditional'?"),
        (
            ("track", "table2"),
            "unknown target 'table2': did you mean 'tables'? accepted: studies, tables\n",
        ),
    ],
)
def test_wrong_names_are_one_line_before_any_compute(tmp_path, arguments, message):
    process = dmp(*arguments, *(() if arguments[0] == "check" else ("--results", str(tmp_path))))
    assert process.returncode == 2
    assert message in process.stderr
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_written_are_one_clear_error(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    process = dmp("extractor", "digits", "--scale", "smoke", "--results", str(tmp_path / "results"))
    assert process.returncode == 2
    assert "cannot write" in process.stderr
    assert "a file stands where a folder is needed" in process.stderr


def test_missing_stage_says_which_file(tmp_path):
    process = dmp("run", "unconditional", "dmp", "--scale", "smoke", "--results", str(tmp_path))
    assert process.returncode == 2
    assert "weights.safetensors does not exist; the stage that writes it" in process.stderr


def test_snakemake_says_the_same_for_a_wrong_study(ablations):
    edit_yaml(
        ablations / "studies/table3.yaml", lambda d: d["cells"][0].update(variant="dmp,depth=13")
    )
    process = run_command(
        *("snakemake", "-n", "tables", "--cores", "1", "--config", f"ablations={ablations}"),
        cwd=ROOT,
    )
    assert process.returncode != 0
    assert "depth = 13, but the backbone has 6 blocks; accepted: 1 to 6" in process.stdout
    assert "Traceback" not in process.stdout + process.stderr


def test_full_disk_ends_the_stage_with_one_clear_error(tmp_path, tiny):
    """A real full disk: a file system of 64 KiB, where this system lets us make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system needs to be root")
    try:
        process = dmp(
            *("extractor", "digits", "--scale", "smoke"),
            *("--results", str(disk), "--ablations", str(tiny)),
        )
        assert process.returncode == 2, process.stderr
        assert "digits.safetensors: no space is left on the device" in process.stderr
        assert not [p for p in disk.rglob("*") if p.is_file()]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_version_is_that_of_the_package():
    assert dmp("--version").stdout == f"dmp-bench {__version__}\n"


def test_help_shows_every_command_in_a_panel_of_its_kind():
    told = dmp("--help").stdout
    panels = re.split(r"╭─ ([^─]+) ─+╮", told)
    commands = {
        name: set(re.findall(r"^│ ([a-z][\w-]*) ", text, re.MULTILINE))
        for name, text in zip(panels[1::2], panels[2::2], strict=True)
    }
    assert {"run", "compare", "verify", "sweep"} <= commands["Use"]
    assert commands["Maintenance"] == {"adopt", "publish", "gpu-check"}
    assert {"train", "evaluate", "pages"} <= commands["Stages, which the workflow calls"]
    assert "Commands" not in commands


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered_for(shell, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    process = dmp("--show-completion", shell)
    assert "_DMP_COMPLETE" in process.stdout, process.stderr


def test_error_sends_nothing_to_a_terminal_but_text():
    done = dmp("run", "unconditional", "dmp\x1b[31m", "--scale", "smoke")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
