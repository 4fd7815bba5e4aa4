"""The project's own files reduced to what runs in seconds, and its commands, for the tests."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TINY_SWEEP = {
    "title": "A tiny sweep",
    "task": "unconditional",
    "base": "dmp",
    "objectives": ["denoising_mse", "added_parameters"],
    "trials": 4,
    "workers": 2,
    "parameters": [
        {"name": "position", "kind": "categorical", "choices": ["add", "prepend"]},
        {
            **{"name": "prompts", "kind": "int", "low": 1, "high": "tokens"},
            "when": {"position": "prepend"},
        },
    ],
    "confirmation": {"points": 1, "seeds": 2},
}


def edit_yaml(path: Path, change) -> None:
    """Apply ``change`` to the data of a YAML file."""
    data = yaml.safe_load(path.read_text())
    change(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def make_tiny(ablations: Path) -> Path:
    """Reduce a copy of ablations/ to one task, one study of two cells, and a few iterations.

    Two seeds of each variant are a job of their own, as at the larger scales, on one baseline.
    """

    def scale(data: dict) -> None:
        data["tasks"] = {"unconditional": data["tasks"]["unconditional"]}
        data["execution"] = {"job": "bundle", "seeds_per_job": 2}
        data["baseline_seeds"] = 1
        data["defaults"]["pretraining"].update(iterations=40, convergence_every=10)
        data["defaults"]["pretraining"].update(checkpoint_every=20, convergence_samples=64)
        data["defaults"]["training"].update(iterations=10)
        data["defaults"]["sampling"].update(steps=4, samples=128)
        data["defaults"]["evaluation"].update(timesteps_per_image=2)
        data["defaults"]["evaluation"]["extractor"].update(epochs=1)

    def study(data: dict) -> None:
        cells = [c for c in data["cells"] if c["task"] == "unconditional"]
        data["cells"] = [c for c in cells if c["variant"] in ("baseline", "dmp")]
        data["comparisons"] = data["comparisons"][:1]

    def claims(data: dict) -> None:
        data["claims"] = [claim for claim in data["claims"] if claim["id"] in ("C02", "C06", "C17")]
        for claim in data["claims"]:
            claim["evidence"] = claim["evidence"][:1]

    edit_yaml(ablations / "scales/smoke.yaml", scale)
    edit_yaml(ablations / "studies/table2.yaml", study)
    edit_yaml(ablations / "claims.yaml", claims)
    (ablations / "hypotheses.yaml").unlink()
    for path in (ablations / "studies").glob("*.yaml"):
        if path.stem not in ("table1", "table2"):
            path.unlink()
    return ablations


@functools.cache
def _preloaded() -> subprocess.Popen:
    """The process that runs Snakemake's dry runs; it ends with this one, which closes its input."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests/preloaded.py")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _dry_run(arguments: tuple[str, ...], env: dict[str, str], cwd: Path):
    """Run ``snakemake -n`` without importing it once more."""
    server = _preloaded()
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
        said = [out.name, err.name]
        request = {"arguments": arguments[1:], "env": env, "cwd": str(cwd), "said": said}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


def run_command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run a command of this environment, with one thread, and return what it said."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # MLflow's server, which other tests run in this process, leaves its address behind.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "_MLFLOW_"))}
    env = {**inherited, "PATH": path, "OMP_NUM_THREADS": "1"}
    if arguments[0] == "snakemake" and "-n" in arguments:
        return _dry_run(arguments, env, cwd)
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def snakemake(
    *arguments: str,
    place: Path,
    scale: str = "smoke",
    config: tuple[str, ...] = (),
    fails: bool = False,
    cores: int = 1,
) -> str:
    """Run the workflow on ``results`` and ``ablations`` of a folder, and return what it says."""
    process = run_command(
        *("snakemake", *arguments, "--nolock", "--cores", str(cores)),
        *("--directory", str(place), "--config", f"scale={scale}", f"results={place}/results"),
        *(f"ablations={place}/ablations", *config),
    )
    said = process.stdout + process.stderr
    assert (process.returncode != 0) == fails, said
    return said


def planned(said: str) -> dict[str, int]:
    """How many jobs of each rule there are, from the words of Snakemake."""
    if "Nothing to be done" in said:
        return {}
    lines = said.split("Job stats:")[1].splitlines()[3:]
    rows = [line.split() for line in lines[: lines.index("")]]
    return {name: int(count) for name, count in rows if name != "total"}
