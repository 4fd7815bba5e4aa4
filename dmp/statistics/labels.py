"""What metrics are called in a table, and which direction is better."""

from dmp.metrics.registry import quantities


def metric_label(metric: str) -> str:
    """Return ``FID ↓`` for ``fid``; the name itself for a metric that is not known here."""
    known = quantities().get(metric)
    return metric if known is None else known.heading


def metric_name(metric: str) -> str:
    """Return ``FID`` for ``fid``, without the arrow that says which direction is better."""
    known = quantities().get(metric)
    return metric if known is None else known.label
