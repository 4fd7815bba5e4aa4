"""What a network makes of samples is looked at where it comes in."""

from types import SimpleNamespace

import numpy as np
import pytest
from harness import ROOT
from torch import nn

from dmp.errors import DMPError
from dmp.metrics.features import Features
from dmp.stages import sample
from dmp.studies import load_plan


def test_features_that_are_not_finite_name_run_and_sample(monkeypatch):
    def extract(images, batch_size):
        features = np.ones((len(images), 3), np.float32)
        features[images[:, 0, 0, 0] == 10] = np.nan
        return Features(features, np.ones((len(images), 2), np.float32))

    def images(*_):
        for start in (6, 10, 14):
            batch = np.zeros((4, 1, 8, 8), np.uint8)
            batch[:, 0, 0, 0] = start + np.arange(4)
            yield batch

    monkeypatch.setattr(sample, "sample_images", images)
    monkeypatch.setattr(sample, "task_extractor", lambda *_: extract)
    plan = load_plan("digits", ROOT / "ablations")
    context = SimpleNamespace(plan=plan, device="cpu")
    data = SimpleNamespace(sample_order=lambda _: np.zeros(1, np.int64))
    backbone = nn.Identity()
    backbone.num_classes = 1
    run = plan.run("unconditional", "dmp", 2)
    told = r"samples of unconditional/dmp/seed2: features of image 10 \(1 of 4\): NaN"
    with pytest.raises(DMPError, match=told):
        sample.draw(context, run, backbone, data, 2, range(6, 18), "sampling")
