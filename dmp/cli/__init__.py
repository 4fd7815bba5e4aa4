"""The command line: what the workflow's rules call, and what a person calls without Snakemake.

Every command imports what it needs when it runs: ``dmp --help`` answers at once, and nothing but
the computing stages pays for torch.
"""

from dmp.extras import missing, needs

needs("bench", "typer")

import contextlib
import errno
import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from dmp import __version__
from dmp.cli import planning, prepare, results, runs, sweep
from dmp.cli.workspace import USE
from dmp.errors import DMPError, printable
from dmp.surroundings import settle_surroundings

app = typer.Typer(name="dmp", no_args_is_help=True, pretty_exceptions_enable=False)
for topic in (planning, prepare, runs, results):
    app.add_typer(topic.app)
app.add_typer(sweep.app, name="sweep", rich_help_panel=USE)


def _version(asked: bool) -> None:
    if asked:
        print(f"dmp-bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Reproducibility benchmark for Diffusion Model Patching via Mixture-of-Prompts.

    `make tables` runs all of it; `dmp COMMAND --help` explains one command.
    """


def main() -> None:
    """Run the command line; a :class:`DMPError` is one line and its exit status, mostly 2."""
    # Ctrl-C ends it as SIGTERM does, at once and without a traceback; training saves first.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        settle_surroundings()
        try:
            app()
        except SystemExit:
            if sys.stdout is not None:  # it is closed
                sys.stdout.flush()
            raise
    except DMPError as error:
        _stop(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(DMPError(f"{error.strerror}: free some space and run the same command again"))
    except ModuleNotFoundError as error:
        name = (error.name or "dmp").partition(".")[0]
        if name == "dmp":  # a mistake of ours
            raise
        _stop(missing(name))


def _stop(error: DMPError) -> NoReturn:
    with contextlib.suppress(OSError):  # of a device that is full
        lines = map(printable, f"error: {error}".split("\n"))
        print("\n".join(lines), file=sys.stderr, flush=True)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # Python would say so at length when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(error.status)
