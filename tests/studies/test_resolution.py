"""Which variants may train at another resolution, and which metrics ask for others."""

import pytest
from harness import ROOT

from dmp.errors import DMPError
from dmp.metrics.registry import find_metric, unmeasured
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies import load_plan

TASK = "unconditional"


@pytest.fixture(scope="module")
def plan():
    return load_plan("mnist", ROOT / "ablations")


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("dmp,resolution=24", "resolution = 24 is for prompts with resize = bilinear or bicubic"),
        ("fine-tuning,resolution=24", "resolution = 24 is for prompts with resize"),
        ("dmp,resize=bicubic,resolution=32", "resolution = 32 is the dataset's own; leave it out"),
        ("dmp,resize=bicubic,resolution=25", "25: it is not a multiple of patch_size = 2"),
        ("dmp,resize=bicubic,resolution=0", "resolution"),
    ],
)
def test_resolution_that_makes_no_sense_is_refused(plan, variant, message):
    with pytest.raises(DMPError, match=message):
        plan.run(TASK, variant, 0)


def test_resolution_is_part_of_the_weights_and_of_those_alone_that_have_one(plan):
    own, other = (plan.run(TASK, f"dmp,resize=bicubic{more}", 0) for more in ("", ",resolution=24"))
    assert own.fingerprint("weights") != other.fingerprint("weights")
    assert "resolution" not in own.config.training.model_dump()
    assert other.config.training.model_dump()["resolution"] == 24
    assert own.fingerprint("baseline") == other.fingerprint("baseline")


def test_resizing_alone_needs_somebody_who_asks_for_it(ablations):
    with pytest.raises(DMPError, match="changes nothing at one resolution"):
        load_plan("digits", ablations).run(TASK, "dmp,resize=bicubic", 0)


def test_other_resolutions_are_three_and_five_quarters(plan):
    metric = find_metric("resized_denoising_mse/24")
    assert metric.edges(plan.scale.tasks[TASK]) == [24, 40]
    assert unmeasured(plan.scale.tasks[TASK], ["resized_denoising_mse/24"]) == {}
    paper = load_plan("paper", ROOT / "ablations").scale.tasks[TASK]
    assert metric.unmeasured(paper) == "for a DiT on an embedded dataset"


def test_label_says_which_resolution():
    assert metric_label("resized_denoising_mse/24") == "Denoising MSE, edge 24 ↓"
    assert metric_name("resized_denoising_mse/40") == "Denoising MSE, edge 40"
    assert metric_name("fid") == "FID"
    assert metric_label("unknown/3") == "unknown/3"
