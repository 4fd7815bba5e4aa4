"""Named checks, one after the other, in a budget of time; a failure stops none of the others."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from dmp.errors import DMPError


class CheckFailedError(DMPError):
    """A check found what it must not find; the message says what."""

    status = 1


class SkippedError(Exception):
    """A check cannot be made here; the message says why."""


class Budget:
    """The time of all checks together."""

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.minutes, self.clock = minutes, clock
        self._start = clock()

    @property
    def spent(self) -> float:
        """Seconds since the first check began."""
        return self.clock() - self._start

    @property
    def left(self) -> float:
        """Seconds; negative once it is used up."""
        return 60 * self.minutes - self.spent

    def share(self, parts: int) -> float:
        """Return the seconds for repetitions in one of ``parts`` measurements that are to come.

        The other half of the time builds and compiles what is measured.
        """
        return max(0.0, self.left / (2 * parts))


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        seconds: about how long it takes beside the others, for the estimate of what is left.
        run: makes it, and returns what was found, in words.
    """

    name: str
    seconds: float
    run: Callable[[], str]


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Attributes:
        detail: what was found, or why it failed or was skipped.
    """

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str
    seconds: float


def run_checks(
    checks: Sequence[Check], budget: Budget, after: Callable[[list[Outcome]], None] = lambda _: None
) -> list[Outcome]:
    """Make all checks and print how far they are.

    Args:
        checks: in their order. Those that the budget leaves no time for are skipped, and say so.
        after: called with the outcomes so far, after each check.
    """
    outcomes: list[Outcome] = []
    for number, check in enumerate(checks):
        done, left = (
            sum(each.seconds for each in part) for part in (checks[:number], checks[number:])
        )
        eta = f" (about {max(1, round(left * budget.spent / done))} s left)" if done else ""
        print(f"[{number + 1}/{len(checks)}] {check.name}{eta}", flush=True)
        outcomes.append(_outcome(check, budget))
        last = outcomes[-1]
        print(f"    {last.outcome} in {last.seconds:.1f} s: {last.detail}", flush=True)
        after(outcomes)
    return outcomes


def _outcome(check: Check, budget: Budget) -> Outcome:
    start = budget.clock()

    def ended(outcome: Literal["passed", "failed", "skipped"], detail: str) -> Outcome:
        return Outcome(check.name, outcome, detail, budget.clock() - start)

    if budget.left <= 0:
        return ended("skipped", f"no time is left of the budget of {budget.minutes:g} minutes")
    try:
        return ended("passed", check.run())
    except SkippedError as reason:
        return ended("skipped", str(reason))
    except torch.OutOfMemoryError:
        return ended("skipped", "it does not fit into the memory of this GPU")
    except DMPError as error:
        return ended("failed", str(error))
    except Exception as error:  # the other checks are still to be made
        traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        return ended("failed", f"{type(error).__name__}: {first}")
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
