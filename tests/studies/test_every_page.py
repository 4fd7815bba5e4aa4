"""Every study of a scale can be tabled from what its runs leave."""

import pandas as pd
import pytest
from fake_numbers import no_effect, rows
from harness import ROOT

from dmp.statistics.arms import Arms
from dmp.statistics.results import RESULT_COLUMNS
from dmp.statistics.study import OK, cells, comparisons
from dmp.studies import load_plan


@pytest.mark.parametrize("scale", ["digits", "smoke"])
def test_every_cell_has_its_numbers_or_says_why_it_cannot(scale):
    plan = load_plan(scale, ROOT / "ablations", 1)
    table = []
    for task, variant, seed in plan.runs():
        run = plan.run(task, variant, seed)
        for metric, where, iteration, value, samples, protocol, evaluator in rows(
            run, 0, no_effect
        ):
            head = (task, variant, seed, run.baseline_seed, metric, where, iteration, float(value))
            table.append((*head, samples, protocol, evaluator, "c", run.hash))
    arms = Arms(pd.DataFrame(table, columns=list(RESULT_COLUMNS)))
    for study in plan.studies.values():
        assert len(comparisons(arms, study)) == len(study.comparisons) * len(study.metrics)
        for row in cells(arms, study).itertuples():
            told = row.status.startswith(("not run at this scale", "it has no gate"))
            told = told or "recipe" in row.status
            assert told if row.status != OK else row.mean >= 0, (study.id, row)
