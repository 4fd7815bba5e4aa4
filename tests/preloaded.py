"""A process that has imported Snakemake, and forks one that runs it for each request.

Imports are more than half of a dry run. A request is a line of JSON on the standard input: the
arguments, the environment, the folder, and the files for what is said. The answer is a line, too:
the status. Nothing but imports is shared: each fork is a command line of its own.
"""

import gc
import json
import os
import sys
from pathlib import Path

import snakemake.cli

import dmp.workflow.inputs  # noqa: F401  what the rules import


def fork(arguments: list[str], env: dict[str, str], cwd: str, said: list[str]) -> int:
    """Run ``snakemake`` with these arguments in a process of its own; return its status."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *arguments]
    snakemake.cli.main()
    sys.exit()  # as a command line does, with all that is to be called at its end


if __name__ == "__main__":
    gc.freeze()
    for line in sys.stdin:
        print(fork(**json.loads(line)), flush=True)
