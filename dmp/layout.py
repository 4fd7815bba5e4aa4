"""Where every file is under ``results/``; nothing else spells out a path."""

from dataclasses import dataclass
from pathlib import Path

from dmp.errors import DMPError
from dmp.recipes import PAPER, Recipe


def usable_folder(given: object, option: str) -> Path:
    """Return the folder that somebody has named, with ``~`` as the home directory.

    Args:
        option: where, for messages: ``--results``.

    Raises:
        DMPError: it is no name of a folder, or one that Snakemake would take for another.
    """
    if not isinstance(given, str | Path) or not str(given).strip():
        raise DMPError(f"{option} '{given}': accepted is the path of a folder")
    text = str(given)
    if not text.isprintable() or {"{", "}"} & set(text):
        raise DMPError(
            f"{option} {text!r}: a path without braces, which Snakemake takes for wildcards, and "
            f"without line breaks and other control characters is needed"
        )
    if ":/" in text:  # a Path has dropped one of the slashes
        raise DMPError(f"{option} {text}: accepted is the path of a folder, not an address")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise DMPError(f"{option} {text}: {error}; write the whole path") from error


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

    @property
    def published(self) -> Path:
        """The scale's committed results."""
        return self.results / "reference" / self.scale

    @property
    def published_numbers(self) -> Path:
        """The numbers of all runs that are committed."""
        return self.published / "numbers" / "runs.csv"

    def extractor(self, dataset: str) -> Path:
        """Weights of the dataset's own classifier."""
        return self.root / "extractors" / f"{dataset}.safetensors"

    def manifest(self, dataset: str) -> Path:
        """What a dataset on disk was found to be."""
        return self.root / "data" / dataset / "manifest.json"

    def latents(self, dataset: str) -> Path:
        """Folder of a dataset's latents."""
        return self.root / "data" / dataset / "latents"

    def latents_part(self, dataset: str, number: int | str, of: int | str) -> Path:
        """Says that a part of the latents is there."""
        return self.root / "data" / dataset / f"latents-{number}-of-{of}.json"

    def text(self, task: str) -> Path:
        """Folder of a task's captions as a pretrained encoder reads them."""
        return self.root / "captions" / task

    def second_reference(self, task: str) -> Path:
        """As ``reference``, by the network of the second opinion."""
        return self.root / "references" / f"{task}-second.npz"

    def reference(self, task: str) -> Path:
        """Features of the real images that a task's samples are compared with."""
        return self.root / "references" / f"{task}.npz"

    def captions(self, task: str) -> Path:
        """A task's captions, and their embeddings."""
        return self.root / "captions" / f"{task}.safetensors"

    def pretrained(self, task: str, seed: int | str, recipe: Recipe = PAPER) -> Path:
        """Folder of a baseline's own training."""
        folder = f"seed{seed}" if recipe == PAPER else f"seed{seed}-{recipe}"
        return self.root / "pretrained" / task / folder

    def pretrained_weights(self, task: str, seed: int | str, recipe: Recipe = PAPER) -> Path:
        """The converged baseline's averaged weights."""
        return self.pretrained(task, seed, recipe) / "weights.safetensors"

    def pretrained_state(self, task: str, seed: int | str, recipe: Recipe = PAPER) -> Path:
        """The baseline's unaveraged weights, optimiser and average, to train on from."""
        return self.pretrained(task, seed, recipe) / "state.safetensors"

    def branch(self, task: str, seed: int | str) -> Path:
        """As ``pretrained_state``, where the decayed recipe branches off."""
        return self.pretrained(task, seed) / "branch.safetensors"

    def convergence(self, task: str, seed: int | str) -> Path:
        """Whether the baseline has converged, and by what numbers."""
        return self.pretrained(task, seed) / "convergence.json"

    def baseline_loss(self, task: str, seed: int | str, recipe: Recipe = PAPER) -> Path:
        """A baseline's denoising loss, with which those of its runs are compared."""
        return self.pretrained(task, seed, recipe) / "denoising.json"

    def baseline_snapshot(self, task: str, seed: int | str, iteration: int) -> Path:
        """The average some way before the end of a baseline's training, for its convergence."""
        return self.pretrained(task, seed) / "snapshots" / f"{iteration}.safetensors"

    def run(self, task: str, variant: str, seed: int | str) -> Path:
        """Folder of one run."""
        return self.root / "runs" / task / variant / f"seed{seed}"

    def weights(self, task: str, variant: str, seed: int | str) -> Path:
        """What further training made: the patch, or all weights for fine-tuning."""
        return self.run(task, variant, seed) / "weights.safetensors"

    def snapshot(self, task: str, variant: str, seed: int | str, iteration: int) -> Path:
        """As ``weights``, before the last iteration."""
        return self.run(task, variant, seed) / "snapshots" / f"{iteration}.safetensors"

    def snapshot_samples(self, task: str, variant: str, seed: int | str, iteration: int) -> Path:
        """Features of samples taken before the last iteration."""
        return self.run(task, variant, seed) / "snapshots" / f"{iteration}.npz"

    def denoising(self, task: str, variant: str, seed: int | str) -> Path:
        """The losses of each held-out triple."""
        return self.run(task, variant, seed) / "denoising.npz"

    def gate(self, task: str, variant: str, seed: int | str) -> Path:
        """The gate's weights over the timesteps; empty for a run without a gate."""
        return self.run(task, variant, seed) / "gate.npz"

    def samples(self, task: str, variant: str, seed: int | str) -> Path:
        """Features and images of the samples."""
        return self.run(task, variant, seed) / "samples.npz"

    def shard(
        self,
        task: str,
        variant: str,
        seed: int | str,
        number: int | str,
        of: int | str,
        iteration: int | None = None,
    ) -> Path:
        """One of several parts of a run's samples, or of a snapshot's."""
        at = "" if iteration is None else f"-iteration{iteration}"
        return self.run(task, variant, seed) / "shards" / f"{number}-of-{of}{at}.npz"

    def metrics(self, task: str, variant: str, seed: int | str) -> Path:
        """The numbers of a run."""
        return self.run(task, variant, seed) / "metrics.csv"

    def finished(self, task: str, variant: str, seed: int | str) -> Path:
        """Says that all of a run is there: what the workflow waits for, whichever jobs do it."""
        return self.run(task, variant, seed) / "finished"

    def results_table(self, scope: str) -> Path:
        """All numbers of a scope's runs, such as a study's: what follows is pure statistics."""
        return self.root / "numbers" / f"{scope}.csv"

    def baselines_table(self, scope: str) -> Path:
        """The convergence of each baseline that a scope's runs rest on."""
        return self.root / "numbers" / f"{scope}-baselines.csv"

    @property
    def parameters_table(self) -> Path:
        """Parameter counts of real modules."""
        return self.root / "parameters.csv"

    @property
    def speed_table(self) -> Path:
        """Timings of training and sampling; unlike all else they differ from run to run."""
        return self.root / "speed.csv"

    @property
    def gpu_check(self) -> Path:
        """Folder of what a check of the GPU has found."""
        return self.root / "gpu-check"

    def record(self, name: str, folder: Path | None = None) -> Path:
        """What a product of the workflow was made from, beside it; see dmp.products."""
        return (self.root if folder is None else folder) / ".fingerprints" / f"{name}.json"

    @property
    def benchmarks(self) -> Path:
        """Folder of what Snakemake measures of its jobs."""
        return self.root / "benchmarks"

    @property
    def tables(self) -> Path:
        """Folder of the rendered tables."""
        return self.root / "tables"

    def figures(self, study: str) -> Path:
        """Folder of a study's figures, or of those of the claims or hypotheses."""
        return self.root / "figures" / study

    def verdicts(self, scope: str) -> Path:
        """The verdicts on what the paper claims, or on hypotheses of our own."""
        return self.root / f"{scope}.md"

    @property
    def tracking_store(self) -> Path:
        """MLflow's SQLite store, shared by all scales."""
        return self.results / "mlflow.db"

    def tracking_summary(self, target: str) -> Path:
        """What was handed to MLflow last."""
        return self.root / f"mlflow-{target}.json"
