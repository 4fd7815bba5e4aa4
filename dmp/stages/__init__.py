"""The stages of a run, from data to metrics: what a rule of the workflow or a person calls.

Each stage reads files and writes files (see :mod:`dmp.layout`) and can be repeated. ``run`` does
all stages of a run in one process, for scales where starting Python costs as much as training.
"""

from dmp.extras import needs

needs("bench", "filelock", "pandas", "psutil", "tabulate", "tqdm", "yaml")
