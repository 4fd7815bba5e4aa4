"""What is made before any baseline."""

from collections.abc import Iterator
from pathlib import Path

from dmp.config import TaskConfig
from dmp.layout import Layout
from dmp.products.product import Product
from dmp.products.runs import extractor_records
from dmp.studies import Plan


def prepared_products(plan: Plan, layout: Layout) -> Iterator[Product]:
    """Yield what is made before any baseline."""
    for name in plan.sources():
        yield manifest_product(plan, layout, name)
    encoded = {t.data.name for t in plan.scale.tasks.values() if t.data.latents}
    for name in sorted(encoded):
        of = plan.scale.execution.latents_jobs
        for part in range(1, of + 1):
            yield latents_part_product(plan, layout, name, part, of)
        yield latents_product(plan, layout, name)
    own = {t.data.name for t in plan.scale.tasks.values() if extractor_records(layout, t)}
    for name in sorted(own):
        yield extractor_product(plan, layout, name)
    for task, config in plan.scale.tasks.items():
        yield reference_product(plan, layout, task)
        if config.text is not None:
            yield captions_product(plan, layout, task)


def manifest_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return what a dataset on disk was found to be."""
    return Product(
        "manifest",
        (dataset,),
        lambda: plan.source_fingerprint(dataset),
        layout.record(f"manifest/{dataset}"),
        (layout.manifest(dataset),),
    )


def latents_part_product(plan: Plan, layout: Layout, dataset: str, part: int, of: int) -> Product:
    """Return one of several parts of a dataset's latents, from 1 on."""
    return Product(
        "latents_part",
        (dataset, part),
        lambda: plan.latents_fingerprint(dataset),
        layout.record(f"latents/{dataset}-{part}-of-{of}"),
        (layout.latents_part(dataset, part, of),),
        (layout.record(f"manifest/{dataset}"),),
    )


def latents_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return the index of a dataset's latents."""
    return Product(
        "latents",
        (dataset,),
        lambda: plan.latents_fingerprint(dataset),
        layout.record(f"latents/{dataset}"),
        (layout.latents(dataset) / "index.json",),
        (layout.record(f"manifest/{dataset}"),),
    )


def extractor_product(plan: Plan, layout: Layout, dataset: str) -> Product:
    """Return a dataset's own classifier."""
    return Product(
        "extractor",
        (dataset,),
        lambda: plan.extractor_fingerprint(dataset),
        layout.record(f"extractor/{dataset}"),
        (layout.extractor(dataset),),
    )


def _manifests(layout: Layout, config: TaskConfig) -> tuple[Path, ...]:
    names = (config.data.name, config.data.test_name)
    return tuple(layout.record(f"manifest/{name}") for name in names) if config.data.source else ()


def reference_product(plan: Plan, layout: Layout, task: str) -> Product:
    """Return the features of a task's real images."""
    config = plan.scale.tasks[task]
    second = config.evaluation.second_opinion is not None
    return Product(
        "reference",
        (task,),
        lambda: plan.reference_fingerprint(task),
        layout.record(f"reference/{task}"),
        (layout.reference(task), *([layout.second_reference(task)] if second else [])),
        (*extractor_records(layout, config), *_manifests(layout, config)),
    )


def captions_product(plan: Plan, layout: Layout, task: str) -> Product:
    """Return a task's captions."""
    return Product(
        "captions",
        (task,),
        lambda: plan.captions_fingerprint(task),
        layout.record(f"captions/{task}"),
        (layout.captions(task),),
        _manifests(layout, plan.scale.tasks[task]),
    )
