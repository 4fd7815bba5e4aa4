from claim_examples import BASE, DIFFERENCE, SMALLER, make, rows, table

from dmp.claims.evaluate import evaluate
from dmp.claims.summary import summarise


def decayed(arms):
    return {f"{variant},recipe=decayed": values for variant, values in arms.items()}


def test_verdicts_on_decayed_baselines_stand_beside_and_are_a_family_of_their_own():
    arms = {"dmp": SMALLER, "baseline": BASE}
    claims = make(DIFFERENCE, {"test": "untested", "reason": "r"}, recipes=["paper", "decayed"])
    assert claims.runs() == [
        ("unconditional", name)
        for name in ("dmp", "baseline", "dmp,recipe=decayed", "baseline,recipe=decayed")
    ]
    results = table(rows(arms), rows(decayed({"dmp": 2 * BASE - SMALLER, "baseline": BASE})))
    evaluated = evaluate(claims, results)
    assert evaluated["recipe"].tolist() == ["paper", "paper", "decayed"]
    summary = summarise(evaluated, claims)
    assert summary["verdict"].tolist() == ["supported", "not tested"]
    assert summary["verdict_decayed"].tolist() == ["contradicted", ""]
    assert evaluated["p_for_holm"][0] == evaluated["p_for"][0]
    none = {"unconditional": "no decayed recipe at this scale"}
    summary = summarise(evaluate(claims, table(rows(arms)), no_recipe=none), claims)
    assert summary["verdict"][0] == "supported"
    assert summary["verdict_decayed"][0] == "not tested"
    assert "no decayed recipe" in summary["reason_decayed"][0]


def test_evidence_of_one_recipe_is_judged_on_that_alone():
    claims = make(DIFFERENCE | {"recipe": "decayed"}, recipes=["paper", "decayed"])
    assert claims.runs() == [
        ("unconditional", "dmp,recipe=decayed"), ("unconditional", "baseline,recipe=decayed"),
    ]  # fmt: skip
    results = table(rows({"dmp": BASE, "baseline": SMALLER}),
                    rows(decayed({"dmp": SMALLER, "baseline": BASE})))  # fmt: skip
    evaluated = evaluate(claims, results)
    assert evaluated["verdict"].tolist() == ["supported"]
    assert evaluated["variant"].tolist() == ["dmp (decayed baselines)"]
    assert evaluate(claims, results, no_recipe={"unconditional": "none"})["verdict"].tolist() == (
        ["not tested"]
    )
