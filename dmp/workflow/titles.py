"""What a report calls tables and figures."""

from dmp.reporting.figures import KINDS
from dmp.studies import Plan
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.schema import Sweep

_VERDICTS = {
    "forest": "One line for each",
    "evidence": "All evidence",
    "paper": "The paper against ours",
    "rates": "Held-out loss against the effective learning rate",
}


def table_title(plan: Plan, study: str) -> dict[str, str]:
    """Return the labels of a study's table: where it stands in the paper, and its title."""
    found = plan.parameter_studies.get(study) or plan.studies[study]
    return {"Source": found.source or "our own question", "Title": found.title}


def figure_title(plan: Plan, study: str, figure: str) -> dict[str, str]:
    """Return the labels of a figure of a study, by the name of its file without a suffix."""
    rest = figure.removeprefix(f"{study}-")
    found = plan.studies.get(study)
    kinds = [spec.kind for spec in found.figures] if found else []
    kind = max((kind for kind in kinds if rest.startswith(kind)), key=len, default="")
    return {
        "Title": found.title if found else study,
        # With what draws it a second, which a call without a report saves.
        "Figure": KINDS.get(kind, f"study {study}: figures").title if kind else rest,
        "Task": rest.removeprefix(kind).strip("-") if kind else "",
    }


def sweep_title(plan: Plan, sweep: Sweep, files: SweepFiles) -> dict[str, str]:
    """Return the labels of a sweep's page: its title, and what it came to."""
    # With pandas a second, which a call without a report saves.
    from dmp.sweeps.confirmation import read_confirmed, verdict

    told = verdict(sweep, read_confirmed(files.confirmed))
    return {"Title": f"{sweep.title}{_too_small(plan)}", "Outcome": told}


def verdicts_title(title: str, figure: str) -> dict[str, str]:
    """Return the labels of a figure of claims or of hypotheses."""
    kind = figure.split("-", maxsplit=1)[-1]
    return {"Title": title, "Figure": _VERDICTS.get(kind, kind), "Task": ""}


def verdicts_page_title(plan: Plan, whose: str) -> dict[str, str]:
    """Return the labels of the page of verdicts, with a warning where none may be believed."""
    return {"Title": f"Verdicts on {whose}{_too_small(plan)}"}


def _too_small(plan: Plan) -> str:
    small = f" – scale '{plan.name}' is too small for any conclusion"
    return "" if plan.scale.conclusive else small
