"""Publishing results as a reference, and comparing a new run with one; no torch."""

import json
import platform
import shutil
from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import atomic_path, read_json, write_json, write_text
from dmp.layout import Layout
from dmp.statistics.verify import OUTSIDE, summary, tolerated, verify
from dmp.studies import Plan

# What makes a row, and what counts its units, in a study's two tables.
TABLES = {
    "": (["task", "variant", "metric"], "units"),
    "-comparisons": (["task", "variant", "against", "metric"], "n"),
}


def reference_folder(layout: Layout) -> Path:
    """Return where a scale's committed results are."""
    return layout.results / "reference" / layout.scale


def publish(plan: Plan, layout: Layout) -> str:
    """Copy tables, verdicts and figures of a finished scale to its committed reference.

    Raises:
        DMPError: a study has no table yet, or a file cannot be written.

    """
    target = reference_folder(layout)
    files = [path for path in sorted(layout.tables.glob("*")) if path.suffix in (".csv", ".md")]
    have = {path.stem for path in files}
    missing = sorted({*plan.studies, *plan.parameter_studies} - have)
    if missing:
        raise DMPError(
            f"{layout.tables} lacks the studies {', '.join(missing)}; make tables and studies first"
        )
    claims = [layout.claims.with_suffix(suffix) for suffix in (".csv", ".md")]
    files += [path for path in claims if path.is_file()]
    files += sorted((layout.root / "figures").glob("*/*.png"))
    shutil.rmtree(target, ignore_errors=True)
    for path in files:
        with atomic_path(target / path.relative_to(layout.root)) as temporary:
            shutil.copyfile(path, temporary)
    provenance = _provenance(plan, layout)
    write_json(target / "provenance.json", provenance)
    return f"{len(files)} files of {len(have)} tables are in {target}"


def _provenance(plan: Plan, layout: Layout) -> dict:
    """Return what made the runs: commits, machines, versions, seeds, and from when to when."""
    records = [read_json(layout.run(*run) / "provenance.json") for run in plan.runs()]
    distinct = {
        name: sorted({json.dumps(record[name], sort_keys=True) for record in records})
        for name in ("commit", "dirty", "machine", "device", "python", "versions")
    }
    return {
        **{name: [json.loads(text) for text in texts] for name, texts in distinct.items()},
        "processor": _processor(),
        "seeds": plan.scale.seeds,
        "baseline_seeds": plan.scale.baseline_seeds,
        "runs": len(records),
        "started": min(record["started"] for record in records),
        "finished": max(record["finished"] for record in records),
    }


def _processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.processor() or "unknown"


def verify_scale(plan: Plan, layout: Layout) -> tuple[str, bool]:
    """Compare all tables of a scale with its reference, and write ``verify.csv``.

    Returns:
        What to tell the user, and whether the run agrees with the reference.

    Raises:
        DMPError: there is no reference for this scale, or no table to compare.

    """
    folder = reference_folder(layout)
    if not folder.is_dir():
        raise DMPError(f"there are no reference results for scale '{plan.name}': no {folder}")
    parts, left_out = [], []
    for study in sorted(plan.studies):
        for suffix, (keys, count) in TABLES.items():
            name = f"{study}{suffix}.csv"
            ours, theirs = layout.tables / name, folder / "tables" / name
            if not ours.is_file() or not theirs.is_file():
                left_out.append(name)
                continue
            found = verify(pd.read_csv(ours), pd.read_csv(theirs), keys, count)
            found.insert(0, "kind", "difference" if suffix else "mean")
            found.insert(0, "study", study)
            parts.append(found)
    if not parts:
        raise DMPError(f"no table of {layout.tables} is in {folder / 'tables'}; run make tables")
    rows = pd.concat(parts, ignore_index=True)
    write_text(layout.root / "verify.csv", rows.to_csv(index=False, lineterminator="\n"))
    agree, lines = True, []
    for kind, group in rows.groupby("kind", sort=False):
        counts = summary(group)
        compared = sum(counts.values()) - counts["not in both"]
        limit = tolerated(compared)
        agree = agree and counts[OUTSIDE] <= limit
        lines.append(
            f"{kind}s: {compared} compared: {counts['identical']} identical, {counts['within']} "
            f"within the reference's 95 % prediction interval, {counts[OUTSIDE]} outside (up to "
            f"{limit} are expected by chance), {counts['not in both']} not in both"
        )
    if left_out:
        lines.append(f"not compared, since one side has not made them: {', '.join(left_out)}")
    made = read_json(folder / "provenance.json")
    lines.append(
        f"reference: {made['seeds']} seeds, {made['processor']}, commit "
        f"{', '.join(made['commit'])}, {made['finished'][:10]}; all rows are in "
        f"{layout.root / 'verify.csv'}"
    )
    told = "this run reproduces the reference" if agree else "this run DIFFERS from the reference"
    return "\n".join([*lines, told]), agree
