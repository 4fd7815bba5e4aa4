"""Handing all runs, baselines and tables of a scale to MLflow; no torch."""

from dmp.files import write_json
from dmp.layout import Layout
from dmp.studies import Plan
from dmp.tracking import ingest, tables


def track(plan: Plan, layout: Layout, target: str, uri: str = "") -> str:
    """Bring the scale's MLflow experiment up to date; return one line that says what changed.

    Args:
        plan: says which runs there are.
        layout: where they are.
        target: ``tables`` or ``studies``: whose runs.
        uri: address of a server, or empty for the SQLite store under ``results/``.

    Raises:
        DMPError: a run cannot be read, or the store cannot be used.

    """
    uri = uri or f"sqlite:///{layout.tracking_store.resolve()}"
    folders = [layout.run(*run) for run in plan.runs(target)]
    folders += [layout.pretrained(*baseline) for baseline in plan.baselines(target)]
    runs = ingest(folders, uri, plan.name)
    tables(layout.tables, uri, plan.name)
    # Without what changed this time: a receipt should not differ when nothing does.
    write_json(layout.tracking_receipt(target), {"experiment": plan.name, "runs": len(folders)})
    return (
        f"MLflow experiment '{plan.name}': {runs.created} runs added, {runs.updated} replaced, "
        f"{runs.unchanged} unchanged"
    )
