"""Real images' statistics: exact in constant memory, and from published files."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.metrics.features import Features
from dmp.metrics.reference import (
    Moments,
    gather_reference,
    load_reference,
    read_published,
    save_reference,
)


def flat(images: np.ndarray) -> Features:
    """Stand in for an extractor: the pixels' first six values are the features."""
    rows = images.reshape(len(images), -1)[:, :6].astype(np.float32)
    return Features(rows, rows[:, :2])


def pictures(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=8), st.floats(-1e6, 1e6))
@settings(max_examples=50, deadline=None)
def test_moments_in_batches_are_those_of_all_rows(sizes, offset):
    """Far from zero, where a sum of squares would have lost all digits."""
    rows = np.random.default_rng(0).standard_normal((sum(sizes), 4)) + offset
    moments = Moments()
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        moments.add(part)
    mean, covariance = moments.result()
    assert mean == pytest.approx(rows.mean(axis=0), abs=1e-8)
    assert covariance == pytest.approx(np.cov(rows, rowvar=False), abs=1e-8)


def test_one_image_has_no_covariance():
    with pytest.raises(DMPError, match="1 images have no covariance"):
        gather_reference([pictures(0, 1)], flat, 10)


@pytest.mark.parametrize("keep", [1, 30, 50, 1000])
def test_statistics_are_over_all_images_and_features_are_of_the_first(keep):
    images = pictures(0, 120)
    found = gather_reference(np.split(images, [50, 51]), flat, keep)
    assert found.count == 120
    assert (found.features.features == flat(images).features[:keep]).all()
    assert len(found.features.logits) == len(found.features.features)
    assert found.covariance == pytest.approx(np.cov(flat(images).features, rowvar=False))


def test_memory_does_not_grow_with_the_number_of_images():
    def peak(batches: int) -> int:
        tracemalloc.start()
        gather_reference((pictures(k, 200) for k in range(batches)), flat, 100)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # what is allocated once
    assert peak(60) < 1.2 * peak(6)


def test_a_reference_survives_its_file(tmp_path):
    reference = gather_reference([pictures(0, 40)], flat, 30)
    save_reference(tmp_path / "reference.npz", reference)
    loaded = load_reference(tmp_path / "reference.npz")
    assert loaded.identity == reference.identity
    assert loaded.count == 40
    np.savez(tmp_path / "other.npz", features=np.zeros((2, 2)), logits=np.zeros((2, 2)))
    with pytest.raises(DMPError, match=r"other.npz lacks mean, covariance, count"):
        load_reference(tmp_path / "other.npz")


def publish(path, **changes) -> None:
    images = pictures(0, 20)
    features = flat(pictures(1, 500)).features.astype(np.float64)
    arrays = {
        "mu": features.mean(axis=0),
        "sigma": np.cov(features, rowvar=False),
        "arr_0": images.transpose(0, 2, 3, 1),
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_a_published_file_gives_its_statistics_and_the_features_of_its_images(tmp_path):
    publish(tmp_path / "adm.npz")
    reference = read_published(tmp_path / "adm.npz", flat)
    features = flat(pictures(1, 500)).features.astype(np.float64)
    assert (reference.mean == features.mean(axis=0)).all()
    assert (reference.features.features == flat(pictures(0, 20)).features).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": None}, r"adm.npz lacks sigma, and has mu, arr_0; .* with mu and sigma for FID"),
        ({"arr_0": None}, r"adm.npz lacks arr_0"),
        ({"mu": np.zeros(7)}, r"mu \(7,\) and sigma \(6, 6\) are not those of an extractor with 6"),
        ({"arr_0": np.zeros((2, 4, 4, 3), np.float32)}, r"arr_0 is float32 \(2, 4, 4, 3\)"),
        ({"mu": np.full(6, np.nan)}, r"adm.npz, mu and sigma: the mean .* has NaN or infinite"),
        ({"sigma": np.full((6, 6), np.inf)}, r"adm.npz, mu and sigma: the covariance .* infinite"),
    ],
)
def test_a_published_file_that_lacks_something_is_named(tmp_path, changes, message):
    publish(tmp_path / "adm.npz", **changes)
    with pytest.raises(DMPError, match=message):
        read_published(tmp_path / "adm.npz", flat)


def test_a_saved_reference_that_is_not_finite_is_named(tmp_path):
    reference = gather_reference([pictures(0, 40)], flat, 30)
    save_reference(tmp_path / "r.npz", reference._replace(mean=np.full(6, np.nan)))
    with pytest.raises(DMPError, match=r"r.npz: the mean of the features has NaN or infinite"):
        load_reference(tmp_path / "r.npz")


def test_a_missing_or_truncated_published_file_is_named(tmp_path):
    with pytest.raises(DMPError, match=r"adm.npz does not exist; evaluation.reference_file names"):
        read_published(tmp_path / "adm.npz", flat)
    publish(tmp_path / "adm.npz")
    content = (tmp_path / "adm.npz").read_bytes()
    (tmp_path / "adm.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DMPError, match=r"adm.npz is truncated or corrupt"):
        read_published(tmp_path / "adm.npz", flat)
