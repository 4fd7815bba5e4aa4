"""What a finished sweep came to, in a sentence."""

import pandas as pd

from dmp.statistics.formatting import format_interval
from dmp.statistics.labels import metric_name
from dmp.statistics.paired import ALPHA
from dmp.sweeps.schema import Sweep


def verdict(sweep: Sweep, confirmed: pd.DataFrame) -> str:
    """Return whether fresh seeds found any of the best points better than the base.

    The table is that of :func:`dmp.sweeps.confirmation.confirm`.

    Better is a lower mean, p below 0.05 after Holm's correction for the number of points.
    """
    points = confirmed.iloc[1:].dropna(subset=["difference"])
    if points.empty:
        return "Nothing can be said: the base, or every one of the best points, has diverged."
    better = points[(points["p_t_holm"] < ALPHA) & (points["difference"] < 0)]
    best = (points if better.empty else better).sort_values("difference").iloc[0]
    difference = format_interval(
        best["difference"], best["difference_low"], best["difference_high"]
    )
    told = f"Δ {metric_name(sweep.quality)} {difference} over {best['seeds']} fresh seeds"
    base = confirmed["variant"].iloc[0]
    if better.empty:
        told = f"the best, {best['variant']}, has {told}"
        return f"No point was shown to be better than {base}; {told}."
    return f"{best['variant']} is better than {base}: {told}."
