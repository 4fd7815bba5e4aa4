"""Which stage of a run each option of a variant decides first, and what pages leave alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from harness import ROOT

from dmp.claims.schema import Claims, Metric
from dmp.layout import Layout
from dmp.methods import Variant, find_method, method_names
from dmp.methods.variant import OriginOptions, SamplingOptions, TrainingOptions
from dmp.products.results import page_product, verdicts_product
from dmp.studies import load_plan
from dmp.studies.schema import Comparison, FigureSpec, Study

STAGES = ("baseline", "weights", "samples", "metrics")
BASELINE, SAMPLES = {"recipe": "decayed"}, {"sampling_seed": "7", "sampling_steps": "4"}
TRAINING = {
    "iterations": "6", "iterations_factor": "2", "batch_size": "16", "learning_rate": "0.5",
    "learning_rate_factor": "0.5", "ema_decay": "0.9", "loss": "simple",
}  # fmt: skip
# Other options that one has no effect without stand before it.
PATCH = {
    "gate": "dmp|constant", "weights": "dmp|sigmoid", "gate_temperature": "dmp|0.5",
    "selection": "dmp|uniform", "block_index": "dmp|embedded", "type": "dmp|hard",
    "top_share": "dmp,type=hard|0.5", "top_rounding": "dmp,type=hard|down",
    "hard_weights": "dmp,type=hard|one-over-k", "hard_gradient": "dmp,type=hard|none",
    "mixture": "dmp|pool", "position": "dmp|prepend", "prompts": "dmp,position=prepend|3",
    "prepended": "dmp,position=prepend|carried", "masked_start": "dmp,position=prepend|true",
    "depth": "dmp|1", "grid": "dmp,grid=4,resize=nearest|2",
    "resize": "dmp,grid=2,resize=nearest|bilinear", "timestep_ranges": "prompt-tuning|2",
    "condition": "dmp|t+c", "gate_timestep": "dmp|permuted", "gate_noise": "dmp|true",
    "gate_init": "dmp|0.5", "gate_learning_rate_factor": "dmp|2", "prompt_init": "dmp|0.1",
    "importance": "dmp|summed", "importance_on": "dmp,type=hard|applied",
    "importance_weight": "dmp|0.5", "load": "dmp,gate_noise=true|smooth", "load_weight": "dmp|0.5",
}  # fmt: skip
# Another resolution needs prompts that can be brought there.
RESIZED = {"resolution": "dmp,grid=2,resize=bilinear|16"}
# A placement is a U-Net's, and none of the embedded tasks has one.
PLACED = {"placement"}
OTHERS = {
    "lora": {"rank": "2", "alpha": "2", "targets": "all-linear"},
    "ia3": {"targets": "attention"},
}


@pytest.fixture(scope="module")
def plan():
    return load_plan("smoke", ROOT / "ablations")


def first_decided(plan, base: str, option: str) -> str:
    """The first stage that another value decides; all stages after it follow."""
    before, after = (
        plan.run("unconditional-large", name, 0) for name in (base, f"{base},{option}")
    )
    changed = [s for s in STAGES if before.fingerprint(s) != after.fingerprint(s)]
    assert changed == list(STAGES[STAGES.index(changed[0]) :])
    return changed[0]


def test_every_option_of_every_method_is_in_a_table():
    """A new option without an entry fails here: say what it decides."""
    assert {*TRAINING, *RESIZED} == set(TrainingOptions.model_fields)
    assert set(SAMPLES) == set(SamplingOptions.model_fields)
    assert set(BASELINE) == set(OriginOptions.model_fields)
    for name in method_names():
        tables = {"dmp": {*PATCH, *PLACED}, **OTHERS}
        options = find_method(name).options
        known = "dmp" if options is find_method("dmp").options else name
        assert set(tables.get(known, ())) == set(options.model_fields), name


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        (stage, key, value)
        for stage, table in (("baseline", BASELINE), ("weights", TRAINING), ("samples", SAMPLES))
        for key, value in table.items()
    ],
)
def test_option_of_a_run_decides_its_stage_and_none_before(plan, stage, key, value):
    assert first_decided(plan, "dmp", f"{key}={value}") == stage


@pytest.mark.parametrize(("key", "spelt"), [*PATCH.items(), *RESIZED.items()])
def test_option_of_the_prompts_decides_what_is_trained(plan, key, spelt):
    base, value = spelt.split("|")
    others = [part for part in base.split(",") if not part.startswith(f"{key}=")]
    before = plan.run("unconditional-large", base, 0)
    after = plan.run("unconditional-large", ",".join([*others, f"{key}={value}"]), 0)
    assert Variant.parse(before.variant) != Variant.parse(after.variant)
    assert before.fingerprint("baseline") == after.fingerprint("baseline")
    assert before.fingerprint("weights") != after.fingerprint("weights")


@pytest.mark.parametrize(
    ("method", "key", "value"),
    [(method, key, value) for method, table in OTHERS.items() for key, value in table.items()],
)
def test_option_of_an_adapter_decides_what_is_trained(plan, method, key, value):
    assert first_decided(plan, method, f"{key}={value}") == "weights"


# Another value of all that a study or the claims say, besides what says which runs there are.
EDITS = {
    Study: {
        "title": "x", "source": "x", "metrics": ["kid"], "comparisons": [], "notes": ["x"],
        "figures": [FigureSpec(kind="entropy")], "baselines": True, "scales": ["smoke"],
        "variance": Comparison(variant="dmp", against="baseline"),
    },
    Claims: {
        "title": "x", "arms": {"x": "dmp"}, "arms_at": {"mnist": {"x": "dmp"}}, "level": 0.1,
        "looks": {"digits": 9},
        "endpoints": [Metric(metric="kid", better="lower", relevant_percent=3, reason="x")],
        "further_metrics": [Metric(metric="recall", better="higher")],
    },
}  # fmt: skip
SAYS_WHICH_RUNS = {
    Study: {"id", "kind", "cells", "target"},
    Claims: {"claims", "recipes", "curves"},
}


@pytest.mark.parametrize("model", [Study, Claims], ids=lambda model: model.__name__)
def test_words_and_margins_of_a_page_decide_no_run(plan, model):
    """Titles, notes, margins: the page alone is made again. A new key without an entry fails."""
    assert {*EDITS[model], *SAYS_WHICH_RUNS[model]} == set(model.model_fields)

    layout = Layout(Path("results"), "digits")

    def edited(**changes):
        if model is Claims:
            new = replace(plan, claims=plan.claims.model_copy(update=changes))
            return new, verdicts_product(new, layout, "claims").fingerprint
        study = plan.studies["table2"].model_copy(update=changes)
        new = replace(plan, studies={**plan.studies, "table2": study})
        return new, page_product(new, layout, "table2").fingerprint

    before, (_, page) = {run: plan.run(*run).hash for run in plan.runs()}, edited()
    for name, value in EDITS[model].items():
        new, after = edited(**{name: value})
        assert {run: new.run(*run).hash for run in new.runs()} == before, name
        assert after != page, name
