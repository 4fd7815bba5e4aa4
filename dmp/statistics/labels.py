"""What metrics are called in a table, and which direction is better."""

from dmp.metrics.registry import quantities


def metric_label(metric: str) -> str:
    """Return ``FID ↓`` for ``fid``; the name itself for a metric that is not known here."""
    return _labelled(metric, arrow=True)


def metric_name(metric: str) -> str:
    """Return ``FID`` for ``fid``, without the arrow that says which direction is better."""
    return _labelled(metric, arrow=False)


def _labelled(metric: str, arrow: bool) -> str:
    name, _, of = metric.partition("/")
    known = quantities().get(name)
    if known is None:
        return metric
    label = known.heading if arrow else known.label
    return label.replace(known.label, f"{known.label} {of}", 1) if of else label
