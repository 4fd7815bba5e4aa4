"""FID, KID, precision, recall and inception score of features, through torch-fidelity."""

import torch
from torch.overrides import TorchFunctionMode
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
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


class PortableLogarithms(TorchFunctionMode):
    """Takes a library's logarithms as ``1 · log x``, whose bits are the same on every processor.

    ``torch.log`` of float64 goes through MKL's vector library, which rounds one value in some fifty
    thousand differently on another processor.
    """

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function in (torch.log, torch.Tensor.log):
            return torch.xlogy(1.0, arguments[0])
        return function(*arguments, **(options or {}))


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
        # Samples are ordered by label; the score's splits assume a shuffled order.
        with PortableLogarithms():
            score = isc_features_to_metric(
                torch.from_numpy(generated.logits), splits=config.splits, shuffle=True
            )
        found["inception_score"] = score["inception_score_mean"]
    return found


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
