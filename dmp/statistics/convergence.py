"""Has a baseline converged? The claims are about patching converged backbones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.estimates import as_values

# Four checkpoints are the fewest whose strict decrease, with p = 1/4!, is significant at 5 %.
FEWEST_CHECKPOINTS = 4


@dataclass(frozen=True)
class Convergence:
    """The trend of FID over the last checkpoints.

    Attributes:
        tau: Kendall's tau-b between checkpoint and FID; -1 if FID falls all the way.
        p_value: one-sided, of a decrease as steady as this where there is no trend.
        relative_change: from the mean of the first half to that of the second, as a share of the
            first; the middle one of an odd number of checkpoints is in neither.
        converged: False if the decrease is larger than tolerated. The test does not decide: a few
            noisy checkpoints would let a baseline pass for converged because too little was
            measured. Its p value says whether a decrease was more than noise.
    """

    tau: float
    p_value: float
    relative_change: float
    converged: bool


def convergence(fids: ArrayLike, tolerance: float) -> Convergence:
    """Test for a decrease of FID that goes on.

    Args:
        fids: (K,) FID of the last K equally spaced checkpoints, oldest first.
        tolerance: the relative decrease over half the window that is still called converged.

    Returns:
        The verdict. The test is Kendall's, which takes no shape of the trend for granted.
        Constant FIDs have tau 0 and p value 1.

    Raises:
        DMPError: fewer than 4 FIDs, one that is not finite or not positive, or a negative
            tolerance.
    """
    fids = as_values(fids, "fids")
    if len(fids) < FEWEST_CHECKPOINTS:
        raise DMPError(
            f"{len(fids)} checkpoints cannot show whether a baseline has converged; "
            f"at least {FEWEST_CHECKPOINTS} are needed"
        )
    if (fids <= 0).any():
        raise DMPError(f"fids = {fids.tolist()} must be positive")
    if not tolerance >= 0:
        raise DMPError(f"tolerance = {tolerance} is not accepted; it must be at least 0")
    half = len(fids) // 2
    first, second = fids[:half].mean(), fids[-half:].mean()
    change = float((second - first) / first)
    tau, p_value = 0.0, 1.0
    if len(set(fids)) > 1:
        # Exact where no two are equal, and else the tie-corrected normal approximation.
        found = stats.kendalltau(np.arange(len(fids)), fids, alternative="less")
        tau, p_value = float(found.statistic), float(found.pvalue)
    return Convergence(tau, p_value, change, -change <= tolerance)
