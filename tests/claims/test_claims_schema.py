import re

import pytest
from harness import ROOT

from dmp.claims.schema import Claims
from dmp.config import from_data
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.studies.loading import read_yaml

DIFFERENCE = {
    "test": "difference", "task": "unconditional", "variant": "dmp", "against": "baseline",
    "predicts": "better",
}  # fmt: skip


@pytest.fixture(scope="module")
def shipped():
    return from_data(Claims, read_yaml(ROOT / "ablations" / "claims.yaml"), "claims.yaml")


def test_shipped_file_has_every_claim_of_the_paper(shipped):
    assert [claim.id for claim in shipped.claims] == [f"C{k:02}" for k in range(1, 23)]
    assert [entry.metric for entry in shipped.endpoints] == [
        "fid", "kid", "recall", "denoising_mse",
    ]  # fmt: skip
    assert [shipped.sign(m) for m in ("fid", "recall", "precision")] == [-1, 1, 1]
    kinds = {evidence.test for *_, evidence in shipped.evidence()}
    assert len(kinds) == 10


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


def test_two_spellings_of_a_variant_are_one_run(make):
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
        ({"margin_percent": 2}, "margin_percent has no effect with predicts = better"),
        ({"metric": "recal"}, "C01, evidence 1: unknown metric 'recal': did you mean 'recall'"),
        ({"test": "differences"}, "'differences': did you mean 'difference'"),
    ],
)
def test_bad_evidence_is_refused(make, change, message):
    with pytest.raises(DMPError, match=message):
        make(DIFFERENCE | change)


def test_bad_files_are_refused(make):
    with pytest.raises(DMPError, match="metric 'fid' is listed twice"):
        make(DIFFERENCE, further_metrics=[{"metric": "fid", "better": "lower"}])
    with pytest.raises(DMPError, match="from = 0"):
        make({"test": "arithmetic", "from": "0", "to": "1", "claimed_percent": "1", "digits": 0})
    trend = {"test": "trend", "task": "t", "predicts": "better", "paper": ["1", "2"]}
    with pytest.raises(DMPError, match="paper has 2 numbers for 3 variants"):
        make(trend | {"variants": ["baseline", "dmp,depth=1", "dmp"]})
