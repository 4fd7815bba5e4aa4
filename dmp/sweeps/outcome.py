"""What running a point gives; what a worker and an objective agree on."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from dmp.errors import DMPError
from dmp.sweeps.schema import Sweep

# (iteration, held-out denoising loss); raises PrunedError where the trial need not go on.
Report = Callable[[int, float], None]


class PrunedError(Exception):
    """A trial whose loss on the way is worse than that of the others; no mistake of anybody."""


class ImpossibleError(DMPError):
    """A point whose model cannot be built: nothing was computed, and nothing is wrong elsewhere."""


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
        """Return the values in the order of the sweep's objectives; None if it has diverged.

        A value that is not finite says the same, and Optuna would take it for a failure.
        """
        if self.values is None:
            return None
        values = [self.values[name] for name in sweep.objectives]
        return values if all(map(math.isfinite, values)) else None


# From the name of a variant to its outcome; raises ImpossibleError before it computes anything.
Objective = Callable[[str, Report], Outcome]
