"""Asking another program something: what it answers, or in a few words why it does not."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dmp.errors import DMPError

PATIENCE_SECONDS = 60


class NoAnswerError(DMPError):
    """A program is not there, cannot be run, fails, or does not answer; the message says which.

    Attributes:
        said: what it said itself, if it failed; on one line.
    """

    def __init__(self, program: str, problem: str, said: str = "") -> None:
        super().__init__(f"{program} {problem}")
        self.said = said


class NotInstalledError(NoAnswerError):
    """There is no such program."""


def ask(
    program: str,
    *arguments: str,
    seconds: float = PATIENCE_SECONDS,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Return what a program prints.

    Args:
        seconds: how long it may take.
        folder: where it runs, if not here.

    Raises:
        NoAnswerError: it is not there, cannot be run, fails, or takes longer.
    """
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            # What it prints may be in any encoding, whatever ours is.
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(program, f"does not answer within {seconds:g} s") from error
    except FileNotFoundError as error:
        raise NotInstalledError(program, "is not installed") from error
    except OSError as error:
        raise NoAnswerError(program, f"cannot be run ({error.strerror})") from error
    if done.returncode:
        said = f"{' '.join((done.stderr.strip() or done.stdout).split()):.300}"
        problem = f"says: {said}" if said else f"ended with status {done.returncode}"
        raise NoAnswerError(program, problem, said)
    return done.stdout.strip()
