"""What running a point gives; what a worker and an objective agree on."""

from collections.abc import Callable
from dataclasses import dataclass

from dmp.sweeps.schema import Sweep

# (iteration, held-out denoising loss); raises PrunedError where the trial need not go on.
Report = Callable[[int, float], None]


class PrunedError(Exception):
    """A trial whose loss on the way is worse than that of the others; no mistake of anybody."""


@dataclass(frozen=True)
class Outcome:
    """What a trial measured.

    Attributes:
        values: objective to value; None if the run has diverged: it is worse than any number.
        computed: how many of its runs had to be computed; the others were there.

    """

    values: dict[str, float] | None
    computed: int

    def ordered(self, sweep: Sweep) -> list[float] | None:
        """Return the values in the order of the sweep's objectives."""
        return None if self.values is None else [self.values[name] for name in sweep.objectives]


# From the name of a variant to its outcome.
Objective = Callable[[str, Report], Outcome]
