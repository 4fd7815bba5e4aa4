"""Where the files of a sweep lie."""

from dataclasses import dataclass
from pathlib import Path

from dmp.layout import Layout

# A point with one fresh seed. Numbers of a run that has diverged are written as nan.
CONFIRMED_COLUMNS: dict[str, type] = {
    "variant": str,
    "seed": int,
    "baseline_seed": int,
    "fid": float,
    "denoising_mse": float,
    "added_parameters": float,
    "diverged": bool,
    "config": str,
}


@dataclass(frozen=True)
class SweepFiles:
    """The folder of one sweep at one scale; names may hold wildcards in braces."""

    layout: Layout
    sweep: str

    @property
    def root(self) -> Path:
        """The sweep's folder."""
        return self.layout.root / "sweeps" / self.sweep

    @property
    def journal(self) -> Path:
        """Optuna's journal of all trials, unless a database is used."""
        return self.root / "journal.log"

    @property
    def claims(self) -> Path:
        """The lock under which a worker takes its next trial."""
        return self.root / "locks" / "claims.lock"

    def owner(self, name: str) -> Path:
        """The lock that a worker holds as long as it lives."""
        return self.root / "locks" / f"{name}.lock"

    def run_lock(self, task: str, variant: str, seed: int) -> Path:
        """The lock under which a run is computed; sweeps of a scale share it."""
        return self.layout.root / "sweeps" / ".runs" / task / f"{variant}-seed{seed}.lock"

    def worker_summary(self, worker: int | str) -> Path:
        """What a worker leaves when there is nothing more to do for it."""
        return self.root / "workers" / f"{worker}.json"

    def confirmation(self, point: int | str) -> Path:
        """Numbers of the best points with fresh seeds; point 0 is the base."""
        return self.root / "confirmation" / f"{point}.csv"

    @property
    def trials(self) -> Path:
        """Every trial."""
        return self.root / "trials.csv"

    @property
    def confirmed(self) -> Path:
        """The estimates of the best points."""
        return self.root / "confirmed.csv"

    @property
    def best(self) -> Path:
        """The best points as cells of a study."""
        return self.root / "best.yaml"

    @property
    def interactive(self) -> Path:
        """The same plots as one interactive page."""
        return self.root / "plots.html"

    def pages(self) -> list[Path]:
        """The sweep's page in every format."""
        return [self.root / f"{self.sweep}.{suffix}" for suffix in ("html", "md", "tex")]

    @property
    def figures(self) -> Path:
        """Folder of Optuna's own plots as .png and .svg."""
        return self.root / "figures"
