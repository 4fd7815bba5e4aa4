"""FID, KID, precision, recall and inception score of features, through torch-fidelity."""

import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from dmp.config import EvaluationConfig
from dmp.errors import DMPError
from dmp.metrics.features import Features
from dmp.metrics.reference import Reference


def frechet_distance(generated: Features, reference: Reference) -> float:
    """Return the Fréchet distance (FID, where Inception made the features), in float64."""
    theirs = {"mu": reference.mean, "sigma": reference.covariance}
    ours = fid_features_to_statistics(torch.from_numpy(generated.features).double())
    return fid_statistics_to_metric(ours, theirs, verbose=False)["frechet_inception_distance"]


def fidelity(
    generated: Features, reference: Reference, config: EvaluationConfig
) -> dict[str, float]:
    """Return fid, kid, precision, recall and inception_score.

    Raises:
        DMPError: fewer images than ``kid_subset_size`` or ``splits`` need.

    """
    known = reference.features.features
    smaller = min(len(generated.features), len(known))
    if smaller < config.kid_subset_size:
        raise DMPError(
            f"evaluation.kid_subset_size = {config.kid_subset_size} is more than the {smaller} "
            f"images of the smaller set"
        )
    # Double precision throughout: small feature sets make the Gram matrices ill-conditioned.
    ours, theirs = (torch.from_numpy(f).double() for f in (generated.features, known))
    kid = kid_features_to_metric(
        ours,
        theirs,
        kid_subsets=config.kid_subsets,
        kid_subset_size=config.kid_subset_size,
        verbose=False,
    )
    prc = prc_features_to_metric(ours, theirs, prc_neighborhood=config.neighbours, verbose=False)
    # Samples are ordered by label; the score's splits assume a shuffled order.
    score = isc_features_to_metric(
        torch.from_numpy(generated.logits), splits=config.splits, shuffle=True
    )
    return {
        "fid": frechet_distance(generated, reference),
        "kid": kid["kernel_inception_distance_mean"],
        "precision": prc["precision"],
        "recall": prc["recall"],
        "inception_score": score["inception_score_mean"],
    }
