"""What metrics are called in a table, and which direction is better."""

_METRICS = {
    "fid": "FID ↓",
    "kid": "KID ↓",
    "precision": "Precision ↑",
    "recall": "Recall ↑",
    "inception_score": "Inception score ↑",
    "denoising_mse": "Denoising MSE ↓",
    "denoising_vb": "Denoising VB ↓",
    "train_denoising_mse": "Training MSE ↓",
    "denoising_gap": "Held-out − training MSE ↓",
    "gate_entropy": "Gate entropy",
    "diverged": "Diverged ↓",
    "seconds": "Seconds ↓",
}


def metric_label(metric: str) -> str:
    """Return ``FID ↓`` for ``fid``; the name itself for a metric that is not known here."""
    return _METRICS.get(metric, metric)


def metric_name(metric: str) -> str:
    """Return ``FID`` for ``fid``, without the arrow that says which direction is better."""
    return metric_label(metric).rstrip("↓↑ ")
