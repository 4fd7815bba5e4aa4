"""What samples are compared with: statistics of all real images, and features of some of them."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dmp.arrayfile import load_arrays
from dmp.errors import DMPError
from dmp.files import Advice, understood
from dmp.metrics.features import Features, check_features, load_features, save_features

# ADM's reference batches have all that is needed.
_PUBLISHED = Advice(
    "evaluation.reference_file names an ADM reference batch, such as "
    "VIRTUAL_imagenet256_labeled.npz of openai/guided-diffusion, below the data folder",
    "download an ADM reference batch again: an .npz with mu and sigma for FID, and images arr_0 "
    "for KID, precision and recall",
)


class Reference(NamedTuple):
    """Real images, as an extractor sees them.

    Attributes:
        mean: ``(d,)`` float64, over all ``count`` images.
        covariance: ``(d, d)`` float64, unbiased.
        count: images behind mean and covariance.
        features: of the first images: KID, precision and recall compare with these.
        floor: FID of real images that no model has trained on, and how many they are: what a
            perfect model of so many samples would have. None where it is not known.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int
    features: Features
    floor: "Floor | None" = None

    @property
    def identity(self) -> str:
        """SHA-256 of all that a metric reads."""
        digest = hashlib.sha256()
        for array in (self.mean, self.covariance, self.features.features):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


class Floor(NamedTuple):
    """The FID of held-out images against the reference."""

    fid: float
    images: int


class Moments:
    """Mean and covariance of rows that come in batches, in float64 and constant memory.

    Batches are merged by the pairwise update of Chan, Golub & LeVeque (1983), which keeps its
    digits where a sum of squares would lose them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray | float = 0.0
        self._scatter: np.ndarray | float = 0.0

    def add(self, rows: np.ndarray) -> None:
        """Take in ``(n, d)`` rows."""
        rows = rows.astype(np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        total = self.count + len(rows)
        apart = mean - self._mean
        self._scatter = (
            self._scatter
            + centred.T @ centred
            + np.outer(apart, apart) * (self.count * len(rows) / total)
        )
        self._mean = self._mean + apart * (len(rows) / total)
        self.count = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and unbiased covariance.

        Raises:
            DMPError: fewer than two rows.
        """
        if self.count < 2:
            raise DMPError(f"{self.count} images have no covariance; at least 2 are needed")
        return np.asarray(self._mean), np.asarray(self._scatter) / (self.count - 1)


def check_statistics(mean: np.ndarray, covariance: np.ndarray, where: str) -> None:
    """Refuse statistics that are NaN or infinite.

    Raises:
        DMPError: naming ``where``, and which of the two.
    """
    for name, values in (("mean", mean), ("covariance", covariance)):
        if not np.isfinite(values).all():
            raise DMPError(
                f"{where}: the {name} of the features has NaN or infinite values; make or fetch "
                f"the reference again"
            )


def gather_reference(
    batches: Iterable[np.ndarray], extract: Callable[[np.ndarray], Features], keep: int
) -> Reference:
    """Return the reference of images that come in batches, uint8 ``(n, C, H, W)``.

    Memory does not grow with the number of images, but for the ``keep`` whose features are kept.

    Raises:
        DMPError: fewer than two images, or features that are not finite.
    """
    moments, kept, logits, count = Moments(), [], [], 0
    for images in batches:
        found = extract(images)
        check_features(found, "the real images", count)
        moments.add(found.features)
        if count < keep:
            kept.append(found.features[: keep - count])
            logits.append(found.logits[: keep - count])
        count += len(images)
    mean, covariance = moments.result()
    return Reference(
        mean, covariance, count, Features(np.concatenate(kept), np.concatenate(logits))
    )


def read_published(path: Path, extract: Callable[[np.ndarray], Features]) -> Reference:
    """Return the reference of a published .npz as ADM distributes it.

    It holds ``mu`` and ``sigma`` over all images, and in ``arr_0`` some of the images, uint8
    ``(n, H, W, 3)``.

    Raises:
        DMPError: the file is missing, corrupt, lacks one of these, or has values that are not
            finite.
    """
    found = load_arrays(path, "mu", "sigma", "arr_0", advice=_PUBLISHED)
    images = found["arr_0"]
    with understood(path, _PUBLISHED):
        mean, covariance = (found[name].astype(np.float64) for name in ("mu", "sigma"))
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] != 3:
        raise DMPError(
            f"{path}: arr_0 is {images.dtype} {images.shape}; uint8 (n, H, W, 3) is needed"
        )
    check_statistics(mean, covariance, f"{path}, mu and sigma")
    features = extract(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    check_features(features, f"{path}, arr_0")
    width = features.features.shape[1]
    if mean.shape != (width,) or covariance.shape != (width, width):
        raise DMPError(
            f"{path}: mu {mean.shape} and sigma {covariance.shape} are not those of an extractor "
            f"with {width} features; evaluation.extractor must be the one that made the file"
        )
    # The file does not say how many images are behind its statistics.
    return Reference(mean, covariance, 0, features)


def save_reference(path: Path, reference: Reference) -> None:
    """Write a reference as one .npz, atomically."""
    statistics = {"mean": reference.mean, "covariance": reference.covariance}
    if reference.floor is not None:
        statistics["floor"] = np.array(reference.floor)
    save_features(path, reference.features, **statistics, count=np.array(reference.count))


def load_reference(path: Path) -> Reference:
    """Read :func:`save_reference`'s file.

    Raises:
        DMPError: the file is missing or corrupt, or has values that are not finite.
    """
    features = load_features(path)
    found = load_arrays(path, "mean", "covariance", "count", optional=("floor",))
    floor = None
    with understood(path):
        if "floor" in found:
            fid, images = found["floor"].tolist()
            floor = Floor(float(fid), int(images))
        mean, covariance, count = found["mean"], found["covariance"], int(found["count"])
        width = features.features.shape[1]
        if mean.shape != (width,) or covariance.shape != (width, width):
            raise ValueError(f"mean {mean.shape}, covariance {covariance.shape}, {width} features")
        check_statistics(mean, covariance, str(path))
    return Reference(mean, covariance, count, features, floor)
