"""What the stages of a run and of a baseline make."""

from pathlib import Path

from dmp.config import TaskConfig
from dmp.layout import Layout
from dmp.products.product import Product
from dmp.studies.run import RunConfig, RunStage

_DATASET_CLASSIFIER = "dataset-classifier"


def run_products(layout: Layout, run: RunConfig) -> dict[str, Product]:
    """Return what the stages of one run make, by stage, first things first."""
    names = (run.task, run.variant, run.seed)
    folder, config = layout.run(*names), run.config

    def record(stage: str) -> Path:
        return layout.record(stage, folder)

    def product(
        stage: RunStage,
        files: tuple[Path, ...],
        made_from: tuple[Path, ...],
        receipt: Path | None = None,
    ) -> Product:
        return Product(
            stage, names, lambda: run.fingerprint(stage), record(stage), files, made_from, receipt
        )

    baseline = layout.record("baseline", layout.pretrained(run.task, run.baseline_seed))
    inputs = (baseline, *data_records(layout, run.task, config))
    weights = (
        *(layout.weights(*names), folder / "provenance.json"),
        *(layout.snapshot(*names, iteration) for iteration in run.snapshots),
    )
    samples = (
        layout.samples(*names),
        *(layout.snapshot_samples(*names, iteration) for iteration in run.snapshots),
    )
    metrics = (layout.metrics(*names), layout.denoising(*names), layout.gate(*names))
    return {
        "weights": product("weights", weights, inputs),
        "samples": product(
            "samples",
            samples,
            (record("weights"), *extractor_records(layout, config)),
        ),
        "metrics": product(
            "metrics",
            metrics,
            (record("samples"), layout.record(f"reference/{run.task}")),
            layout.finished(*names),
        ),
    }


def baseline_product(layout: Layout, run: RunConfig) -> Product:
    """Return the trained weights of a baseline, whose own configuration is ``run``."""
    folder = layout.pretrained(run.task, run.seed)
    files = (
        layout.pretrained_weights(run.task, run.seed),
        layout.pretrained_state(run.task, run.seed),
        folder / "provenance.json",
    )
    return Product(
        "baseline",
        (run.task, run.seed),
        lambda: run.fingerprint("baseline"),
        layout.record("baseline", folder),
        files,
        data_records(layout, run.task, run.config),
    )


def convergence_product(layout: Layout, run: RunConfig) -> Product:
    """Return the check of a baseline, whose own configuration is ``run``."""
    folder = layout.pretrained(run.task, run.seed)
    return Product(
        "convergence",
        (run.task, run.seed),
        lambda: run.fingerprint("convergence"),
        layout.record("convergence", folder),
        (layout.convergence(run.task, run.seed),),
        (
            layout.record("baseline", folder),
            layout.record(f"reference/{run.task}"),
            *extractor_records(layout, run.config),
        ),
    )


def extractor_records(layout: Layout, config: TaskConfig) -> tuple[Path, ...]:
    """Return the record of a task's feature extractor, if the workflow trains it."""
    own = config.evaluation.extractor.name == _DATASET_CLASSIFIER
    return (layout.record(f"extractor/{config.data.name}"),) if own else ()


def data_records(layout: Layout, task: str, config: TaskConfig) -> tuple[Path, ...]:
    """Return the records of a task's captions and latents, as far as it has any."""
    captions = (layout.record(f"captions/{task}"),) if config.text else ()
    latents = (layout.record(f"latents/{config.data.name}"),) if config.data.latents else ()
    return (*captions, *latents)
