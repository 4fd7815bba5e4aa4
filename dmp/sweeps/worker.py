"""A worker takes trials until the sweep has them all; any number of workers share a sweep.

A trial is taken under a lock, so that workers together make exactly as many as were asked for. What
a worker does not bring to an end, because it was killed or met an error, stays marked as running;
whoever next looks for work sees that its owner's lock is free, fails that trial, and queues its
point again.

A point that cannot exist at this scale is passed over with its reason, and does not count.
"""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, cast

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from dmp.errors import DMPError
from dmp.files import write_error
from dmp.methods import Variant
from dmp.running.signals import PreemptedError
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.outcome import ImpossibleError, Objective, PrunedError
from dmp.sweeps.parameters import FloatParameter, IntParameter, Parameter, Value
from dmp.sweeps.samplers import make_sampler
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import Space
from dmp.sweeps.storage import keep_note, load_study, open_study

# How often a point is tried again whose worker was killed or met an error.
RETRIES = 2

# The note of a study in Optuna's dashboard until its best points are confirmed.
SEARCHING = (
    "# {0.title}\n\n{0.trials} trials from `{0.base}`. The best of many trials looks better than "
    "it is. Its best points ({0.confirmation.points}) will be measured with fresh seeds "
    "({0.confirmation.seeds} each), and what that gives will stand here.\n"
)

# So many points for each trial that is asked for may turn out not to exist before they count as
# trials: a search of a space that is nearly empty ends as well.
SPARE = 10

# Attributes of trials.
OWNER, VARIANT, REASON, COMPUTED = "owner", "variant", "reason", "computed"
RETRIED_FROM, RETRY, STOPPED, WHY = "retried_from", "retry", "stopped", "why"
PRUNED, DIVERGED, IMPOSSIBLE = "pruned", "diverged", "cannot exist"

# Results of a search: a pruned or diverged trial has said what it has to say.
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def ended(sweep: Sweep, trials: list[FrozenTrial]) -> int:
    """Return how many trials have ended with a result."""
    done = [trial.user_attrs.get(REASON) for trial in trials if trial.state in ENDED]
    impossible = done.count(IMPOSSIBLE)
    return len(done) - min(impossible, SPARE * sweep.trials)


