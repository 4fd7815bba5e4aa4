"""What figures draw: the numbers of a study, and the files of its runs that are not numbers."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.runlog import read_log

_ENTROPY = "gate/entropy"


class Gate(NamedTuple):
    """A gate over the timesteps.

    Attributes:
        timesteps: ``(S,)`` integers, 0 the least noisy.
        weights: ``(S, L, K)`` mean weight of each of K prompts in each of L patched blocks.

    """

    timesteps: np.ndarray
    weights: np.ndarray


class Evenness(NamedTuple):
    """A gate over the timesteps whose blocks have unlike numbers of prompts.

    Attributes:
        timesteps: ``(S,)`` integers, 0 the least noisy.
        values: ``(S, L)``, the entropy of each block's weights over ln K: 1 where all are alike.

    """

    timesteps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class FigureData:
    """What the figures of one study are drawn from.

    Attributes:
        results: see :mod:`dmp.statistics.results`; all iterations and bins.
        scale: has ``name``, ``title`` and ``conclusive``.
        seeds: the seeds that every variant should have, in ascending order.
        layout: where the files of the runs are.

    """

    results: pd.DataFrame
    scale: Any
    seeds: list[int]
    layout: Layout

    def gate(self, task: str, variant: str, seed: int) -> Gate | None:
        """Return a run's gate; None for a run that has none, or that was not finite.

        None, too, where blocks differ in the number of prompts; see :meth:`evenness`.

        Raises:
            DMPError: the file cannot be read, or its shapes do not fit together.

        """
        arrays = self._by_timestep(task, variant, seed, "weights", "(S, L, K)")
        return None if arrays is None else Gate(*arrays)

    def evenness(self, task: str, variant: str, seed: int) -> Evenness | None:
        """Return how evenly the blocks of a run use their prompts, where they differ in K.

        None for any other run.

        Raises:
            DMPError: the file cannot be read, or its shapes do not fit together.

        """
        arrays = self._by_timestep(task, variant, seed, "evenness", "(S, L)")
        return None if arrays is None else Evenness(*arrays)

    def _by_timestep(
        self, task: str, variant: str, seed: int, name: str, shape: str
    ) -> tuple[np.ndarray, ...] | None:
        """Return the timesteps (S,) of a run's gate and what it has for each of them."""
        path = self.layout.gate(task, variant, seed)
        arrays = _load(path, ("timesteps", name))
        if arrays is None:
            return None
        timesteps, values = arrays
        if values.ndim != shape.count(",") + 1 or timesteps.shape != values.shape[:1]:
            raise DMPError(
                f"{path}: {name} {values.shape} do not fit timesteps {timesteps.shape}; {shape} "
                f"and (S,) are needed"
            )
        return timesteps, values

    def images(self, task: str, variant: str, seed: int) -> np.ndarray | None:
        """Return a run's samples, uint8 ``(n, C, H, W)``; None where there are none.

        Raises:
            DMPError: the file cannot be read, or does not hold grey or colour images.

        """
        path = self.layout.samples(task, variant, seed)
        arrays = _load(path, ("images",))
        if arrays is None:
            return None
        images = arrays[0]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise DMPError(
                f"{path}: images are {images.dtype} {images.shape}; uint8 (n, 1 or 3, H, W) is "
                f"needed"
            )
        return images

    def labels(self, task: str, variant: str, seed: int) -> np.ndarray:
        """Return ``(n,)`` int64, the class or the caption's number of each sample.

        Raises:
            DMPError: the run has no samples, or the file cannot be read.

        """
        path = self.layout.samples(task, variant, seed)
        arrays = _load(path, ("labels",))
        if arrays is None:
            raise DMPError(f"{path} holds no labels of samples; sample the run again")
        return arrays[0]

    def entropy_log(self, task: str, variant: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(k,)`` iterations and the gate's entropy in nats there; both may be empty.

        Raises:
            DMPError: a line of the log is malformed.

        """
        points = read_log(self.layout.run(task, variant, seed) / "log.jsonl")
        found = [(p.step, p.value) for p in points if p.name == _ENTROPY and np.isfinite(p.value)]
        return (
            np.array([step for step, _ in found], dtype=np.int64),
            np.array([value for _, value in found], dtype=np.float64),
        )


def _load(path: Path, names: tuple[str, ...]) -> list[np.ndarray] | None:
    """Return arrays of an ``.npz`` file; None if there is no file, or it lacks one of them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if set(names) - set(file.files):
                return None
            return [file[name] for name in names]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DMPError(
            f"{path} is not a readable .npz file ({error}); delete it and run again"
        ) from error
