"""A scale that has no time for everything says what it runs, and of the rest why not."""

import pandas as pd
import pytest
from harness import ROOT, edit_yaml

from dmp.claims.evaluate import evaluate
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.products.results import verdicts_product
from dmp.statistics.results import RESULT_COLUMNS
from dmp.studies import load_plan
from dmp.studies.judged import judged_by, left_out

REASON = "no time"


@pytest.fixture
def short(ablations):
    """Scale digits with two studies and three methods."""

    def change(data):
        methods = ["baseline", "dmp", "fine-tuning"]
        data["affords"] = {"reason": REASON, "studies": ["table2", "mechanism"], "methods": methods}

    edit_yaml(ablations / "scales/digits.yaml", change)
    return ablations


def test_studies_left_out_are_not_run_and_say_why(short):
    plan = load_plan("digits", short)
    assert sorted(plan.studies) == ["mechanism", "table2"]
    assert plan.left_out["table3"] == REASON
    with pytest.raises(DMPError, match=r"'table3' is not run at scale 'digits': no time"):
        plan.study("table3")
    # Tables of parameters need no run.
    assert "table1" in plan.parameter_studies


def test_cells_of_other_methods_are_not_run_and_say_why(short):
    told = {cell.variant: cell.not_run for cell in load_plan("digits", short).study("table2").cells
            if cell.task == "unconditional"}  # fmt: skip
    assert told["dmp"] is told["fine-tuning"] is None
    assert told["prompt-tuning"] == REASON


def test_claims_of_other_studies_are_not_tested_and_nothing_is_run_for_them(short):
    plan = load_plan("digits", short)
    assert plan.claims
    absent = left_out(plan.claims, plan.scale)
    assert absent["C01"] == absent["C18"] == REASON
    assert "C02" not in absent
    judged = judged_by(plan.claims, plan.scale)
    assert ("unconditional", "dmp,prompt_init=1") not in judged
    assert ("unconditional", "dmp,gate_timestep=permuted") in judged
    assert plan.speed_arms() == {}
    nothing = pd.DataFrame(columns=list(RESULT_COLUMNS))
    found = evaluate(plan.claims, nothing, left_out=absent).set_index(["claim", "evidence"])
    assert set(found.loc[("C15", 1), "reason"]) == {f"not run at this scale: {REASON}"}
    # Arithmetic needs no run.
    assert set(found.loc[("C01", 3), "verdict"]) != {"not tested"}
    assert REASON not in found.loc[("C02", 1), "reason"].iloc[0]


def test_verdicts_are_made_anew_where_what_is_afforded_changes(ablations):
    layout = Layout(ablations, "digits")
    before = verdicts_product(load_plan("digits", ablations), layout, "claims").fingerprint
    every = {"reason": REASON, "studies": ["table2"], "methods": ["dmp"]}
    edit_yaml(ablations / "scales/digits.yaml", lambda data: data.update(affords=every))
    after = verdicts_product(load_plan("digits", ablations), layout, "claims").fingerprint
    assert after != before


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("studies", r"digits.yaml: affords.studies.0 = 'table22': did you mean 'table2'"),
        ("methods", r"digits.yaml: .*unknown method 'table22'"),
    ],
)
def test_unknown_names_are_an_error(short, key, message):
    edit_yaml(short / "scales/digits.yaml", lambda data: data["affords"].update({key: ["table22"]}))
    with pytest.raises(DMPError, match=message):
        load_plan("digits", short)


def test_a_cpu_has_the_papers_tokens_and_what_the_mechanism_rests_on():
    plan = load_plan("mnist", ROOT / "ablations")
    for name in ("table2", "table4e", "mechanism", "gate", "learning-rates"):
        assert not {c.task for c in plan.study(name).cells if c.not_run} - {"stable-diffusion"} or (
            name == "learning-rates"
        )
    assert {variant.split(",")[0] for _, variant in plan.variants()} <= {
        "baseline", "fine-tuning", "prompt-tuning", "dmp",
    }  # fmt: skip
    run = plan.run("unconditional", "prompt-tuning,learning_rate_factor=one-over-n", 0)
    assert run.config.training.learning_rate * 256 == pytest.approx(5.0e-4)
    assert plan.decayed() == [("unconditional", seed) for seed in plan.seeds]
    # Every hypothesis has a piece of evidence here.
    assert plan.hypotheses
    judged = set(judged_by(plan.hypotheses, plan.scale))
    for hypothesis in plan.hypotheses.claims:
        runs = [run for piece in hypothesis.evidence for run in piece.runs()]
        assert judged & set(runs) or hypothesis.id == "H5", hypothesis.id
    assert ("unconditional", "dmp,recipe=decayed") in judged
