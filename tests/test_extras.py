"""The method alone needs few packages; what needs more says so in one line."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from harness import ROOT, run_command

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def plain(requirement: str) -> str:
    """The name of a package, as packages are compared."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0].lower())


def modules(requirements: list[str]) -> list[str]:
    """What packages are imported as."""
    wanted = {plain(requirement) for requirement in requirements}
    found = packages_distributions().items()
    return sorted(name for name, packages in found if wanted & {*map(plain, packages)})


def without(*requirements: str, code: str) -> str:
    """Run code where packages are as if they were not installed."""
    blocked = dict.fromkeys(modules(list(requirements)))
    process = run_command(sys.executable, "-c", f"import sys; sys.modules |= {blocked}\n{code}")
    return process.stdout + process.stderr


def test_the_method_alone_patches_saves_and_loads(tmp_path):
    code = f"""
import torch
from dmp import Block, PatchConfig, PatchPoints, load_patch, patch, patch_points

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.time, self.block = torch.nn.Embedding(1000, 8), torch.nn.Linear(6, 6)
    def forward(self, x, t):
        self.time(t)
        tokens = x.flatten(2).transpose(1, 2).contiguous()
        return self.block(tokens).transpose(1, 2).unflatten(2, x.shape[2:])

@patch_points.register
def _(model: Model) -> PatchPoints:
    return PatchPoints(
        placements={{"transformer-blocks": [Block(model.block, grid=4, width=6)]}},
        arguments=lambda x, t: (x, t), embed_timesteps=model.time, condition_size=8,
        timestep_embedding=model.time,
    )

torch.manual_seed(0)
model, x, t = Model(), torch.randn(2, 6, 4, 4), torch.tensor([3, 700])
plain = model(x, t)
attached = patch(model, PatchConfig())
assert torch.equal(model(x, t), plain)
with torch.no_grad():
    attached.prompts += 1
patched = model(x, t)
assert not torch.equal(patched, plain)
attached.save({str(tmp_path / "patch.safetensors")!r})
attached.remove()
load_patch({str(tmp_path / "patch.safetensors")!r}, model)
assert torch.equal(model(x, t), patched)
try:
    patch(torch.nn.Linear(2, 2), PatchConfig())
except Exception as error:
    print(error)
"""
    told = without(*EXTRAS["bench"], *EXTRAS["track"], code=code)
    assert re.fullmatch(r"cannot patch a Linear: .*known backbones: Model; for one of .*\n", told)


def test_every_other_part_imports_or_names_the_extra_that_it_needs():
    code = """
import importlib, pkgutil, dmp
from dmp.extras import MissingExtraError

for module in pkgutil.walk_packages(dmp.__path__, "dmp."):
    try:
        importlib.import_module(module.name)
    except MissingExtraError as error:
        assert isinstance(error, ImportError) and "dmp-bench[" in str(error), module
    except ModuleNotFoundError as error:
        # Imported for a model of diffusers alone.
        assert module.name == "dmp.patching.diffusers_models", (module, error)
"""
    assert without(*EXTRAS["bench"], *EXTRAS["track"], code=code) == ""


@pytest.mark.parametrize(
    ("requirement", "arguments", "line"),
    [
        ("typer", ["check"], "'typer' is not installed; this needs `pip install dmp-bench[bench]`"),
        ("pandas", ["pages"], "'pandas' is not installed; this needs `pip install dmp-bench[bench"),
        ("mlflow", ["track"], "'mlflow' is not installed; this needs `pip install dmp-bench[track"),
    ],
)
def test_a_command_without_its_extra_is_one_line(requirement, arguments, line):
    code = f"sys.argv = {['dmp', *arguments]}\nfrom dmp.__main__ import main; main()"
    told = without(requirement, code=code)
    assert told.startswith(f"error: the package {line}")
    assert told.count("\n") == 1


def test_what_is_imported_is_what_is_required():
    """A package that code names belongs to the method or to an extra, whichever needs it."""
    required = {
        kind: {*modules(requirements)}
        for kind, requirements in (
            ("method", PROJECT["dependencies"]),
            ("all", PROJECT["dependencies"] + EXTRAS["bench"] + EXTRAS["track"]),
        )
    }
    # What packages of ours require by their own promise: Snakemake's and MLflow's.
    through_others = {"snakemake_interface_executor_plugins", "sqlalchemy", "tokenizers"}
    for path in sorted((ROOT / "dmp").rglob("*.py")):
        place = Path(path).relative_to(ROOT / "dmp").parts[0]
        kind = "method" if place in ("patching", "config") else "all"
        allowed = required[kind] | {"dmp", *sys.stdlib_module_names} | through_others
        if path.name == "diffusers_models.py":
            allowed |= {"diffusers"}
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            )  # fmt: skip
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_the_method_is_imported_when_it_is_asked_for():
    code = """
import sys, dmp
assert "torch" not in sys.modules and {"patch", "Patch", "PatchConfig"} <= {*dir(dmp)}
from dmp import DMPError, PatchConfig, __version__
assert "torch" not in sys.modules
from dmp import Block, Patch, PatchPoints, load_patch, patch, patch_points
assert dmp.Patch is Patch
try:
    dmp.ptach
except AttributeError as error:
    print(error)
"""
    process = run_command(sys.executable, "-c", code)
    assert process.stdout == "module 'dmp' has no attribute 'ptach'\n", process.stderr


def test_module_that_torchrun_starts_says_in_one_line_what_it_lacks():
    code = "import runpy\nrunpy.run_module('dmp', run_name='__main__')"
    told = without(*EXTRAS["bench"], code=code)
    assert told.startswith("error: the package '")
    assert told.endswith("is not installed; this needs `pip install dmp-bench[bench]`\n")
    assert told.count("\n") == 1
