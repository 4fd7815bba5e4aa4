"""Which runs claims are judged by, at one scale."""

from dmp.claims.schema import Claims
from dmp.methods import Variant, find_method
from dmp.recipes import DECAYED
from dmp.studies.schema import Scale


def judged_by(claims: Claims, scale: Scale) -> list[tuple[str, str]]:
    """Return what claims are judged by, as far as this scale has it.

    A claim about a task that it knows nothing of is not tested there, nor one on baselines of a
    recipe that it does not have, nor a method that goes on where a decayed rate has ended, nor one
    that is asked by a study that it cannot afford.
    """
    lacking = undecayed(scale)

    def exists(task: str, variant: str) -> bool:
        parsed = Variant.parse(variant)
        ended = task in lacking or find_method(parsed.method).continues
        return not (parsed.origin.recipe == DECAYED and ended)

    runs = claims.runs(without=left_out(claims, scale))
    return [run for run in runs if run[0] in scale.tasks and exists(*run)]


def left_out(claims: Claims, scale: Scale) -> dict[str, str]:
    """Return the ids of claims whose study the scale cannot afford, each with the reason."""
    if scale.affords is None:
        return {}
    reason, studies = scale.affords.reason, scale.affords.studies
    return {claim.id: reason for claim in claims.claims if claim.study not in studies}


def undecayed(scale: Scale) -> dict[str, str]:
    """Return the tasks that have baselines of the paper's recipe alone, each with the reason."""
    told = "no decayed recipe at this scale"
    return {name: told for name, task in scale.tasks.items() if task.pretraining.decay is None}
