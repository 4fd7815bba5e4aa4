"""What is made before any baseline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmp.config import TaskConfig, content_hash
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
    return named(layout, "manifest", dataset, lambda: plan.source(dataset), files)


def latents_part_product(plan: Plan, layout: Layout, dataset: str, part: int, of: int) -> Product:
    """Return one of several parts of a dataset's latents, from 1 on."""
    return Product(
        "latents_part",
        (dataset, part),
        lambda: content_hash(_latents(plan, dataset)),
        layout.record(f"latents/{dataset}-{part}-of-{of}"),
        (layout.latents_part(dataset, part, of),),
        (layout.record(f"manifest/{dataset}"),),
    )


def latents_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return the index of a dataset's latents."""
    files = (layout.latents(dataset) / "index.json",)
    made_from = (layout.record(f"manifest/{dataset}"),)
    return named(layout, "latents", dataset, lambda: _latents(plan, dataset), files, made_from)


def _latents(plan: Plan, dataset: str) -> list[Any]:
    data = plan.encoded(dataset)
    return [data.source, data.latents, plan.scale.numerics]


def extractor_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return a dataset's own classifier."""
    first = next(task for task in plan.scale.tasks.values() if task.data.name == dataset)
    depends = [first.data, first.evaluation.extractor, plan.scale.numerics]
    return named(layout, "extractor", dataset, lambda: depends, (layout.extractor(dataset),))


def reference_product(plan: Plan, layout: Layout, task: str) -> Product:
    """Return the features of a task's real images."""
    config = plan.scale.tasks[task]
    evaluation = config.evaluation
    depends = [
        config.data,
        evaluation.reference,
        evaluation.reference_file,
        evaluation.reference_features,
        evaluation.extractor,
        evaluation.second_opinion,
        plan.scale.numerics,
    ]
    files = (layout.reference(task),)
    if evaluation.second_opinion is not None:
        files += (layout.second_reference(task),)
    made_from = (*extractor_records(layout, config), *_manifests(layout, config))
    return named(layout, "reference", task, lambda: depends, files, made_from)


def captions_product(plan: Plan, layout: Layout, task: str) -> Product:
    """Return a task's captions."""
    config = plan.scale.tasks[task]
    depends = [config.data, config.text, plan.scale.numerics]
    files, made_from = (layout.captions(task),), _manifests(layout, config)
    return named(layout, "captions", task, lambda: depends, files, made_from)


def _manifests(layout: Layout, config: TaskConfig) -> tuple[Path, ...]:
    return tuple(layout.record(f"manifest/{name}") for name in config.data.on_disk)
