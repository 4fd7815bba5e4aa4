"""The command line: what the workflow's rules call, and what a person calls without Snakemake.

Every command imports what it needs when it runs: ``dmp --help`` answers at once, and nothing but
the computing stages pays for torch.
"""

import signal
import sys

import typer

from dmp.cli import planning, prepare, results, runs, sweep
from dmp.errors import DMPError
from dmp.surroundings import settle_surroundings

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
    # Ctrl-C ends it as SIGTERM does, at once and without a traceback; training saves first.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        settle_surroundings()
        app()
    except DMPError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
