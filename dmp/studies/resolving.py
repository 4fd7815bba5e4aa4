"""From files to a plan: every name checked, every cell spelled out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmp.claims.schema import Claims, with_arms
from dmp.config import from_data, nearest
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.metrics.registry import unmeasured
from dmp.studies.checks import (
    NoBaselineError,
    check_datasets,
    check_task,
    resolve_comparisons,
    resolve_variant,
)
from dmp.studies.judged import judged_by
from dmp.studies.loading import load_scale, load_studies, read_yaml, scale_names
from dmp.studies.plan import ABLATIONS, SCOPES, Plan
from dmp.studies.schema import ParameterStudy, Scale, Study

# Whose question claims of timings are: they are no study's.
SPEED = "speed"


def load_plan(scale: str, ablations: Path = ABLATIONS, seeds: int | None = None) -> Plan:
    """Read a scale and all studies, check every name and every cell, and expand.

    Args:
        seeds: how many, in place of the scale's own number.

    Raises:
        DMPError: naming the file, the key, the value and what is accepted.
    """
    loaded, where = load_scale(ablations, scale), str(ablations / "scales" / f"{scale}.yaml")
    if seeds is not None:
        loaded = from_data(Scale, {**dict(loaded), "seeds": seeds}, "seeds")
    for name, task in loaded.tasks.items():
        check_task(name, task, where)
    check_datasets(loaded, where)
    studies, parameter_studies, left_out = {}, {}, {}
    every = load_studies(ablations)
    affords = loaded.affords
    for number, name in enumerate(affords.studies if affords else ()):
        if name not in (*every, SPEED):
            raise DMPError(
                f"{where}: affords.studies.{number} = '{name}': {nearest(name, [*every, SPEED])}"
            )
    for name, study in every.items():
        where = f"{ablations / 'studies' / name}.yaml"
        if name in SCOPES:
            raise DMPError(
                f"{where}: no study may be called '{name}', which is the name of a set of studies"
            )
        if isinstance(study, ParameterStudy):
            parameter_studies[name] = study
            continue
        for number, other in enumerate(study.scales):
            if other not in (scales := scale_names(ablations)):
                raise DMPError(f"{where}: scales.{number} = '{other}': {nearest(other, scales)}")
        if study.scales and scale not in study.scales:
            left_out[name] = f"for {', '.join(study.scales)} alone"
        elif affords and name not in affords.studies:
            left_out[name] = affords.reason
        else:
            studies[name] = _resolve(study, loaded, where)
    claims = _claims(ablations, "claims.yaml", loaded, every)
    hypotheses = _claims(ablations, "hypotheses.yaml", loaded, every)
    plan = Plan(scale, loaded, studies, parameter_studies, claims, hypotheses, left_out)
    for name in every:
        if name in plan.judged_one_by_one:
            raise DMPError(
                f"{ablations / 'studies' / name}.yaml: no study may be called '{name}', which is "
                f"the id of one of the {plan.judged_one_by_one[name]}"
            )
    return plan


def _claims(
    ablations: Path, file: str, scale: Scale, studies: Mapping[str, Study | ParameterStudy]
) -> Claims | None:
    path = ablations / file
    if not path.is_file():
        return None
    claims = from_data(Claims, with_arms(read_yaml(path), scale.name), str(path))
    for key, scales in (("looks", claims.looks), ("arms_at", claims.arms_at)):
        for other in scales:
            if other not in scale_names(ablations):
                known = nearest(other, scale_names(ablations))
                raise DMPError(f"{path}: {key}: unknown scale '{other}': {known}")
    asked = {*studies, SPEED}
    for claim in claims.claims:
        if claim.study and claim.study not in asked:
            raise DMPError(
                f"{path}: {claim.id}.study = '{claim.study}': {nearest(claim.study, asked)}"
            )
    # A scale need not know every task, but some study has to.
    cells = (cell for each in studies.values() if isinstance(each, Study) for cell in each.cells)
    known = {*scale.tasks, *scale.not_run, *(cell.task for cell in cells)}
    for task in claims.tasks():
        if task not in known:
            raise DMPError(f"{path}: unknown task '{task}': {nearest(task, known)}")
    for task, variant in judged_by(claims, scale):
        resolve_variant(variant, task, scale, str(path))
    return claims


def _resolve(study: Study, scale: Scale, where: str) -> Study:
    cells = []
    for number, cell in enumerate(study.cells):
        place, reason = f"{where}: cells.{number}", scale.not_run.get(cell.task)
        try:
            variant = resolve_variant(cell.variant, cell.task, scale, place)
        except NoBaselineError as error:
            variant, reason = Variant.parse(cell.variant, place), error.reason
        if scale.affords and variant.method not in scale.affords.methods:
            reason = reason or scale.affords.reason
        label = cell.label or variant.name
        changes = {"variant": variant.name, "label": label, "not_run": reason}
        if cell.task in scale.tasks:
            gate = variant.patch is not None and variant.patch.gate != "none"
            changes["unmeasured"] = unmeasured(scale.tasks[cell.task], study.metrics, gate)
        cells.append(cell.model_copy(update=changes))
    names = [(cell.task, cell.variant) for cell in cells]
    for task, variant in names:
        if names.count((task, variant)) > 1:
            raise DMPError(f"{where}: the cell {task}/{variant} is given twice")
    tasks = {cell.task for cell in cells}
    for number, figure in enumerate(study.figures):
        if figure.task is not None and figure.task not in tasks:
            place = f"{where}: figures.{number}.task"
            raise DMPError(f"{place} = '{figure.task}': {nearest(figure.task, tasks)}")
    comparisons = resolve_comparisons(study.comparisons, names, f"{where}: comparisons")
    changes: dict[str, Any] = {"cells": cells, "comparisons": comparisons}
    if study.variance is not None:
        (changes["variance"],) = resolve_comparisons([study.variance], names, f"{where}: variance")
    return study.model_copy(update=changes)
