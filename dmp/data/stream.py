"""The endless stream of training examples, addressed by number.

Example g of a seed is the same image with the same timestep, noise and label dropout whatever the
batch size, the number of processes or workers, and whether the run was resumed: each is a function
of (seed, purpose, g). Variants of one seed therefore train on identical data.

A baseline's own training and what follows it are two phases with draws of their own. With the same
ones, the seed that trained the baseline would go on to show it its first examples again, and no
other seed would.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dmp.data.examples import Examples
from dmp.data.noise import standard_normal
from dmp.rng import generator

# Examples share a generator in blocks of this many, since making one costs more than its draws.
BLOCK = 64

Phase = Literal["pretraining", "further training"]


class Batch(NamedTuple):
    """Training examples.

    Attributes:
        images: ``(B, C, H, W)`` float32 in [-1, 1].
        labels: ``(B,)`` int64; ``null_label`` where the label was dropped.
        timesteps: ``(B,)`` int64 in [0, T).
        noise: ``(B, C, H, W)`` float32, standard normal.
        gate_noise: ``(B, L, K)`` float32, standard normal, for a gate with noise; else empty.
    """

    images: Tensor
    labels: Tensor
    timesteps: Tensor
    noise: Tensor
    gate_noise: Tensor = torch.empty(0)


class TrainingStream(Dataset):
    """Examples of one seed; index with a list of example numbers to get a :class:`Batch`.

    Args:
        data: the training images, or their latents.
        seed: decides order, timesteps, noise, flips and label dropout.
        timesteps: T of the diffusion.
        flip: whether to mirror half of the examples.
        label_dropout: share of labels replaced by ``null_label``.
        null_label: the label of the null condition, for guidance.
        captions: ``(classes, k)``, the numbers of each label's captions; an example takes one of
            its label's at random, in place of the label.
        gate_noise: (L, K), the shape of each example's noise for a gate; None for none.
        phase: whether it is the baseline that trains, or what begins with it.
        skip: examples of the phase that were trained on before; number 0 is the one after them.
    """

    def __init__(
        self,
        data: Examples,
        seed: int,
        timesteps: int,
        flip: bool,
        label_dropout: float = 0.0,
        null_label: int | None = None,
        captions: np.ndarray | None = None,
        gate_noise: tuple[int, int] | None = None,
        phase: Phase = "pretraining",
        skip: int = 0,
    ) -> None:
        if label_dropout and null_label is None:
            raise ValueError("label_dropout needs a null_label")
        self._data = data
        self._labels = torch.from_numpy(data.labels)
        self._label_dropout, self._null_label = label_dropout, null_label
        self._flip = flip
        shape, count = data.shape, len(data)

        # The caches hold a few blocks: batches walk through the numbers in order.
        @functools.lru_cache(maxsize=4)
        def order(epoch: int) -> np.ndarray:
            return generator(seed, f"{phase}: data order", epoch).permutation(count)

        def blocks(purpose: str, draw: Callable[[np.random.Generator], np.ndarray]) -> Callable:
            @functools.lru_cache(maxsize=8)
            def block(number: int) -> np.ndarray:
                return draw(generator(seed, f"{phase}: {purpose}", number))

            return block

        self.num_timesteps = timesteps
        self._order, self._count = order, count
        self._timesteps = blocks("timesteps", lambda g: g.integers(0, timesteps, BLOCK))
        self._noise = blocks(
            "noise", lambda g: g.standard_normal((BLOCK, *shape), dtype=np.float32)
        )
        self._drop = blocks("label dropout", lambda g: g.random(BLOCK))
        self._mirror = blocks("flip", lambda g: g.random(BLOCK))
        self._seed, self._shape, self._phase, self._skip = seed, shape, phase, skip
        self._captions = None if captions is None else torch.from_numpy(captions)
        self._phrasing = blocks("caption", lambda g: g.random(BLOCK))
        self._gate_noise = None
        if gate_noise is not None:
            self._gate_noise = blocks(
                "gate noise", lambda g: g.standard_normal((BLOCK, *gate_noise), dtype=np.float32)
            )

    def __getitem__(self, index: int) -> Batch:
        """Return one example, as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """Return the examples with these numbers."""
        numbers = [self._skip + n for n in numbers]

        def stack(block: Callable[[int], np.ndarray]) -> np.ndarray:
            return np.stack([block(n // BLOCK)[n % BLOCK] for n in numbers])

        def gather(block: Callable[[int], np.ndarray]) -> Tensor:
            return torch.from_numpy(stack(block))

        rows = np.array([self._order(n // self._count)[n % self._count] for n in numbers])
        mirrored = stack(self._mirror) < 0.5 if self._flip else np.zeros(len(rows), bool)
        if self._data.noisy:
            # Latents are large: whole blocks would waste what other processes draw.
            posterior, noise = (
                standard_normal(self._seed, f"{self._phase}: {purpose}", numbers, self._shape)
                for purpose in ("posterior", "noise")
            )
        else:
            posterior, noise = None, gather(self._noise)
        images, labels = self._data.take(rows, mirrored, posterior), self._labels[rows]
        if self._captions is not None:
            column = (gather(self._phrasing) * self._captions.shape[1]).long()
            labels = self._captions[labels, column]
        if self._label_dropout and self._null_label is not None:
            labels = labels.masked_fill(gather(self._drop) < self._label_dropout, self._null_label)
        batch = Batch(images, labels, gather(self._timesteps), noise)
        if self._gate_noise is not None:
            batch = batch._replace(gate_noise=gather(self._gate_noise))
        return batch


class GlobalBatches:
    """Batch sampler: the numbers of each step's examples that this process trains on.

    The global batch of step s is the numbers [s·B, (s+1)·B); each of ``processes`` takes a
    contiguous share.
    """

    def __init__(
        self, first: int, last: int, batch_size: int, process: int = 0, processes: int = 1
    ) -> None:
        self._steps = range(first, last)
        self._batch_size = batch_size
        share = batch_size // processes
        self._share = range(process * share, (process + 1) * share)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            yield [step * self._batch_size + offset for offset in self._share]
