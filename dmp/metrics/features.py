"""Features of images, through torch-fidelity's registered extractors, and their files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from dmp.arrayfile import load_arrays, save_arrays
from dmp.config import nearest
from dmp.errors import DMPError
from dmp.files import damaged
from dmp.finite import check_rows
from dmp.metrics import classifier


class Features(NamedTuple):
    """Features of n images.

    Attributes:
        features: ``(n, d)`` float32, for FID, KID, precision and recall.
        logits: ``(n, c)`` float32, for the inception score; ``(n, 0)`` of a network without them.
    """

    features: np.ndarray
    logits: np.ndarray


class Extractor:
    """A network of torch-fidelity's registry, from images to features.

    Args:
        name: a registered extractor, such as ``inception-v3-compat`` or ``dataset-classifier``.
        weights: file of the extractor's weights; None lets torch-fidelity find its own.

    Raises:
        DMPError: unknown extractor, or its weights are unavailable.
    """

    def __init__(self, name: str, weights: Path | None, device: str) -> None:
        if name not in FEATURE_EXTRACTORS_REGISTRY:
            raise DMPError(
                f"evaluation.extractor.name: unknown feature extractor '{name}': "
                f"{nearest(name, FEATURE_EXTRACTORS_REGISTRY)}"
            )
        if weights is not None and not weights.is_file():
            raise DMPError(f"{weights} does not exist: the weights of the extractor '{name}'")
        kind = FEATURE_EXTRACTORS_REGISTRY[name]
        layers = [kind.get_default_feature_layer_for_metric(metric) for metric in ("fid", "isc")]
        # Some networks have one output for everything; two names would give it twice.
        self._single = layers[0] == layers[1]
        try:
            self._network = create_feature_extractor(
                name,
                layers[:1] if self._single else layers,
                cuda=device.startswith("cuda"),
                feature_extractor_weights_path=None if weights is None else str(weights),
                verbose=False,
            )
        except OSError as error:
            raise DMPError(
                f"the weights of the feature extractor '{name}' are unavailable: {error}. "
                f"torch-fidelity downloads them to $TORCH_HOME/hub/checkpoints (~/.cache/torch by "
                f"default); without a network, copy them there from a machine that has one, or "
                f"name a file with evaluation.extractor.weights"
            ) from error
        self._grey = name == classifier.NAME
        self._device = device

    @torch.no_grad()
    def __call__(self, images: np.ndarray, batch_size: int = 256) -> Features:
        """Return the features of uint8 images ``(n, C, H, W)``; grey ones are made RGB if need be.

        A network without logits leaves them empty, ``(n, 0)``.
        """
        parts: list[tuple[torch.Tensor, ...]] = []
        for batch in torch.from_numpy(images).split(batch_size):
            if batch.shape[1] == 1 and not self._grey:
                batch = batch.expand(-1, 3, -1, -1)
            found = self._network(batch.to(self._device))
            parts.append(tuple(part.float().cpu() for part in found))
        features, *logits = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        nothing = np.empty((len(features), 0), np.float32)
        return Features(features, logits[0] if logits else nothing)


def check_features(features: Features, where: str, first: int = 0) -> None:
    """Refuse features or logits that are NaN or infinite.

    Args:
        where: whose they are, for the message.
        first: the number of the first image.

    Raises:
        DMPError: naming the first of these images.
    """
    mend = "the extractor's weights are damaged, or do not fit these images"
    for name, rows in features._asdict().items():
        check_rows(rows, f"{where}: {name} of image", mend, first)


def save_features(path: Path, features: Features, **more: np.ndarray) -> None:
    """Write features, and what else belongs to them, as one .npz, atomically."""
    save_arrays(path, {**features._asdict(), **more})


def load_features(path: Path) -> Features:
    """Read :func:`save_features`' file.

    Raises:
        DMPError: the file is missing or corrupt, or holds features that are not finite, or none.
    """
    found = load_arrays(path, *Features._fields)
    features = Features(found["features"], found["logits"])
    native = all(rows.dtype.kind == "f" and rows.dtype.isnative for rows in features)
    if not native or {rows.ndim for rows in features} != {2} or len(set(map(len, features))) > 1:
        raise damaged(path, ValueError("its arrays are not those of features and logits"))
    check_features(features, str(path))
    return features
