"""What figures draw: the numbers of a study, and the files of its runs that are not numbers."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from dmp.arrayfile import array_names, load_arrays
from dmp.data.registry import Images, dataset_info
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.runlog import read_log
from dmp.statistics.arms import Arms
from dmp.studies.schema import Scale


class Gate(NamedTuple):
    """A gate over the timesteps.

    Attributes:
        timesteps: ``(S,)`` integers, 0 the least noisy.
        values: ``(S, L, K)`` mean weight of each of K prompts in each of L patched blocks; or,
            where blocks differ in K, ``(S, L)``, the entropy of each block's weights over ln K: 1
            where all are alike.
    """

    timesteps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class FigureData:
    """What the figures of one study are drawn from.

    Attributes:
        results: see :mod:`dmp.statistics.results`; all iterations and ranges of timesteps.
        seeds: the seeds that every variant should have, in ascending order.
        layout: where the files of the runs are.
    """

    results: pd.DataFrame
    scale: Scale
    seeds: list[int]
    layout: Layout

    @functools.cached_property
    def arms(self) -> Arms:
        """The results, arm by arm."""
        return Arms(self.results)

    def gate(self, task: str, variant: str, seed: int) -> Gate | None:
        """Return the weights of a run's gate.

        None for a run that has no gate, that was not finite, or whose blocks differ in the number
        of prompts.

        Raises:
            DMPError: the file cannot be read, or its shapes do not fit together.
        """
        return self._gate(task, variant, seed, "weights", "(S, L, K)")

    def normalised_entropy(self, task: str, variant: str, seed: int) -> Gate | None:
        """As :meth:`gate`, for a run whose blocks differ in the number of prompts; else None."""
        return self._gate(task, variant, seed, "evenness", "(S, L)")

    def _gate(self, task: str, variant: str, seed: int, name: str, shape: str) -> Gate | None:
        path = self.layout.gate(task, variant, seed)
        found = array_names(path) if path.exists() else frozenset()
        other = "evenness" if name == "weights" else "weights"
        # A file that lacks ours for any other reason is damaged.
        if not found or (other in found and name not in found):
            return None
        arrays = load_arrays(path, "timesteps", name)
        timesteps, values = arrays["timesteps"], arrays[name]
        if values.ndim != shape.count(",") + 1 or timesteps.shape != values.shape[:1]:
            raise DMPError(
                f"{path}: {name} {values.shape} do not fit timesteps {timesteps.shape}; {shape} "
                f"and (S,) are needed"
            )
        return Gate(timesteps, values)

    def samples(self, task: str, variant: str, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return a run's samples, uint8 ``(n, C, H, W)``, and their classes or captions ``(n,)``.

        None for a run that has none.

        Raises:
            DMPError: the file cannot be read, or does not hold grey or colour images.
        """
        path = self.layout.samples(task, variant, seed)
        if not path.exists() or array_names(path) == {"features", "logits"}:
            return None
        arrays = load_arrays(path, "images", "labels")
        images, labels = arrays["images"], arrays["labels"]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise DMPError(
                f"{path}: images are {images.dtype} {images.shape}; uint8 (n, 1 or 3, H, W) is "
                f"needed"
            )
        return images, labels

    def real(self, task: str) -> Images | None:
        """Return the real images of a task, and the class of each; None unless they are embedded.

        Raises:
            DMPError: there is no such dataset.
        """
        config = self.scale.tasks.get(task)
        if config is None or config.data.source is not None:
            return None
        images, labels = dataset_info(config.data.name).load()
        conditioned = config.conditioning != "none"
        return Images(images, labels if conditioned else np.zeros_like(labels))

    def captions(self, task: str) -> dict[int, tuple[str, int]]:
        """Return the text and the class of each caption by its number; none if there are none."""
        config = self.scale.tasks.get(task)
        if config is None or config.conditioning != "text" or config.data.source is not None:
            return {}
        phrases = dataset_info(config.data.name).phrases
        splits = () if phrases is None else phrases()
        found = [(text, k) for split in splits for k, own in enumerate(split) for text in own]
        return dict(enumerate(found))

    def entropy_log(self, task: str, variant: str, seed: int) -> pd.Series:
        """Return the gate's entropy in nats while a run trained, by iteration; it may be empty.

        Raises:
            DMPError: the log is malformed.
        """
        path = self.layout.run(task, variant, seed) / "log.jsonl"
        points = {p.step: p.value for p in read_log(path) if p.name == "gate/entropy"}
        return pd.Series(points, dtype=float).dropna()
