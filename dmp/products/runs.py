"""What the stages of a run and of a baseline make."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from dmp.config import TaskConfig
from dmp.layout import Layout
from dmp.products.product import Product
from dmp.recipes import DECAYED
from dmp.studies.run import RunConfig, RunStage


def run_products(layout: Layout, run: RunConfig) -> dict[str, Product]:
    """Return what the stages of one run make, by stage, first things first."""
    names = (run.task, run.variant, run.seed)
    folder, config = layout.run(*names), run.config
    weights = (
        *(layout.weights(*names), folder / "provenance.json"),
        *(layout.snapshot(*names, iteration) for iteration in run.snapshots),
    )
    samples = (
        layout.samples(*names),
        *(layout.snapshot_samples(*names, iteration) for iteration in run.snapshots),
    )
    metrics = (layout.metrics(*names), layout.denoising(*names), layout.gate(*names))
    baseline = layout.record("baseline", layout.pretrained(*run.baseline))

    def product(
        stage: RunStage,
        files: Iterable[Path],
        made_from: Iterable[Path],
        receipt: Path | None = None,
    ) -> Product:
        record = layout.record(stage, folder)
        fingerprint = partial(run.fingerprint, stage)
        return Product(stage, names, fingerprint, record, tuple(files), tuple(made_from), receipt)

    first = product("weights", weights, (baseline, *data_records(layout, run.task, config)))
    second = product("samples", samples, (first.record, *extractor_records(layout, config)))
    reference = layout.record(f"reference/{run.task}")
    last = product("metrics", metrics, (second.record, reference), layout.finished(*names))
    return {each.stage: each for each in (first, second, last)}


def baseline_product(layout: Layout, run: RunConfig) -> Product:
    """Return the trained weights of a baseline, whose own configuration is ``run``."""
    folder = layout.pretrained(*run.baseline)
    weights, decayed = layout.pretrained_weights(*run.baseline), run.recipe == DECAYED
    # Nothing goes on from a rate of 0, so that a decayed one leaves no state.
    state = () if decayed else (layout.pretrained_state(*run.baseline),)
    stem = (layout.record("baseline", layout.pretrained(run.task, run.seed)),) if decayed else ()
    return Product(
        "decayed" if decayed else "baseline",
        (run.task, run.seed),
        partial(run.fingerprint, "baseline"),
        layout.record("baseline", folder),
        (weights, *state, folder / "provenance.json"),
        (*stem, *data_records(layout, run.task, run.config)),
    )


def convergence_product(layout: Layout, run: RunConfig) -> Product:
    """Return the check of a baseline, whose own configuration is ``run``."""
    folder = layout.pretrained(run.task, run.seed)
    reference = layout.record(f"reference/{run.task}")
    return Product(
        "convergence",
        (run.task, run.seed),
        partial(run.fingerprint, "convergence"),
        layout.record("convergence", folder),
        (layout.convergence(run.task, run.seed),),
        (layout.record("baseline", folder), reference, *extractor_records(layout, run.config)),
    )


def extractor_records(layout: Layout, config: TaskConfig) -> tuple[Path, ...]:
    """Return the record of a task's feature extractor, if the workflow trains it."""
    own = config.evaluation.extractor.trained_here
    return (layout.record(f"extractor/{config.data.name}"),) if own else ()


def data_records(layout: Layout, task: str, config: TaskConfig) -> tuple[Path, ...]:
    """Return the records of a task's captions and latents, as far as it has any."""
    captions = (layout.record(f"captions/{task}"),) if config.text else ()
    latents = (layout.record(f"latents/{config.data.name}"),) if config.data.latents else ()
    return (*captions, *latents)
