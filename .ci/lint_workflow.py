"""Runs `snakemake --lint` and fails on all but one of its findings.

The exception: a conda environment or container for each rule. This project locks one environment
for all rules (requirements.lock) instead.
"""

import subprocess
import sys

ACCEPTED = "Specify a conda environment or container for each rule"

process = subprocess.run(["snakemake", "--lint"], capture_output=True, text=True, check=False)
report = process.stdout + process.stderr
findings = [line.strip() for line in report.splitlines() if line.startswith("    * ")]
rejected = [finding for finding in findings if ACCEPTED not in finding]
if rejected or not (findings or process.returncode == 0):
    sys.exit(report)
print(f"snakemake --lint: nothing but {len(findings)} rules without an environment of their own")
