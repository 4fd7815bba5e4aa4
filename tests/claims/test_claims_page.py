from types import SimpleNamespace

import numpy as np
import pytest

from dmp.claims.evaluate import evaluate
from dmp.reporting.claims import claims_page

BASE = np.array([10.2, 9.9, 10.4, 10.1])
DIFFERENCE = {
    "test": "difference", "task": "unconditional", "variant": "dmp", "against": "baseline",
    "predicts": "better", "paper": ["5.61", "6.26"],
}  # fmt: skip


@pytest.fixture
def page(make, table, rows):
    def made(conclusive=True):
        both = [{"metric": "fid", "better": "lower"}, {"metric": "recall", "better": "higher"}]
        claims = make(DIFFERENCE, {"test": "untested", "reason": "needs people"}, endpoints=both,
                      further_metrics=[])  # fmt: skip
        results = table(
            rows({"dmp": BASE - [1.0, 1.2, 0.9, 1.1], "baseline": BASE}),
            rows({"dmp": BASE + np.array([1, -1, 0.5, -0.4]), "baseline": BASE}, metric="recall"),
        )
        scale = SimpleNamespace(name="digits", title="8×8 digits", conclusive=conclusive)
        return claims_page(claims, evaluate(claims, results), scale)

    return made


def test_summary_stands_first_with_a_verdict_per_endpoint(page):
    summary = page().tables[0].frame
    assert list(summary.columns) == [
        "Claim", "Statement", "Where", "Verdict (FID)", "Recall", "The paper against itself",
    ]  # fmt: skip
    assert summary["Verdict (FID)"][0].startswith("supported: FID is lower by 10.3 %")
    assert summary["Verdict (FID)"][1] == "not tested: needs people"
    assert summary["Recall"].tolist() == ["inconclusive", "–"]
    assert page().introduction[1] == (
        "Of 2 claims: 1 supported, 0 contradicted, 0 inconclusive, 1 not tested."
    )


def test_evidence_has_effect_interval_corrected_p_and_power(page):
    first, second, third = page().tables[1].frame.to_dict("records")
    assert (first["Claim"], first["Comparison"]) == ("C01.1", "dmp against baseline")
    assert first["Effect [interval]"] == "−1.05 [−1.26, −0.84]"
    assert (first["p, Holm"], first["n"]) == ("<0.001", "4 seeds")
    assert (first["Paper, relative"], first["Power"]) == ("−10.4 %", "1.00")
    assert (second["Metric"], second["Paper, relative"]) == ("Recall ↑", "–")
    assert {third[name] for name in ("n", "Effect [interval]", "Units needed", "Power")} == {"–"}


def test_a_scale_that_is_too_small_warns_and_keeps_its_verdicts(page):
    assert page().warning == ""
    small = page(conclusive=False)
    assert "none of them may be believed" in small.warning
    assert small.tables[0].frame.equals(page().tables[0].frame)
