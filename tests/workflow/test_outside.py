"""Another package brings one of each kind of thing; one workflow computes with all of them."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import ROOT, edit_yaml, make_tiny, snakemake
from scipy import stats

from dmp.tensorfile import load_tensors

# A file for each kind of thing, and the entry points that name them.
PACKAGE = {
    "data": '''
import numpy as np
from dmp.data.registry import Images, dataset

@dataset("stripes", image_size=8, channels=1, classes=2, flip=True, images=200)
def stripes():
    """Stripes across or along, each of its own brightness."""
    labels = np.arange(200) % 2
    rows = np.where(np.arange(8) % 2, 255, np.arange(200)[:, None]).astype(np.uint8)
    across = np.repeat(rows[:, None, :, None], 8, axis=3)
    return Images(np.where(labels[:, None, None, None], across, across.swapaxes(2, 3)), labels)
''',
    "method": '''
from dmp.methods.base import register
from dmp.methods.selective import Selective

@register
class LastLayer(Selective):
    """The last layer trains."""
    name = "last-layer"

    def chosen(self, backbone):
        return [name for name, _ in backbone.named_parameters() if "final_layer.linear" in name]
''',
    "gate": '''
import torch
from torch import nn
from dmp.patching.gates import Gate, register_gate

@register_gate("wave")
class Wave(Gate):
    """A learned phase for each prompt."""

    def __init__(self, config, points, prompts, blocks):
        super().__init__(config, points, prompts, blocks)
        self.phase = nn.Parameter(torch.zeros(prompts, points.condition_size))

    def logits(self, condition, block, prompts):
        return torch.cos(condition) @ self.phase.T
''',
    "metric": """
from dmp.metrics.base import SampleMetric, register

@register
class Brightness(SampleMetric):
    name, label, better, unit = "brightness", "Brightness", "higher", "grey levels"

    def compute(self, samples):
        return samples.images().mean()
""",
    "figure": """
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import empty_figure

@register_figure("mean", title="Means")
def mean(study, data, task, options):
    value = data.arms.arm(task, "dmp,gate=wave", "brightness").last.mean()
    return empty_figure(study.title, data.scale, [f"Brightness {value:.3f}"])
""",
    "evidence": """
from dmp.claims.evidence import Evidence, register_evidence
from dmp.claims.measurement import Effect, of_effect

@register_evidence("below")
class Below(Evidence):
    task: str
    variant: str
    bound: float

    def runs(self):
        return [(self.task, self.variant)]

    def metrics(self, endpoints):
        return [(endpoints[0], endpoints[0])]

    def measure(self, numbers):
        found = numbers.aligned(self.task, [self.variant]).contrast([1])
        below, above = found.p_below(self.bound), found.p_above(self.bound)
        return of_effect(Effect(found, "1"), numbers.metric, p_for=below, p_against=above)

    def compared(self):
        return {"task": self.task, "variant": self.variant}

    def prediction(self):
        return f"below {self.bound:g}"
""",
}
ENTRIES = """
[dmp.datasets]
stripes = outside.data
[dmp.methods]
last-layer = outside.method:LastLayer
[dmp.gates]
wave = outside.gate:Wave
[dmp.metrics]
brightness = outside.metric
[dmp.figures]
mean = outside.figure
[dmp.evidence]
below = outside.evidence
"""
TASK, VARIANTS = "unconditional", ["baseline", "dmp,gate=wave", "last-layer"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A workflow in which nothing but the baseline and the study's file is of this package."""
    place = tmp_path_factory.mktemp("outside")
    package, installed = place / "site/outside", place / "site/outside-1.dist-info"
    package.mkdir(parents=True)
    for name, text in PACKAGE.items():
        (package / f"{name}.py").write_text(text)
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(ENTRIES)
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", place / "ablations")))

    def scale(data: dict) -> None:
        data["defaults"]["data"]["name"] = "stripes"
        data["defaults"]["evaluation"]["metrics"] = ["brightness"]
        data["baseline_seeds"] = None

    def study(data: dict) -> None:
        data["metrics"] = ["fid", "brightness"]
        data["cells"] = [{"task": TASK, "variant": variant} for variant in VARIANTS]
        data["comparisons"] = [{"variant": "dmp,gate=wave", "against": "last-layer"}]
        data["figures"] = [{"kind": "mean"}]

    def claims(data: dict) -> None:
        evidence = {"test": "below", "task": TASK, "variant": "last-layer", "bound": 1e6}
        claim = {"id": "C01", "statement": "FID is finite.", "location": "Nowhere."}
        data["claims"] = [{**claim, "study": "table2", "evidence": [evidence]}]

    edit_yaml(ablations / "scales/smoke.yaml", scale)
    edit_yaml(ablations / "studies/table2.yaml", study)
    edit_yaml(ablations / "claims.yaml", claims)
    (ablations / "studies/table1.yaml").unlink()
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(place / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        snakemake("tables", place=place, cores=2)
    return place / "results/smoke"


def test_methods_gates_metrics_and_datasets_from_outside_stand_in_the_tables(finished):
    cells = pd.read_csv(finished / "tables/table2.csv").query("metric == 'brightness'")
    assert set(cells["variant"]) == set(VARIANTS)
    assert "Brightness ↑" in (finished / "tables/table2.md").read_text()
    seed = finished / f"runs/{TASK}/last-layer/seed0"
    with np.load(seed / "samples.npz") as file:
        assert file["images"].shape[1:] == (1, 8, 8)
        expected = file["images"].mean()
    rows = pd.read_csv(seed / "metrics.csv").query("metric == 'brightness'")
    assert list(rows["value"]) == [expected]
    saved = load_tensors(seed / "weights.safetensors", "")[0]
    assert {name.rpartition(".")[2] for name in saved} == {"weight", "bias"}


def test_evidence_from_outside_is_judged_and_a_figure_from_outside_drawn(finished):
    judged = pd.read_csv(finished / "claims.csv").query("recipe == 'paper' and endpoint == 'fid'")
    (row,) = judged.itertuples()
    numbers = pd.read_csv(finished / "numbers/claims.csv")
    fids = numbers.query("variant == 'last-layer' and metric == 'fid'")["value"]
    expected = stats.ttest_1samp(fids, 1e6, alternative="less").pvalue
    assert row.p_for == pytest.approx(expected)
    assert (row.test, row.predicts, row.verdict) == ("below", "below 1e+06", "supported")
    figure = (finished / f"figures/table2/table2-mean-{TASK}.svg").read_text()
    assert re.search(r"Brightness \d+\.\d{3}", figure)
