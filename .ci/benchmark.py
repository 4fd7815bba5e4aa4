"""How long the short commands take on this machine: the best of five, in seconds.

``analysis.py`` measures the statistics and pages of many seeds, which takes minutes.
"""

import subprocess
import time

COMMANDS = {
    "dmp --help": "under 0.5 s",
    "dmp check": "",
    "snakemake -n tables --cores all": "under 5 s",
}

for command, goal in COMMANDS.items():
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command.split(), check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    print(f"{min(times):6.2f} s  {command}  {goal and f'(to be {goal})'}")
