"""What other programs leave in the environment reaches no job, and what is meant stays."""

import getpass
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from harness import ROOT, run_command

from dmp.errors import DMPError
from dmp.surroundings import settle_surroundings


@pytest.fixture
def settled(tmp_path):
    """Return the environment as it is once it is settled."""

    def settle(**environment: str) -> dict[str, str]:
        found = {"HOME": str(tmp_path), "PATH": "/bin", **environment}
        found = {name: value for name, value in found.items() if value is not None}
        with warnings.catch_warnings():
            settle_surroundings(found)
        return found

    return settle


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MATPLOTLIBRC", "/of/another/program"),
        ("WORLD_SIZE", "8"),
        ("WORLD_SIZE", ""),
        ("RANK", "3"),
        ("LOCAL_RANK", "x"),
        ("ACCELERATE_USE_FSDP", "true"),
        ("FSDP_VERSION", "2"),
        ("DMP_SEEDS", ""),
        ("DMP_DATA", " "),
        ("DMP_SWEEP_STORAGE", ""),
        ("PYTHONWARNINGS", "error"),
    ],
)
def test_what_is_not_meant_for_us_is_dropped(settled, name, value):
    assert name not in settled(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA_VISIBLE_DEVICES", ""),
        ("MLFLOW_TRACKING_URI", "http://somewhere"),
        ("DMP_SEEDS", "3"),
        ("OMP_NUM_THREADS", "2"),
        ("MKL_CBWR", "AVX2"),
        ("XDG_CACHE_HOME", "/tmp"),
        ("PYTHONWARNINGS", "ignore"),
    ],
)
def test_what_is_meant_stays(settled, name, value):
    assert settled(**{name: value})[name] == value


def test_processes_of_torchrun_keep_their_numbers(settled):
    ours = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    assert ours.items() <= settled(**ours).items()


def test_figures_are_never_drawn_by_what_a_notebook_asks_for(settled):
    backend = "module://matplotlib_inline.backend_inline"
    assert settled(MPLBACKEND=backend)["MPLBACKEND"] == "agg"


def test_user_without_a_name_gets_one(settled, monkeypatch):
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert settled()["LOGNAME"] == f"uid{os.getuid()}"


@pytest.mark.parametrize("home", [None, "", "~", "relative"])
def test_home_that_is_none_is_a_private_folder(settled, home):
    found = Path(settled(HOME=home)["HOME"])
    assert found.is_absolute()
    assert found.is_dir()


def test_caches_go_where_something_can_be_written(settled, monkeypatch, tmp_path):
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, how: str(path) != str(tmp_path) and access(path, how)
    )
    found = settled()
    assert found["HOME"] == str(tmp_path)
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert Path(found[name]).is_dir()
        assert tmp_path not in Path(found[name]).parents


def test_matplotlib_is_not_sent_to_a_file(settled, tmp_path):
    (tmp_path / "file").write_text("")
    assert Path(settled(MPLCONFIGDIR=str(tmp_path / "file"))["MPLCONFIGDIR"]).is_dir()


def test_programs_that_believe_in_tmpdir_get_one_that_is_there(settled):
    assert settled(TMPDIR="/not/there")["TMPDIR"] == tempfile.gettempdir()


def test_no_place_for_temporary_files_is_one_clear_error(settled, monkeypatch):
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found in [...]")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(DMPError, match="TMPDIR=/full and /tmp are full, not there or not writable"):
        settled(TMPDIR="/full")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_sign_that_a_terminal_lacks_is_no_error(encoding):
    code = "from dmp.surroundings import settle_surroundings as s; s(); print('Δ −1 \\udce9')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\udce9" in done.stdout


def test_command_line_starts_whatever_it_inherits(monkeypatch):
    for name, value in {
        "MPLBACKEND": "module://not_there",
        "PYTHONWARNINGS": "error",
        "WORLD_SIZE": "",
        "DMP_SEEDS": "",
        "TMPDIR": "/not/there",
        "HOME": "",
        "OMP_NUM_THREADS": "many",
        "PYTHONIOENCODING": "latin-1",
    }.items():
        monkeypatch.setenv(name, value)
    done = run_command("dmp", "check", "--scale", "smoke")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("{there}", ""),
        ("/proc/not/there", 'XDG_CACHE_HOME="$PWD/.snakemake/cache"'),
        ("", 'HOME="$PWD/.snakemake/home"'),
        (None, 'HOME="$PWD/.snakemake/home"'),
    ],
)
def test_make_gives_snakemake_a_place_for_its_cache(monkeypatch, tmp_path, home, expected):
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home.format(there=tmp_path))
    done = run_command("make", "-s", "--eval=shown: ; @echo '$(CACHE)'", "shown")
    assert done.stdout.split() == [each for each in (expected, *_elsewhere(home)) if each], (
        done.stderr
    )


def _elsewhere(home: str | None) -> list[str]:
    """Nobody but root can make a folder .cache at the top."""
    asked = 'XDG_CACHE_HOME="$PWD/.snakemake/cache"'
    return [asked] if not home and not os.access("/", os.W_OK) else []


def test_folder_without_the_project_is_said_to_be_one(tmp_path):
    done = run_command("dmp", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert f"there is no folder ablations/scales (in {tmp_path})" in done.stderr


def test_folder_that_is_gone_is_said_to_be(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(DMPError, match="the folder that this was started in is gone"):
        settle_surroundings({"HOME": str(tmp_path)})


@pytest.mark.parametrize("name", ["DMP_SEED", "DMP_DATAS", "DMP_SWEEPS_STORAGE"])
def test_variable_that_is_misspelt_is_refused(settled, name):
    meant = {"DMP_SEED": "SEEDS", "DMP_DATAS": "DATA"}.get(name, "SWEEP_STORAGE")
    with pytest.raises(DMPError, match=f"{name} in the environment .* did you mean DMP_{meant}"):
        settled(**{name: "3"})
    assert settled(DMP_HOME="/of/another/program")["DMP_HOME"] == "/of/another/program"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("arguments", [["check", "--scale", "smoke"], ["check", "--scale", "no"]])
def test_output_that_cannot_be_written_is_one_clear_line(arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dmp", *arguments],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    expected = "No space left on device: free some space" if "no" not in arguments else "unknown sc"
    assert line.startswith(f"error: {expected}")
