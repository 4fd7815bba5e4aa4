from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from harness import ROOT

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.products.product import Product
from dmp.stages.claims import judge
from dmp.statistics.results import RESULT_COLUMNS
from dmp.studies import load_plan

SEEDS = 6
BINS = [f"{first}-{first + 99}" for first in range(0, 1000, 100)]
SHARED = {"iteration": 200, "samples": 800, "protocol": "p", "evaluator": "e", "commit": "c",
          "config": "x"}  # fmt: skip


def loss(variant):
    """In percent of the baseline: one curve of lr·E[w], 16 tokens, for all arms with prompts."""
    if "baseline" in variant:
        return 0.0
    if "fine-tuning" in variant:
        return -0.5
    weight = 1 if "n-softmax" in variant or variant.startswith("prompt") else 1 / 16
    weight = 1 / 16 if "weights=one-over-n" in variant else weight
    factors = [o.split("=")[1] for o in variant.split(",") if o.startswith("learning_rate_factor")]
    factor = 1 / 16 if factors == ["one-over-n"] else float(factors[0]) if factors else 1.0
    return -0.2 + 0.1 * np.log10(factor * weight * 10) ** 2


def made(plan, table):
    """Numbers of all runs that the hypotheses are judged by: H1 to H7 hold, at 16 tokens."""
    rows = []
    for task, variant in plan.variants("hypotheses"):
        rng = np.random.default_rng(crc32(f"{task}/{variant}".encode()))
        # 4 and 64 tokens have other curves, each arm its own.
        tokens = {"unconditional-4-tokens": 4, "unconditional-64-tokens": 64}.get(task, 16)
        effect = loss(variant) if tokens == 16 else -0.1 * ("baseline" not in variant)
        for seed in plan.seeds:
            base = np.random.default_rng(seed).normal(0, 0.1)
            own = {"task": task, "variant": variant, "seed": seed} | SHARED
            own["baseline_seed"] = plan.baseline_seed(seed)
            fid = 11 * np.exp(base + rng.normal(0, 0.001))
            mse = 0.15 * np.exp(base / 10 + effect / 100 + rng.normal(0, 1e-6))
            better = "importance_weight=0" in variant and "permuted" not in variant
            # What the assay must see: prompts of their own for each range of timesteps.
            gain = 5e-5 * better + 0.01 * ("timestep_ranges" in variant)
            vb = 5 * np.exp(base / 10 - gain + rng.normal(0, 1e-6))
            for metric, value in (("fid", fid), ("denoising_mse", mse), ("denoising_vb", vb)):
                rows.append(own | {"metric": metric, "bin": "all", "value": value})
            used = 0.93 if "importance_weight=0" in variant else 0.9999
            for each in BINS if variant.startswith("dmp") else []:
                value = used + rng.normal(0, 1e-5)
                rows.append(own | {"metric": "prompts_used", "bin": each, "value": value})
    table.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows)[list(RESULT_COLUMNS)].to_csv(table, index=False)


@pytest.fixture
def judged(tmp_path, monkeypatch):
    monkeypatch.setattr(Product, "mark_finished", lambda self: None)

    def made_and_judged(scale):
        plan = load_plan(scale, ROOT / "ablations", seeds=SEEDS)
        layout = Layout(tmp_path, scale)
        made(plan, layout.results_table("hypotheses"))
        judge(plan, layout, "hypotheses")
        return plan, layout

    return made_and_judged


def test_hypotheses_that_hold_are_supported_on_a_page_with_figures(judged):
    plan, layout = judged("digits")
    page = layout.verdicts("hypotheses").read_text()
    assert "7 of 7 testable claims are decided" in page
    table = pd.read_csv(layout.verdicts("hypotheses").with_suffix(".csv"))
    assert (table["verdict"] == "supported").all()
    assert set(table["claim"]) == {claim.id for claim in plan.hypotheses.claims}
    for claim in plan.hypotheses.claims:
        assert " ".join(claim.remark.split()) in page
    for suffix in (".html", ".tex"):
        assert layout.verdicts("hypotheses").with_suffix(suffix).is_file()
    names = {path.name for path in layout.figures("hypotheses").iterdir()}
    kinds = ("forest", "evidence", "rates")
    assert names == {f"hypotheses-{k}{s}" for k in kinds for s in (".svg", ".png")}


def test_a_scale_without_decayed_baselines_says_so(judged):
    plan, layout = judged("paper")
    table = pd.read_csv(layout.verdicts("hypotheses").with_suffix(".csv")).set_index("claim")
    assert not any("recipe=decayed" in variant for _, variant in plan.variants("hypotheses"))
    assert table.loc["H5", "verdict"] == "not tested"
    assert "no decayed recipe at this scale" in table.loc["H5", "reason"]
    assert "this scale has no such task" in table.loc["H1", "reason"].tolist()[0]


def test_without_hypotheses_there_is_nothing_to_judge(tiny, tmp_path):
    plan = load_plan("smoke", tiny)
    with pytest.raises(DMPError, match=r"hypotheses\.yaml does not exist"):
        judge(plan, Layout(tmp_path, "smoke"), "hypotheses")
