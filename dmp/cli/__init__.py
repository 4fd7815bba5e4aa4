"""The command line: what the workflow's rules call, and what a person calls without Snakemake.

Every command imports what it needs when it runs: ``dmp --help`` answers at once, and nothing but
the computing stages pays for torch.
"""

from dmp.extras import missing, needs

needs("bench", "typer")

import sys
from typing import NoReturn

import typer

from dmp.cli import planning, prepare, results, runs, sweep
from dmp.errors import DMPError

app = typer.Typer(
    name="dmp",
    help="Reproducibility benchmark for Diffusion Model Patching via Mixture-of-Prompts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for topic in (planning, prepare, runs, results):
    app.add_typer(topic.app)
app.add_typer(sweep.app, name="sweep")


def main() -> None:
    """Run the command line; a :class:`DMPError` is one line and its exit status, mostly 2."""
    try:
        app()
    except DMPError as error:
        _stop(error)
    except ModuleNotFoundError as error:
        name = (error.name or "dmp").partition(".")[0]
        if name == "dmp":  # a mistake of ours
            raise
        _stop(missing(name))


def _stop(error: DMPError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.status)
