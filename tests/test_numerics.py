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
        "from dmp.options import open_plan\n"
        "open_plan('digits', Path('ablations'))\n"
        "import os\n"
        "from dmp.numerics import REQUIRED\n"
        "assert not {'numpy', 'torch', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert all(os.environ[name] == value for name, value in REQUIRED.items())"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_native_scales_set_nothing():
    code = (
        "import os; before = dict(os.environ)\n"
        "from pathlib import Path\n"
        "from dmp.options import open_plan\n"
        "open_plan('paper', Path('ablations'))\n"
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


def test_the_command_line_refuses_before_it_computes(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    done = run_command("dmp", "check", "--scale", "digits")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the environment sets MKL_CBWR=AVX2")
    assert len(done.stderr.splitlines()) == 1


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


def test_several_threads_are_refused_where_numerics_are_portable(ablations):
    path = ablations / "scales/digits.yaml"
    path.write_text(path.read_text().replace("threads: 1", "threads: 4"))
    done = run_command("dmp", "check", "--ablations", str(ablations))
    assert done.returncode == 2
    assert "needs execution.threads = 1, not 4" in done.stderr


# Among up to 25 rows torch.cdist is _cdist_forward, which takes differences and an exact root.
UNPINNED = ("sqrt", "_foreach_sqrt", "_euclidean_dist")


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
        lambda: torch.cdist(x[:, None], x[:, None]),
    ):
        with OnlyPortable(), pytest.raises(AssertionError, match="differs between processors"):
            refused()
    with OnlyPortable():
        assert x.float().log().isfinite().all()
        assert x.rsqrt().isfinite().all()
