"""Features of images, through torch-fidelity's registered extractors, and their files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from dmp.config import nearest
from dmp.errors import DMPError
from dmp.files import atomic_path
from dmp.metrics import classifier


class Features(NamedTuple):
    """Features of n images.

    Attributes:
        features: ``(n, d)`` float32, for FID, KID, precision and recall.
        logits: ``(n, c)`` float32, for the inception score.

    """

    features: np.ndarray
    logits: np.ndarray


@torch.no_grad()
def extract(
    images: np.ndarray, name: str, weights: Path | None, device: str, batch_size: int = 256
) -> Features:
    """Return the features of uint8 images ``(n, C, H, W)``.

    Args:
        images: the images; grey ones are repeated to three channels where an extractor needs it.
        name: a registered extractor, such as ``inception-v3-compat`` or ``dataset-classifier``.
        weights: file of the extractor's weights; None lets torch-fidelity find its own.
        device: where to compute.
        batch_size: images at once.

    Raises:
        DMPError: unknown extractor, or its weights cannot be had.

    """
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        raise DMPError(
            f"evaluation.extractor.name: unknown feature extractor '{name}': "
            f"{nearest(name, FEATURE_EXTRACTORS_REGISTRY)}"
        )
    kind = FEATURE_EXTRACTORS_REGISTRY[name]
    layers = [kind.get_default_feature_layer_for_metric(metric) for metric in ("fid", "isc")]
    try:
        extractor = create_feature_extractor(
            name,
            layers,
            cuda=device.startswith("cuda"),
            feature_extractor_weights_path=None if weights is None else str(weights),
            verbose=False,
        )
    except OSError as error:
        raise DMPError(
            f"the weights of the feature extractor '{name}' cannot be had: {error}"
        ) from error
    parts: list[tuple[torch.Tensor, ...]] = []
    for batch in torch.from_numpy(images).split(batch_size):
        if batch.shape[1] == 1 and name != classifier.NAME:
            batch = batch.expand(-1, 3, -1, -1)
        parts.append(tuple(part.float().cpu() for part in extractor(batch.to(device))))
    features, logits = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Features(features, logits)


def save_features(path: Path, features: Features, **more: np.ndarray) -> None:
    """Write features, and what else belongs to them, as one .npz, atomically."""
    with atomic_path(path) as temporary:
        np.savez(temporary, features=features.features, logits=features.logits, **more)


def load_features(path: Path) -> Features:
    """Read :func:`save_features`' file.

    Raises:
        DMPError: the file is missing or corrupt.

    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Features(file["features"], file["logits"])
    except FileNotFoundError as error:
        raise DMPError(f"{path} does not exist; the stage that writes it has not run") from error
    except Exception as error:  # zipfile, zlib and NumPy each have their own way to say it
        raise DMPError(
            f"{path} is truncated or corrupt ({error}); delete it and run again"
        ) from error
