"""FID, KID, precision, recall and inception score of features, through torch-fidelity."""

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from dmp.errors import DMPError
from dmp.metrics.base import Samples
from dmp.metrics.features import Features, check_features
from dmp.metrics.reference import Reference, check_statistics

# Distances are taken between so many images at once, and only the nearest are kept. Among up to 25
# torch.cdist subtracts, which is exact for equal images and far from the origin, and its square
# root is that of the processor. Among more it multiplies matrices, which is seven times as fast at
# the 2,048 features of Inception, but cancels, and ends in the square root of MKL, whose last bit
# differs between processors. The peak is 3.3 GiB at 50,000 × 10,000 images and 2,048 features.
EXACT_BATCH, FAST_BATCH = 25, 1000
# Features up to which the exact way costs little more.
NARROW = 256


class PortableLogarithms(TorchFunctionMode):
    """Takes a library's logarithms as ``1 · log x``, whose bits are the same on every processor.

    ``torch.log`` of float64 goes through MKL's vector library, which rounds one value in some fifty
    thousand differently on another processor.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.log, torch.Tensor.log):
            return torch.xlogy(1.0, *args)
        return func(*args, **(kwargs or {}))


def frechet_distance(generated: Features, reference: Reference) -> float:
    """Return the Fréchet distance (FID, where Inception made the features), in float64.

    Raises:
        DMPError: fewer than two images, or features that are not finite.
    """
    if len(generated.features) < 2:
        raise DMPError(
            f"{len(generated.features)} samples have no covariance; sampling.samples and "
            f"pretraining.convergence_samples must be at least 2"
        )
    check_features(generated, "the samples")
    ours = fid_features_to_statistics(torch.from_numpy(generated.features).double())
    return distance(ours["mu"], ours["sigma"], reference)


def distance(mean: np.ndarray, covariance: np.ndarray, reference: Reference) -> float:
    """Return the Fréchet distance of ``(d,)`` and ``(d, d)`` statistics from a reference's.

    Raises:
        DMPError: the reference is not finite.
    """
    check_statistics(reference.mean, reference.covariance, "the reference")
    ours = {"mu": mean, "sigma": covariance}
    theirs = {"mu": reference.mean, "sigma": reference.covariance}
    return fid_statistics_to_metric(ours, theirs, verbose=False)["frechet_inception_distance"]


def kid(samples: Samples) -> float:
    """Return the kernel distance, averaged over subsets.

    Raises:
        DMPError: fewer images than a subset needs.
    """
    ours, theirs = _sets(samples)
    config = samples.config
    _require("kid_subset_size", config.kid_subset_size, min(len(ours), len(theirs)), _SMALLER)
    found = kid_features_to_metric(
        ours,
        theirs,
        kid_subsets=config.kid_subsets,
        kid_subset_size=config.kid_subset_size,
        verbose=False,
    )
    return found["kernel_inception_distance_mean"]


def precision_recall(samples: Samples) -> dict[str, float]:
    """Return ``precision`` and ``recall``.

    Raises:
        DMPError: fewer images than neighbours.
    """
    ours, theirs = _sets(samples)
    neighbours = samples.config.neighbours
    # An image is no neighbour of itself.
    _require("neighbours", neighbours, min(len(ours), len(theirs)) - 1, f"other {_SMALLER}")
    return prc_features_to_metric(
        ours,
        theirs,
        prc_neighborhood=neighbours,
        prc_batch_size=EXACT_BATCH if ours.shape[1] <= NARROW else FAST_BATCH,
        save_cpu_ram=True,
        verbose=False,
    )


def inception_score(samples: Samples) -> float | None:
    """Return the inception score; None if the extractor has no logits.

    Raises:
        DMPError: fewer samples than splits.
    """
    logits, splits = samples.generated.logits, samples.config.splits
    if not logits.shape[1]:
        return None
    _require("splits", splits, len(logits), "samples")
    # Samples are ordered by label; the score's splits assume a shuffled order.
    with PortableLogarithms():
        score = isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=True)
    return score["inception_score_mean"]


_SMALLER = "images of the smaller set"


def _sets(samples: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features of samples and of real images.

    In double precision: small sets make the Gram matrices ill-conditioned.
    """
    sets = {"the samples": samples.generated, "the reference": samples.reference.features}
    for where, features in sets.items():
        check_features(features, where)
    ours, theirs = (torch.from_numpy(features.features).double() for features in sets.values())
    return ours, theirs


def _require(key: str, needed: int, there: int, images: str) -> None:
    if needed > there:
        raise DMPError(f"evaluation.{key} = {needed} is more than the {there} {images}")
