"""The share of the workflow's time that is not computation: starting Python, imports, the DAG.

    python .ci/overhead.py results/digits [elapsed seconds] [cores]

A job computes from the moment its models are loaded; its log says how long that took. Without
elapsed seconds, the share is that of the computing jobs' own time, and leaves the DAG out.
"""

import csv
import re
import sys
from pathlib import Path

STARTED = re.compile(r"^started up in ([\d.]+) s$", re.MULTILINE)

root = Path(sys.argv[1])
wall = startup = 0.0
jobs = 0
for path in sorted((root / "benchmarks").rglob("*.tsv")):
    log = root / "logs" / path.relative_to(root / "benchmarks").with_suffix(".log")
    found = STARTED.findall(log.read_text(errors="replace").replace("\r", "\n"))
    if not found:
        continue
    with path.open(encoding="utf-8") as file:
        wall += sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    startup += float(found[-1])
    jobs += 1
share = startup / wall
print(f"{jobs} computing jobs: {wall:.0f} s, of which {startup:.0f} s ({share:.1%}) start-up")
if len(sys.argv) > 3:
    available = float(sys.argv[2]) * float(sys.argv[3])
    print(f"of {available:.0f} core seconds {1 - (wall - startup) / available:.1%} did not compute")
