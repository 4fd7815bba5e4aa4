"""A sweep whose objective is arithmetic, and a worker of it as a process of its own."""

import sys
from pathlib import Path

import optuna

from dmp.layout import Layout
from dmp.methods import Variant
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.outcome import Outcome
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import Space
from dmp.sweeps.storage import load_study, open_storage
from dmp.sweeps.worker import Search

optuna.logging.set_verbosity(optuna.logging.ERROR)

STUDY = "fake"


def number(name: str, low, high, **more) -> dict:
    return {"name": name, "kind": "int", "low": low, "high": high, **more}


def choice(name: str, *choices, **more) -> dict:
    return {"name": name, "kind": "categorical", "choices": list(choices), **more}


PARAMETERS = [
    choice("position", "add", "prepend"),
    number("prompts", 1, 32, log=True, when={"position": "prepend"}),
    number("learning_rate_factor", 0.01, 100, kind="log"),
]


def make_sweep(**changes) -> Sweep:
    data = {
        "id": "fake",
        "title": "A search of arithmetic",
        "task": "unconditional",
        "base": "dmp",
        "objectives": ["fid", "added_parameters"],
        "sampler": {"kind": "tpe", "seed": 3, "startup": 4},
        "trials": 10,
        "parameters": PARAMETERS,
        "confirmation": {"points": 2, "seeds": 3},
    }
    data |= changes
    data["confirmation"]["points"] = min(data["confirmation"]["points"], data["trials"])
    return Sweep.model_validate(data)


def make_search(folder: Path, sweep: Sweep, url: str = "", space: Space | None = None) -> Search:
    files = SweepFiles(Layout(folder, "smoke"), sweep.id)
    space = space or Space(sweep.base, list(sweep.parameters))
    return Search(sweep, space, files, open_storage(files.journal, url), STUDY)


def searched(folder: Path, sweep: Sweep, **where) -> Search:
    """A search that is at its end."""
    search = make_search(folder, sweep, **where)
    search.work(measure)
    return search


def study_of(search: Search) -> optuna.Study:
    return load_study(search.storage, STUDY)


def measure(variant: str, report=None) -> Outcome:
    """Least at a learning rate factor of 1 and many prompts; known for every variant."""
    parsed = Variant.parse(variant)
    count = parsed.patch.count(16)
    factor = parsed.training.learning_rate_factor or 1.0
    quality = (factor - 1) ** 2 + 1 / count
    values = {"fid": quality, "denoising_mse": quality / 10, "added_parameters": 32.0 * count}
    return Outcome(values, 1)


def main() -> None:
    """Work; in the trial with the given place, say so, and wait for a line before going on."""
    folder, trials, hold_at = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    done = 0

    def objective(variant: str, report) -> Outcome:
        nonlocal done
        done += 1
        if done == hold_at:
            sys.stderr.write("holding\n")
            sys.stderr.flush()
            sys.stdin.readline()
        return measure(variant, report)

    make_search(folder, make_sweep(trials=trials)).work(objective)


if __name__ == "__main__":
    main()
