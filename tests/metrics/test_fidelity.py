"""The metrics agree with closed forms, and do not depend on the order of the images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from torch_fidelity.metric_prc import calculate_precision_recall_full

from dmp.config import EvaluationConfig, ExtractorConfig
from dmp.errors import DMPError
from dmp.metrics.base import Samples
from dmp.metrics.features import Extractor, Features, load_features, save_features
from dmp.metrics.fidelity import NARROW, frechet_distance
from dmp.metrics.reference import Reference, gather_reference
from dmp.metrics.registry import find_metric

CONFIG = EvaluationConfig(
    extractor=ExtractorConfig(name="dataset-classifier"), kid_subset_size=100, kid_subsets=5
)


def fidelity(
    generated: Features, reference: Reference, config: EvaluationConfig
) -> dict[str, float]:
    """Return all metrics of samples, by name."""
    samples = Samples(generated, reference, config)
    names = ("fid", "kid", "precision", "recall", "inception_score")
    found = {name: find_metric(name).compute(samples) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def gaussian(seed: int, mean: float = 0.0, scale: float = 1.0, count: int = 300) -> Features:
    generator = np.random.default_rng(seed)
    features = (mean + scale * generator.standard_normal((count, 6))).astype(np.float32)
    return Features(features, generator.standard_normal((count, 10)).astype(np.float32))


def real(seed: int, mean: float = 0.0, scale: float = 1.0, count: int = 300) -> Reference:
    features = gaussian(seed, mean, scale, count)
    return gather_reference([features.features], lambda _: features, count)


def test_frechet_distance_is_the_matrix_formula():
    a, b = gaussian(0), gaussian(1, mean=0.5, scale=1.5)
    means = [f.features.astype(np.float64).mean(axis=0) for f in (a, b)]
    covariances = [np.cov(f.features.astype(np.float64), rowvar=False) for f in (a, b)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root)
    theirs = real(1, mean=0.5, scale=1.5)
    assert frechet_distance(a, theirs) == pytest.approx(expected, rel=1e-8)


def test_equal_sets_are_at_distance_zero_with_full_precision_and_recall():
    a = gaussian(0)
    values = fidelity(a, real(0), CONFIG)
    assert values["fid"] == pytest.approx(0, abs=1e-8)
    assert values["precision"] == values["recall"] == 1


def test_precision_and_recall_are_their_definition():
    """By brute force: a point counts if it lies in the ball of some point's third neighbour."""
    ours, theirs = gaussian(0, count=150), gaussian(1, mean=1.0, count=160)

    def coverage(points, centres):
        between = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        radius = np.sort(between, axis=1)[:, 3]
        distance = np.linalg.norm(points[:, None] - centres[None], axis=-1)
        return (distance <= radius).any(axis=1).mean()

    a, b = ours.features.astype(np.float64), theirs.features.astype(np.float64)
    values = fidelity(ours, real(1, mean=1.0, count=160), CONFIG)
    assert values["precision"] == pytest.approx(coverage(a, b))
    assert values["recall"] == pytest.approx(coverage(b, a))


def test_precision_and_recall_are_their_definition_far_from_the_origin():
    """Products of matrices lose there the digits by which distances differ."""
    generator = np.random.default_rng(0)
    steps = [generator.integers(0, 4, (n, 256)) for n in (150, 160)]

    def coverage(points, centres):
        # In whole numbers, and so exact.
        between = ((centres[:, None] - centres[None]) ** 2).sum(axis=-1)
        radius = np.sort(between, axis=1)[:, 3]
        distance = ((points[:, None] - centres[None]) ** 2).sum(axis=-1)
        return (distance <= radius).any(axis=1).mean()

    a, b = (
        Features((3e4 + k / 2**9).astype(np.float32), np.ones((len(k), 10), np.float32))
        for k in steps
    )
    values = fidelity(a, gather_reference([b.features], lambda _: b, 160), CONFIG)
    assert values["precision"] == pytest.approx(coverage(*steps))
    assert values["recall"] == pytest.approx(coverage(*reversed(steps)))


@pytest.mark.parametrize("width", [6, 300])
def test_precision_and_recall_of_many_images_are_those_of_all_distances_at_once(width):
    """Parts of the matrices, on either side of the width that decides their size."""
    assert (width <= NARROW) == (width == 6)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, width)).astype(np.float32) for n in (1300, 1100))
    ours, theirs = (Features(x, np.ones((len(x), 10), np.float32)) for x in (a, 1.1 * b))
    values = fidelity(ours, gather_reference([b], lambda _: theirs, 1100), CONFIG)
    sets = [torch.from_numpy(each.features).double() for each in (ours, theirs)]
    expected = calculate_precision_recall_full(*sets)
    assert (values["precision"], values["recall"]) == expected
    assert all(0.01 < value < 0.999 for value in expected)


