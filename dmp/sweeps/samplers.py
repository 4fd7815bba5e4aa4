"""What proposes points, as a pure function of the sweep's seed and the number of the point."""

import warnings

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler

from dmp.rng import key
from dmp.sweeps.parameters import CategoricalParameter, IntParameter, Parameter
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import Space


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter whose bounds are numbers."""
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(parameter.choices)
    if isinstance(parameter, IntParameter):
        low, high = parameter.bounds
        return IntDistribution(low, high, log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.kind == "log")


class _Spread(QMCSampler):
    """Sobol points over the parameters that every point has.

    Optuna's own takes those from the first trial, which it draws at random.
    """

    def __init__(self, space: Space, seed: int, independent: BaseSampler) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(
                scramble=True,
                seed=seed,
                independent_sampler=independent,
                warn_independent_sampling=False,
            )
        self._unconditional = {p.name: distribution(p) for p in space.parameters if not p.when}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters without a condition."""
        return self._unconditional


def make_sampler(sweep: Sweep, space: Space, number: int) -> BaseSampler:
    """Return the sampler that proposes one point.

    Each point has a generator of its own: no two workers ever draw the same numbers, and a search
    that was interrupted proposes what it would have proposed.

    Args:
        sweep: says which, and its seed.
        space: what it proposes points of.
        number: how many points were proposed before this one, by all workers.
    """
    # Optuna's samplers take 32 bits.
    own = key(sweep.sampler.seed, "sweep point", number) & (2**32 - 1)
    if sweep.sampler.kind == "qmc":
        # The points of a Sobol sequence belong together: their scrambling is the same for all.
        shared = key(sweep.sampler.seed, "sweep scrambling") & (2**32 - 1)
        return _Spread(space, shared, RandomSampler(seed=own))
    return TPESampler(seed=own, n_startup_trials=sweep.sampler.startup)
