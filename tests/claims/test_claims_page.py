from types import SimpleNamespace

import numpy as np
from claim_examples import BASE, DIFFERENCE, make, rows, table
from fake_results import relevant

from dmp.claims.evaluate import evaluate
from dmp.reporting.claims import claims_page, evidence_page
from dmp.reporting.page import html, markdown


def page(conclusive=True, evidence=False):
    endpoints = [relevant("fid", 1), relevant("recall", 2, better="higher")]
    claims = make(DIFFERENCE | {"paper": ["5.61", "6.26"]},
                  {"test": "untested", "reason": "needs people"},
                  endpoints=endpoints, further_metrics=[],
                  recipes=["paper", "decayed"])  # fmt: skip
    results = table(
        rows({"dmp": BASE - [1.0, 1.2, 0.9, 1.1], "baseline": BASE}),
        rows({"dmp": BASE + np.array([1, -1, 0.5, -0.4]), "baseline": BASE}, metric="recall"),
    )
    scale = SimpleNamespace(name="digits", title="8×8 digits", conclusive=conclusive,
                            tasks=["unconditional"])  # fmt: skip
    lacking = {"unconditional": "no decayed recipe at this scale"}
    evaluated = evaluate(claims, results, no_recipe=lacking)
    if evidence:
        return evidence_page(claims, evaluated, scale)
    return claims_page(claims, evaluated, scale, lacking)


def test_each_claim_has_one_row_with_its_verdict_and_why():
    verdicts = page().tables[0]
    assert list(verdicts.frame) == ["Claim", "Statement", "Verdict (FID)", "Why"]
    first, second = verdicts.frame.to_dict("records")
    assert first["Verdict (FID)"] == "✓ supported"
    assert first["Why"].startswith("unconditional: FID is lower by 10.4 %, corrected p")
    assert (second["Verdict (FID)"], second["Why"]) == ("– not tested", "needs people")
    assert page().introduction[1:] == [
        "1 of 1 testable claims are decided. Of all 2: 1 supported, 0 contradicted, "
        "0 inconclusive, 1 not tested."
    ]


def test_endpoints_and_recipes_have_a_table_of_marks():
    endpoints = page().tables[1].frame
    assert list(endpoints) == ["Claim", "FID", "On decayed baselines", "Recall"]
    assert endpoints["Recall"].tolist() == ["○ inconclusive", "–"]
    assert endpoints["On decayed baselines"].tolist() == ["no decayed recipe at this scale", "–"]


def test_each_row_links_to_a_section_with_the_evidence_in_the_primary_endpoint():
    made = page()
    text, shown = markdown(made), html(made)
    for section in made.sections:
        assert f"[{section.name}](#{section.name.lower()})" in text
        assert f"\n## {section.name}\n" in text
        assert f'href="#{section.name.lower()}"' in shown
        assert f'<h2 id="{section.name.lower()}">' in shown
    (evidence,) = made.sections[0].tables
    (row,) = evidence.frame.to_dict("records")
    assert row["Effect / %"] == "−10.4 [−12.7, −8.0]"
    assert row["Verdict"] == "✓ supported"
    assert made.sections[1].tables[0].frame["Verdict"][0] == "– not tested: needs people"
    assert any(line.startswith("✓ supported: FID is lower") for line in made.sections[0].lines)


def test_evidence_has_effect_interval_corrected_p_and_power():
    first, second, third, *_ = page(evidence=True).tables[0].frame.to_dict("records")
    assert (first["Claim"], first["Comparison"]) == ("C01.1", "dmp against baseline")
    assert first["Effect / %"] == "−10.4 [−12.7, −8.0]"
    assert (first["Of"], first["Relevant / %"]) == ("FID", "1")
    assert (first["for, Holm"], first["n"]) == ("<0.001", "4 seeds")
    assert first["against, Holm"] == first["p against"]
    assert (first["Paper / %"], first["Power for the paper's"]) == ("−10.4", "1.00")
    assert (second["Metric"], second["Paper / %"]) == ("Recall ↑", "–")
    names = ("n", "Effect / %", "Units for the relevant effect", "Power for the paper's")
    assert {third[name] for name in names} == {"–"}


def test_other_readings_have_a_table_of_their_own():
    robust = page(evidence=True).tables[1].frame
    assert robust["Claim"].tolist() == ["C01.1", "C01.1"]
    assert robust["p, sign flips"][0] == "0.125"  # 2 of 2^4
    assert "[" not in robust["Hodges–Lehmann / %"][0]  # no interval of four units


def test_the_page_says_how_sure_it_is_and_why_margins_are_what_they_are():
    told = " ".join(page().notes)
    assert "is false is at most 5 %, for each endpoint and each recipe by itself: 2.5 %" in told
    assert "Over all 4 columns of verdicts together" in told
    assert "the chance of any false one is at most 20 %" in told
    assert "Relevant in FID: 1 %. r" in told
    assert "Relevant in Recall: 2 %. r" in told


def test_a_scale_that_is_too_small_warns_and_keeps_its_verdicts():
    assert page().warning == ""
    small = page(conclusive=False)
    assert "none of them may be believed" in small.warning
    assert small.tables[0].frame.equals(page().tables[0].frame)