@dataclass(frozen=True)
class Search:
    """A sweep at a scale, and where its trials are kept.

    Attributes:
        space: its parameters at this scale.
        files: its folder, which all workers see.
        storage: see :func:`dmp.sweeps.storage.open_storage`.
        study: the name of the study; see :func:`dmp.sweeps.loading.study_name`.
    """

    sweep: Sweep
    space: Space
    files: SweepFiles
    storage: BaseStorage
    study: str

    def work(self, objective: Objective) -> int:
        """Run trials until there are none left to take; return how many have ended, over all.

        Workers that are still busy may end more. Trials of workers that are gone are taken over.
        A point that cannot exist, or whose training diverges, is an outcome and no error.

        Raises:
            DMPError: of the objective. The trial is tried again by whoever next looks for work.
        """
        with self._alive() as owner:
            while (taken := self._take(owner)) is not None:
                self._run(taken, objective)
        study = load_study(self.storage, self.study)
        return ended(self.sweep, study.get_trials(deepcopy=False))

    @contextlib.contextmanager
    def _alive(self) -> Generator[dict[str, Any]]:
        """Hold a lock of this worker alone, which the system releases however it ends."""
        name = uuid.uuid4().hex
        path = self.files.owner(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path).acquire()
        except OSError as error:
            raise write_error(path, error) from error
        with lock:
            yield {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": round(time.time(), 3),
                "lock": name,
            }
        path.unlink(missing_ok=True)

    def _take(self, owner: dict[str, Any]) -> optuna.Trial | None:
        """Return a trial of this worker's own, all parameters proposed; None if none is left."""
        with FileLock(self.files.claims):
            study = open_study(self.storage, self.study, self.sweep.objectives)
            if not study.get_trials(deepcopy=False):
                keep_note(study, SEARCHING.format(self.sweep))
            self._recover(study)
            while True:
                trials = study.get_trials(deepcopy=False)
                running = sum(trial.state == TrialState.RUNNING for trial in trials)
                if ended(self.sweep, trials) + running >= self.sweep.trials:
                    return None
                trial = self._ask(study, trials, owner)
                try:
                    self.space.build(trial.user_attrs[VARIANT])
                except DMPError as error:
                    _prune(trial, IMPOSSIBLE, getattr(error, "reason", str(error)))
                else:
                    return trial

    def _ask(
        self, study: optuna.Study, trials: list[FrozenTrial], owner: dict[str, Any]
    ) -> optuna.Trial:
        """Return a new trial, all parameters proposed."""
        # A point that is tried again was proposed before; one that was never complete, since its
        # worker was killed while it was proposed, is proposed anew.
        proposed = sum(
            VARIANT in trial.user_attrs and RETRIED_FROM not in trial.user_attrs for trial in trials
        )
        study.sampler = make_sampler(self.sweep, self.space, proposed)
        study.pruner = _pruner(self.sweep)
        trial = study.ask()
        trial.set_user_attr(OWNER, owner)
        name = self.space.variant(self.space.fill(lambda parameter: _propose(trial, parameter)))
        # One that the options' own rules refuse has no other name.
        with contextlib.suppress(DMPError):
            name = Variant.parse(name).name
        # Last: a trial with a variant is one whose point is complete.
        trial.set_user_attr(VARIANT, name)
        return trial

    def _recover(self, study: optuna.Study) -> None:
        """Fail running trials whose worker is gone, and queue their points again.

        The point is queued before the trial fails, and only if it is not queued yet: a kill in
        between neither loses nor doubles it.
        """
        trials = study.get_trials(deepcopy=False)
        queued = {trial.user_attrs.get(RETRIED_FROM) for trial in trials}
        for trial in trials:
            if trial.state != TrialState.RUNNING or not self._is_gone(trial):
                continue
            # One that was asked to stop has done nothing wrong, and does not use up a try.
            retry = trial.user_attrs.get(RETRY, 0) + (STOPPED not in trial.user_attrs)
            point = _first_try(trials, trial)
            complete = VARIANT in point.user_attrs
            if complete and retry <= RETRIES and trial.number not in queued:
                study.enqueue_trial(
                    dict(point.params), user_attrs={RETRIED_FROM: trial.number, RETRY: retry}
                )
            study.tell(trial.number, state=TrialState.FAIL)

    def _is_gone(self, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get(OWNER)
        if owner is None:
            return True  # killed while it held the lock of the claims, which we hold now
        try:
            with FileLock(self.files.owner(owner["lock"]), blocking=False):
                return True
        except Timeout:
            return False

    def _run(self, trial: optuna.Trial, objective: Objective) -> None:
        variant = trial.user_attrs[VARIANT]
        print(f"trial {trial.number}: {variant}", flush=True)

        def report(iteration: int, loss: float) -> None:
            trial.report(loss, iteration)
            if trial.should_prune():
                raise PrunedError

        try:
            outcome = objective(variant, report)
        except PrunedError:
            _prune(trial, PRUNED)
            return
        except ImpossibleError as error:
            _prune(trial, IMPOSSIBLE, str(error))
            return
        except PreemptedError:
            trial.set_user_attr(STOPPED, True)
            raise
        trial.set_user_attr(COMPUTED, outcome.computed)
        values = outcome.ordered(self.sweep)
        if values is None:
            # Known to be bad, though no number says how bad: samplers put it behind all others.
            _prune(trial, DIVERGED)
        else:
            trial.study.tell(trial, values)


def _prune(trial: optuna.Trial, reason: str, why: str = "") -> None:
    """End a trial without values."""
    trial.set_user_attr(REASON, reason)
    if why:
        trial.set_user_attr(WHY, why)
    trial.study.tell(trial, state=TrialState.PRUNED)


def _first_try(trials: list[FrozenTrial], trial: FrozenTrial) -> FrozenTrial:
    """Return the trial for which a point was proposed; a further try may lack parameters yet."""
    while RETRIED_FROM in trial.user_attrs:
        trial = trials[trial.user_attrs[RETRIED_FROM]]
    return trial


def _propose(trial: optuna.Trial, parameter: Parameter) -> Value:
    name = parameter.name
    if isinstance(parameter, IntParameter):
        low, high = parameter.bounds
        return trial.suggest_int(name, low, high, log=parameter.log)
    if isinstance(parameter, FloatParameter):
        log = parameter.kind == "log"
        return trial.suggest_float(name, parameter.low, parameter.high, log=log)
    # None is not among the choices.
    return cast("Value", trial.suggest_categorical(name, parameter.choices))


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    if sweep.pruning is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=sweep.pruning.startup)
