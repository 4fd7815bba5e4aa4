"""No step of a metric goes through an operation whose last bit differs between processors."""

import numpy as np
import pytest
import torch
from test_fidelity import fidelity
from test_numerics import OnlyPortable

from dmp.config import EvaluationConfig, ExtractorConfig, TextConfig
from dmp.data.captions import encode
from dmp.data.registry import Images, dataset_info
from dmp.metrics.classifier import train_classifier
from dmp.metrics.features import Features
from dmp.metrics.fidelity import PortableLogarithms
from dmp.metrics.reference import gather_reference


def pictures(count: int) -> Images:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    return Images(images, generator.integers(0, 10, count))


def extract(seed: int) -> Features:
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal((120, 74)).astype(np.float32)
    return Features(drawn[:, :64], drawn[:, 64:])


def measure() -> None:
    extractor = ExtractorConfig(name="dataset-classifier")
    config = EvaluationConfig(extractor=extractor, kid_subset_size=100, kid_subsets=2)
    real = extract(1)
    reference = gather_reference([real.features], lambda _: real, 120)
    assert len(fidelity(extract(0), reference, config)) == 5


def classify() -> None:
    train_classifier(pictures(192), dataset_info("digits"), epochs=1)


def caption() -> None:
    encode(dataset_info("digits").phrases(), TextConfig(hidden_size=16, layers=1, heads=2))


@pytest.mark.parametrize("step", [measure, classify, caption])
def test_nothing_is_left_to_the_processor(step):
    with OnlyPortable():
        step()


def test_logarithms_are_rerouted_and_nothing_else_changes():
    x = torch.from_numpy(np.random.default_rng(0).random(1000))
    with PortableLogarithms():
        found = [x.log(), torch.log(x), x.exp()]
    np.testing.assert_allclose(found[0], np.log(x.numpy()), rtol=1e-15)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[2], x.exp())
