"""What portable numerics cost: CPU seconds of jobs of scale digits, portable and native.

    python .ci/portability_cost.py

A baseline of a thousand iterations and one seed of three variants, each job with its start-up.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
TASK = "unconditional"
JOBS = (
    ("extractor", "digits"),
    ("reference", TASK),
    ("pretrain", TASK),
    ("converge", TASK),
    ("run", TASK, "baseline"),
    ("run", TASK, "fine-tuning"),
    ("run", TASK, "dmp"),
)


def prepare(folder: Path, numerics: str) -> Path:
    """Write a copy of ablations/ with these numerics and a short baseline."""
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))
    path = ablations / "scales/digits.yaml"
    scale = yaml.safe_load(path.read_text())
    scale["numerics"] = numerics
    scale["tasks"] = {TASK: scale["tasks"][TASK]}
    scale["defaults"]["pretraining"].update(iterations=1000, checkpoint_every=500)
    path.write_text(yaml.safe_dump(scale))
    (ablations / "claims.yaml").unlink()
    (ablations / "hypotheses.yaml").unlink()
    for study in (ablations / "studies").glob("*.yaml"):
        if study.stem != "table1":
            study.unlink()
    return ablations


def seconds(folder: Path, numerics: str) -> list[float]:
    """Return the CPU seconds of each job."""
    places = ["--results", f"{folder}/results", "--ablations", str(prepare(folder, numerics))]
    found = []
    for job in JOBS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [Path(sys.executable).with_name("dmp"), *job, *places], check=True, capture_output=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return found


def main() -> None:
    """Print a table."""
    found = {}
    for numerics in ("portable", "native"):
        with tempfile.TemporaryDirectory() as folder:
            found[numerics] = seconds(Path(folder), numerics)
    table = pd.DataFrame(found, index=[" ".join(job) for job in JOBS])
    table["ratio"] = table["portable"] / table["native"]
    print(table.to_markdown(floatfmt=("", ".1f", ".1f", ".2f")))


if __name__ == "__main__":
    main()
