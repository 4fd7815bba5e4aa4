"""From ``ablations/sweeps/*.yaml`` to validated sweeps."""

from pathlib import Path

from dmp.config import content_hash, from_data
from dmp.studies import Plan
from dmp.studies.loading import file_names, find_file, named, read_yaml
from dmp.sweeps.checking import make_space
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import Space


def sweep_names(ablations: Path) -> list[str]:
    """Return the names of all sweeps."""
    return file_names(ablations, "sweeps")


def load_sweep(ablations: Path, name: str) -> Sweep:
    """Read ``sweeps/<name>.yaml``.

    Raises:
        DMPError: no such sweep, or the file is not valid.
    """
    path = find_file(ablations, "sweeps", name)
    return from_data(Sweep, named(read_yaml(path), "id", path), str(path))


def load_space(ablations: Path, sweep: Sweep, plan: Plan) -> Space:
    """Return a sweep's space at a scale, every condition and combination checked.

    Raises:
        DMPError: see :func:`dmp.sweeps.checking.make_space`.
    """
    return make_space(sweep, plan, str(ablations / "sweeps" / f"{sweep.id}.yaml"))


def search_seeds(sweep: Sweep, plan: Plan) -> list[int]:
    """Return the seeds of every trial."""
    first = plan.scale.first_seed
    return list(range(first, first + sweep.seeds))


def fresh_seeds(sweep: Sweep, plan: Plan) -> list[int]:
    """Return the seeds of the confirmation, none of which the search has seen."""
    first = plan.scale.first_seed + sweep.seeds
    return list(range(first, first + sweep.confirmation.seeds))


def study_name(sweep: Sweep, plan: Plan) -> str:
    """Return the name of a sweep's Optuna study at a scale.

    It changes with whatever changes what a trial means, so that trials of another question are
    never mixed in; more trials or workers go on with the same study.

    Raises:
        DMPError: see :func:`dmp.sweeps.checking.make_space`.
    """
    definition = sweep.model_dump(
        mode="json", include={"base", "objectives", "sampler", "pruning", "parameters"}
    )
    runs = [plan.run(sweep.task, sweep.base, seed).hash for seed in search_seeds(sweep, plan)]
    # Optuna holds the values that a parameter may have to be the same in all trials of a study.
    left_out = [
        [name, list(values)]
        for name, values, _ in make_space(sweep, plan, f"sweeps/{sweep.id}.yaml").left_out
    ]
    return f"{plan.name}-{sweep.id}-{content_hash([definition, runs, *left_out])}"


def sweep_fingerprint(sweep: Sweep, plan: Plan) -> str:
    """Return what the search and the confirmation of a sweep depend on, as a text to compare."""
    fresh = [plan.run(sweep.task, sweep.base, seed).hash for seed in fresh_seeds(sweep, plan)]
    limits = [sweep.trials, sweep.workers, sweep.confirmation.points, fresh]
    return content_hash([study_name(sweep, plan), limits])


def page_fingerprint(sweep: Sweep, plan: Plan) -> str:
    """Return what a sweep's page depends on, besides the trials and their confirmation."""
    return content_hash([sweep.title, sweep.notes, plan.scale.title, plan.scale.conclusive])