def test_memory_of_precision_and_recall_does_not_hold_all_distances():
    """Of 2,400 images one square matrix of distances takes 46 MB, and there are four."""
    script = """
import resource
import numpy as np
from test_fidelity import CONFIG, fidelity, gaussian, real
ours, theirs = gaussian(0, count=2400), real(1, count=2400)
fidelity(gaussian(0), real(1), CONFIG)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fidelity(ours, theirs, CONFIG)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 40


def test_kid_is_the_unbiased_polynomial_mmd():
    """With subsets as large as the sets, every subset is the set and the estimate has no noise."""
    ours, theirs = gaussian(0), gaussian(1, mean=0.3)
    config = CONFIG.model_copy(update={"kid_subset_size": 300})
    x, y = ours.features.astype(np.float64), theirs.features.astype(np.float64)

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n = len(x)
    within = [(kernel(z, z).sum() - np.trace(kernel(z, z))) / (n * (n - 1)) for z in (x, y)]
    expected = sum(within) - 2 * kernel(x, y).mean()
    assert fidelity(ours, real(1, mean=0.3), config)["kid"] == pytest.approx(expected, rel=1e-6)


def test_inception_score_of_certain_and_balanced_predictions_is_the_number_of_classes():
    logits = np.full((1000, 10), -50, np.float32)
    logits[np.arange(1000), np.arange(1000) % 10] = 50
    features = gaussian(0, count=1000).features
    one_split = CONFIG.model_copy(update={"splits": 1})
    score = fidelity(Features(features, logits), real(1), one_split)["inception_score"]
    assert score == pytest.approx(10, rel=1e-4)


@given(st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_order_of_images_does_not_matter(seed):
    a, b = gaussian(0), real(1, mean=0.5)
    order = np.random.default_rng(seed).permutation(len(a.features))
    shuffled = Features(a.features[order], a.logits[order])
    assert frechet_distance(shuffled, b) == pytest.approx(frechet_distance(a, b), rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": 301}, r"evaluation.splits = 301 is more than the 300 samples"),
        ({"neighbours": 120}, r"evaluation.neighbours = 120 is more than the 119 other images"),
        ({"kid_subset_size": 121}, r"evaluation.kid_subset_size = 121 is more than the 120 images"),
    ],
)
def test_sizes_that_the_sets_do_not_have_are_refused(changes, message):
    config = CONFIG.model_copy(update=changes)
    with pytest.raises(DMPError, match=message):
        fidelity(gaussian(0), real(1, count=120), config)


def test_one_sample_has_no_distance():
    with pytest.raises(DMPError, match=r"1 samples have no covariance"):
        frechet_distance(gaussian(0, count=1), real(1))


def test_a_network_without_logits_gives_no_inception_score():
    a = gaussian(0)
    plain = fidelity(a, real(1), CONFIG)
    without = fidelity(Features(a.features, np.empty((300, 0), np.float32)), real(1), CONFIG)
    assert "inception_score" in plain
    assert without == {k: v for k, v in plain.items() if k != "inception_score"}


def spoiled(features: Features, name: str, value: float) -> Features:
    arrays = {key: array.copy() for key, array in features._asdict().items()}
    arrays[name][[7, 30]] = value
    return Features(**arrays)


@pytest.mark.parametrize("name", ["features", "logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_named(tmp_path, name, value):
    bad = spoiled(gaussian(0), name, value)
    told = rf"{name} of image 7, 30 \(2 of 300\): NaN or infinite values"
    with pytest.raises(DMPError, match=f"the samples: {told}"):
        fidelity(bad, real(1), CONFIG)
    with pytest.raises(DMPError, match=f"the reference: {told}"):
        fidelity(gaussian(0), real(1)._replace(features=bad), CONFIG)
    save_features(tmp_path / "samples.npz", bad)
    with pytest.raises(DMPError, match=f"samples.npz: {told}"):
        load_features(tmp_path / "samples.npz")
    with pytest.raises(DMPError, match=rf"the real images: {name} of image 7, 30"):
        gather_reference([bad.features], lambda _: bad, 10)


def test_statistics_that_are_not_finite_are_named():
    covariance = real(1).covariance.copy()
    covariance[2, 3] = np.nan
    with pytest.raises(DMPError, match=r"the covariance of the features has NaN or infinite"):
        frechet_distance(gaussian(0), real(1)._replace(covariance=covariance))


def test_unknown_extractor_names_the_nearest():
    with pytest.raises(DMPError, match=r"unknown feature extractor 'inception-v3'.*did you mean"):
        Extractor("inception-v3", None, "cpu")


def test_features_survive_their_file_and_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "features.npz"
    save_features(path, gaussian(0))
    loaded = load_features(path)
    assert (loaded.features == gaussian(0).features).all()
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DMPError, match=r"features.npz is truncated or corrupt"):
        load_features(path)
    with pytest.raises(DMPError, match=r"missing.npz does not exist"):
        load_features(tmp_path / "missing.npz")
