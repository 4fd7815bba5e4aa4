"""Captions through a pretrained CLIP text encoder, each distinct caption once, kept on disk.

A caption is known by its number in the cache: distinct captions in the order of their first
appearance, and last the empty caption, which is the null condition of guidance.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dmp.data.shards import Row, Shards, open_shards
from dmp.data.textencoder import KEY, TextEncoder
from dmp.errors import DMPError
from dmp.files import understood

# What is encoded together, which moves last bits: batches, each within one block.
BATCH, BLOCK = 256, 4096


def encode_captions(
    folder: Path, texts: Iterable[str], encoder: TextEncoder, dtype: str = "float16"
) -> list[str]:
    """Encode the distinct captions among ``texts``, and the empty one, and verify what was written.

    Returned are the captions in the order of their numbers.

    Args:
        folder: of the cache; what stands there is replaced.
        dtype: of the cached states.

    Raises:
        DMPError: the folder cannot be written, or a state is not finite.
    """
    unique = dict.fromkeys(texts)
    unique.pop("", None)
    captions = [*unique, ""]

    def batches() -> Iterator[dict[str, np.ndarray]]:
        with tqdm(total=len(captions), desc="captions", mininterval=1) as progress:
            for first in range(0, len(captions), BLOCK):
                block = captions[first : first + BLOCK]
                for start in range(0, len(block), BATCH):
                    part = block[start : start + BATCH]
                    sequence, pooled = encoder.encode(part)
                    yield {"sequence": sequence.numpy(), "pooled": pooled.numpy()}
                    progress.update(len(part))

    content = hashlib.sha256(json.dumps(captions).encode()).hexdigest()
    identity = {"format": "captions", "encoder": encoder.identity, "dtype": dtype, "texts": content}
    arrays = {
        "sequence": Row((encoder.length, encoder.width), dtype),
        "pooled": Row((encoder.width,), dtype),
    }
    shards = Shards(folder, identity, arrays, len(captions))
    shards.write(0, range(len(captions)), batches())
    shards.seal(encoder=encoder.name)
    return captions


class TextStore:
    """The states of encoded captions, mapped into memory.

    Can be handed to another process, which opens the files for itself.

    Args:
        encoder: the name of the encoder that it must have been made with; None for any.
        verify: as for :func:`dmp.data.shards.open_shards`.

    Attributes:
        width: E.
        null: the number of the empty caption, which is the last.

    Raises:
        DMPError: the cache is not finished, damaged, or was made by another encoder.
    """

    def __init__(self, folder: Path, encoder: str | None = None, verify: bool = True) -> None:
        self._folder, self._encoder = folder, encoder
        index, arrays = open_shards(folder, "captions", verify)
        with understood(folder / "index.json"):
            if encoder not in (None, index["encoder"]):
                raise DMPError(
                    f"{KEY} = {encoder!r}, but {folder} was made with {index['encoder']!r}; encode "
                    f"the captions again"
                )
            self._sequence, self._pooled = arrays["sequence"], arrays["pooled"]
            self.width: int = self._pooled.shape[0]
        self.null = len(self) - 1

    def __len__(self) -> int:
        return len(self._pooled)

    def __reduce__(self) -> tuple[type, tuple[Path, str | None, bool]]:
        return TextStore, (self._folder, self._encoder, False)

    def pooled(self, numbers: np.ndarray) -> Tensor:
        """Return the pooled states ``(n, E)`` float32 of captions by number."""
        return torch.from_numpy(self._pooled.take(numbers)).float()

    def sequence(self, numbers: np.ndarray) -> Tensor:
        """Return the states of all tokens, ``(n, 77, E)`` float32, of captions by number."""
        return torch.from_numpy(self._sequence.take(numbers)).float()
