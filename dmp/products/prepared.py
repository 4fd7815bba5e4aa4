"""What is made before any baseline."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dmp.config import TaskConfig
from dmp.layout import Layout
from dmp.products.product import Product, named
from dmp.products.runs import extractor_records
from dmp.studies import Plan


def prepared_products(plan: Plan, layout: Layout) -> Iterator[Product]:
    """Yield what is made before any baseline."""
    tasks = plan.scale.tasks
    for name in plan.sources():
        yield manifest_product(plan, layout, name)
    for name in sorted({task.data.name for task in tasks.values() if task.data.latents}):
        of = plan.scale.execution.latents_jobs
        for part in range(1, of + 1):
            yield latents_part_product(plan, layout, name, part, of)
        yield latents_product(plan, layout, name)
    for name in sorted({t.data.name for t in tasks.values() if extractor_records(layout, t)}):
        yield extractor_product(plan, layout, name)
    for name, task in tasks.items():
        yield reference_product(plan, layout, name)
        if task.text is not None:
            yield captions_product(plan, layout, name)


def manifest_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return what a dataset on disk was found to be."""
    files = (layout.manifest(dataset),)
    return named(layout, "manifest", dataset, plan.source_fingerprint, files)


def latents_part_product(plan: Plan, layout: Layout, dataset: str, part: int, of: int) -> Product:
    """Return one of several parts of a dataset's latents, from 1 on."""
    return Product(
        "latents_part",
        (dataset, part),
        partial(plan.latents_fingerprint, dataset),
        layout.record(f"latents/{dataset}-{part}-of-{of}"),
        (layout.latents_part(dataset, part, of),),
        (layout.record(f"manifest/{dataset}"),),
    )


def latents_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return the index of a dataset's latents."""
    files = (layout.latents(dataset) / "index.json",)
    made_from = (layout.record(f"manifest/{dataset}"),)
    return named(layout, "latents", dataset, plan.latents_fingerprint, files, made_from)


def extractor_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return a dataset's own classifier."""
    files = (layout.extractor(dataset),)
    return named(layout, "extractor", dataset, plan.extractor_fingerprint, files)


def reference_product(plan: Plan, layout: Layout, task: str) -> Product:
    """Return the features of a task's real images."""
    config = plan.scale.tasks[task]
    files = (layout.reference(task),)
    if config.evaluation.second_opinion is not None:
        files += (layout.second_reference(task),)
    made_from = (*extractor_records(layout, config), *_manifests(layout, config))
    return named(layout, "reference", task, plan.reference_fingerprint, files, made_from)


def captions_product(plan: Plan, layout: Layout, task: str) -> Product:
    """Return a task's captions."""
    files, made_from = (layout.captions(task),), _manifests(layout, plan.scale.tasks[task])
    return named(layout, "captions", task, plan.captions_fingerprint, files, made_from)


def _manifests(layout: Layout, config: TaskConfig) -> tuple[Path, ...]:
    names = (config.data.name, config.data.test_name)
    return tuple(layout.record(f"manifest/{name}") for name in names) if config.data.source else ()
