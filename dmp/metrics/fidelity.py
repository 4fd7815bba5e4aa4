"""FID, KID, precision and recall of features, through torch-fidelity, and the inception score."""

import numpy as np
import torch
from scipy import special
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from dmp.config import EvaluationConfig
from dmp.errors import DMPError
from dmp.metrics.features import Features, check_features
from dmp.metrics.reference import Reference, check_statistics

# Distances are taken between so many images at once, and only the nearest are kept. Among up to 25
# torch.cdist subtracts, which is exact for equal images and far from the origin, and its square
# root is that of the processor. Among more it multiplies matrices, which is seven times as fast at
# the 2,048 features of Inception, but cancels, and ends in the square root of MKL, whose last bit
# differs between processors.
EXACT_BATCH, FAST_BATCH = 25, 1000
# Features up to which the exact way costs little more.
NARROW = 256


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
    check_statistics(reference.mean, reference.covariance, "the reference")
    theirs = {"mu": reference.mean, "sigma": reference.covariance}
    ours = fid_features_to_statistics(torch.from_numpy(generated.features).double())
    return fid_statistics_to_metric(ours, theirs, verbose=False)["frechet_inception_distance"]


def fidelity(
    generated: Features, reference: Reference, config: EvaluationConfig
) -> dict[str, float]:
    """Return fid, kid, precision, recall and, if the extractor has logits, inception_score.

    Raises:
        DMPError: fewer images than ``kid_subset_size``, ``neighbours`` or ``splits`` need, or
            features that are not finite.

    """
    known = reference.features.features
    _check_sizes(len(generated.features), len(known), config)
    check_features(reference.features, "the reference")
    # Double precision throughout: small feature sets make the Gram matrices ill-conditioned.
    ours, theirs = (torch.from_numpy(f).double() for f in (generated.features, known))
    found = {"fid": frechet_distance(generated, reference)}
    kid = kid_features_to_metric(
        ours,
        theirs,
        kid_subsets=config.kid_subsets,
        kid_subset_size=config.kid_subset_size,
        verbose=False,
    )
    found["kid"] = kid["kernel_inception_distance_mean"]
    prc = prc_features_to_metric(
        ours,
        theirs,
        prc_neighborhood=config.neighbours,
        prc_batch_size=EXACT_BATCH if ours.shape[1] <= NARROW else FAST_BATCH,
        save_cpu_ram=True,
        verbose=False,
    )
    found |= {"precision": prc["precision"], "recall": prc["recall"]}
    if generated.logits.shape[1]:
        found["inception_score"] = inception_score(generated.logits, config.splits)
    return found


def inception_score(logits: np.ndarray, splits: int) -> float:
    """Return the mean over splits of ``exp(E KL(p(y | x) ‖ p(y)))``, in float64.

    The definition, order and splits are torch-fidelity's, the arithmetic is SciPy's: torch takes
    the logarithm of float64 from MKL, whose last bit differs between processors.

    Args:
        logits: ``(n, classes)``.
        splits: parts that are scored by themselves, at most n.

    """
    # Samples are ordered by label; the splits assume a shuffled order.
    order = np.random.RandomState(2020).permutation(len(logits))
    chances = special.softmax(logits[order].astype(np.float64), axis=1)
    starts = [part * len(logits) // splits for part in range(1, splits)]
    parts = np.split(chances, starts)
    divergence = [special.rel_entr(p, p.mean(axis=0)).sum(axis=1).mean() for p in parts]
    return float(np.exp(divergence).mean())


def _check_sizes(generated: int, known: int, config: EvaluationConfig) -> None:
    smaller = min(generated, known)
    for key, needed, there, images in (
        ("kid_subset_size", config.kid_subset_size, smaller, "images of the smaller set"),
        # An image is no neighbour of itself.
        ("neighbours", config.neighbours, smaller - 1, "other images of the smaller set"),
        ("splits", config.splits, generated, "samples"),
    ):
        if needed > there:
            raise DMPError(f"evaluation.{key} = {needed} is more than the {there} {images}")
