"""Portable numerics: what is set, when, and what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from harness import ROOT, run_command
from torch.utils._python_dispatch import TorchDispatchMode

from dmp import numerics
from dmp.errors import DMPError


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter whose environment sets none of the variables."""
    inherited = {k: v for k, v in os.environ.items() if k not in numerics.REQUIRED}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


def test_importing_the_package_as_a_library_sets_nothing():
    code = (
        "import os\n"
        "import dmp, dmp.patching, dmp.backbones\n"
        "from dmp.numerics import REQUIRED\n"
        "assert not set(REQUIRED) & set(os.environ)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_a_command_settles_everything_before_anything_that_computes_is_imported():
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dmp.cli.workspace import Workspace\n"
        "Workspace('digits')\n"
        "import os\n"
        "from dmp.numerics import REQUIRED\n"
        "assert not {'numpy', 'torch', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert all(os.environ[name] == value for name, value in REQUIRED.items())"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_every_command_settles_before_it_imports_anything_that_computes():
    code = (
        "import sys, click, typer\n"
        "from dmp import numerics\n"
        "from dmp.cli import app\n"
        "class Settled(Exception): pass\n"
        "def settle(*_):\n"
        "    early = {'numpy', 'torch', 'scipy', 'pandas', 'optuna'} & set(sys.modules)\n"
        "    raise Settled(' '.join(early))\n"
        "numerics.settle = settle\n"
        "def leaves(command, names):\n"
        "    inner = getattr(command, 'commands', None)\n"
        "    if inner is None: return [(names, command)]\n"
        "    return [leaf for n in inner for leaf in leaves(inner[n], (*names, n))]\n"
        "found = leaves(typer.main.get_command(app), ())\n"
        "assert len(found) > 25\n"
        "for names, command in found:\n"
        "    needed = [p for p in command.params if p.required]\n"
        "    given = [[p.opts[0]] * (p.param_type_name == 'option') + ['1'] for p in needed]\n"
        "    try: command.main(sum(given, []), standalone_mode=False)\n"
        "    except Settled as settled: assert not str(settled), (names, str(settled))\n"
        "    else: raise AssertionError((names, 'settled nothing'))\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_native_scales_set_nothing():
    code = (
        "import os; before = dict(os.environ)\n"
        "from pathlib import Path\n"
        "from dmp.cli.workspace import Workspace\n"
        "Workspace('paper')\n"
        "assert dict(os.environ) == before"
    )
    done = run_python(code, MKL_CBWR="AVX2")
    assert done.returncode == 0, done.stderr


def test_numpy_heeds_the_names_of_the_features():
    # A name that this release of NumPy does not know would disable nothing.
    code = (
        "from dmp.numerics import settle; settle('portable', 'here')\n"
        "import warnings; warnings.simplefilter('error')\n"
        "import numpy as np\n"
        "found = np.show_config(mode='dicts')['SIMD Extensions'].get('found', [])\n"
        "assert not [name for name in found if name not in ('X86_V2', 'X86_V3')], found"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(numerics.REQUIRED))
def test_a_contradicting_setting_is_named_and_not_overruled(name):
    with pytest.raises(DMPError, match=rf"{name}=other.*numerics: portable.*unset {name}"):
        numerics.check("portable", "scale 'digits'", {**numerics.REQUIRED, name: "other"})
    numerics.check("native", "scale 'paper'", {name: "other"})
    numerics.check("portable", "scale 'digits'", dict(numerics.REQUIRED))


@pytest.mark.parametrize(
    "command", [("check",), ("run", "unconditional", "dmp"), ("sweep", "work", "prompt-count")]
)
def test_the_command_line_refuses_before_it_computes(monkeypatch, tmp_path, command):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    where = () if command == ("check",) else ("--results", str(tmp_path / "results"))
    done = run_command("dmp", *command, "--scale", "digits", *where)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the environment sets MKL_CBWR=AVX2")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_the_workflow_refuses_before_its_first_job(monkeypatch, tmp_path):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    done = run_command(
        *("snakemake", "tables", "--cores", "1", "--nolock"),
        *("--config", "scale=smoke", f"results={tmp_path / 'results'}"),
    )
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "error: the environment sets MKL_CBWR=AVX2, but scale 'smoke' has" in said
    assert "Job stats" not in said
    assert not (tmp_path / "results").exists()


def test_features_of_numpy_that_are_switched_on_are_refused_too():
    """NumPy would end with a traceback, since others are switched off."""
    environment = {"NPY_ENABLE_CPU_FEATURES": "AVX512F"}
    with pytest.raises(DMPError, match=r"NPY_ENABLE_CPU_FEATURES=AVX512F.*unset it"):
        numerics.check("portable", "scale 'digits'", environment)
    numerics.check("native", "scale 'paper'", environment)


def test_settling_too_late_is_an_error():
    code = "import numpy\nfrom dmp.numerics import settle\nsettle('portable', 'here')"
    done = run_python(code)
    assert "numpy had been imported before" in done.stderr


def test_a_gpu_and_other_architectures_have_numerics_of_their_own(monkeypatch):
    assert numerics.in_force("portable") == "portable"
    assert numerics.in_force("native") == "native"
    assert numerics.in_force("portable", "cuda") == "native"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert numerics.in_force("portable") == "native"


def test_several_processes_and_settings_that_were_not_made_are_native(monkeypatch):
    """Gradients are summed by as many as there are; torch says AVX2 wherever AVX-512 is absent."""
    with monkeypatch.context() as changed:
        changed.setenv("WORLD_SIZE", "2")
        assert numerics.in_force("portable") == "native"
    monkeypatch.delenv("MKL_CBWR")
    assert numerics.in_force("portable") == "native"


def test_several_threads_are_refused_where_numerics_are_portable(ablations):
    path = ablations / "scales/digits.yaml"
    path.write_text(path.read_text().replace("threads: 1", "threads: 4"))
    done = run_command("dmp", "check", "--ablations", str(ablations))
    assert done.returncode == 2
    assert "needs execution.threads = 1, not 4" in done.stderr


# Up to 25 points `_cdist_forward` takes the square roots of the processor, which are exact.
UNPINNED = (
    *("sqrt", "_foreach_sqrt", "_euclidean_dist"),
    *("log2", "log10", "tan", "acos", "asin", "atan", "arccos", "arcsin", "arctan"),
)


class OnlyPortable(TorchDispatchMode):
    """Refuses operations on the CPU whose last bits differ between processors."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        refuse_unportable(function, arguments)
        return function(*arguments, **(options or {}))


def refuse_unportable(function, arguments):
    """Fail if MKL's vector library would compute what no variable pins."""
    name = function._schema.name.removeprefix("aten::")
    first = next((a for a in arguments if isinstance(a, torch.Tensor)), None)
    exponent = arguments[1] if len(arguments) > 1 else None
    # A tensor of exponents is not split into roots and other powers.
    root = name.rstrip("_") == "pow" and isinstance(exponent, float) and abs(exponent) == 0.5
    unpinned = name.rstrip("_") in UNPINNED
    logarithm = name.rstrip("_") == "log" and first is not None and first.dtype == torch.float64
    if root or unpinned or logarithm:
        raise AssertionError(f"{name} differs between processors")


def test_the_watch_sees_what_differs():
    x = torch.from_numpy(np.linspace(0.1, 1, 30))
    for refused in (
        lambda: x.sqrt(),
        lambda: x**0.5,
        lambda: x.log(),
        lambda: x.float().log2(),
        lambda: x.float().log10(),
        lambda: x.float().acos(),
        lambda: x.float().asin(),
        lambda: x.float().atan_(),
        lambda: x.tan(),
        lambda: torch.cdist(x[:, None], x[:, None]),
    ):
        with OnlyPortable(), pytest.raises(AssertionError, match="differs between processors"):
            refused()
    with OnlyPortable():
        assert x.float().log().isfinite().all()
        assert x.rsqrt().isfinite().all()
