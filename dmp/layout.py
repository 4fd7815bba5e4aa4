"""Where everything lies under ``results/``: the workflow and the stages ask here, nobody spells."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders and files of one scale.

    Names may hold wildcards in braces, for the rules of the workflow.
    """

    results: Path
    scale: str

    @property
    def root(self) -> Path:
        """The scale's folder."""
        return self.results / self.scale

    def extractor(self, dataset: str) -> Path:
        """Weights of the dataset's own classifier."""
        return self.root / "extractors" / f"{dataset}.safetensors"

    def reference(self, task: str) -> Path:
        """Features of the real images that a task's samples are compared with."""
        return self.root / "references" / f"{task}.npz"

    def pretrained(self, task: str, seed: int | str) -> Path:
        """Folder of a baseline's own training."""
        return self.root / "pretrained" / task / f"seed{seed}"

    def pretrained_weights(self, task: str, seed: int | str) -> Path:
        """The converged baseline's averaged weights."""
        return self.pretrained(task, seed) / "weights.safetensors"

    def convergence(self, task: str, seed: int | str) -> Path:
        """Whether the baseline has converged, and by what numbers."""
        return self.pretrained(task, seed) / "convergence.json"

    def run(self, task: str, variant: str, seed: int | str) -> Path:
        """Folder of one run."""
        return self.root / "runs" / task / variant / f"seed{seed}"

    def weights(self, task: str, variant: str, seed: int | str) -> Path:
        """What further training made: the patch, or all weights for fine-tuning."""
        return self.run(task, variant, seed) / "weights.safetensors"

    def samples(self, task: str, variant: str, seed: int | str) -> Path:
        """Features and images of the samples."""
        return self.run(task, variant, seed) / "samples.npz"

    def metrics(self, task: str, variant: str, seed: int | str) -> Path:
        """The numbers of a run."""
        return self.run(task, variant, seed) / "metrics.csv"

    def results_table(self, study: str = "") -> Path:
        """All numbers of a study's runs, or of all: what follows is pure statistics."""
        return self.root / "numbers" / f"{study}.csv" if study else self.root / "results.csv"

    def baselines_table(self, study: str = "") -> Path:
        """The convergence of each baseline that a study's runs rest on, or of all."""
        if study:
            return self.root / "numbers" / f"{study}-baselines.csv"
        return self.root / "baselines.csv"

    @property
    def parameters_table(self) -> Path:
        """Parameter counts of real modules."""
        return self.root / "parameters.csv"

    @property
    def tables(self) -> Path:
        """Folder of the rendered tables."""
        return self.root / "tables"

    @property
    def statistics(self) -> Path:
        """Folder of each study's estimates and comparisons."""
        return self.root / "statistics"

    @property
    def tracking_store(self) -> Path:
        """MLflow's SQLite store, shared by all scales."""
        return self.results / "mlflow.db"

    @property
    def tracking_receipt(self) -> Path:
        """What was handed to MLflow last."""
        return self.root / "mlflow.json"
