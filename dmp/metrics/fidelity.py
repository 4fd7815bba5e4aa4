"""FID, KID, precision, recall and inception score of features, through torch-fidelity."""

import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from dmp.config import EvaluationConfig
from dmp.errors import DMPError
from dmp.metrics.features import Features


def frechet_distance(generated: Features, reference: Features) -> float:
    """Return the FID; means and covariances are taken in float64."""
    statistics = [
        fid_features_to_statistics(torch.from_numpy(f.features).double())
        for f in (generated, reference)
    ]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def fidelity(
    generated: Features, reference: Features, config: EvaluationConfig
) -> dict[str, float]:
    """Return fid, kid, precision, recall and inception_score.

    Raises:
        DMPError: fewer images than ``kid_subset_size`` or ``splits`` need.

    """
    smaller = min(len(generated.features), len(reference.features))
    if smaller < config.kid_subset_size:
        raise DMPError(
            f"evaluation.kid_subset_size = {config.kid_subset_size} is more than the {smaller} "
            f"images of the smaller set"
        )
    # Double precision throughout: small feature sets make the Gram matrices ill-conditioned.
    ours, theirs = (torch.from_numpy(f.features).double() for f in (generated, reference))
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
