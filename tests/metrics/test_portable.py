"""No step of a metric goes through an operation whose last bit differs between x86-64 processors.

torch takes square roots of more than a few numbers by MKL's vector library, which rounds them
otherwise on Intel than on AMD, whatever is set in the environment.
"""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dmp.config import EvaluationConfig, ExtractorConfig, TextConfig
from dmp.data.captions import encode
from dmp.data.registry import Images, dataset_info
from dmp.metrics.classifier import train_classifier
from dmp.metrics.features import Features
from dmp.metrics.fidelity import fidelity
from dmp.metrics.reference import gather_reference


class Roots(TorchDispatchMode):
    """Collects the operations that take square roots of tensors on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::").split(".")[0]
        self.count += 1
        root = name.rstrip("_") in ("sqrt", "_foreach_sqrt", "_euclidean_dist")
        power = name.rstrip("_") in ("pow", "_foreach_pow") and args[1] == 0.5
        if root or power:
            self.found.add(name)
        return function(*args, **(kwargs or {}))


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
def test_no_square_root_is_left_to_the_processor(step):
    with Roots() as roots:
        step()
    assert roots.count > 10
    assert not roots.found


def test_the_operations_that_differ_are_noticed():
    """Otherwise the test above would pass on anything."""
    many = torch.rand(30, 4)
    with Roots() as roots:
        many.sqrt(), many**0.5, torch.cdist(many, many), torch._foreach_sqrt([many])
    assert {"sqrt", "pow", "_foreach_sqrt"} <= roots.found
    with Roots() as roots:
        torch.cdist(many[:25], many[:25])
    assert roots.count
    assert not roots.found
