import re

import pytest
from claim_examples import DIFFERENCE, make
from fake_results import relevant
from harness import ROOT

from dmp.claims.schema import Claims, with_arms
from dmp.config import from_data
from dmp.errors import DMPError
from dmp.methods import Variant, on_recipe
from dmp.studies.loading import read_yaml


@pytest.fixture(scope="module")
def shipped():
    return from_data(Claims, read_yaml(ROOT / "ablations" / "claims.yaml"), "claims.yaml")


@pytest.fixture(scope="module")
def hypotheses():
    data = read_yaml(ROOT / "ablations" / "hypotheses.yaml")
    return from_data(Claims, with_arms(data, "digits"), "hypotheses.yaml")


def test_shipped_file_has_every_claim_of_the_paper(shipped):
    assert [claim.id for claim in shipped.claims] == [f"C{k:02}" for k in range(1, 23)]
    assert [entry.metric for entry in shipped.endpoints] == [
        "fid", "kid", "recall", "denoising_mse",
    ]  # fmt: skip
    assert [shipped.sign(m) for m in ("fid", "recall", "precision")] == [-1, 1, 1]
    kinds = {evidence.test for *_, evidence in shipped.evidence()}
    assert len(kinds) == 10


def test_every_margin_was_written_down_with_its_reason(shipped, hypotheses):
    percents = {e.metric: e.relevant_percent for e in shipped.endpoints}
    assert percents == {"fid": 1, "kid": 2, "recall": 1, "denoising_mse": 0.1}
    for claims in (shipped, hypotheses):
        for entry in (*claims.endpoints, *claims.further_metrics):
            assert entry.relevant_percent is None or len(entry.reason) > 10
        for _, _, evidence in claims.evidence():
            assert getattr(evidence, "relevant_percent", None) is None or len(evidence.reason) > 5
    [(relevant, names)] = {
        (shipped.relevant(e, e.metric), e.predicts)
        for claim, _, e in shipped.evidence()
        if claim.id == "C20"
    }
    assert (relevant, names) == (5, "not-worse")


def test_all_evidence_is_repeated_on_decayed_baselines(shipped):
    runs = shipped.runs()
    paper = {run for run in runs if "recipe=decayed" not in run[1]}
    # A rate of 0 has ended a baseline's own training.
    continued = {run for run in paper if run[1] == "continued"}
    assert {(t, on_recipe(v, "decayed")) for t, v in paper - continued} == set(runs) - paper
    assert on_recipe("dmp,depth=1,type=hard", "decayed") == "dmp,depth=1,recipe=decayed,type=hard"


def test_smooth_load_is_compared_with_the_noise_that_it_needs(shipped):
    [evidence] = [e for c, n, e in shipped.evidence() if (c.id, n) == ("C12", 6)]
    apart = set(evidence.variant.split(",")) ^ set(evidence.against.split(","))
    assert apart == {"load=smooth", "load_weight=0"}


def test_hypotheses_are_h1_to_h7_and_rest_on_one_recipe_but_for_h5(hypotheses):
    assert [claim.id for claim in hypotheses.claims] == [f"H{k}" for k in range(1, 8)]
    decayed = {claim.id for claim, _, e in hypotheses.evidence() if e.recipe == "decayed"}
    assert decayed == {"H5"}
    assert {v for _, v in hypotheses.runs() if "recipe=decayed" in v} == {
        "dmp,recipe=decayed", "baseline,recipe=decayed",
    }  # fmt: skip
    tasks = {e.task for claim, _, e in hypotheses.evidence() if claim.id == "H1"}
    assert tasks == {"unconditional-4-tokens", "unconditional", "unconditional-64-tokens"}
    # A best rate is written in one place, under its name.
    [gain] = {e.gain_of for c, _, e in hypotheses.evidence()
              if c.id in ("H1", "H2", "H7") and e.test == "share-of-gain"
              and e.task == "unconditional"}  # fmt: skip
    assert gain == hypotheses.arms["best-prompt-tuning"]


def test_shipped_variants_are_canonical_and_each_run_is_listed_once(shipped):
    runs = shipped.runs()
    assert len(runs) == len(set(runs))
    assert all(Variant.parse(variant).name == variant for _, variant in runs)
    assert ("unconditional", "dmp,position=prepend") in runs
    assert ("unconditional-large", "continued") in runs
    assert "untrained" not in {variant for _, variant in runs}


def test_tests_that_the_file_names_exist(shipped):
    named = re.findall(r"(tests/\S+\.py)::(\w+)", shipped.model_dump_json())
    assert named
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text()


