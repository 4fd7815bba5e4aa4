"""Which folder may import which: the numbers flow from runs to statistics to pages."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import dmp

ROOT = Path(dmp.__file__).parent
# Each may import those before it, and none after it: neither at the top of a file nor within a
# function. Imports for types alone do not count.
ORDER = [
    "errors", "extras", "surroundings", "unreachable", "seals", "jsontext", "temporaries", "files",
    "tablefile", "finite", "bins", "initialisation", "rng", "arrayfile", "tensorfile", "recipes",
    "layout", "runlog", "config", "numerics", "kernels", "registry", "data", "patching",
    "backbones", "methods", "diffusion", "metrics", "statistics", "claims", "studies", "running",
    "training", "sampling", "tracking", "planning", "reporting", "sweeps", "products", "stages",
    "workflow", "cli", "__main__",
]  # fmt: skip


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _modules() -> dict[str, Path]:
    """Return the file of each module of the package, by its full name."""
    paths = {path.relative_to(ROOT.parent).with_suffix(""): path for path in ROOT.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): p for name, p in paths.items()}


def _named(node: ast.AST, known: dict[str, Path]) -> list[str]:
    """Return the modules that a syntax tree imports, wherever in it and however."""
    if _is_for_types(node):
        return []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in known else str(node.module) for name in inside]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return [name for child in ast.iter_child_nodes(node) for name in _named(child, known)]


@cache
def _imports() -> dict[str, set[str]]:
    """Return, for each module of the package, which others of it are imported there."""
    known = _modules()
    return {
        name: {other for other in _named(ast.parse(path.read_text()), known) if other in known}
        for name, path in known.items()
    }


def _folder(module: str) -> str:
    """Return the folder of the package that a module is in, or is; empty for the package."""
    return [*module.split("."), ""][1]


def test_no_module_imports_itself_by_way_of_others():
    try:
        graphlib.TopologicalSorter(_imports()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_every_folder_has_its_place():
    assert {_folder(name) for name in _modules()} == {"", *ORDER}


def test_no_folder_imports_one_that_comes_after_it():
    place = {name: number for number, name in enumerate(ORDER)}
    # The package itself imports what is asked for.
    pairs = ((name, other) for name, others in _imports().items() for other in others)
    against = {
        f"{name} imports {other}"
        for name, other in pairs
        if name != "dmp" and other != "dmp" and place[_folder(other)] > place[_folder(name)]
    }
    assert not against


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("dmp.stages.pages, dmp.stages.claims", ("torch", "matplotlib.pyplot", "mlflow")),
        ("dmp.stages.compare, dmp.stages.track", ("torch",)),
        # Every command reads the studies and the claims.
        ("dmp.studies, dmp.reporting.figures", ("torch", "matplotlib", "numpy", "scipy", "pandas")),
        ("dmp.sweeps.loading, dmp.sweeps.worker, dmp.sweeps.report", ("torch",)),
        # The command line names its commands.
        ("dmp.cli.sweep", ("torch", "optuna", "pandas", "pydantic")),
        # Every call of snakemake reads what a report would call things.
        ("dmp.workflow.titles", ("torch", "matplotlib", "numpy", "scipy", "pandas")),
    ],
)
def test_what_needs_no_heavy_package_imports_none(modules, heavy):
    code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
