"""Publishing a finished scale's results as the reference that others compare theirs with."""

import shutil
from pathlib import Path

from dmp.errors import DMPError
from dmp.files import atomic_path, write_json
from dmp.layout import Layout
from dmp.stages.collect import gather_baselines, gather_results
from dmp.stages.numbers import write_numbers
from dmp.stages.origin import origin_of
from dmp.studies import Plan


def reference_folder(layout: Layout) -> Path:
    """Return where a scale's committed results are."""
    return layout.results / "reference" / layout.scale


def publish(plan: Plan, layout: Layout) -> str:
    """Copy the results of a finished scale to its committed reference.

    These are the tables' CSV files and every number of every run; and of a scale that allows
    conclusions, pages, verdicts and figures too.

    Raises:
        DMPError: a study has no table yet, a run is missing, or a file cannot be written. The
            earlier reference is as it was, unless files could not be written.

    """
    target = reference_folder(layout)
    suffixes = (".csv", ".md") if plan.scale.conclusive else (".csv",)
    files = [path for path in sorted(layout.tables.glob("*")) if path.suffix in suffixes]
    have = {path.stem for path in files}
    missing = sorted({*plan.studies, *plan.parameter_studies} - have)
    if missing:
        raise DMPError(
            f"{layout.tables} lacks the studies {', '.join(missing)}; make tables and studies first"
        )
    if plan.scale.conclusive:
        pages = (layout.claims, layout.hypotheses)
        claims = [page.with_suffix(suffix) for page in pages for suffix in suffixes]
        files += [path for path in claims if path.is_file()]
        files += sorted((layout.root / "figures").glob("*/*.png"))
    runs, trained = plan.runs(), plan.baselines()
    results = gather_results(plan, layout, runs)
    baselines = gather_baselines(plan, layout, trained)
    origin = origin_of(
        plan, [layout.run(*run) for run in runs], [layout.pretrained(*each) for each in trained]
    )
    shutil.rmtree(target, ignore_errors=True)
    for path in files:
        with atomic_path(target / path.relative_to(layout.root)) as temporary:
            shutil.copyfile(path, temporary)
    write_numbers(results, baselines, target / "numbers")
    write_json(target / "provenance.json", origin.model_dump())
    return (
        f"{len(files)} files of {len(have)} tables, and {len(results):,} numbers of {len(runs)} "
        f"runs, are in {target}"
    )
