"""Read the cache: draw latents from posteriors, by number, from files mapped into memory."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmp.config import LatentsConfig
from dmp.data.latents.encode import LABELS, LATENTS
from dmp.data.shards import ShardedArray, open_shards
from dmp.errors import DMPError
from dmp.files import understood


class LatentStore:
    """The posteriors of a source's images and of their mirrors.

    Can be handed to another process, which opens the files for itself.

    Args:
        config: what the backbone expects of its latents.
        verify: as for :func:`dmp.data.shards.open_shards`.

    Attributes:
        shape: (C, h, w) of a latent.
        labels: ``(n,)`` int64, each image's class.

    Raises:
        DMPError: the cache is not finished, damaged, or was made by another configuration.
    """

    def __init__(self, folder: Path, config: LatentsConfig, verify: bool = True) -> None:
        self._folder, self._config = folder, config
        index, arrays = open_shards(folder, "latents", verify)
        with understood(folder / "index.json"):
            self._check(index, arrays)

    def _check(self, index: dict[str, Any], arrays: dict[str, ShardedArray]) -> None:
        """Take the arrays in, if they are what the configuration expects."""
        self._scratch = torch.empty(0)
        self._posteriors = arrays[LATENTS]
        # (image or mirror, mean or log-variance, C, h, w)
        _, _, channels, height, width = self._posteriors.shape
        self.shape = (channels, height, width)
        self.labels = arrays[LABELS].take(np.arange(len(self)))
        found = {
            "autoencoder": index["autoencoder"],
            "channels": channels,
            "factor": index["identity"]["resolution"] // height,
            "dtype": index["identity"]["dtype"],
        }
        for key, value in found.items():
            if value != getattr(self._config, key):
                raise DMPError(
                    f"latents.{key} = {getattr(self._config, key)!r}, but {self._folder} was made "
                    f"with {value!r}; encode the images again"
                )

    def __len__(self) -> int:
        return len(self._posteriors)

    def __reduce__(self) -> tuple[type, tuple[Path, LatentsConfig, bool]]:
        return LatentStore, (self._folder, self._config, False)

    def posterior(self, rows: np.ndarray, mirrored: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance ``(B, C, h, w)`` in the cache's dtype, unscaled.

        Args:
            rows: ``(B,)`` int64, numbers of images.
            mirrored: ``(B,)`` bool, which of their mirrors.
        """
        taken = self._posteriors.take(rows, np.asarray(mirrored, np.int64))
        mean, logvar = torch.from_numpy(taken).unbind(1)
        return mean, logvar

    def draw(self, rows: np.ndarray, mirrored: np.ndarray, noise: Tensor) -> Tensor:
        """Return latents drawn from posteriors, scaled: ``s · (mean + exp(logvar / 2) · noise)``.

        Other arguments are as for :meth:`posterior`; ``noise``, standard normal, and the result are
        ``(B, C, h, w)`` float32.
        """
        mean, logvar = self.posterior(rows, mirrored)
        # Fresh memory costs more than the arithmetic does: one array of it is enough.
        if len(self._scratch) < len(mean):
            self._scratch = torch.empty(len(mean), *self.shape)
        deviation = self._scratch[: len(mean)].copy_(logvar).mul_(0.5).exp_()
        return torch.mul(deviation, noise).add_(mean).mul_(self._config.scaling)

    def mean(self, rows: np.ndarray, mirrored: np.ndarray) -> Tensor:
        """Return the posteriors' means, scaled; as :meth:`draw`, without noise."""
        return self.posterior(rows, mirrored)[0].float().mul_(self._config.scaling)


class LatentImages:
    """Some images of a store, as a stream of training examples needs them.

    Args:
        rows: ``(n,)`` int64, numbers of the images that these are; all of them if left out.
        labels: ``(n,)`` int64, what the backbone is told of them; their classes if left out.
    """

    noisy = True

    def __init__(
        self, store: LatentStore, rows: np.ndarray | None = None, labels: np.ndarray | None = None
    ) -> None:
        self._store = store
        self._rows = np.arange(len(store)) if rows is None else np.asarray(rows, np.int64)
        self.shape = store.shape
        self.labels = store.labels[self._rows] if labels is None else labels

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: np.ndarray, mirrored: np.ndarray, noise: Tensor | None) -> Tensor:
        """Return latents, scaled, each drawn from its posterior by its noise."""
        chosen = self._rows[np.asarray(rows, np.int64)]
        if noise is None:
            return self._store.mean(chosen, mirrored)
        return self._store.draw(chosen, mirrored, noise)