def test_claims_that_the_paper_itself_contradicts_say_so(shipped):
    told = {claim.id for claim in shipped.claims if claim.contradicted_in_paper}
    assert {"C02", "C04", "C09", "C17"} <= told


def test_each_kind_says_in_words_what_a_claim_predicts(shipped, hypotheses):
    told = {e.prediction() for claims in (shipped, hypotheses) for *_, e in claims.evidence()}
    assert told >= {
        "10.38 %", "1.43 %", "1.26 to 1.96 %", "better", "not worse", "equal",
        "diverges more often", "rises with the timestep, more than against",
        "better together than both alone", "better at each step", "sampling not slower",
        "above 99.5 % of N at every timestep",
    }  # fmt: skip


def test_two_spellings_of_a_variant_are_one_run():
    spelt = DIFFERENCE | {"variant": "dmp,type=hard,hard_weights=one-over-k,top_share=0.75"}
    claims = make(spelt, DIFFERENCE)
    assert claims.runs() == [
        ("unconditional", "dmp,hard_weights=one-over-k,type=hard"),
        ("unconditional", "baseline"),
        ("unconditional", "dmp"),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "dpm"}, "unknown method 'dpm': did you mean 'dmp'"),
        ({"predict": "better"}, "unknown key .*predict': did you mean 'predicts'"),
        ({"predicts": "nicer"}, "'better', 'worse', 'not-better' or 'not-worse'"),
        ({"paper": ["5.87", 6.27]}, "valid string"),
        ({"paper": ["5.87", "about 6"]}, "plain number in quotes"),
        ({"relevant_percent": 2}, "relevant_percent needs a reason"),
        ({"relevant_percent": 0, "reason": "r"}, "greater than or equal to"),
        ({"metric": "recal"}, "C01, evidence 1: unknown metric 'recal': did you mean 'recall'"),
        ({"test": "differences"}, "'differences': did you mean 'difference'"),
    ],
)
def test_bad_evidence_is_refused(change, message):
    with pytest.raises(DMPError, match=message):
        make(DIFFERENCE | change)


def test_bad_files_are_refused():
    bare = {"metric": "fid", "better": "lower"}
    with pytest.raises(DMPError, match="metric 'fid' is listed twice"):
        make(DIFFERENCE, further_metrics=[bare])
    with pytest.raises(DMPError, match="metric 'fid': better = higher, but lower is better"):
        make(DIFFERENCE, endpoints=[relevant("fid", 1, better="higher")])
    with pytest.raises(DMPError, match="C01, evidence 1: nothing says which effect on 'fid' is"):
        make(DIFFERENCE, endpoints=[bare], further_metrics=[])
    with pytest.raises(DMPError, match="relevant_percent needs a reason"):
        make(DIFFERENCE, endpoints=[bare | {"relevant_percent": 1}], further_metrics=[])
    with pytest.raises(DMPError, match="from = 0"):
        make({"test": "arithmetic", "from": "0", "to": "1", "claimed_percent": "1", "digits": 0})
    trend = {"test": "trend", "task": "t", "predicts": "better", "paper": ["1", "2"]}
    with pytest.raises(DMPError, match="paper has 2 numbers for 3 variants"):
        make(trend | {"variants": ["baseline", "dmp,depth=1", "dmp"]})


def test_an_arm_has_a_name_and_may_be_another_variant_at_another_scale():
    named = DIFFERENCE | {"variant": "best"}
    fields = {"arms": {"best": "dmp"}, "arms_at": {"larger": {"best": "dmp,depth=1"}}}

    def compared(scale):
        data = {"claims": [{"id": "C01", "statement": "s", "evidence": [named]}], **fields}
        return make(**with_arms(data, scale)).claims[0].evidence[0].variant

    assert (compared("digits"), compared("larger")) == ("dmp", "dmp,depth=1")
    with pytest.raises(DMPError, match=r"arms_at.larger: unknown arm 'bset': did you mean 'best'"):
        make(DIFFERENCE, **fields | {"arms_at": {"larger": {"bset": "dmp"}}})
    with pytest.raises(DMPError, match="arms: 'dmp' is the name of a method"):
        make(DIFFERENCE, arms={"dmp": "lora"})


@pytest.mark.parametrize("data", ["text", {"arms": 3}, {"arms_at": {"digits": 3}, "claims": None}])
def test_names_of_arms_in_what_is_no_file_of_claims_are_left_to_validation(data):
    assert with_arms(data, "digits") == data
